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

# What does not take minutes in an emulator, and executes no program: the emulator is not in front of it then.
fit='^(cancel|close_reuse|closed_in_use|counter|dup|dup_fcntl|epoll_edge|epoll_edge_mix|epoll_exclusive|epoll_fork|epoll_level|epoll_life|epoll_modes|epoll_nested|epoll_oneshot|fast_ctl|fast_nested|fast_order|fast_reuse|fast_ring|forked|nonblock|odd_fcntl|odd_stat|pages|poll|proc|rights|rights_numbers|select_errors|stdio|mask_modes|eventpoll_smoke|signal_handlers|submit_ops|core_level|core_watch)$'
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
	[[ ! ${program##*/} =~ $fit ]] || programs+=("$program")
done < <(names suite && names mask && names family && names unit)
build "${programs[@]}"
judge_all "${programs[@]}"
[ "$failed" = 0 ]
