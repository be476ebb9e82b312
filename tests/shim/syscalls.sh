#!/usr/bin/env bash
# How many system calls the shim makes, counted by strace: none where nobody has to be woken or put to sleep.
. "$(dirname "$0")/lib.sh"
"$root/tests/need.sh" strace >/dev/null || {
	left_out 'system calls' 'strace is missing'
	exit 0
}
program count

# What the library itself costs a program: about 10 calls of the loader to map it, 8 of its own.
MOST_AT_START=40

# as_without LOOP ROUNDS NAME: the same calls in the same order.
as_without() {
	run plain "$1" "$2" && run shim "$1" "$2" || return
	cmp -s "$tmp/plain" "$tmp/shim" && ok "$3" && return
	not_ok "$3" "without the shim: $(summary plain); with it: $(summary shim)"
}

at_most 0 pair 100000 '100,000 writes and reads of an eventfd that nobody watches make no system call'
at_most 0 pair-blocking 1000 'nor do those of a blocking one that never has to block'
at_most 0 pair-vectors 1000 'nor do readv and writev'
at_most 0 pair-libc 1000 'nor do eventfd_read and eventfd_write'
at_most 0 refused-read 1000 'a read that gives EAGAIN makes no system call'
at_most 0 refused-write 1000 'a write that gives EAGAIN makes no system call'
at_most 8 child 1 'fork and a thousand writes and reads in the child make no more than eight'
at_most 0 watched-write 10000 'a write to a watched eventfd that is readable already makes no system call'
at_most 0 poll 1000 'poll of a ready eventfd makes no system call'
at_most 0 poll-16 1000 'poll of 16 ready eventfds makes no system call'
at_most 1000 poll-300 1000 'poll of 300 ready eventfds makes no more than it does without the shim'
at_most 0 poll-in-vain 1000 'poll without a timeout of an empty eventfd makes no system call'
at_most 0 ppoll 1000 'ppoll of a ready eventfd makes no system call'
at_most 0 select 1000 'select of a ready eventfd makes no system call'
at_most 0 pselect 1000 'pselect of a ready eventfd makes no system call'
at_most 3000 wait 1000 'write, epoll_wait and read make three system calls'
at_most 3000 wait-edge 1000 'so they do where the watch is edge-triggered'
at_most 2020 wait-unread 1000 'write and epoll_wait of an edge-triggered watch that is never read make two'
at_most 4000 create 1000 'create and close make no more than four, with the FIFO of an earlier eventfd'
at_most 64 pages 10000 'an address is verified once for each page and kind of access'
as_without pipe 1000 'read and write of a pipe make the same system calls as without the shim'
as_without ordinary 100 'so do the calls that take or make other ordinary fds'
as_without nested 100 'and those of an epoll set in another one'

# The whole of a program, as strace -c counts.
total() { traced "$1" -c "${@:2}" && awk '$NF == "total" { print $4 }' "$tmp/calls"; }

rm -rf "$state"
without=$(total plain true)
with=$(total shim true)
if [ $((with - without)) -le $MOST_AT_START ] && [ "${without:-0}" -gt 0 ]; then
	ok "a program without eventfds makes at most $MOST_AT_START more"
else
	not_ok "a program without eventfds makes at most $MOST_AT_START more" "$without without the shim, $with with it"
fi
verdict 'a program without eventfds leaves nothing in the directory' "$(ls -A "$state" 2>/dev/null)"
exit $failed
