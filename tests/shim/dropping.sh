#!/usr/bin/env bash
# Privileges dropped or gained while eventfds are in use; and the environment of privileged programs.
. "$(dirname "$0")/lib.sh"
program dropping "$here/work.c"
program plain "$here/work.c"
program objects_of "$here/work.c"
user=65534
other=65533

if ! is_root; then
	left_out 'dropped and gained privileges' 'needs root'
	exit $failed
fi
cases 'without the shim: ' dropping "${plain[@]}"
# In a directory below one that nobody else can enter, below one that all can, and in the place of default.
for mode in 700 711 777; do
	chmod $mode "$tmp"
	rm -rf "$state"
	cases "below a directory of mode $mode: " dropping "${shim[@]}" SERVED=any
done
cases 'mirrored: ' dropping "${shim[@]}" SERVED=any EFDSHIM_MIRROR=always
chmod 711 "$tmp"

# What the dropped ones made as somebody else must not get in root's way afterwards.
passes 'root goes on in the same directory' "${shim[@]}" "$build/plain" everything
verdict 'where all is its own' "$(find "$state" ! -user root | head -n 3)"
rm -rf "/dev/shm/efdshim-$user"

# A process of root's dies with the objects that a dropped child of its has: they live on.
passes 'the parent dies, its dropped child goes on' "${shim[@]}" SERVED=any "$build/objects_of" orphan
passes 'the dropped child dies, its parent goes on' "${shim[@]}" SERVED=any "$build/objects_of" widow

# Programs that gain something are called without the variables, whatever they gain.
open=$(mktemp -d) && chmod 755 "$open"
trap 'rm -rf "$tmp" "$open" "/dev/shm/efdshim-$other"' EXIT
nobody() { setpriv --reuid $user --regid $user --clear-groups "$@"; }
cp "$lib" "$open/"
program plain "$here/work.c" -Wl,--no-as-needed -L"$open" "-l:$(basename "$lib")" "-Wl,-rpath,$open"
if findmnt -no OPTIONS -T "$open" | grep -qw nosuid; then
	left_out 'setgid programs and file capabilities' 'the file system is mounted nosuid'
	exit $failed
fi
mkdir -m 777 "$tmp/lure"
lured=("EFDSHIM_DIR=$tmp/lure/state" EFDSHIM_DEBUG=1 EFDSHIM_STATS=1 EFDSHIM_MODE=missing EFDSHIM_MIRROR=always
	"XDG_RUNTIME_DIR=$tmp/lure")
# ignores NAME: runs $open/program for a plain user, who has set all there is.
ignores() {
	passes "$1 works" env SERVED=any "${lured[@]}" setpriv --reuid $user --regid $user --clear-groups \
		"$open/program" everything
	verdict "$1 makes nothing where the variables say" "$(ls -A "$tmp/lure")"
	verdict "$1 makes nothing in its caller's directory" \
		"$(find "/dev/shm/efdshim-$other" -maxdepth 0 -type d -user $user ! -empty 2>/dev/null)$(ls -d /tmp/slots 2>/dev/null)"
	rm -rf "/dev/shm/efdshim-$user" "/dev/shm/efdshim-$other" "$tmp/lure"/*
}
cp "$build/plain" "$open/program" && chmod 755 "$open/program"
passes 'a program that gains nothing heeds them' env SERVED=shim "SERVED_IN=$tmp/lure/state" \
	"EFDSHIM_DIR=$tmp/lure/state" setpriv --reuid $user --regid $user --clear-groups "$open/program" everything
rm -rf "$tmp/lure"/*
chown $other "$open/program" && chmod 4755 "$open/program"
ignores 'a setuid program'
chown root:$other "$open/program" && chmod 2755 "$open/program"
ignores 'a setgid program'
chown root:root "$open/program" && chmod 755 "$open/program"
if command -v setcap >/dev/null && setcap cap_net_raw+ep "$open/program" 2>/dev/null; then
	ignores 'a program with file capabilities'
else
	left_out 'a program with file capabilities' 'setcap is missing'
fi

# A setuid program finds a directory that its caller has planted.
cp "$build/plain" "$open/program" && chown $other "$open/program" && chmod 4755 "$open/program"
for planted in 'mkdir -m 777' 'mkdir -m 700' 'ln -s /tmp' 'touch' 'mkfifo -m 777'; do
	# shellcheck disable=SC2086 # a command and its words
	nobody $planted "/dev/shm/efdshim-$other"
	ignores "a setuid program that finds what '$planted' planted"
done
rm -rf "/tmp/efdshim-$other"
exit $failed
