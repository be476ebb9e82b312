#!/usr/bin/env bash
# The models under spin, exhaustively; each wrong variant must fail. Usage: run.sh [quick]; 'quick' takes the small
# configurations alone. Prints 'ok ...', 'not ok ...' or 'left out ...', one line a test.
set -u
here=$(realpath "$(dirname "$0")")
size=${1:-full}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
# Most of the small searches take less time than a compiler that optimizes.
optimize=-O0
megabytes=$(awk '/MemAvailable/ { print int($2 / 2048) }' /proc/meminfo)

if ! "$here/../need.sh" spin >/dev/null 2>&1; then
	echo 'left out: the models, spin is not installed'
	exit 0
fi

# search MODEL OPTIONS...: the exit code is 0 where nothing is wrong, 1 where an assertion fails, 2 where the search broke off.
search() {
	local model=$1
	shift
	(
		cd "$tmp" || exit 2
		rm -f ./pan* ./*.trail log
		spin -a "$@" "$here/$model.pml" >log 2>&1 &&
			${CC:-cc} "$optimize" -w -DSAFETY -DCOLLAPSE "-DMEMLIM=$megabytes" -o pan pan.c >>log 2>&1 &&
			timeout 600 ./pan -m1000000 >>log 2>&1
		grep -q 'error: max search depth too small\|out of memory\|memory limit\|Search not completed' log && ! grep -q '^pan:1: \(assertion\|invalid end\)' log && exit 2
		grep -q '^pan:1: \(assertion violated\|invalid end state\)' log && exit 1
		grep -q 'errors: 0$' log || exit 2
	)
}

right() {
	if search "$@"; then
		echo "ok $* ($(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$tmp/log" | head -n 1) states)"
	else
		echo "not ok $*"
		tail -n 20 "$tmp/log"
		failed=1
	fi
}

# A search that breaks off is no failure of the model.
wrong() {
	search "$@"
	if [ $? = 1 ]; then
		echo "ok $* fails, as it must"
	else
		echo "not ok $* does not fail"
		tail -n 20 "$tmp/log"
		failed=1
	fi
}

one=(fastwatch -DOBJECTS=1 -DOPS=1)
right level -DNW=1 -DNR=1
right level -DNW=1 -DNR=1 -DEDGE=1
right level -DLAZY=1 -DNW=1 -DNR=1
wrong level -DLAZY=1 -DNW=1 -DNR=1 -DWOPS=3 -DNO_CLOSE
right fastwatch -DNW=2 -DOPS=1 -DMODE1=ET
for mode in LT ET ONESHOT; do
	right "${one[@]}" -DNW=1 -DDEMOTE -DMODE0=$mode
	right "${one[@]}" -DNW=1 -DMOVE -DMODE0=$mode
done
wrong "${one[@]}" -DNW=2 -DLATE_CLEAR
for rule in NO_LAST_LOOK RING_BEFORE_PUSH 'MOVE -DPOP_LOOKS_FIRST' 'ADD -DDEMOTE -DNO_BAN_LOOK' \
	'MODE0=ET -DDEMOTE -DNO_RELOAD' 'MODE0=ET -DDEMOTE -DTELL_ALWAYS' 'MODE0=ET -DDEMOTE -DNO_LAST_EDGE' \
	'MODE0=ET -DDEMOTE -DSHARED -DDEMOTE_LOOKS_LATE' 'MODE0=ET -DADD -DDEMOTE -DSHARED -DADD_WANTS_LIVE' \
	'MODE0=ONESHOT -DONCE -DDEMOTE -DANCHOR_TELLS'; do
	# shellcheck disable=SC2086 # one word per option
	wrong "${one[@]}" -DNW=1 -D$rule
done
right asyncring -DSIZE=2
right asyncring -DSIZE=3 -DNP=1 -DOPS=3 -DBATCH=2
for rule in NO_LAST_FREE 'SIZE=3 -DNO_COOKIE_LOOK' 'SIZE=2 -DNO_LAPS' 'SIZE=3 -DOWN_ONLY' 'SIZE=3 -DLOOK_FIRST' \
	'SIZE=3 -DNO_LOOK_AGAIN'; do
	# shellcheck disable=SC2086 # one word per option
	wrong asyncring -D$rule
done
[ "$size" = full ] || exit $failed

optimize=-O2

right level -DNW=2 -DNR=1
right level -DNW=1 -DNR=2 -DEDGE=1
right level -DLAZY=1 -DNW=1 -DNR=1 -DWOPS=3 -DROPS=3
right level -DLAZY=1 -DNW=1 -DNR=1 -DWOPS=3 -DEDGE=1
right level -DLAZY=2 -DNW=1 -DNR=1 -DWOPS=3
right asyncring -DSIZE=3 -DOPS=3
right asyncring -DSIZE=4 -DBATCH=2
right asyncring -DSIZE=4 -DBATCH=2 -DNP=3 -DOPS=1
right fastwatch -DNW=4 -DOPS=1
right fastwatch -DNW=2 -DOPS=2 -DMODE1=ET
right fastwatch -DNW=3 -DOPS=1 -DMODE0=ONESHOT
right fastwatch -DNW=2 -DOPS=1 -DMODE1=ET -DDEMOTE
for mode in LT ET ONESHOT; do
	right "${one[@]}" -DNW=2 -DDEMOTE -DSECOND_WAITER -DMODE0=$mode
	right "${one[@]}" -DNW=1 -DADD -DDEMOTE -DMODE0=$mode
	right "${one[@]}" -DNW=2 -DMOVE -DMODE0=$mode
done
right fastwatch -DOBJECTS=1 -DNW=1 -DOPS=2 -DMOVE -DFRONTS=2 -DMODE0=LT
right fastwatch -DOBJECTS=1 -DNW=1 -DOPS=2 -DMOVE -DFRONTS=2 -DMODE0=ET
for rule in SLEEP_LATE 'MODE0=ONESHOT -DFIRE_FIRST' 'ADD -DADD_LOOKS_FIRST' 'MODE0=ET -DDEMOTE -DCOUNT_LATE' \
	'MODE0=ET -DDEMOTE -DDROP_PENDING' 'MODE0=ET -DADD -DDEMOTE -DSHARED -DADD_NO_RAISE'; do
	# shellcheck disable=SC2086 # one word per option
	wrong "${one[@]}" -DNW=1 -D$rule
done
wrong "${one[@]}" -DNW=2 -DMOVE -DFRONTS=2 -DREUSE_LISTED
wrong "${one[@]}" -DNW=2 -DMODE0=ET -DDEMOTE -DSECOND_WAITER -DTELL_BACKWARDS
exit $failed
