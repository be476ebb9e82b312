#!/usr/bin/env bash
# What 'make bench' runs: pipes, socketpairs, the kernel's eventfd, the shim with and without its fast watches, libvpoll;
# all of them in turn, round after round, and the medians in one table, as JSON and as a plot.
# Usage: run.sh [BUILD-DIRECTORY] [quick]. In the environment: ROUNDS=N, that many; OUT=DIRECTORY, what the results go to.
set -u
here=$(realpath "$(dirname "$0")")
build=$(realpath "${1:-build}")
how=${2:-full}
tools=$build/bench
lib=$build/libefdshim.so
out=${OUT:-$tools/results}
raw=$out/raw.tsv
mkdir -p "$out"
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
export EFDSHIM_DIR=$tmp/state LC_ALL=C # points in numbers
cores=$(nproc)
# shellcheck source=bench/measure.sh
. "$here/measure.sh"

# Those that take part, and on which channels; 'mask' and 'vpoll-shim' are masks on the shim.
everywhere='pipe socketpair kernel mirror fast vpoll mask'
counters='pipe socketpair kernel mirror fast'
masks='vpoll vpoll-shim mask'

rings() {
	local n
	for n in 10 100 1000 10000 max; do
		each "$everywhere" ring "ring-$n-1" -n $n -a 1
		[ $n = 10 ] || each "$everywhere" ring "ring-$n-100" -n $n -a 100
	done
	each "$counters" ring ring-poll --poll
	each "$counters" ring ring-select --select
	each "$counters" ring ring-et --et
}

pingpongs() {
	local mate
	for mate in threads processes; do
		each "$counters" pingpong "$mate-read" "--$mate"
		each "$everywhere" pingpong "$mate-poll" "--$mate" --poll
		each "$everywhere" pingpong "$mate-epoll" "--$mate" --epoll
	done
}

full_round() {
	rings
	pingpongs
	each "$counters" micro
	each "$masks" micro create-close write-wait-read write-readable asleep-epoll busy-wake
	each 'kernel mirror fast' eventpolls
	each 'pipe mirror fast' deliveries
	each 'mirror fast' ordinary
	start_of_true
	programs
}

quick_round() {
	local n
	for n in 10 100 1000 max; do
		each 'pipe kernel mirror fast' ring "ring-$n-1" -n $n -a 1
	done
	each 'kernel mirror fast' ring ring-et --et
	each 'kernel mirror fast' pingpong threads-read --threads
	each 'kernel mirror fast' micro write-read create-close write-wait-read write-readable edge poll-16 asleep-epoll busy-wake
	each 'vpoll mask' micro write-wait-read
	each 'kernel fast' eventpolls
	each 'pipe fast' deliveries
	each 'fast' ordinary
}

# How many system calls.
calls() {
	each 'mirror fast' calls_of ring-100-1
	each 'mirror fast' calls_of ring-et --et
	each 'mirror fast' calls_of ring-poll --poll
	each 'mirror fast' calls_of threads-read --threads
	each 'mirror fast' calls_of threads-epoll --threads --epoll
	each 'mirror fast' calls_of_micro write-read write-wait-read write-readable edge create-close asleep-epoll asleep-read busy-wake busy-write
	each 'mask' calls_of_micro write-wait-read
	each 'mirror fast' calls_of_eventpolls 10 1
	each 'fast' calls_of_eventpolls 10000 100
}

# Once, as a check of these.
traces() {
	each 'pipe kernel mirror fast' traced ring-100-1
	each 'kernel mirror fast' traced_micro write-wait-read asleep-epoll
	each 'vpoll mask' traced_micro write-wait-read
}

report() {
	awk -f "$here/median.awk" "$raw" >"$out/medians.tsv"
	awk -f "$here/goals.awk" -f "$here/table.awk" "$here/rows.txt" "$out/medians.tsv" >"$out/table.txt"
	awk -f "$here/goals.awk" -f "$here/json.awk" -v machine="$(machine)" -v rounds="$rounds" "$here/rows.txt" "$out/medians.tsv" >"$out/bench.json"
	awk -f "$here/plot.awk" -v machine="$(machine)" "$out/medians.tsv" >"$out/speed.svg"
	awk -f "$here/goals.awk" -f "$here/markdown.awk" -v machine="$(machine)" "$here/rows.txt" "$out/medians.tsv" >"$out/readme.md"
	cat "$out/table.txt"
}

machine() { echo "$(uname -s) $(uname -r | cut -d- -f1), $cores cores"; }

case $how in
quick) rounds=${ROUNDS:-3} passes=1000 ;;
full) rounds=${ROUNDS:-7} passes=5000 ;;
*) echo "usage: $0 [BUILD-DIRECTORY] [quick]" >&2 && exit 2 ;;
esac
prepare_programs
: >"$raw"
for ((round = 1; round <= rounds; round++)); do
	echo "round $round of $rounds" >&2
	"${how}_round"
done
for ((round = 1; round <= 3; round++)); do calls; done
[ "$how" = quick ] || traces
report
echo "$out: table.txt, bench.json, readme.md, speed.svg"
[ "$broken" = 0 ]
