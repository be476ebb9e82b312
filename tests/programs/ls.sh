#!/usr/bin/env bash
# efdshim ls and efdshim gc, case by case: one line 'ok ...', 'not ok ...' or 'left out ...' each.
# Usage: ls.sh [BUILD-DIRECTORY]
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
state=$tmp/state
efdshim=$build/efdshim
lib=$build/libefdshim.so
failed=0
LIMIT=20
unset "${!EFDSHIM_@}" LD_PRELOAD

finish() {
	local name
	for name in "${!to[@]}"; do shut "$name"; done
	rm -rf "$tmp"
}
trap finish EXIT

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

# A holder is a process that makes eventfds as it is told: hire NAME; ask NAME COMMAND...; kill_holder NAME; shut NAME.
declare -A to from pids
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -o "$tmp/objects" "$here/objects.c" || exit 1

hire_with() {
	local name=$1 out in other
	shift
	mkfifo "$tmp/$name.to" "$tmp/$name.from"
	(
		for other in "${to[@]}" "${from[@]}"; do exec {other}>&-; done
		exec "$@" "$tmp/objects" <"$tmp/$name.to" >"$tmp/$name.from" 2>"$tmp/$name.said"
	) &
	exec {out}>"$tmp/$name.to" {in}<"$tmp/$name.from"
	rm -f "$tmp/$name.to" "$tmp/$name.from"
	to[$name]=$out from[$name]=$in
	pids[$name]=$(ask "$name" pid)
}
hire() { hire_with "$1" "$efdshim" run --dir "$state" --; }

ask() {
	local answer
	echo "${@:2}" >&"${to[$1]}"
	read -r -t "$LIMIT" answer <&"${from[$1]}" || answer='no answer'
	echo "$answer"
}

shut() {
	local out=${to[$1]} in=${from[$1]}
	exec {out}>&- {in}<&-
	wait "${pids[$1]}" 2>/dev/null
	unset "to[$1]" "from[$1]" "pids[$1]"
}

kill_holder() {
	kill -KILL "${pids[$1]}"
	shut "$1"
}

# verb WORDS...: its stdout into $out, its stderr into $err, its exit code into $rc.
verb() {
	out=$(timeout -k 5 "$LIMIT" "$efdshim" "$@" 2>"$tmp/err" </dev/null)
	rc=$?
	err=$(cat "$tmp/err")
}

# lists NAME PATTERN...: exit code 0, silence on stderr, one line for each pattern (an anchored extended regular
# expression for what follows the id), in any order.
lists() {
	local name=$1 left pattern line rest found
	shift
	verb ls --dir "$state"
	[ "$rc" = 0 ] && [ -z "$err" ] || {
		not_ok "$name" "exit code $rc, said: $err"
		return
	}
	left=$out
	for pattern; do
		rest='' found=no
		while IFS= read -r line; do
			[ -n "$line" ] || continue
			if [ $found = no ] && [[ $line =~ ^[0-9]+\ counter\ $pattern$ ]]; then found=yes; else rest+=$line$'\n'; fi
		done <<<"$left"
		[ $found = yes ] || {
			not_ok "$name" "no line '$pattern' in: ${out//$'\n'/ | }"
			return
		}
		left=$rest
	done
	equal "$name" '' "$left"
}

# frees NAME N: gc says so.
frees() {
	verb gc --dir "$state"
	if [ "$rc" = 0 ] && [ -z "$err" ] && [[ $out =~ ^$2\ objects?\ freed$ ]]; then
		ok "$1"
	else
		not_ok "$1" "exit code $rc, said: $out $err (want '$2 objects freed')"
	fi
}

# refused NAME COMMAND: nothing on stdout, one line on stderr, an exit code other than 0.
refused() {
	local name=$1
	verb "$2" --dir "$state"
	if [ "$rc" != 0 ] && [ "$rc" -lt 124 ] && [ -z "$out" ] && [[ $err == efdshim:\ * ]] && [ "$(wc -l <"$tmp/err")" = 1 ]; then
		ok "$name: $2 refuses it"
	else
		not_ok "$name: $2 refuses it" "exit code $rc, said: $out $err"
	fi
}

both_refused() {
	refused "$1" ls
	refused "$1" gc
}

verb --help
[[ $out == *ls* && $out == *gc* ]] && ok 'the help names ls and gc' || not_ok 'the help names ls and gc' "$out"
for word in ls gc; do
	verb $word --help
	[ $rc = 0 ] && [[ $out == *--dir* ]] && ok "$word --help tells of --dir" || not_ok "$word --help tells of --dir" "$out"
	verb $word --fly
	equal "$word: an unknown option is wrong usage" 2 $rc
	verb $word --dir
	equal "$word: an option without its directory is wrong usage" 2 $rc
	verb $word more
	equal "$word: a word too many is wrong usage" 2 $rc
done

# No store, an empty one.
lists 'a directory that does not exist'
frees 'nothing to free in it' 0
equal 'neither makes one' '' "$(ls -d "$state" 2>/dev/null)"
mkdir -m 700 "$state"
lists 'an empty directory'
frees 'nothing to free in it' 0
equal 'neither makes anything in it' '' "$(ls -A "$state")"

# Objects of two processes.
hire one
hire two
one=${pids[one]} two=${pids[two]}
lists 'two processes without eventfds'
a=$(ask one new 0 -)
lists 'one eventfd' "count=0 flags=- watchers=- pids=$one"
b=$(ask two new 5 s)
c=$(ask two new 4294967295 sn)
ask one new 1 n >"$tmp/d"
lists 'of two processes, with all flags' "count=0 flags=- watchers=- pids=$one" \
	"count=5 flags=semaphore watchers=- pids=$two" "count=4294967295 flags=semaphore,nonblock watchers=- pids=$two" \
	"count=1 flags=nonblock watchers=- pids=$one"
verb ls "--dir=$state"
equal 'the ids are different ones' 4 "$(cut -d' ' -f1 <<<"$out" | sort -u | wc -l)"
verb ls --dir "$state"
sorted=$out
verb ls --dir "$state"
equal 'twice the same' "$sorted" "$out"
out=$(EFDSHIM_DIR=$state timeout "$LIMIT" "$efdshim" ls 2>&1)
equal 'EFDSHIM_DIR names the directory, too' "$sorted" "$out"
out=$(cd "$tmp" && timeout "$LIMIT" "$efdshim" ls --dir state 2>&1)
equal 'a relative directory' "$sorted" "$out"
out=$(timeout "$LIMIT" "$efdshim" run --dir "$state" -- "$efdshim" ls --dir "$state" 2>&1)
equal 'ls under the shim' "$sorted" "$out"
ask one close "$(cat "$tmp/d")" >/dev/null
ask two close "$c" >/dev/null

# What changes.
ask one add "$a" 18446744073709551614 >/dev/null
lists 'the largest count' "count=18446744073709551614 flags=- watchers=- pids=$one" \
	"count=5 flags=semaphore watchers=- pids=$two"
ask one take "$a" >/dev/null
ask two take "$b" >/dev/null
lists 'counts that were taken' "count=0 flags=- watchers=- pids=$one" "count=4 flags=semaphore watchers=- pids=$two"
c=$(ask two new 2 n)
ask two block "$c" >/dev/null
lists 'a flag that was taken away' "count=0 flags=- watchers=- pids=$one" \
	"count=4 flags=semaphore watchers=- pids=$two" "count=2 flags=- watchers=- pids=$two"
ask two close "$c" >/dev/null
ask two watch "$b" in >/dev/null
lists 'a watcher of IN' "count=0 flags=- watchers=- pids=$one" "count=4 flags=semaphore watchers=in pids=$two"
w=$(ask one new 0 -)
ask one watch "$w" out >/dev/null
lists 'a watcher of OUT' "count=0 flags=- watchers=- pids=$one" "count=4 flags=semaphore watchers=in pids=$two" \
	"count=0 flags=- watchers=(in,)?out pids=$one"
ask one close "$w" >/dev/null
ask two close "$b" >/dev/null
lists 'a watched one that was closed' "count=0 flags=- watchers=- pids=$one"

# Who holds it.
copy=$(ask one dup "$a")
lists 'a duplicate' "count=0 flags=- watchers=- pids=$one"
ask one close "$a" >/dev/null
lists 'the duplicate alone' "count=0 flags=- watchers=- pids=$one"
child=$(ask one fork)
lists 'a forked child, too' "count=0 flags=- watchers=- pids=($one,$child|$child,$one)"
ask one close "$copy" >/dev/null
lists 'the child alone' "count=0 flags=- watchers=- pids=$child"
frees 'which keeps it' 0
ask one kill "$child" >/dev/null
lists 'a child that was killed'
frees 'which keeps it no more' 1
m=$(ask one new 7 -)
ask one send "$m" >/dev/null
lists 'in a message as well' "count=7 flags=- watchers=(-|in|in,out) pids=$one"
ask one close "$m" >/dev/null
lists 'in a message only' "count=7 flags=- watchers=(-|in|in,out) pids=-"
frees 'which keeps it' 0
lists 'still in the message' "count=7 flags=- watchers=(-|in|in,out) pids=-"
m=$(ask one receive)
lists 'received' "count=7 flags=- watchers=(-|in|in,out) pids=$one"
equal 'with its count' 7 "$(ask one take "$m")"
ask one send "$m" >/dev/null
ask one close "$m" >/dev/null
ask one lose >/dev/null
lists 'lost with its socket'
shut one
shut two
lists 'when all have gone'
verb gc --dir "$state"
frees 'after a sweep there is nothing left' 0

# What dies without being closed.
hire living
hire dying
for _ in 1 2 3; do l=$(ask living new 9 n); done
for _ in 1 2 3 4 5; do ask dying new 6 - >/dev/null; done
ask dying watch 3 in >/dev/null
kill_holder dying
mine="count=9 flags=nonblock watchers=- pids=${pids[living]}"
lists 'the eventfds of a killed process are gone' "$mine" "$mine" "$mine"
frees 'gc frees them' 5
frees 'once' 0
lists 'and nobody else' "$mine" "$mine" "$mine"
equal 'who goes on with them' 9 "$(ask living take "$l")"
equal 'as before' -11 "$(ask living take "$l")"
hire dying
equal 'the slots serve again' 3 "$(ask dying new 1 -)"
kill_holder dying
out=$(EFDSHIM_DIR=$state timeout "$LIMIT" "$efdshim" gc 2>&1)
[[ $out =~ ^1\ objects?\ freed$ ]] && ok 'gc by EFDSHIM_DIR' || not_ok 'gc by EFDSHIM_DIR' "$out"
kill_holder living
frees 'the rest' 3

# Many at once, and gc while others make and close.
hire many
for ((i = 0; i < 700; i++)); do ask many new 1 - >/dev/null; done
verb ls --dir "$state"
equal '700 lines' 700 "$(wc -l <<<"$out")"
equal 'all alike' 1 "$(cut -d' ' -f2- <<<"$out" | sort -u | wc -l)"
for _ in 1 2 3 4 5; do timeout "$LIMIT" "$efdshim" gc --dir "$state"; done >"$tmp/sweeps" 2>&1 &
sweeps=$!
for ((i = 0; i < 200; i++)); do ask many close "$(ask many new 3 -)"; done >"$tmp/answers"
wait $sweeps
equal 'gc beside who makes and closes' 0 "$(sort -u "$tmp/answers")"
equal 'frees none of theirs' '0 objects freed' "$(sort -u "$tmp/sweeps")"
equal 'their counts are there' 1 "$(ask many take 3)"
kill_holder many
frees '700 at once' 700

# Directories that are not ours to trust.
rm -rf "$state" && mkdir -m 755 "$state"
both_refused 'a directory that others can enter'
rm -rf "$state" && mkdir -m 700 "$tmp/real" && ln -s real "$state"
both_refused 'a symbolic link'
rm -rf "$state" "$tmp/real" && echo text >"$state"
both_refused 'a file'
rm -rf "$state"
if [ "$(id -u)" = 0 ]; then
	mkdir -m 700 "$state" && chown 65534 "$state"
	both_refused "another user's directory"
	rm -rf "$state"
else
	left_out "another user's directory" 'needs root'
fi

# Files that are none of this version's.
silently() {
	verb "$2" --dir "$state"
	if [ "$rc" -lt 124 ] && [[ -z $out || $out == '0 objects freed' ]]; then
		ok "$1: $2"
	else
		not_ok "$1: $2" "exit code $rc, said: $out $err"
	fi
}

# strange NAME COMMAND...: a store with three eventfds of a killed process, of which the command makes something else.
strange() {
	local name=$1
	shift
	rm -rf "$state"
	hire odd
	for _ in 1 2 3; do ask odd new 1 - >/dev/null; done
	"$@"
	silently "$name" ls
	silently "$name" gc
	kill_holder odd
	hire after
	equal "$name: eventfds can be made" 3 "$(ask after new 8 -)"
	equal "$name: and used" 8 "$(ask after take 3)"
	shut after
}

# The word at 8 is the version, whatever the layout.
poke() { printf '%b' "$2" | dd of="$state/slots" bs=1 seek="$1" conv=notrunc status=none; }
strange 'another layout version' poke 8 '\0377\0003\0000\0000'
strange 'another magic' poke 0 'XXXXXXX'
strange 'an empty file' truncate -s 0 "$state/slots"
strange 'half a head' truncate -s 20 "$state/slots"
strange 'a head only' truncate -s 4096 "$state/slots"
strange 'text' cp "$0" "$state/slots"
strange 'a file that is gone' rm "$state/slots"
strange 'a directory in its place' sh -c 'rm "$1/slots" && mkdir "$1/slots"' sh "$state"
strange 'a FIFO in its place' sh -c 'rm "$1/slots" && mkfifo -m 600 "$1/slots"' sh "$state"
strange 'a symbolic link in its place' sh -c 'rm "$1/slots" && ln -s /etc/passwd "$1/slots"' sh "$state"

# Noise behind a good head: whatever they say, they say it in lines of the format, and end.
noise() {
	awk -v seed="$1" 'BEGIN { srand(seed); for (i = 0; i < 8192; i++) printf "%c", int(rand() * 127) }' |
		dd of="$state/$2" bs=4096 seek=1 conv=notrunc status=none
}
line='[0-9]+ [a-z]+ (count=[0-9]+|mask=[^ ]+) flags=[a-z,-]+ watchers=[a-z,-]+ pids=[0-9,-]+'
for seed in 1 2 3 4 5 6 7 8; do
	rm -rf "$state"
	hire odd
	for _ in 1 2 3; do ask odd new 1 - >/dev/null; done
	noise $seed slots
	noise $seed watches
	verb ls --dir "$state"
	[ "$rc" -lt 124 ] || not_ok "noise $seed: ls" "exit code $rc"
	equal "noise $seed: ls prints what it should" '' "$(grep -avxE "$line" <<<"$out" | head -c 300 | tr -d '\0')"
	verb gc --dir "$state"
	[ "$rc" -lt 124 ] && ok "noise $seed: gc" || not_ok "noise $seed: gc" "exit code $rc, said: $out $err"
	kill_holder odd
done
[ -r "$lib" ] || not_ok 'the library' 'is not there'
exit $failed
