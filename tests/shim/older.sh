#!/usr/bin/env bash
# Programs print what calls and flags answer that came after Linux 2.6.18: on each older kernel, with the library, as on the
# running one without it.
. "$(dirname "$0")/lib.sh"
program olderfds
program olderwaits
program olderodd
program ignoring
program olderpolls
library ticks
efdshim=$(dirname "$lib")/efdshim
kernels='2.6.18 2.6.22 2.6.32 3.10 4.4 5.4'

# as KERNEL COMMAND...
as() { timeout -k 5 "$LIMIT" env EFDSHIM_DIR="$state" "$efdshim" run --as-kernel "$@"; }

# alike NAME PROGRAM [ARGUMENT]: the same output under each kernel, and under the running one. Where only what is missing is
# emulated, an older kernel's own eventfds need not know what newer ones do.
alike() {
	local name=$1 kernel
	shift
	if ! timeout -k 5 "$LIMIT" "$build/$1" "${@:2}" >"$tmp/wanted" 2>&1; then
		not_ok "$name" "fails without the library: $(said "$tmp/wanted")"
		return
	fi
	timeout -k 5 "$LIMIT" "${shim[@]}" "$build/$1" "${@:2}" >"$tmp/got" 2>&1
	same "$name"
	for kernel in $kernels; do
		as "$kernel" "$build/$1" "${@:2}" >"$tmp/got" 2>&1
		same "$name, on $kernel"
		[ "$1" != olderodd ] || continue
		EFDSHIM_MODE=missing as "$kernel" "$build/$1" "${@:2}" >"$tmp/got" 2>&1
		same "$name, on $kernel, what is missing only"
	done
}

same() { verdict "$1" "$(diff "$tmp/wanted" "$tmp/got" | head -n 6 | paste -sd' ')"; }

if ! as 2.6.18 true >"$tmp/said" 2>&1; then
	left_out 'older kernels' "$(said "$tmp/said")"
	exit 0
fi
mkdir -m 700 "$state"
alike 'fds and their flags' olderfds
"$build/ignoring" true
if [ $? != 77 ]; then
	"$build/olderfds" >"$tmp/wanted" 2>&1
	timeout -k 5 "$LIMIT" "$build/ignoring" "$build/olderfds" >"$tmp/unhelped" 2>&1
	verdict 'a kernel that ignores close-on-exec' "$(cmp -s "$tmp/wanted" "$tmp/unhelped" && echo 'ignores nothing')"
	timeout -k 5 "$LIMIT" "$build/ignoring" "${shim[@]}" "$build/olderfds" >"$tmp/got" 2>&1
	same 'is helped'
else
	left_out 'a kernel that ignores close-on-exec' 'no ptrace'
fi
alike 'waits with a mask, or to the nanosecond' olderwaits answers
alike 'what few programs do with an eventfd' olderodd
for kernel in 2.6.18 5.4; do
	signals=signals
	[ $kernel != 2.6.18 ] || signals=together
	passes "10,000 signals that come while epoll_pwait begins to sleep, on $kernel" \
		env EFDSHIM_DIR="$state" "$efdshim" run --as-kernel "$kernel" -- "$build/olderwaits" $signals
	passes "epoll_pwait2 never returns early, and within 50 us of when it should, on $kernel" \
		env EFDSHIM_DIR="$state" "$efdshim" run --as-kernel "$kernel" -- "$build/olderwaits" times
	passes "1,000 signals that come together with an event, on $kernel" \
		env EFDSHIM_DIR="$state" "$efdshim" run --as-kernel "$kernel" -- "$build/olderwaits" taken
done
"$build/olderpolls" >"$tmp/wanted" 2>&1
as 2.6.18 "$build/olderpolls" >"$tmp/got" 2>&1
same 'poll and select with masks, where they are gone'
passes 'signals that come while poll sleeps there' env EFDSHIM_DIR="$state" "$efdshim" run --as-kernel 2.6.18 -- "$build/olderpolls" signals
if as 5.4 --bare -- env LD_PRELOAD="$lib:$build/libticks.so" "$build/olderwaits" times >"$tmp/said" 2>&1; then
	ok 'nor where the kernel counts ticks'
else
	not_ok 'nor where the kernel counts ticks' "$(said "$tmp/said")"
fi
exit $failed
