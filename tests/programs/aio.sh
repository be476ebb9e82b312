#!/usr/bin/env bash
# A program on libaio whose completions are told by eventfds, without the shim and on it: nothing may
# differ. One line 'ok ...', 'not ok ...' or 'left out ...' each. Usage: aio.sh [BUILD-DIRECTORY]
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
export EFDSHIM_DIR=$tmp/state
lib=$build/libefdshim.so
failed=0
LIMIT=200

ok() { echo "ok $1"; }
not_ok() {
	echo "not ok $1 - $2"
	failed=1
}
left_out() { echo "left out $1: $2"; }

# equal NAME WANTED GOT
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '${3//$'\n'/ | }' (want '${2//$'\n'/ | }')"; fi
}

if ! "$here/../need.sh" libaio.h=libaio-dev; then
	left_out 'libaio' 'libaio-dev is not installed'
	exit 0
fi
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -o "$tmp/aio" "$here/"aio*.c -laio -pthread || exit 1

# The ways to run a program: each a name and the words before the command.
plain() { timeout -k 5 "$LIMIT" "$@"; }
shim() { timeout -k 5 "$LIMIT" env LD_PRELOAD="$lib" "$@"; }
launched() { timeout -k 5 "$LIMIT" "$build/efdshim" run -- "$@"; }
mirrored() { timeout -k 5 "$LIMIT" env LD_PRELOAD="$lib" EFDSHIM_MIRROR=always "$@"; }
slow() { timeout -k 5 "$LIMIT" env LD_PRELOAD="$lib" EFDSHIM_FAST=0 "$@"; }

plain "$tmp/aio" >"$tmp/wanted" 2>&1 </dev/null
echo "exit code $?" >>"$tmp/wanted"
equal 'the transcript is a whole one' '54 lines, exit code 0' "$(wc -l <"$tmp/wanted") lines, $(tail -n 1 "$tmp/wanted")"
for way in shim launched mirrored slow; do
	$way "$tmp/aio" >"$tmp/got" 2>&1 </dev/null
	echo "exit code $?" >>"$tmp/got"
	equal "$way: nothing differs" '' "$(diff "$tmp/wanted" "$tmp/got" | head -n 6)"
done

# The bridges are there at all: the kernel sees a number of the library's in the place of the program's.
equal 'no fd left, plain: none is needed' 'no fd left: 1 1, then 1 1 1' "$(plain "$tmp/aio" limit)"
equal 'no fd left, shim: EAGAIN, nothing submitted' 'no fd left: -11 1, then 1 1 1' "$(shim "$tmp/aio" limit)"
equal 'no thread, plain: none is needed' 'no thread: 1 2 1' "$(plain "$tmp/aio" alone)"
equal 'no thread, shim: EAGAIN, what comes before is submitted' 'no thread: -11 1 1' "$(shim "$tmp/aio" alone)"
exit $failed
