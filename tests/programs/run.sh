#!/usr/bin/env bash
# 'make run': the programs that are installed here, without and with the shim. Usage: run.sh [BUILD-DIRECTORY]
. "$(dirname "$0")/lib.sh"

echo 'Each program below runs twice, on the eventfds of the kernel and on those of efdshim,'
echo 'and checks its own results. The figures are those of the second run. (msgsock needs EFD_MASK,'
echo 'which only efdshim has: on the eventfds of the kernel it has to say so.)'
echo
table_head
try_python
try_node
try_java
try_stress stress-ng 1000 eventfd=20000 epoll=2000 poll=2000 pipe=2000 fork=500
[ $((passed + failed)) != 0 ] || try_bundled
try_msgsock
echo
echo 'OPERATIONS: reads and writes of eventfds. SYSCALLS SAVED: calls that needed no system call,'
echo 'and their share of all calls on eventfds.'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
