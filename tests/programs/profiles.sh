#!/usr/bin/env bash
# Real programs, as they are installed here, under the filters of older kernels: one line 'ok ...', 'not ok ...' or
# 'left out ...' each. Usage: profiles.sh [BUILD-DIRECTORY] [VERSION...]
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
efdshim=$build/efdshim
versions=("${@:2}")
[ ${#versions[@]} != 0 ] || versions=(2.6.18 3.10)
failed=0

left_out() { echo "left out $1: $2"; }

# fares COMMAND...: nothing where it ends well, else why not.
fares() {
	(cd "$tmp" && timeout -k 5 120 "$@") >"$tmp/log" 2>&1 </dev/null
	local code=$?
	[ $code = 0 ] || echo "exit code $code: $(tail -n 3 "$tmp/log" | tr '\n' ' ' | cut -c 1-300)"
	grep -aE '^stress-ng: (fail|error):' "$tmp/log" | head -n 2 | cut -c 1-200
}

# runs NAME COMMAND...: under the version, with efdshim.
runs() {
	local name=$1 why
	shift
	why=$(fares "$efdshim" run --as-kernel "$version" -- "$@")
	if [ -z "$why" ]; then
		echo "ok $name under $version"
	else
		echo "not ok $name under $version: $why"
		failed=1
	fi
}

# needs_us NAME COMMAND...: without efdshim it fails there, else the filter would prove nothing.
needs_us() {
	local name=$1
	shift
	if [ -n "$(fares "$efdshim" run --bare --as-kernel "$version" -- "$@")" ]; then
		echo "ok $name under $version needs efdshim"
	else
		echo "not ok $name runs under $version without efdshim: no filter?"
		failed=1
	fi
}

at_least() { [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ]; }

try_python() {
	local python=/usr/bin/python3
	if ! "$python" -c 'import os; os.eventfd' 2>/dev/null; then
		left_out python3 'python3 of version 3.10 or later is not installed'
		return
	fi
	runs 'python3: eventfds, selectors, threads, fork, exec' "$python" "$here/python_eventfd.py"
	runs 'python3: asyncio' "$python" "$here/python_asyncio.py"
	runs 'python3: subprocess, multiprocessing' "$python" "$here/python_pools.py"
	runs 'python3: sh scripts that inherit eventfds' "$python" "$here/shell_eventfd.py"
	at_least 2.6.30 || needs_us python3 "$python" "$here/python_eventfd.py"
}

# Its own library for random numbers knows getrandom only.
try_node() {
	if ! command -v node >/dev/null; then
		left_out node 'nodejs is not installed'
	elif ! at_least 3.17; then
		left_out "node under $version" 'it needs getrandom (3.17) itself'
	else
		runs 'node: worker threads, files' node "$here/wakeups.js"
	fi
}

try_stress() {
	local stressor
	if ! command -v stress-ng >/dev/null; then
		left_out stress-ng 'it is not installed'
		return
	fi
	for stressor in eventfd epoll timerfd signal sigfd; do
		runs "stress-ng --$stressor" stress-ng "--$stressor" 1 "--$stressor-ops" 2000 -t 5s --verify --temp-path "$tmp"
	done
	at_least 2.6.30 || needs_us 'stress-ng --eventfd' stress-ng --eventfd 1 --eventfd-ops 2000 -t 5s --verify --temp-path "$tmp"
}

if ! "$efdshim" run --bare --as-kernel 5.4 -- true 2>"$tmp/log"; then
	left_out 'programs under older kernels' "$(cat "$tmp/log")"
	exit 0
fi
for version in "${versions[@]}"; do
	try_python
	try_node
	try_stress
done
[ $# -gt 1 ] || { version=4.4 && try_node; }
exit $failed
