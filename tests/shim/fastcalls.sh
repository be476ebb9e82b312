#!/usr/bin/env bash
# How many system calls fast watches make, counted by strace: none while events flow.
. "$(dirname "$0")/lib.sh"
"$root/tests/need.sh" strace >/dev/null || {
	left_out 'system calls of fast watches' 'strace is missing'
	exit 0
}
program fastcount
counted=$build/fastcount

at_most 0 level 1000 'write, epoll_wait and read of a level-triggered watch make no system call'
at_most 0 both 1000 'nor do they where the watch is for IN and OUT'
at_most 0 edge 1000 'nor where it is edge-triggered'
at_most 0 once 1000 'nor where it is a one-shot that EPOLL_CTL_MOD arms again'
at_most 0 once-edge 1000 'nor where that is edge-triggered too'
at_most 0 two-sets 1000 'nor where the eventfd is in two sets'
at_most 0 unread 1000 'write and epoll_wait of an edge-triggered watch that is never read make none'
at_most 0 unread-once 1000 'nor do those of a one-shot that is never read'
at_most 0 stays 1000 'epoll_wait where the level stays makes none'
at_most 0 many 1000 'nor do 16 eventfds in one set that are all ready'
at_most 0 modify 1000 'EPOLL_CTL_MOD makes none'
at_most 1000 quiet 1000 'epoll_wait that does not sleep, where nothing is ready, makes one at most'
at_most 1000 pipe 1000 'with a pipe in the set each epoll_wait makes one'
at_most 1000 pipe-quiet 1000 'so it does where nothing is ready'
at_most 0 busy 1000 'a write to a loop that is busy makes none'
at_most 0 busy-edge 1000 'so it is where the watch is edge-triggered'
at_most 200 asleep 100 'a loop that sleeps is woken by two: one of the writer, one of the loop'
at_most 200 asleep-edge 100 'so it is where the watch is edge-triggered'
at_most 200 asleep-pipe 100 'so it is where a pipe is in the set'
at_most 3000 forked 1000 'after a fork they make three, as any watch does'
at_most 3000 level 1000 'without fast watches they make three' slow
at_most 3000 edge 1000 'without fast watches so does an edge-triggered one' slow
at_most 2020 unread 1000 'without fast watches write and epoll_wait of one that is never read make two' slow
at_most 600 asleep 100 'without fast watches a loop that sleeps is woken by six at most' slow
exit $failed
