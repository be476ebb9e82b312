#!/usr/bin/env bash
# The kill storm against the kernel and against the shim, each in a directory of its own.
# Usage: run.sh [BUILD-DIRECTORY] [KILLS] [SEED]; prints 'ok ...' or 'not ok ...', one line a storm.
set -u
build=$(realpath "${1:-build}")
kills=${2:-300}
seed=${3:-1}
state=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$state"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
failed=0

# storm NAME VARIABLE...
storm() {
	local name=$1 said rc
	shift
	rm -rf "$state/dir"
	mkdir -m 700 "$state/dir"
	# no more than a kill in 50 ms, on a slow machine too
	said=$(env "$@" "$build/tests/storm" --kills "$kills" --seed "$seed" --seconds $((60 + kills / 20)) 2>&1)
	rc=$?
	if [ $rc = 0 ]; then
		echo "ok $name: $(tail -n 1 <<<"$said")"
	else
		echo "not ok $name: exit code $rc: $(head -c 2000 <<<"$said" | tr '\n' ' ')"
		failed=1
	fi
}

shim=("LD_PRELOAD=$build/libefdshim.so" "EFDSHIM_DIR=$state/dir" "EFDSHIM=$build/efdshim")
storm kernel
storm shim "${shim[@]}"
storm mirror "${shim[@]}" EFDSHIM_MIRROR=always
exit $failed
