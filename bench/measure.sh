# Sourced by run.sh: runs one contender, and adds lines of 'ROW CONTENDER us|cpu|calls|strace|channels VALUE' to $raw.
# shellcheck shell=bash disable=SC2034,SC2154 # run.sh has the rest
broken=0 # run.sh ends with it
preloaded=("LD_PRELOAD=$lib")

# as CONTENDER: how it is started, which tool it is, and what micro calls its channels.
as() {
	side=(env) tool=("$tools/eventfd-bench") kind=eventfd
	case $1 in
	pipe) tool=("$tools/pipetest") kind=pipe ;;
	socketpair) tool=("$tools/pipetest" --socketpair) kind=socketpair ;;
	kernel) ;;
	mirror) side=(env "${preloaded[@]}" EFDSHIM_FAST=0) ;;
	fast) side=(env "${preloaded[@]}") ;;
	mask) side=(env "${preloaded[@]}") tool=("$tools/eventfd-bench" --mask) kind=mask ;;
	vpoll) tool=("$tools/eventfd-bench" --vpoll) kind=vpoll ;;
	vpoll-shim) side=(env "${preloaded[@]}" EFDSHIM_MASK=vpoll) tool=("$tools/eventfd-bench" --vpoll) kind=vpoll ;;
	esac
}

# each CONTENDERS FUNCTION ROW [ARGUMENT...]: every other round the other way round.
each() {
	local who list=$1 function=$2
	shift 2
	[ $((round % 2)) = 1 ] || list=$(tr ' ' '\n' <<<"$list" | tac)
	for who in $list; do
		as "$who"
		$function "$@"
	done
}

record() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$raw"; }

# run COMMAND...: its output to $tmp/said; 77 is 'cannot be done here'.
run() {
	timeout -k 5 120 "$@" >"$tmp/said" 2>"$tmp/errors" </dev/null
	case $? in
	0) return 0 ;;
	77) return 1 ;;
	esac
	echo "failed: $* ($(head -c 200 "$tmp/errors"))" >&2
	broken=1
	return 1
}

# afresh COMMAND...: the same from an empty state, in which nothing is left of others that would have to be cleared away.
afresh() {
	rm -rf "$tmp/fresh"
	EFDSHIM_DIR=$tmp/fresh run "$@"
}

field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" "$tmp/said"; }

# tool ROW ARGUMENT...: pipetest or eventfd-bench.
tool() {
	local row=$1
	shift
	run "${side[@]}" "${tool[@]}" --json "$@" || return
	record "$row" "$who" us "$(field median_us)"
	record "$row" "$who" cpu "$(field median_cpu_us)"
	record "$row" "$who" channels "$(field channels)"
}

# In a state of their own: the others must not have to clear away what was left of thousands of eventfds.
# The runs are short, so that most of them are not interrupted, but among many channels long enough to meet each.
ring() {
	local length=(-w 4000 -r 15)
	case $1 in ring-10000* | ring-max*) length=(-w 20000 -r 5) ;; esac
	EFDSHIM_DIR=$tmp/rings tool "$@" "${length[@]}"
}

pingpong() {
	local row=$1
	shift
	tool "$row-one" "$@" -w "$passes" -r 5 --one-core
	[ "$cores" = 1 ] || tool "$row-two" "$@" -w "$passes" -r 5 --two-cores
}

# Masks and libvpoll have rows of their own.
micro_row() {
	case $who in
	mask | vpoll*) echo "mask-$1" ;;
	*) echo "$1" ;;
	esac
}

micro() {
	local name ns
	afresh "${side[@]}" "$tools/micro" "$kind" "$@" || return
	while read -r name ns; do
		record "$(micro_row "$name")" "$who" us "$(awk "BEGIN { print $ns / 1000 }")"
	done <"$tmp/said"
}

ordinary() {
	local name libc shim
	run "${side[@]}" "$tools/ordinary" || return
	while read -r name libc shim; do
		[ "$who" = mirror ] || record "$name" kernel us "$(awk "BEGIN { print $libc / 1000 }")"
		record "$name" "$who" us "$(awk "BEGIN { print $shim / 1000 }")"
	done <"$tmp/said"
}

# By eventpoll_wait, the kernel's by epoll_wait.
eventpolls() {
	local row ns
	afresh "${side[@]}" "$tools/eventpoll" || return
	while read -r row ns; do
		record "$row" "$who" us "$(awk "BEGIN { print $ns / 1000 }")"
	done <"$tmp/said"
}

# Records by a ring, of the others by a pipe; between two threads with a core each.
deliveries() {
	local row ns
	[ "$cores" != 1 ] || return
	afresh "${side[@]}" "$tools/asyncfd" || return
	while read -r row ns; do
		record "$row" "$who" us "$(awk "BEGIN { print $ns / 1000 }")"
	done <"$tmp/said"
}

start_of_true() {
	run "$tools/startup" 300 "$lib" "$tools/libempty.so" || return
	record start kernel us "$(sed -n 's/.*empty library \([0-9]*\) us.*/\1/p' "$tmp/said")"
	record start fast us "$(sed -n 's/.*the shim \([0-9]*\) us.*/\1/p' "$tmp/said")"
}

# system_calls: those of the shim's own statistics, of all processes.
system_calls() { grep -ao 'syscalls made [0-9]*' "$tmp/errors" | awk '{ n += $3 } END { print n + 0 }'; }

# per_event FIRST SECOND EVENTS: without what is done once.
per_event() { awk "BEGIN { printf \"%.3f\", ($2 - $1) / $3 }"; }

COUNTED=2000

calls_of() {
	local row=$1 few
	shift
	[ "${row%-*}" != threads ] || row=$row-two
	afresh "${side[@]}" EFDSHIM_STATS=1 "${tool[@]}" -r 1 -w $COUNTED "$@" || return
	few=$(system_calls)
	afresh "${side[@]}" EFDSHIM_STATS=1 "${tool[@]}" -r 1 -w $((2 * COUNTED)) "$@" || return
	record "$row" "$who" calls "$(per_event "$few" "$(system_calls)" $COUNTED)"
}

calls_of_micro() {
	local name few
	for name; do
		afresh "${side[@]}" EFDSHIM_STATS=1 "$tools/micro" --once 512 "$kind" "$name" || continue
		few=$(system_calls)
		afresh "${side[@]}" EFDSHIM_STATS=1 "$tools/micro" --once 1024 "$kind" "$name" || continue
		record "$(micro_row "$name")" "$who" calls "$(per_event "$few" "$(system_calls)" 512)"
	done
}

# calls_of_eventpolls FDS ACTIVE: of one round.
calls_of_eventpolls() {
	local few
	afresh "${side[@]}" EFDSHIM_STATS=1 "$tools/eventpoll" --once "$1" "$2" $COUNTED || return
	few=$(system_calls)
	afresh "${side[@]}" EFDSHIM_STATS=1 "$tools/eventpoll" --once "$1" "$2" $((2 * COUNTED)) || return
	record "eventpoll-$1-$2" "$who" calls "$(per_event "$few" "$(system_calls)" $COUNTED)"
}

# strace_calls COMMAND...: as many as strace counts; not those by which micro looks whether a thread sleeps.
strace_calls() {
	local setting words=()
	for setting in "${side[@]:1}"; do words+=(-E "$setting"); done
	afresh strace -f -c -e 'trace=!pread64' -o "$tmp/counts" "${words[@]}" "$@" || return
	awk '$1 ~ /^[0-9]/ && $NF != "total" { n += $4 } END { print n + 0 }' "$tmp/counts"
}

can_trace() { strace -f -c -o /dev/null true 2>/dev/null; }

traced() {
	local row=$1 few many
	shift
	can_trace || return 0
	few=$(strace_calls "${tool[@]}" -r 1 -w $COUNTED "$@") || return
	many=$(strace_calls "${tool[@]}" -r 1 -w $((2 * COUNTED)) "$@") || return
	record "$row" "$who" strace "$(per_event "$few" "$many" $COUNTED)"
}

traced_micro() {
	local name few many
	can_trace || return 0
	for name; do
		few=$(strace_calls "$tools/micro" --once 512 "$kind" "$name") || continue
		many=$(strace_calls "$tools/micro" --once 1024 "$kind" "$name") || continue
		record "$(micro_row "$name")" "$who" strace "$(per_event "$few" "$many" 512)"
	done
}

# Real programs, where they are installed.
prepare_programs() {
	with_java=no
	[ "$how" = full ] || return 0
	command -v javac >/dev/null && javac -d "$tmp" "$here/../tests/programs/Wakeups.java" && with_java=yes
}

programs() {
	! command -v node >/dev/null || each 'kernel mirror fast' program node node "$here/../tests/programs/wakeups.js"
	[ $with_java = no ] || each 'kernel mirror fast' program java java -cp "$tmp" Wakeups
	! command -v stress-ng >/dev/null || each 'kernel mirror fast' stress
}

# program NAME COMMAND...: from its start to its end.
program() {
	local name=$1 start=$EPOCHREALTIME
	shift
	run "${side[@]}" "$@" || return
	record "program-$name" "$who" us "$(awk "BEGIN { printf \"%.0f\", ($EPOCHREALTIME - $start) * 1e6 }")"
}

# Microseconds for one of its 'bogo operations'.
stress() {
	run "${side[@]}" stress-ng --eventfd 1 -t 2s --metrics-brief --temp-path "$tmp" || return
	cat "$tmp/said" "$tmp/errors" >"$tmp/both"
	record program-stress-ng "$who" us "$(awk '$4 == "eventfd" && $9 > 0 { print 1e6 / $9 }' "$tmp/both")"
}
