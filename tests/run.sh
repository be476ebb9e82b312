#!/usr/bin/env bash
# What 'make check' runs: every suite against the kernel and against the shim, the units under valgrind,
# both with the sanitizers, the scripts, the fuzzer. Usage: run.sh [BUILD-DIRECTORY] [NAME-PATTERN] [KERNEL-VERSION...]
# Modes of a suite: kernel, shim, mirror (readiness is always in the FIFOs), slow (no fast watches), asan; and under the
# filter of 'efdshim run --as-kernel VERSION', as VERSION: with versions given the suites run in these modes only.
set -u
build=$(realpath "${1:-build}")
only=${2:-*}
versions=("${@:3}")
here=$(realpath "$(dirname "$0")")
lib=$build/libefdshim.so
base=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$base"' EXIT
log=$base/log
passed=0
failed=0
declare -A cases

report() {
	printf '%-22s %-9s %4d passed %3d failed\n' "$@"
	passed=$((passed + $3))
	failed=$((failed + $4))
	[ "$4" != 0 ] || return 0
	sed 's/^/    | /' "$log"
	{ echo "failed: $1 $2" && grep -aE '\[(FAIL|CRASH)|\[----\]|^not ok|ERROR|exit code' "$log" | head -n 6; } | cut -c 1-160 >>"$base/failed"
}

# One line of Criterion's: 'Tested: 3 | Passing: 2 | ...'
figure() { sed -n "s/.*Synthesis:.* $1: \([0-9]*\).*/\1/p" "$log" | tail -n 1; }

# Valgrind and the sanitizers write their findings to files of their own: one that is not empty is a failure.
findings() {
	# valgrind's own remarks; those on threads are of processes that were killed, or exited with some left
	find "$base/findings" -type f -exec sed -i '/^--[0-9]*-- /d; /WARNING: .*error reporting disabled/d
		/WARNING: possibly as a result of some mistake/d; /WARNING: of the VALGRIND_DISABLE/d
		/could not unlink .*vgdb-pipe/d' {} +
	find "$base/findings" -type f -size +0 -exec cat {} + >>"$log"
	find "$base/findings" -type f -size +0 | wc -l
}

# binary NAME MODE COMMAND...
binary() {
	local name=$1 mode=$2 rc tested skipped good bad found
	shift 2
	rm -rf "$base/state" "$base/findings"
	mkdir -m 700 "$base/state" "$base/findings"
	timeout -k 10 600 "$@" --color=never --verbose >"$log" 2>&1 </dev/null
	rc=$?
	sed -i '/^\[RUN \]/d; /^\[PASS\]/d' "$log"
	tested=$(figure Tested)
	skipped=$(grep -ac '^\[SKIP\]' "$log")
	good=$(figure Passing)
	bad=$((${tested:-0} - ${good:-0}))
	found=$(findings)
	: "${cases[$name]:=$((${tested:-0} + skipped))}"
	if [ "$bad" = 0 ] && { [ "$rc" != 0 ] || [ $((${tested:-0} + skipped)) != "${cases[$name]}" ] || [ "${tested:-0}" = 0 ]; }; then
		echo "exit code $rc, ${tested:-no} tests ran (${cases[$name]} against the kernel)" >>"$log"
		bad=1
	fi
	report "$name" "$mode" "${good:-0}" $((bad + found))
}

suite() {
	local plain=$build/tests/suite/$1
	binary "$1" kernel "$plain"
	local forced=()
	[[ $1 != signalfd_* ]] || binary "$1" native env LD_PRELOAD="$lib" "$plain"
	# what this kernel has itself is emulated there nevertheless
	case $1 in
	signalfd_*) forced=(EFDSHIM_SIGNALFD=emulate) ;;
	timer_*) forced=(EFDSHIM_TIMERFD=emulate) ;;
	esac
	binary "$1" shim env LD_PRELOAD="$lib" "${forced[@]}" "$plain"
	binary "$1" mirror env LD_PRELOAD="$lib" "${forced[@]}" EFDSHIM_MIRROR=always EFDSHIM_DIR="$base/state" "$plain"
	! grep -q epoll "$here/suite/$1.c" || binary "$1" slow env LD_PRELOAD="$lib" "${forced[@]}" EFDSHIM_FAST=0 "$plain"
	binary "$1" asan "${sanitizers[@]}" "${forced[@]}" "$build/asan/tests/suite/$1"
}

# kernels_for DIRECTORY: the oldest one for all, and for suites one that has eventfds and no newer waits. The
# others by hand: run.sh build '*' 2.6.22 2.6.32 4.4 5.4
kernels_for() {
	case $1,$filters,${#versions[@]} in
	unit,* | *,no,*) ;;
	suite,yes,0) echo 2.6.18 3.10 ;;
	*,yes,0) echo 2.6.18 ;;
	*) echo "${versions[@]}" ;;
	esac
}

# older DIRECTORY NAME VERSION: what the tests ask by raw calls the unfiltered kernel answers.
older() {
	local preload=(LD_PRELOAD="$lib")
	[ "$1" != family ] || preload=()
	binary "$2" "$3" "$build/tests/pretend" "$3" env "${preload[@]}" EFDSHIM="$build/efdshim" "$build/tests/$1/$2"
}

# No kernel has EFD_MASK: files of maskfs stand in there, where one can be mounted. What they cannot be is left out.
mask() {
	local plain=$build/tests/mask/$1
	case $1,$maskfs in
	mask_io,* | mask_vector,* | mask_names,* | *,no) ;;
	*) binary "$1" kernel "$build/tests/maskfs" "$base/mask" "$plain" ;;
	esac
	binary "$1" shim env LD_PRELOAD="$lib" EFDSHIM="$build/efdshim" "$plain"
	binary "$1" mirror env LD_PRELOAD="$lib" EFDSHIM="$build/efdshim" EFDSHIM_MIRROR=always EFDSHIM_DIR="$base/state" "$plain"
	binary "$1" asan "${sanitizers[@]}" "$build/asan/tests/mask/$1"
}

# What no kernel has: linked with the library, without LD_PRELOAD. `slow` as above.
family() {
	local plain=$build/tests/family/$1
	binary "$1" linked "$plain"
	binary "$1" mirror env EFDSHIM_MIRROR=always EFDSHIM_DIR="$base/state" "$plain"
	! grep -qE "epoll|crowdkit" "$here/family/$1.c" || binary "$1" slow env EFDSHIM_FAST=0 "$plain"
	binary "$1" asan "${sanitizers[@]}" "$build/asan/tests/family/$1"
}

unit() {
	local plain=$build/tests/unit/$1
	binary "$1" unit env EFDSHIM_DIR="$base/state" "$plain"
	case $1 in *_step | *_race) return ;; esac # each instruction, each round: too slow with the sanitizers
	binary "$1" asan "${sanitizers[@]}" "$build/asan/tests/unit/$1"
	# The others take many minutes there, or hand in bad addresses on purpose: the sanitizers see them.
	case $valgrind,$1 in
	yes,core_counter | yes,core_fdtable* | yes,core_level | yes,core_pool* | yes,core_store* | yes,core_text) ;;
	*) return ;;
	esac
	binary "$1" valgrind env EFDSHIM_DIR="$base/state" valgrind -q --trace-children=yes \
		--suppressions="$here/valgrind.supp" --log-file="$base/findings/%p" "$plain"
}

# script NAME COMMAND...: prints 'ok ...', 'not ok ...' or 'left out ...', one line a test.
script() {
	local name=$1 good bad rc
	shift
	timeout -k 10 900 "$@" >"$log" 2>&1 </dev/null
	rc=$?
	grep '^left out' "$log"
	good=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	[ "$rc" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ $((good + bad)) != 0 ] || grep -q '^left out' "$log" || bad=1
	sed -i '/^ok /d; /^left out/d' "$log"
	report "$name" '' "$good" "$bad"
}

# fuzz NAME OPTIONS...
fuzz() {
	local bad=0 name=$1
	shift
	timeout -k 10 900 "$build/tests/fuzz-diff" --shim "$lib" "$@" >"$log" 2>&1 </dev/null || bad=1
	report "$name" '' $((1 - bad)) $bad
	[ $bad = 1 ] || tail -n 1 "$log"
}

sanitizers=(env "EFDSHIM_DIR=$base/state" "ASAN_OPTIONS=use_sigaltstack=0:log_path=$base/findings/asan"
	"LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0" "UBSAN_OPTIONS=log_path=$base/findings/ubsan:print_stacktrace=1")
valgrind=no
"$here/need.sh" valgrind && valgrind=yes
filters=no
if "$build/tests/pretend" 5.4 true 2>"$log"; then
	filters=yes
else
	echo "left out older kernels: $(cat "$log")"
	[ -x "$build/tests/pretend" ] || [ "$only" != '*' ] || exit 1
	[ ${#versions[@]} = 0 ] || exit 1
fi
maskfs=no
mkdir "$base/mask" && "$build/tests/maskfs" "$base/mask" true 2>/dev/null && maskfs=yes

for source in "$here"/suite/*.c "$here"/mask/*.c "$here"/family/*.c "$here"/unit/*.c; do
	name=$(basename "$source" .c)
	kind=$(basename "$(dirname "$source")")
	# shellcheck disable=SC2053 # the pattern is meant as one
	[[ -e $source && $name == $only ]] || continue
	if [ ${#versions[@]} = 0 ]; then
		"$kind" "$name"
	fi
	for version in $(kernels_for "$kind"); do
		older "$kind" "$name" "$version"
	done
done
for source in "$here"/shim/*.sh; do
	name=$(basename "$source" .sh)
	# shellcheck disable=SC2053 # the pattern is meant as one
	[[ -e $source && $name == $only && $name != lib && ${#versions[@]} = 0 ]] || continue
	EFDSHIM_LIB=$lib EFDSHIM=$build/efdshim script "$name" "$source" "$build/tests/shim"
done
for name in launcher ls msgsock vpoll aio crash storm model profiles musl arm64; do
	# shellcheck disable=SC2053 # the pattern is meant as one
	[[ $name == $only && ${#versions[@]} = 0 ]] || continue
	case $name in
	musl | arm64) script "$name" "$here/builds/$name.sh" "$build" ;;
	crash) script crash "$here/crash/run.sh" "$build" ;;
	model) script model "$here/model/run.sh" quick ;;
	storm) script storm "$here/storm/run.sh" "$build" 300 ;;
	*) script "$name" "$here/programs/$name.sh" "$build" ;;
	esac
done
if [ "$only" = '*' ] && [ ${#versions[@]} = 0 ]; then
	fuzz fuzz-selftest --selftest
	fuzz fuzz-diff --seed 1 --ops 200000
	EFDSHIM_FAST=0 fuzz fuzz-slow --seed 2 --ops 100000
fi
[ $((passed + failed)) != 0 ] || echo 'no test ran'
[ ! -e "$base/failed" ] || tail -n 30 "$base/failed"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
