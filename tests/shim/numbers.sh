#!/usr/bin/env bash
# As many eventfds as the kernel gives, to the last number: the fds that the library keeps are not the program's.
# And no file may grow.
. "$(dirname "$0")/lib.sh"
program numbers
program grown "$here/work.c"
most=$(ulimit -Hn)
ulimit -Sn "$most"

# alike SITUATION LIMIT
alike() {
	local kernels name="$1, at most $2 fds"
	quietly "${plain[@]}" "$build/numbers" "$1" "$2"
	kernels=$(cat "$tmp/said")
	case $kernels in
	*'errno 24'*) ;;
	*)
		not_ok "$name" "without the shim: $kernels"
		return
		;;
	esac
	rm -rf "$state"
	quietly "${shim[@]}" SERVED=any "$build/numbers" "$1" "$2"
	if [ "$kernels" = "$(cat "$tmp/said")" ]; then
		ok "$name"
	else
		not_ok "$name" "$(diff <(echo "$kernels") "$tmp/said" | grep '^[<>]' | tr '\n' ' ')"
	fi
}

# Where the library's fds cannot lie beyond the limit they are the program's loss, but only these few.
FEW=3
nearly() {
	local name="$1, at most $2 fds: all but $FEW" kernels shims
	kernels=$("$build/numbers" "$1" "$2" 2>&1 | sed -n 's/^eventfds: \([0-9]*\), errno 24.*/\1/p')
	rm -rf "$state"
	shims=$("${shim[@]}" SERVED=any "$build/numbers" "$1" "$2" 2>&1 | sed -n 's/^eventfds: \([0-9]*\), errno 24.*/\1/p')
	if [ -n "$kernels" ] && [ -n "$shims" ] && [ "$shims" -le "$kernels" ] && [ "$shims" -ge $((kernels - FEW)) ]; then
		ok "$name"
	else
		not_ok "$name" "the kernel gives ${kernels:-none}, the shim ${shims:-none}"
	fi
}

for limit in 7 16 63 64 65 256 999 1000 1001 1024 1025 4096; do
	if [ "$most" != unlimited ] && [ "$limit" -ge "$most" ]; then
		left_out "at most $limit fds" "the hard limit is $most"
		continue
	fi
	for situation in only files-after-one watched copies late forked; do
		alike $situation "$limit"
	done
	[ "$limit" = 4096 ] || alike lowered "$limit"
done
if [ "$most" != unlimited ] && [ "$most" -le 60000 ]; then
	for situation in only files-after-one watched forked; do
		nearly $situation "$most"
	done
fi

cases 'without the shim: ' grown "${plain[@]}"
rm -rf "$state"
while read -r name; do
	rm -rf "$state"
	passes "$name" "${shim[@]}" SERVED=any "$build/grown" "$name"
	passes "$name, the store being there" "${shim[@]}" SERVED=any "$build/grown" "$name"
	passes "$name, mirrored" "${shim[@]}" SERVED=any EFDSHIM_MIRROR=always "$build/grown" "$name"
done < <("$build/grown" --list)
exit $failed
