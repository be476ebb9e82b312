#!/usr/bin/env bash
# Whatever somebody writes into the shared files, programs get an errno at worst: no signal, no loop without end, not a
# byte outside. Where a file is made shorter those who use it at that moment may get SIGBUS, but nobody who starts later.
# SEEDS=N for more of it.
. "$(dirname "$0")/lib.sh"
SEEDS=${SEEDS:-4}
program hostile "$here/spoil.c"
program serve "$here/work.c" "$here/deny.c"
efdshim=${EFDSHIM:-$(dirname "$lib")/efdshim}
beside=$tmp/beside
can_list=no
"$efdshim" ls --help >/dev/null 2>&1 && can_list=yes

# unharmed COMMAND...: ends by itself, with an exit code of its own.
unharmed() {
	local rc
	quietly "$@"
	rc=$?
	[ $rc -lt 124 ] || echo "${*##*/} ends with $rc, said: $(said "$tmp/said")"
}

# What ls and gc, and a new program, make of the remains.
after() {
	if [ $can_list = yes ]; then
		unharmed "$efdshim" ls --dir "$state"
		unharmed "$efdshim" gc --dir "$state"
	fi
	unharmed "${shim[@]}" SERVED=any "$build/serve" many
}

# keep_listing MODE: lists and sweeps until it is killed, and says where that went wrong. Whoever uses a file while it
# is made shorter may get SIGBUS.
keep_listing() {
	local shortened=no
	case $1 in *truncate | *hollow) shortened=yes ;; esac
	while :; do
		for verb in ls gc; do
			timeout -k 1 20 "$efdshim" $verb --dir "$state" >/dev/null 2>&1
			rc=$?
			[ $rc -lt 124 ] || [ "$shortened,$rc" = yes,135 ] || echo "$verb ends with $rc"
		done
	done
}

# spoilt MODE FILE
spoilt() {
	local seed bad='' lister rc name="$2 meets $1"
	for ((seed = 1; seed <= SEEDS; seed++)); do
		rm -rf "$state"
		: >"$tmp/listed"
		if [ $can_list = yes ]; then
			keep_listing "$1" >"$tmp/listed" &
			lister=$!
		fi
		quietly "${shim[@]}" SERVED=any "$build/hostile" "$1" "$seed" "$state" "$2" "$beside"
		rc=$?
		[ $can_list = no ] || { kill $lister && wait $lister; } 2>/dev/null
		[ $rc = 0 ] || bad+="seed $seed: exit code $rc, said: $(said "$tmp/said"); "
		[ ! -s "$tmp/listed" ] || bad+="seed $seed: $(sort -u "$tmp/listed" | tr '\n' ' '); "
		rc=$(after)
		[ -z "$rc" ] || bad+="seed $seed, afterwards: $rc; "
	done
	verdict "$name" "${bad:0:400}"
}

passes 'without the shim' env SERVED=kernel "$build/hostile" nothing 1 "$state" slots "$beside"
[ $can_list = yes ] || left_out 'ls and gc beside it' 'this efdshim has none'
for file in slots watches; do
	for mode in nothing noise head-noise bits words head-words identity self-links cycles record-cycles record-heads \
		truncate hollow longer gone free-noise free-words free-head-words free-cycles free-truncate free-hollow; do
		spoilt $mode $file
	done
done
exit $failed
