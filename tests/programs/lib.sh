# Sourced by run.sh and check.sh: runs a program without and with the shim, compares, prints a row of the table.
# shellcheck shell=bash
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset EFDSHIM_STATS
passed=0
failed=0
LIMIT=600

table_head() {
	printf '%-20s %-46s %9s %11s %17s  %s\n' PROGRAM 'WHAT RAN' EVENTFDS OPERATIONS 'SYSCALLS SAVED' RESULT
}

# What in a log and an exit code tells how a program fared: failing tests, sets of tests left out, and so on.
verdicts() {
	[ "$2" = 0 ] || echo "FAIL: exit code $2"
	grep -aE '^(FAIL|ERROR|SKIP|RAN): ' "$1"
	sed -nE 's/^stress-ng: (fail|error): *\[[0-9]+\] /FAIL: /p' "$1"
}

run_logged() {
	local log=$1
	shift
	(cd "$tmp" && timeout -k 10 "$LIMIT" "$@") >"$log" 2>&1 </dev/null
	local rc=$?
	verdicts "$log" "$rc" | sort -u >"$log.verdicts"
}

# The sums of the statistics of all processes: eventfds, operations, wake-ups, syscalls made, syscalls avoided.
sums() {
	grep -aoE 'efdshim: pid [0-9]+ .*: eventfds [0-9]+, reads [0-9]+, writes [0-9]+, wake-ups [0-9]+, syscalls made [0-9]+, avoided [0-9]+' "$1" |
		sed -E 's/.*: eventfds ([0-9]+), reads ([0-9]+), writes ([0-9]+), wake-ups ([0-9]+), syscalls made ([0-9]+), avoided ([0-9]+)/\1 \2 \3 \4 \5 \6/' |
		awk '{ e += $1; o += $2 + $3; w += $4; m += $5; a += $6 } END { printf "%.0f %.0f %.0f %.0f %.0f\n", e, o, w, m, a }'
}

share() { [ $(($1 + $2)) = 0 ] && echo 0 || echo $((100 * $2 / ($1 + $2))); }

# judge LOG-WITHOUT LOG-WITH: 'pass', 'as without' for the same failures on both sides, else what differs.
judge() {
	if ! cmp -s "$1.verdicts" "$2.verdicts"; then
		echo FAIL
	elif grep -qE '^(FAIL|ERROR): ' "$2.verdicts"; then
		echo 'same as without'
	else
		echo pass
	fi
}

explain() {
	if ! cmp -s "$1.verdicts" "$2.verdicts"; then
		echo '    without (<) and with (>) the shim:'
		diff "$1.verdicts" "$2.verdicts" | grep '^[<>]' | sed 's/^/    /'
	fi
	echo "    the end of its output with the shim:"
	tail -n 40 "$2" | sed 's/^/    | /'
}

# The same for a program that needs the shim: it must exit with 77 where that is not there.
judge_needing() {
	if [ "$(cat "$1.verdicts")" = 'FAIL: exit code 77' ] && [ ! -s "$2.verdicts" ]; then
		echo pass
	else
		echo FAIL
	fi
}

# try NAME OWN|NEEDING|FOREIGN LEAST-OPERATIONS WHAT COMMAND...
# A program of this project must pass on both sides, or only with the shim; one of others must fare the same on both.
try() {
	local name=$1 kind=$2 least=$3 what=$4 without=$tmp/$1.without with=$tmp/$1.with result
	local eventfds operations made avoided
	shift 4
	run_logged "$without" "$@"
	run_logged "$with" "$build/efdshim" run --stats -- "$@"
	read -r eventfds operations _ made avoided < <(sums "$with")
	result=$(judge "$without" "$with")
	[ "$kind" = NEEDING ] && result=$(judge_needing "$without" "$with")
	[ "$kind" = OWN ] && [ "$result" = 'same as without' ] && result=FAIL
	[ "$operations" -ge "$least" ] || result="FAIL (fewer than $least operations: not on the shim?)"
	printf '%-20s %-46s %9s %11s %11s (%2s %%)  %s\n' "$name" "$what" "$eventfds" "$operations" \
		"$avoided" "$(share "$made" "$avoided")" "$result"
	case $result in
	FAIL*) failed=$((failed + 1)) && explain "$without" "$with" ;;
	*) passed=$((passed + 1)) ;;
	esac
}

# With EFDSHIM_NEED_ALL=1 a program that is not there is a failure.
left_out() {
	printf '%-20s left out: %s\n' "$1" "$2"
	[ "${EFDSHIM_NEED_ALL:-}" != 1 ] || failed=$((failed + 1))
}

find_python() {
	python=/usr/bin/python3
	[ -x $python ] || python=$(command -v python3)
	[ -n "$python" ] && "$python" -c 'import os; os.eventfd' 2>/dev/null
}

try_python() {
	if ! find_python; then
		left_out python3 'python3 of version 3.10 or later is not installed'
		return
	fi
	try python3 OWN 1000 'os.eventfd, selectors, threads, fork, exec' "$python" "$here/python_eventfd.py"
	try python3-asyncio OWN 1000 'asyncio loops rung from a thread pool' "$python" "$here/python_asyncio.py"
	try python3-pools OWN 100 'subprocess, multiprocessing, posix_spawn' "$python" "$here/python_pools.py"
	try shells OWN 0 'sh scripts that inherit eventfds' "$python" "$here/shell_eventfd.py"
}

try_node() {
	if ! command -v node >/dev/null; then
		left_out node 'nodejs is not installed'
		return
	fi
	try node OWN 50000 '50,000 wake-ups between workers, async fs' node "$here/wakeups.js"
}

try_java() {
	if ! command -v java >/dev/null || ! java --list-modules 2>/dev/null | grep -q '^jdk.compiler'; then
		left_out java 'no JDK (default-jdk-headless) is installed'
		return
	fi
	try java OWN 25000 '50,000 Selector.wakeup across 4 threads' java "$here/Wakeups.java"
}

# try_stress NAME LEAST-OPERATIONS STRESSOR=OPS...
try_stress() {
	local name=$1 least=$2 words=() stressors=() pair
	shift 2
	if ! command -v stress-ng >/dev/null; then
		left_out "$name" 'stress-ng is not installed'
		return
	fi
	for pair; do
		words+=("--${pair%=*}" 1 "--${pair%=*}-ops" "${pair#*=}")
		stressors+=("--${pair%=*}")
	done
	try "$name" FOREIGN "$least" "${stressors[*]}" stress-ng "${words[@]}" -t 5s --verify --temp-path "$tmp"
}

try_bundled() {
	try bundled OWN 100000 'epoll loop, blocking ping-pong, fork' "$build/tests/programs/bundled"
}

try_msgsock() {
	local most
	most=$(ulimit -Hn)
	if [ "$most" != unlimited ] && [ "$most" -lt 2500 ]; then
		left_out msgsock "needs 2,500 fds; the limit is $most"
		return
	fi
	try msgsock NEEDING 200000 '1,000 EFD_MASK sockets and TCP in one loop' "$build/tests/programs/msgsock_echo"
}
