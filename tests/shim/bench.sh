#!/usr/bin/env bash
# That the benchmarks do what they say: their options, their lines, as many events as writes; no seconds are looked at.
. "$(dirname "$0")/lib.sh"
bench=$(realpath "$build/../../bench")
rows=$root/bench
for tool in pipetest eventfd-bench micro ordinary; do
	[ -x "$bench/$tool" ] && continue
	not_ok 'the benchmarks' "$bench/$tool is not there"
	exit 1
done

# What a tool printed, in $tmp/out; what it complained of, in $tmp/said.
output() {
	timeout -k 5 "$LIMIT" "$@" >"$tmp/out" 2>"$tmp/said" </dev/null
}

field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" "$tmp/out"; }

# lines NAME COUNT COMMAND...: so many lines, each a number above 0.
lines() {
	local name=$1 count=$2 rc good
	shift 2
	output "$@"
	rc=$?
	good=$(grep -cE '^[0-9]+\.[0-9]+$' "$tmp/out")
	if [ $rc = 0 ] && [ "$good" = "$count" ] && [ "$(wc -l <"$tmp/out")" = "$count" ] && ! grep -q '^0\.0*$' "$tmp/out"; then
		ok "$name"
	else
		not_ok "$name" "exit code $rc, $good lines of a number, said: $(said "$tmp/said")"
	fi
}

# counts NAME EVENTS WRITES COMMAND...
counts() {
	local name=$1 events=$2 writes=$3 rc
	shift 3
	output "$@" --json
	rc=$?
	if [ $rc = 77 ]; then
		left_out "$name" "$(said "$tmp/said")"
	elif [ $rc = 0 ] && [ "$(field events)" = "$events" ] && [ "$(field writes)" = "$writes" ]; then
		ok "$name"
	else
		not_ok "$name" "exit code $rc, events $(field events) of $events, writes $(field writes) of $writes: $(said "$tmp/said")"
	fi
}

# refuses CODE NAME COMMAND...: with a word on why, and no figures.
refuses() {
	local code=$1 name=$2 rc
	shift 2
	output "$@"
	rc=$?
	if [ $rc = "$code" ] && [ -s "$tmp/said" ] && [ ! -s "$tmp/out" ]; then
		ok "$name"
	else
		not_ok "$name" "exit code $rc (want $code), said: $(said "$tmp/said")"
	fi
}

pipes=("${plain[@]}" "$bench/pipetest")
kernel=("${plain[@]}" "$bench/eventfd-bench")
shimmed=("${shim[@]}" "$bench/eventfd-bench")

lines 'pipetest prints 16 runs' 16 "${pipes[@]}"
lines 'eventfd-bench prints 16 runs' 16 "${kernel[@]}"
lines 'eventfd-bench on the shim prints 16 runs' 16 "${shimmed[@]}"
lines '-r 3 prints 3' 3 "${pipes[@]}" -r 3 -n10 -a2 -w5

# A run has as many events as channels that were active, and writes.
for way in '' --poll --select --epoll --et; do
	for args in '-n 100 -a 1 -w 100' '-n 10 -a 10 -w 1000' '-n 60 -a 7 -w 500' '-n 2 -a 1 -w 0'; do
		read -r _ _ _ active _ writes <<<"$args"
		all=$((3 * (active + writes)))
		# shellcheck disable=SC2086 # options
		{
			counts "pipes, $args $way" $all $all "${pipes[@]}" $args $way -r 3
			counts "socketpairs, $args $way" $all $all "${pipes[@]}" --socketpair $args $way -r 3
			counts "eventfds, $args $way" $all $all "${kernel[@]}" $args $way -r 3
			counts "the shim's, $args $way" $all $all "${shimmed[@]}" $args $way -r 3
			counts "mirrored, $args $way" $all $all "${shim[@]}" EFDSHIM_FAST=0 "$bench/eventfd-bench" $args $way -r 3
			counts "masks, $args $way" $all $all "${shimmed[@]}" --mask $args $way -r 3
		}
	done
done

# A ping-pong has an event for each write, rounded to whole rounds.
for mate in --threads --processes; do
	for cores in --one-core --two-cores; do
		for way in '' --poll --select --epoll '--epoll --et'; do
			# shellcheck disable=SC2086 # options
			{
				counts "ping-pong of pipes, $mate $cores $way" 300 300 "${pipes[@]}" $mate $cores $way -w 101 -r 3
				counts "of eventfds, $mate $cores $way" 300 300 "${kernel[@]}" $mate $cores $way -w 101 -r 3
				counts "of the shim's, $mate $cores $way" 300 300 "${shimmed[@]}" $mate $cores $way -w 101 -r 3
				[ -z "$way" ] || counts "of masks, $mate $cores $way" 300 300 "${shimmed[@]}" --mask $mate $cores $way -w 101 -r 3
			}
		done
	done
done

# What the tool says it did is what the library saw: 3 runs of 2 + 50.
# seen NAME WORDS OPTION...
seen() {
	local name=$1 words=$2
	shift 2
	output "${shim[@]}" EFDSHIM_STATS=1 "$bench/eventfd-bench" -r 3 -n 10 -a 2 -w 50 "$@"
	grep -q "$words" "$tmp/said" && ok "$name" && return
	not_ok "$name" "no '$words' in: $(said "$tmp/said")"
}
seen 'each event is a write and a read' 'eventfds 10, reads 156, writes 156,'
seen 'with --et nothing is read' 'eventfds 10, reads 0, writes 156,' --et

# An event that never comes ends the run, and is told.
cat >"$tmp/losing.c" <<'END'
#include <sys/syscall.h>
#include <unistd.h>
ssize_t write(int fd, const void *buffer, size_t size)
{
	static int writes;
	return size == 8 && ++writes == 20 ? 8 : syscall(SYS_write, fd, buffer, size);
}
END
if compile -shared -fPIC -o "$tmp/losing.so" "$tmp/losing.c"; then
	output env "LD_PRELOAD=$tmp/losing.so" "$bench/eventfd-bench" -r 1 -w 50
	verdict 'a lost event is told' "$([ $? = 1 ] && grep -q 'events after 51 writes' "$tmp/said" || said "$tmp/said")"
else
	not_ok 'a lost event is told' 'the library that loses one does not compile'
fi

refuses 2 'more active than there are' "${pipes[@]}" -n 10 -a 11
refuses 2 'a number that is none' "${pipes[@]}" -n ten
refuses 2 'an unknown option' "${pipes[@]}" --mask
refuses 2 'a word too many' "${kernel[@]}" 100
refuses 2 'edges by poll' "${kernel[@]}" --poll --et
refuses 2 'masks by blocking reads' "${shimmed[@]}" --mask --threads
refuses 77 'masks without the shim' "${kernel[@]}" --mask
refuses 77 'more fds than there can be' "${kernel[@]}" -n 100000000
refuses 77 'more than select can take' "${kernel[@]}" --select -n 1100
output "${pipes[@]}" --help
verdict 'there is a help' "$(grep -q -- '--socketpair' "$tmp/out" || echo none)"

# as_json NAME FILE
as_json() {
	if ! command -v python3 >/dev/null; then
		left_out "$1" 'python3 is missing, which would read it'
	else
		passes "$1" python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$2"
	fi
}
output "${kernel[@]}" --json
cp "$tmp/out" "$tmp/tool.json"
as_json 'the JSON of eventfd-bench' "$tmp/tool.json"
verdict 'has 16 runs' "$([ "$(sed 's/.*"runs": \[//; s/\].*//' "$tmp/tool.json" | tr ',' '\n' | wc -l)" = 16 ] || cat "$tmp/tool.json")"

# Each cost has its line, on whatever it goes with.
output "$bench/micro" --list
sort "$tmp/out" >"$tmp/names"
for side in plain shim; do
	declare -n words=$side
	output "${words[@]}" "$bench/micro" --once 64 eventfd
	verdict "micro on eventfds, $side: all of the list" "$(awk '$2 > 0 { print $1 }' "$tmp/out" | sort | diff - "$tmp/names")"
done
for kind in pipe socketpair; do
	output "${plain[@]}" "$bench/micro" --once 64 "$kind"
	verdict "micro on $kind: some of the list" "$(cut -d ' ' -f 1 "$tmp/out" | sort | comm -23 - "$tmp/names")$(grep -q busy-wake "$tmp/out" || said "$tmp/said")"
done
output "${shim[@]}" "$bench/micro" --once 64 mask
verdict 'micro on masks' "$(grep -q '^busy-wake ' "$tmp/out" || said "$tmp/said")"
lines_of_ordinary=$("${shim[@]}" "$bench/ordinary" | awk 'NF == 3 && $2 > 0 && $3 > 0' | wc -l)
verdict 'ordinary fds: four lines' "$([ "$lines_of_ordinary" = 4 ] || echo "$lines_of_ordinary")"

# Medians, goals, table, JSON and plot of figures that are known.
printf '%s\t%s\t%s\t%s\n' ring-10-1 kernel us 3 ring-10-1 kernel us 1 ring-10-1 kernel us 2 ring-10-1 kernel channels 10 \
	ring-10-1 fast us 0.5 ring-10-1 fast channels 10 ring-max-1 fast us 0.75 ring-max-1 fast channels 19900 \
	threads-read-two kernel us 30 threads-read-two fast us 10 threads-read-two fast cpu 5 threads-read-two kernel cpu 4 \
	start fast us 100 start kernel us 60 busy-write fast us 1 busy-write fast calls 0.5 edge mirror calls 1 >"$tmp/raw.tsv"
awk -f "$rows/median.awk" "$tmp/raw.tsv" >"$tmp/medians.tsv"
verdict 'the median of three' "$(grep -qP '^ring-10-1\tkernel\tus\t2$' "$tmp/medians.tsv" || cat "$tmp/medians.tsv")"
awk -f "$rows/goals.awk" -f "$rows/table.awk" "$rows/rows.txt" "$tmp/medians.tsv" >"$tmp/table"
has() {
	verdict "the table: $1" "$(grep -qF -- "$1" "$tmp/table" || said "$tmp/table")"
}
has 'fast / ring-10-1:fast <= 1.2: 1.50 NOT MET'
has 'kernel / fast >= 3: 3.00 met; fast.cpu / kernel.cpu <= 2: 1.25 met'
has 'fast - kernel <= 50: 40.00 met'
has 'fast.calls <= 0: 0.50 NOT MET'
has '3 of 5 goals met'
verdict 'a row without times is left out' "$(grep EPOLLET "$tmp/table")"
awk -f "$rows/goals.awk" -f "$rows/json.awk" -v machine=one -v rounds=3 "$rows/rows.txt" "$tmp/medians.tsv" >"$tmp/bench.json"
as_json 'the JSON of all' "$tmp/bench.json"
verdict 'has a goal that is not met' "$(grep -q '"goal": "fast.calls <= 0", "reached": 0.5000, "met": false' "$tmp/bench.json" || said "$tmp/bench.json")"
awk -f "$rows/plot.awk" -v machine=one "$tmp/medians.tsv" >"$tmp/speed.svg"
verdict 'the plot has two curves' "$([ "$(grep -c '<path' "$tmp/speed.svg")" = 2 ] || said "$tmp/speed.svg")"
if command -v python3 >/dev/null; then
	passes 'the plot is XML' python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$tmp/speed.svg"
fi

# All of it once, as 'make bench-quick' does three times.
LIMIT=300
quietly env ROUNDS=1 OUT="$tmp/results" "$rows/run.sh" "$build/../.." quick
rc=$?
verdict 'bench/run.sh quick' "$([ $rc = 0 ] || echo "exit code $rc: $(tail -n 5 "$tmp/said" | tr '\n' ' ')")"
for figure in ring-100-1/pipe ring-100-1/kernel ring-max-1/fast ring-et/mirror threads-read-one/fast write-read/kernel \
	asleep-epoll/fast mask-write-wait-read/mask ordinary-poll-16/fast; do
	verdict "has $figure" "$(grep -qP "^${figure/\//\\t}\tus\t[0-9.]+$" "$tmp/results/medians.tsv" || echo 'it has not')"
done
verdict 'has system calls' "$(grep -qP '^write-read\tfast\tcalls\t0$' "$tmp/results/medians.tsv" || grep calls "$tmp/results/medians.tsv" | tr '\n' ' ')"
verdict 'its part of README' "$(grep -q '^| ring of 100, 1 active | pipes |' "$tmp/results/readme.md" || said "$tmp/results/readme.md")"
as_json 'its JSON' "$tmp/results/bench.json"
verdict 'its table' "$(tail -n 1 "$tmp/results/table.txt" | grep -q 'goals met' || echo 'has no end')"
exit $failed
