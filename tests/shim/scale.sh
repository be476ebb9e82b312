#!/usr/bin/env bash
# Very many eventfds: all of them right, none left behind, and each operation as cheap as among a few.
. "$(dirname "$0")/lib.sh"
program scale "$here/callcount.c"
scale=$build/scale
LIMIT=240
MOST=20000
ALL=100000

fresh() {
	rm -rf "$state"
	mkdir -m 700 "$state"
}

# How many FIFOs there are: one for each slot ever used, and one for each class.
fifos() { find "$state" -type p | wc -l; }

# nothing_held NAME: no FIFO of the directory is open in any process, and 'efdshim ls' lists nothing.
nothing_held() {
	passes "$1" "${plain[@]}" "$scale" held "$state"
	if env "EFDSHIM_DIR=$state" "${lib%/*}/efdshim" ls >"$tmp/listed" 2>/dev/null; then
		verdict "$1: efdshim ls agrees" "$(head -c 300 "$tmp/listed")"
	else
		left_out "$1: efdshim ls agrees" 'there is no efdshim ls'
	fi
}

# no_more_than BEFORE NAME: give or take what nobody closed and no sweep has found yet.
no_more_than() {
	local now
	now=$(fifos)
	[ "$now" -le $(($1 + $1 / 100)) ] && ok "$2" && return
	not_ok "$2" "$now FIFOs, $1 before"
}

passes "without the shim: $MOST in one process" "${plain[@]}" "$scale" one $MOST
passes "without the shim: $ALL in several processes" "${plain[@]}" "$scale" processes $ALL

fresh
passes "$MOST in one process" "${shim[@]}" "$scale" one $MOST
nothing_held 'all are closed'
before=$(fifos)
passes "$MOST once more" "${shim[@]}" "$scale" one $MOST
no_more_than "$before" 'they take the places of the first'
passes "$MOST that nobody closes" "${shim[@]}" "$scale" one $MOST leave
nothing_held 'their process has ended'
passes "$MOST after those" "${shim[@]}" "$scale" one $MOST
no_more_than "$before" 'they take the places of those'

fresh
passes "$ALL in several processes" "${shim[@]}" "$scale" processes $ALL
nothing_held "all $ALL are closed"
before=$(fifos)
passes "$ALL in several processes once more" "${shim[@]}" "$scale" processes $ALL
no_more_than "$before" 'they take the places of the first'

# calls_among COUNT: leaves lines of 'STEP CALLS', of 100 each, in $tmp/COUNT.
calls_among() {
	fresh
	timeout -k 5 $LIMIT "${shim[@]}" "$scale" calls "$1" >"$tmp/$1" 2>"$tmp/said" </dev/null
}

calls_among 10 && calls_among $MOST
case $? in
0)
	while read -r step few; do
		many=$(awk -v step="$step" '$1 == step { print $2 }' "$tmp/$MOST")
		name="$step makes no more system calls among as many as possible than among ten"
		# one call more each: from the 64th eventfd on its pipe is made smaller
		if [ "${many:-999999}" -le $((few + few / 20 + 100)) ]; then
			ok "$name ($few and $many of 100)"
		else
			not_ok "$name" "$few of 100 among ten, ${many:-none} among many"
		fi
	done <"$tmp/10"
	;;
77) left_out 'system calls among many' 'this kernel does not let us count them' ;;
*) not_ok 'system calls among many' "$(said "$tmp/said")" ;;
esac
exit $failed
