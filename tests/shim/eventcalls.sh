#!/usr/bin/env bash
# How many system calls eventpolls make, counted by strace: none while events flow.
. "$(dirname "$0")/lib.sh"
"$root/tests/need.sh" strace >/dev/null || {
	left_out 'system calls of eventpolls' 'strace is missing'
	exit 0
}
program eventcount
counted=$build/eventcount

at_most 0 one 1000 'write, eventpoll_wait and read make no system call'
at_most 0 one-of-many 1000 'nor do they with 1,000 fds, each active in its turn'
at_most 0 some-of-many 100 'nor with 100 of them active at once'
at_most 0 all-of-many 20 'nor with all of them'
at_most 0 unread 1000 'nor where the events are never read'
at_most 0 modify 1000 'nor does EPOLL_CTL_MOD'
at_most 0 threads 1000 'nor where another thread writes'
at_most 3000 one 1000 'without fast watches they make three' slow
exit $failed
