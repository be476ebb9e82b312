#!/usr/bin/env bash
# The library built for musl, preloaded into programs of musl's.
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"
compiler=musl-gcc
emulator=
"$root/tests/need.sh" musl-gcc=musl-tools >/dev/null 2>&1 || {
	echo 'left out musl: no musl-gcc here (Debian: musl-tools)'
	exit 0
}

# By single steps and races: what they search is the same with every libc. sys_lookup is of glibc's loader.
unfit='_step$|_race$|/sys_lookup$|^suite/(shells|names_fortify)$'
# These execute programs of the system, which are of another libc and cannot load the library.
foreign='^spawned::|^vforked::child_that_execs|^fast_exec::(a_shell_in_between|nothing_is_inherited)$'
why='tests that fail on musl without the library as well, or start programs of another libc'

run_in() {
	local state=$1 variable=$2
	shift 2
	timeout -k 5 "$LIMIT" env "$variable" "EFDSHIM_DIR=$state" "EFDSHIM=$built/efdshim" "$@"
}

mapfile -t programs < <(names suite && names mask && names family && names unit)
build tests/fuzz-diff "${programs[@]}"
if [ "$(run_in "$(mktemp -d -p "$tmp")" NOTHING= "$built/efdshim" run --stats -- "$built/mini/tests/suite/counter" 2>&1 | grep -c 'eventfds [1-9]')" != 0 ]; then
	echo 'ok musl: efdshim run'
else
	not_ok 'efdshim run' 'no statistics of an eventfd'
fi
judge_all "${programs[@]}"
for seed in 1 2; do
	if EFDSHIM_FAST=$((seed % 2)) timeout -k 5 "$LIMIT" "$built/tests/fuzz-diff" --shim "$built/libefdshim.so" --seed "$seed" --ops 30000 >"$tmp/log" 2>&1; then
		echo "ok musl: fuzz-diff, seed $seed"
	else
		not_ok "fuzz-diff, seed $seed" "$(tail -n 4 "$tmp/log" | tr '\n' ' ')"
	fi
done
[ "$failed" = 0 ]
