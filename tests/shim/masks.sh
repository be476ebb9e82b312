#!/usr/bin/env bash
# EFD_MASK: there with the shim, not there without it, and as cheap among 10,000 as among ten.
. "$(dirname "$0")/lib.sh"
program maskless
program maskscale "$here/callcount.c"
FEW=10
MANY=10000
MOST=120 # percent

passes 'without the shim EFD_MASK is EINVAL, and efdshim_version is NULL' "${plain[@]}" "$build/maskless" missing
passes 'with it both are there' "${shim[@]}" "$build/maskless" there
passes 'so they are where only what is missing is emulated' "${shim[@]}" EFDSHIM_MODE=missing "$build/maskless" there
passes 'where the shim cannot serve, EFD_MASK is EINVAL' \
	"${shim[@]}" EFDSHIM_DIR=/nowhere/at/all SERVED=kernel "$build/maskless" refused

# A compiler that knows the attribute 'noplt' finds a weak name in programs that are not position-independent, too.
if [ "$(echo '__has_attribute(noplt)' | "${CC:-cc}" -E -P - 2>/dev/null)" = 1 ]; then
	cp "$build/maskless" "$tmp/maskless"
	program maskless -fno-pie -no-pie
	passes 'a program of the old kind without the shim' "${plain[@]}" "$build/maskless" missing
	passes 'a program of the old kind with it' "${shim[@]}" "$build/maskless" there
	mv "$tmp/maskless" "$build/maskless"
fi
rm -rf "$state"

# among_many NAME BITS [et]: one that is active, among many that wait for BITS.
among_many() {
	local name=$1 few many try out
	shift
	few=$("${shim[@]}" "$build/maskscale" calls $FEW "$@" 2>"$tmp/said")
	case $? in
	0) ;;
	77)
		left_out "$name: system calls" 'this kernel does not let us count them'
		few=
		;;
	*)
		not_ok "$name: system calls" "$(said "$tmp/said")"
		return
		;;
	esac
	if [ -n "$few" ]; then
		many=$("${shim[@]}" "$build/maskscale" calls $MANY "$@" 2>"$tmp/said")
		if [ "$few" = "$many" ]; then
			ok "$name: an event makes as many system calls among $MANY as among $FEW ($few per 100)"
		else
			not_ok "$name: an event makes as many system calls among $MANY as among $FEW" \
				"$few and ${many:-none} per 100: $(said "$tmp/said")"
		fi
	fi
	for try in 1 2 3 4 5; do
		out=$("${shim[@]}" "$build/maskscale" time $FEW $MANY "$@" 2>"$tmp/said") || break
		[ "${out##* }" -gt $MOST ] || break
	done
	if [ "${out##* }" -le $MOST ] 2>/dev/null; then
		ok "$name: an event among $MANY costs at most a fifth more than among $FEW ($out percent)"
	else
		not_ok "$name: an event among $MANY costs at most a fifth more than among $FEW" \
			"${out:-no figures}, $try tries: $(said "$tmp/said")"
	fi
	rm -rf "$state"
}

among_many 'IN by level' 1
among_many 'PRI by level' 2
among_many 'IN, PRI and OUT by level' 7
among_many 'IN by edge' 1 et
among_many 'OUT by edge' 4 et
exit $failed
