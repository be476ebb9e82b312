#!/usr/bin/env bash
# 'make check-programs': all of 'make run', and the programs' own test suites. Usage: check.sh [BUILD-DIRECTORY]
. "$(dirname "$0")/lib.sh"

try_python_suite() {
	if ! find_python || ! "$python" -c 'import test.test_epoll' 2>/dev/null; then
		left_out python3-suite "python3's test package (libpython3-testsuite) is not installed"
		return
	fi
	local suite=("$python" "$here/python_suite.py")
	try test_os FOREIGN 3 "python3's test_os.EventfdTests" "${suite[@]}" test_os EventfdTests
	try test_selectors FOREIGN 0 "python3's test_selectors" "${suite[@]}" test_selectors
	try test_epoll FOREIGN 0 "python3's test_epoll" "${suite[@]}" test_epoll
	try test_asyncio FOREIGN 0 "python3's test_asyncio" "${suite[@]}" test_asyncio
}

table_head
try_bundled
try_msgsock
try_python
try_node
try_java
try_stress stress-eventfd 1000 eventfd=100000
try_stress stress-epoll 0 epoll=5000
try_stress stress-poll 0 poll=20000
try_stress stress-pipe 0 pipe=20000
try_stress stress-fork 0 fork=1000
try_stress stress-mixed 1000 eventfd=50000 epoll=2000 poll=5000 pipe=5000 fork=500
try_python_suite
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
