#!/usr/bin/env bash
# The library built for aarch64 and preloaded into programs of that processor's, under qemu's emulation of one process.
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"
compiler=aarch64-linux-gnu-gcc
emulator='qemu-aarch64 -L /usr/aarch64-linux-gnu'
"$root/tests/need.sh" aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64=qemu-user >/dev/null 2>&1 || {
	echo 'left out arm64: no cross compiler or emulator here (Debian: gcc-aarch64-linux-gnu, qemu-user, libc6-dev-arm64-cross)'
	exit 0
}

# What does not take minutes in an emulator, does not race threads, and executes no program: the emulator is not in front of it then.
fit='
	asyncfd_errors asyncfd_handlers asyncfd_poll asyncfd_replace asyncfd_ring asyncfd_unmapping blocking
	cancel close_reuse closed_in_use core_counter core_counterfd_block core_exclusive core_fdtable
	core_fdtable_pin core_level core_mask core_object core_object_life core_object_sleep core_passage
	core_plainset core_pool core_pool_file core_ring core_setid core_spin core_store core_store_fifo
	core_store_link core_text core_timeout core_timer core_warm core_watch counter dup dup_fcntl
	epoll_edge epoll_edge_mix epoll_exclusive epoll_fork epoll_level epoll_life epoll_modes epoll_nested
	epoll_oneshot eventpoll_churn eventpoll_edge eventpoll_ends eventpoll_life
	eventpoll_smoke eventpoll_wait eventpoll_watched fast_ctl
	fast_nested fast_numbers fast_order fast_reuse forked mask_kin
	mask_modes mask_nested names_fortify nonblock odd_fcntl odd_socket odd_stat odd_transfer pages poll
	proc proc_info rights rights_life rights_numbers select_errors signal_edge signal_errors signal_full
	signal_full_kin signal_handlers signal_many signalfd_epoll
	signalfd_handlers signalfd_poll stdio submit_copy submit_ops sys_futex sys_lookup sys_older
	syscalls_wait timer_read timer_watch
'
unfit='_race$'
foreign='^$'
why='tests that fail under qemu without the library as well'

# The emulator hands the variables over: the system's own loader must not see them.
run_in() {
	local state=$1 variable=$2
	shift 2
	# shellcheck disable=SC2086 # one word per argument
	timeout -k 5 "$LIMIT" $emulator -E "$variable" -E "LD_LIBRARY_PATH=$built" -E "EFDSHIM_DIR=$state" "$@"
}

programs=()
while read -r program; do
	[[ ! $fit =~ [[:space:]]${program##*/}[[:space:]] ]] || programs+=("$program")
done < <(names suite && names mask && names family && names unit)
build "${programs[@]}"
judge_all "${programs[@]}"
[ "$failed" = 0 ]
