# Sourced by the scripts of this directory: the library and the tests, built by another compiler than the system's own, with the
# stand-in for Criterion (tests/mini). Each is called as NAME.sh [BUILD-DIRECTORY] and prints one line a test program: 'ok ...',
# 'not ok ...' or 'left out ...'. Exit code 1 where any failed.
# shellcheck shell=bash disable=SC2034,SC2154 # they share variables with this
set -u
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
kind=$(basename "$0" .sh)
mkdir -p "${1:-$root/build}/$kind" || exit 1
built=$(realpath "${1:-$root/build}/$kind")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD MAKEFLAGS MAKELEVEL
failed=0
LIMIT=100
out=$tmp/out
mkdir "$out"

not_ok() {
	echo "not ok $kind: $1 - $2"
	failed=1
}

# build TARGET...: by $compiler, without a warning in the library or the launcher.
build() {
	(cd "$root" && nice make --no-print-directory -s -j"$(nproc)" CC="$compiler" B="$built" all) >"$tmp/log" 2>&1
	if [ $? != 0 ] || [ -s "$tmp/log" ]; then
		not_ok "$compiler builds the library" "$(head -c 400 "$tmp/log" | tr '\n' ' ')"
		exit 1
	fi
	echo "ok $kind: $compiler builds the library and the launcher"
	(cd "$root" && nice make --no-print-directory -s -j"$(nproc)" CC="$compiler" B="$built" "${@/#/$built/}") >"$tmp/log" 2>&1 && return
	not_ok "$compiler builds the tests" "$(grep -m 3 -E 'error|undefined' "$tmp/log" | tr '\n' ' ')"
	exit 1
}

# names DIRECTORY: the test programs of tests/DIRECTORY, but those that $unfit matches.
names() {
	local source
	for source in "$root/tests/$1"/*.c; do
		source=$1/$(basename "$source" .c)
		[[ $source =~ $unfit ]] || echo "mini/tests/$source"
	done
}

# with_shim, without: run a program of the tests, in a state of its own. $emulator and how it hands over variables are the script's.
# What this kernel has itself is emulated there nevertheless.
with_shim() {
	case $1 in
	*/signalfd_*) local -x EFDSHIM_SIGNALFD=emulate ;;
	*/timer_*) local -x EFDSHIM_TIMERFD=emulate ;;
	esac
	run_in "$(mktemp -d -p "$tmp")" "LD_PRELOAD=$built/libefdshim.so" "$@"
}
without() { run_in "$(mktemp -d -p "$tmp")" NOTHING= "$@"; }

# judge PROGRAM: runs all of it. What fails is right where it fails without the library as well, on this libc or in this emulator;
# but masks always do.
judge() {
	local program=$built/$1 name test rc figures run=with_shim compared=yes
	local -a bad=() same=()
	case $1 in
	*tests/family/* | *tests/unit/*) run=without compared=no ;;
	*tests/mask/*) compared=no ;;
	esac
	name=${1##*/}
	"$run" "$program" >"$out/$name" 2>&1 </dev/null
	rc=$?
	if [ "$rc" != 0 ] && [ -n "$emulator" ]; then # threads hang there at times
		"$run" "$program" >"$out/$name" 2>&1 </dev/null
		rc=$?
	fi
	figures=$(sed -n 's/.*Synthesis: Tested: \([0-9]*\).*/\1/p' "$out/$name")
	while read -r test; do
		if [[ $test =~ $foreign ]]; then
			same+=("$test")
		elif [ $compared = no ] || without "$program" "--filter=${test/::/\/}" >/dev/null 2>&1 </dev/null; then
			bad+=("$test")
		else
			same+=("$test")
		fi
	done < <(sed -n 's/^\[\(FAIL\|CRASH\)\] \([^ ]*\).*/\2/p' "$out/$name" | sed 's/:$//' | sort -u)
	if [ -z "$figures" ] || [ "${figures:-0}" = 0 ] || [ ${#bad[@]} != 0 ]; then
		echo "not ok $kind: $name - exit code $rc, ${bad[*]:-no end}"
		grep -a -v SKIP "$out/$name" | cut -c 1-200 | head -n 20 | sed 's/^/    /'
	else
		echo "ok $kind: $name, $((figures - ${#same[@]})) tests"
	fi
	[ ${#same[@]} = 0 ] || echo "${same[*]}" >"$out/$name.same"
}

# judge_all PROGRAM...: two at a time; then what was left out, in one line.
judge_all() {
	export kind built tmp out foreign LIMIT emulator
	export -f judge with_shim without run_in
	printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'set -u; judge {}' >"$tmp/verdicts"
	sort "$tmp/verdicts" | grep '^ok'
	! grep -v '^ok' "$tmp/verdicts" || failed=1
	[ -z "$(find "$out" -name '*.same')" ] || echo "left out $kind: $why: $(cat "$out"/*.same | tr '\n' ' ')"
}
