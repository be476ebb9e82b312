#!/usr/bin/env bash
# The launcher, case by case: one line 'ok ...', 'not ok ...' or 'left out ...' each.
# Usage: launcher.sh [BUILD-DIRECTORY]
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d "$build/launcher.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unset LD_PRELOAD EFDSHIM_LIB EFDSHIM_STATS EFDSHIM_DEBUG EFDSHIM_MODE EFDSHIM_MIRROR EFDSHIM_DIR
efdshim=$build/efdshim
lib=$build/libefdshim.so
failed=0

# expect NAME CODE PATTERN COMMAND...: the exit code, and a glob for stdout and stderr together.
expect() {
	local name=$1 code=$2 pattern=$3 out rc
	shift 3
	out=$(timeout 20 "$@" 2>&1 </dev/null)
	rc=$?
	# shellcheck disable=SC2053 # the pattern is meant as one
	if [ "$rc" = "$code" ] && [[ $out == $pattern ]]; then
		echo "ok $name"
	else
		echo "not ok $name: exit $rc (want $code), output: $out (want $pattern)"
		failed=1
	fi
}

# refuse NAME CODE PATTERN COMMAND...: as expect, and exactly one line.
refuse() {
	local lines
	expect "$@"
	lines=$(timeout 20 "${@:4}" 2>&1 >/dev/null </dev/null | wc -l)
	[ "$lines" = 1 ] && return
	echo "not ok $1: $lines lines on stderr (want 1)"
	failed=1
}

left_out() { echo "left out $1: $2"; }

script() {
	printf '%b' "$2" >"$tmp/$1"
	chmod +x "$tmp/$1"
}

say_preload='echo "preload=$LD_PRELOAD"'

expect 'help names the verb run' 0 '*run*' "$efdshim" --help
expect 'run --help lists options and exit codes' 0 '*--stats*125*127*' "$efdshim" run --help
expect 'version' 0 'efdshim 0.1.0' "$efdshim" --version
refuse 'no verb is wrong usage' 2 'efdshim: *' "$efdshim"
for verb in --help doctor; do
	refuse "output that does not arrive: $verb" 1 'efdshim: standard output: No space*' \
		env EFDSHIM_DIR="$tmp" sh -c '"$0" "$1" >/dev/full' "$efdshim" $verb
done
refuse 'an unknown verb is wrong usage' 2 'efdshim: unknown verb fly*' "$efdshim" fly
refuse 'an unknown option is wrong usage' 2 'efdshim: unknown option --fly*' "$efdshim" run --fly -- true
refuse 'no command is wrong usage' 2 'efdshim: *' "$efdshim" run --stats --
refuse 'an option without its directory is wrong usage' 2 'efdshim: *--dir*' "$efdshim" run --dir
refuse 'an option without its version is wrong usage' 2 'efdshim: *--as-kernel*' "$efdshim" run --as-kernel
refuse 'a kernel nobody knows' 125 'efdshim: no kernel 1.2 *' "$efdshim" run --as-kernel=1.2 -- true
expect 'without the library' 0 'preload=' "$efdshim" run --bare -- sh -c "$say_preload"
expect 'without the library where the shell has it' 0 'preload=libm.so.6' \
	env LD_PRELOAD=libm.so.6 "$efdshim" run -- "$efdshim" run --bare -- sh -c "$say_preload"
expect 'without the library where the shell has nothing else' 0 'unset' \
	"$efdshim" run -- "$efdshim" run --bare -- sh -c 'echo "${LD_PRELOAD-unset}"'
expect 'run --help names the kernels' 0 '*--as-kernel VERSION*2.6.18, 2.6.22, 2.6.32, 3.10, 4.4, 5.4*' "$efdshim" run --help
expect 'a command after -- runs' 0 'hello world' "$efdshim" run -- echo hello world
expect 'a command without -- runs' 0 'hello --stats' "$efdshim" run echo hello --stats
expect 'words after the command are its own' 0 '-- --debug' "$efdshim" run -- echo -- --debug
expect "the command's exit code is kept" 42 '' "$efdshim" run -- sh -c 'exit 42'

expect 'the library is preloaded' 0 "preload=$lib" "$efdshim" run -- sh -c "$say_preload"
expect 'an existing LD_PRELOAD is kept, ours first' 0 "*preload=$lib:libm.so.6" \
	env LD_PRELOAD=libm.so.6 "$efdshim" run -- sh -c "$say_preload"
expect 'the library is not named twice' 0 "preload=$lib:libm.so.6" \
	env LD_PRELOAD="libm.so.6 $lib" "$efdshim" run -- sh -c "$say_preload"
expect 'the launcher under the launcher' 0 "preload=$lib" \
	"$efdshim" run -- "$efdshim" run -- sh -c "$say_preload"
expect 'options set their variables' 0 "1 1 missing always vpoll $tmp/state" "$efdshim" run --stats --debug \
	--only-missing --mirror --vpoll --dir "$tmp/state" -- /bin/sh -c \
	'exec 2>/dev/null; echo "$EFDSHIM_STATS $EFDSHIM_DEBUG $EFDSHIM_MODE $EFDSHIM_MIRROR $EFDSHIM_MASK $EFDSHIM_DIR"'
expect 'a relative --dir is made absolute' 0 "$tmp/state" \
	env -C "$tmp" "$efdshim" run --dir=state -- sh -c 'echo "$EFDSHIM_DIR"'
expect 'no option leaves the variables alone' 0 'unset unset' \
	"$efdshim" run -- sh -c 'echo "${EFDSHIM_STATS-unset} ${EFDSHIM_MODE-unset}"'

refuse 'a command not in PATH' 127 'efdshim: no-such-command: not found' "$efdshim" run -- no-such-command
refuse 'a missing file' 127 "efdshim: $tmp/none: *" "$efdshim" run -- "$tmp/none"
refuse 'an empty command' 127 'efdshim: *' "$efdshim" run -- ''
refuse 'a directory' 126 'efdshim: *' "$efdshim" run -- "$tmp"
cp /bin/true "$tmp/plain"
chmod 644 "$tmp/plain"
refuse 'a file that is not executable' 126 'efdshim: *' "$efdshim" run -- "$tmp/plain"
expect 'a file not executable in PATH, a later one is' 0 '' env PATH="$tmp/early:/usr/bin:/bin" \
	sh -c 'mkdir -p "$0/early" && : >"$0/early/true" && exec "$1" run -- true' "$tmp" "$efdshim"
refuse 'only a file not executable in PATH' 126 'efdshim: *' env PATH="$tmp" "$efdshim" run -- plain
cp /bin/true "$tmp/local"
expect 'an empty element of PATH is the current directory' 0 '' \
	env -C "$tmp" PATH=/nowhere: "$efdshim" run -- local
head -c 40 /bin/true >"$tmp/short"
chmod +x "$tmp/short"
refuse 'a damaged ELF file' 126 'efdshim: *damaged*' "$efdshim" run -- "$tmp/short"

echo 'int main(void) { return 0; }' >"$tmp/empty.c"
for kind in -static -static-pie; do
	if ${CC:-cc} "$kind" -o "$tmp/static" "$tmp/empty.c" 2>/dev/null; then
		refuse "a binary built with $kind" 125 'efdshim: *statically linked*' "$efdshim" run -- "$tmp/static"
		script of-static "#!$tmp/static\n"
		refuse "a script whose interpreter was built with $kind" 125 'efdshim: *statically linked*' \
			"$efdshim" run -- "$tmp/of-static"
	else
		left_out "a binary built with $kind" 'this compiler cannot'
	fi
done

# patch NAME OFFSET BYTE...: a copy of true with bytes changed (e_machine is at 18, the class at 4).
patch() {
	cp /bin/true "$tmp/$1"
	printf '%b' "$3" | dd of="$tmp/$1" bs=1 seek="$2" conv=notrunc status=none
}
patch other-machine 18 '\0363\0000'
refuse 'a binary for another machine' 125 'efdshim: *riscv (64-bit)*' "$efdshim" run -- "$tmp/other-machine"
patch other-class 4 '\0001'
refuse 'a binary of another class' 125 'efdshim: *(32-bit)*' "$efdshim" run -- "$tmp/other-class"

cp /bin/true "$tmp/own-setuid"
chmod u+s "$tmp/own-setuid"
expect 'a setuid binary of the caller itself' 0 '' "$efdshim" run -- "$tmp/own-setuid"
if [ "$(id -u)" != 0 ]; then
	left_out "another user's setuid and setgid binaries, file capabilities" 'needs root'
elif findmnt -no OPTIONS -T "$tmp" | grep -qw nosuid; then
	left_out "another user's setuid and setgid binaries, file capabilities" 'the tree is mounted nosuid'
else
	cp /bin/true "$tmp/setuid" && chown 65534 "$tmp/setuid" && chmod 4755 "$tmp/setuid"
	refuse "another user's setuid binary" 125 'efdshim: *LD_PRELOAD would be ignored' "$efdshim" run -- "$tmp/setuid"
	expect 'a setuid binary under no_new_privs' 0 '' \
		setpriv --no-new-privs "$efdshim" run -- "$tmp/setuid"
	cp /bin/true "$tmp/setgid" && chgrp 65534 "$tmp/setgid" && chmod 2755 "$tmp/setgid"
	refuse "another group's setgid binary" 125 'efdshim: *LD_PRELOAD would be ignored' "$efdshim" run -- "$tmp/setgid"
	open=$(mktemp -d) && chmod 755 "$open"
	cp /bin/true "$efdshim" "$lib" "$open" && chmod -R a+rX "$open"
	if command -v setcap >/dev/null && setcap cap_net_raw+ep "$open/true" 2>/dev/null; then
		refuse 'a binary with file capabilities, for a plain user' 125 'efdshim: *LD_PRELOAD would be ignored' \
			setpriv --reuid 65534 --clear-groups "$open/efdshim" run -- "$open/true"
		expect 'a binary with file capabilities, for root' 0 '' "$efdshim" run -- "$open/true"
	else
		left_out 'a binary with file capabilities' 'setcap is missing'
	fi
	cp /bin/true "$open/hidden" && chmod 111 "$open/hidden"
	expect 'a binary that can be executed but not read' 0 '' \
		setpriv --reuid 65534 --clear-groups "$open/efdshim" run -- "$open/hidden"
	rm -rf "$open"
fi

script hello '#! /bin/sh -e\necho "hello $1"\n'
expect 'a script' 0 'hello you' "$efdshim" run -- "$tmp/hello" you
script bare 'echo "bare $1"\n'
expect 'a script without #! runs in sh, as with execvp' 0 'bare you' "$efdshim" run -- "$tmp/bare" you
script lost "#!$tmp/none\n"
refuse 'a script whose interpreter is missing' 127 "efdshim: *interpreter $tmp/none: *" "$efdshim" run -- "$tmp/lost"
script weak "#!$tmp/plain\n"
refuse 'a script whose interpreter is not executable' 126 'efdshim: *' "$efdshim" run -- "$tmp/weak"
script loop "#!$tmp/loop\n"
refuse 'a script that is its own interpreter' 126 'efdshim: *too many*' "$efdshim" run -- "$tmp/loop"
script one '#!/bin/sh\necho deep\n'
for step in 'two one' 'three two' 'four three'; do
	script "${step% *}" "#!$tmp/${step#* }\n"
done
expect 'a script four interpreters deep' 0 deep "$efdshim" run -- "$tmp/four"

mkdir -p "$tmp/alone/bin" "$tmp/alone/lib"
cp "$efdshim" "$tmp/alone/bin/"
alone=$tmp/alone/bin/efdshim
refuse 'no library anywhere' 125 'efdshim: cannot find libefdshim.so *' "$alone" run -- true
expect 'the library named by EFDSHIM_LIB' 0 "preload=$lib" \
	env EFDSHIM_LIB="$lib" "$alone" run -- sh -c "$say_preload"
refuse 'EFDSHIM_LIB names no library' 125 'efdshim: *not a shared library' \
	env EFDSHIM_LIB="$here/launcher.sh" "$alone" run -- true
refuse 'EFDSHIM_LIB names a library for another machine' 125 'efdshim: *riscv*' \
	env EFDSHIM_LIB="$tmp/other-machine" "$alone" run -- true
cp "$lib" "$tmp/alone/lib/"
expect 'the library in ../lib' 0 "preload=$tmp/alone/lib/libefdshim.so" "$alone" run -- sh -c "$say_preload"
ln -s "$efdshim" "$tmp/link"
expect 'the launcher by a symbolic link' 0 "preload=$lib" "$tmp/link" run -- sh -c "$say_preload"
mkdir "$tmp/a b"
cp "$efdshim" "$lib" "$tmp/a b/"
refuse 'a library path that LD_PRELOAD cannot hold' 125 'efdshim: *a space or a colon*' "$tmp/a b/efdshim" run -- true
exit $failed
