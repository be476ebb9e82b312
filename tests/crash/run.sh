#!/usr/bin/env bash
# The scenes of the crash-point test against the kernel; then under the library that has crash points, stopped at each.
# Usage: run.sh [BUILD-DIRECTORY] [SCENE]; prints 'ok ...' or 'not ok ...', one line a test.
set -u
build=$(realpath "${1:-build}")
shift
state=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$state"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
failed=0
mkdir -m 700 "$state/plain" "$state/mirror"

# scenes NAME VARIABLE... -- ARGUMENT...
scenes() {
	local name=$1
	local -a variables=()
	shift
	while [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	shift
	env "${variables[@]}" "$build/tests/crash" "$@" 2>&1 | sed "s/^\(not ok\|ok\) /\1 $name: /"
	[ "${PIPESTATUS[0]}" = 0 ] || failed=1
}

shim=("LD_PRELOAD=$build/crash/libefdshim.so" "EFDSHIM=$build/efdshim")
scenes kernel -- "$@"
scenes shim "${shim[@]}" "EFDSHIM_DIR=$state/plain" -- "$@"
scenes mirror "${shim[@]}" "EFDSHIM_DIR=$state/mirror" EFDSHIM_MIRROR=always -- "$@"
exit $failed
