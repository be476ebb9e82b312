#!/usr/bin/env bash
# The message sockets on EFD_MASK and their echo server, with the shim and without: one line 'ok ...' or 'not ok ...'
# each. Usage: msgsock.sh [BUILD-DIRECTORY]
set -u
build=$(realpath "${1:-build}")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
LIMIT=200
unset "${!EFDSHIM_@}" LD_PRELOAD

ok() { echo "ok $1"; }
not_ok() {
	echo "not ok $1 - $2"
	failed=1
}

# runs LOG COMMAND...: the command's exit code.
runs() {
	local log=$1
	shift
	timeout -k 5 "$LIMIT" "$@" >"$log" 2>&1 </dev/null
}
shimmed() { runs "$1" "$build/efdshim" run --dir "$tmp/state" "${@:2}"; }

# Every line of a log that is not of a test is said again, below a test that failed.
fails() {
	not_ok "$1" "exit code $2"
	grep -vE '^(not )?ok ' "$tmp/log"
}

# cases OPTIONS...: the tests of the library, with these options of efdshim run.
cases() {
	local rc suffix=${*:+ ($*)}
	shimmed "$tmp/log" "$@" -- "$build/tests/programs/msgsock_check"
	rc=$?
	sed -n "s|^ok .*|&$suffix|p; s|^\(not ok .*\)\( - not so: .*\)|\1$suffix\2|p" "$tmp/log"
	if grep -q '^not ok ' "$tmp/log"; then
		failed=1
	elif [ $rc != 0 ]; then
		fails "all cases$suffix" $rc
	fi
}

# echoes NAME OPTIONS...
echoes() {
	local rc
	shimmed "$tmp/log" "${@:2}" -- "$build/tests/programs/msgsock_echo"
	rc=$?
	if [ $rc = 0 ] && grep -q '^one epoll loop echoed 39250 messages of 1000 ' "$tmp/log"; then
		ok "$1"
	else
		fails "$1" $rc
	fi
}

# declines NAME LINE COMMAND...: exit code 77, and that line alone.
declines() {
	local rc
	runs "$tmp/log" "${@:3}"
	rc=$?
	if [ $rc = 77 ] && [ "$(cat "$tmp/log")" = "$2" ]; then
		ok "$1"
	else
		fails "$1" $rc
	fi
}

mkdir -m 700 "$tmp/state"
cases
cases --mirror
echoes 'an echo server and 1,000 clients'
echoes 'an echo server and 1,000 clients, mirrored' --mirror
for program in msgsock_check msgsock_echo; do
	declines "$program without the shim" "$program: needs EFD_MASK, which only efdshim has" \
		"$build/tests/programs/$program"
	declines "$program where bit 1 is EFD_VPOLL" "$program: needs EFD_MASK, which efdshim cannot give here" \
		"$build/efdshim" run --dir "$tmp/state" --vpoll -- "$build/tests/programs/$program"
done
left=$("$build/efdshim" ls --dir "$tmp/state" 2>&1)
if [ -z "$left" ]; then ok 'nothing is left'; else not_ok 'nothing is left' "$left"; fi
exit $failed
