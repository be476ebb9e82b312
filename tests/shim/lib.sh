# Sourced by the scripts of this directory, which test what only the shim has.
# Each is called as NAME.sh [BUILD-DIRECTORY], takes the library from EFDSHIM_LIB, and prints one line a test:
# 'ok NAME', 'not ok NAME - why' or 'left out NAME: why'. Exit code 1 where any failed.
# shellcheck shell=bash disable=SC2034 # its variables are for those who source it
set -u
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
lib=$(realpath "${EFDSHIM_LIB:-$root/build/libefdshim.so}")
mkdir -p "${1:-$root/build/tests/shim}" || exit 1
build=$(realpath "${1:-$root/build/tests/shim}")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
state=$tmp/state
LIMIT=60
failed=0
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD

ok() { echo "ok $1"; }

not_ok() {
	echo "not ok $1 - $2"
	failed=1
}

left_out() { echo "left out $1: $2"; }

[ -r "$lib" ] || {
	not_ok 'the library' "$lib is not there"
	exit 1
}

# What a command says, in one short line.
said() { tr '\n' ' ' <"$1" | cut -c 1-400; }

# verdict NAME WHY: passes where there is no why.
verdict() {
	if [ -z "$2" ]; then ok "$1"; else not_ok "$1" "$2"; fi
}

# quietly COMMAND...: what it says goes to $tmp/said, by a pipe, as a limit may forbid to write to files.
quietly() {
	{
		timeout -k 5 "$LIMIT" "$@" 2>&1 </dev/null | cat >"$tmp/said"
		return "${PIPESTATUS[0]}"
	} 2>/dev/null
}

# passes NAME COMMAND...: exit code 0, not a word on stdout or stderr.
passes() {
	local name=$1 rc
	shift
	quietly "$@"
	rc=$?
	if [ $rc = 0 ] && [ ! -s "$tmp/said" ]; then
		ok "$name"
	else
		not_ok "$name" "exit code $rc, said: $(said "$tmp/said")"
	fi
}

# Commands that run under the shim, in a state of this script's own.
shim=(env "LD_PRELOAD=$lib" "EFDSHIM_DIR=$state" SERVED=shim "SERVED_IN=$state")
plain=(env SERVED=kernel)

# preloaded LIBRARY...: the same, with other libraries to preload.
preloaded() {
	local IFS=:
	shim=(env "LD_PRELOAD=$*" "EFDSHIM_DIR=$state" SERVED=shim "SERVED_IN=$state")
}

compile() {
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE= -O1 -g -Wall -Wextra -I"$root/include" -I"$root/shim" -I"$here" "$@"
}

# program NAME [SOURCE|OPTION...]: builds $build/NAME of NAME.c and what all programs share.
program() {
	local name=$1
	shift
	compile -o "$build/$name" "$here/$name.c" "$here/prog.c" "$@" -ldl -pthread 2>"$tmp/said" && return
	not_ok "the program $name" "does not compile: $(said "$tmp/said")"
	exit 1
}

# library NAME [SOURCE|OPTION...]: builds $build/libNAME.so of NAME.c.
library() {
	local name=$1
	shift
	compile -shared -fPIC -o "$build/lib$name.so" "$here/$name.c" "$@" -ldl -pthread 2>"$tmp/said" && return
	not_ok "the library $name" "does not compile: $(said "$tmp/said")"
	exit 1
}

# cases PREFIX PROGRAM COMMAND...: each case of a program, the command in front.
cases() {
	local prefix=$1 binary=$build/$2 name
	shift 2
	while read -r name; do
		passes "$prefix$name" "$@" "$binary" "$name"
	done < <("$binary" --list)
}

# What follows counts system calls, by strace.

# traced SIDE COMMAND...: leaves the system calls in $tmp/calls, one line each; SIDE is 'plain', 'shim', or 'slow'.
traced() {
	local -a side=(-E SERVED=kernel)
	[ "$1" = plain ] || side=(-E "LD_PRELOAD=$lib" -E "EFDSHIM_DIR=$state" -E SERVED=shim)
	[ "$1" != slow ] || side+=(-E EFDSHIM_FAST=0)
	shift
	timeout -k 5 "$LIMIT" strace -f -o "$tmp/calls" "${side[@]}" "$@" >"$tmp/said" 2>&1 </dev/null
}

# Those between the marks close(-1001) and close(-1002), by their names; a thread leaves its own out from close(-1003) to
# close(-1004).
between_marks() {
	awk '{ name = $2; sub(/\(.*/, "", name) }
		/close\(-1002/ { on = 0 }
		/close\(-1003/ { out[$1] = 1 }
		on && !out[$1] && name !~ /^(\+\+\+|---|<\.\.\.)/ { print name }
		/close\(-1004/ { out[$1] = 0 }
		/close\(-1001/ { on = 1 }' "$tmp/calls"
}

summary() { sort "$tmp/$1" | uniq -c | awk '{ printf "%s%s %s", sep, $1, $2; sep = ", " }'; }

counted=$build/count

# run SIDE LOOP ROUNDS: a loop of the program $counted; leaves the names of the calls in $tmp/SIDE.
run() {
	rm -rf "$state"
	if ! traced "$1" "$counted" "$2" "$3" || ! grep -q 'close(-1002' "$tmp/calls"; then
		not_ok "the loop $2" "fails: $(said "$tmp/said")"
		return 1
	fi
	between_marks >"$tmp/$1"
}

# at_most MOST LOOP ROUNDS NAME [SIDE]
at_most() {
	local made who=${5:-shim}
	run "$who" "$2" "$3" || return
	made=$(wc -l <"$tmp/$who")
	if [ "$made" -le "$1" ]; then
		ok "$4"
	else
		not_ok "$4" "$made system calls in $3 rounds, not $1: $(summary "$who")"
	fi
}

is_root() { [ "$(id -u)" = 0 ]; }
