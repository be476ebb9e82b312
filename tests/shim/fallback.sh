#!/usr/bin/env bash
# Where the shim cannot serve, the kernel does, and the program is none the worse for it.
. "$(dirname "$0")/lib.sh"
program serve "$here/work.c" "$here/deny.c"
program denied "$here/deny.c"
serve=$build/serve
other=65534 # a user who is not the caller

# served WHO NAME COMMAND...: the command runs without a word, its eventfds being WHO's.
served() {
	local who=$1 name=$2
	shift 2
	passes "$name" "${shim[@]}" SERVED="$who" "$@"
}

# one_line NAME COMMAND...: with EFDSHIM_DEBUG=1 there is one line, however many eventfds there are.
one_line() {
	local name=$1 lines
	shift
	quietly "${shim[@]}" EFDSHIM_DEBUG=1 SERVED=kernel "$@"
	lines=$(grep -c '^efdshim: ' "$tmp/said")
	if [ "$lines" = 1 ] && [ "$(wc -l <"$tmp/said")" = 1 ]; then
		ok "$name"
	else
		not_ok "$name" "$lines lines, $(said "$tmp/said")"
	fi
}

# refused NAME COMMAND...: the kernel serves; silently, or with one line where that is asked for.
refused() {
	served kernel "$1" "${@:2}"
	one_line "$1: EFDSHIM_DEBUG=1 says so, once" "${@:2}"
}

fresh() {
	rm -rf "$state"
	mkdir -m "${1:-700}" "$state"
}

served kernel 'the program passes without the shim' env -u LD_PRELOAD "$serve"
served shim 'a directory that does not exist is made' "$serve"
served shim 'a directory of the right kind serves' "$serve"
served shim 'so do the files of earlier programs' "$serve" many

# The directory.
fresh 755
refused 'a directory that others can enter' "$serve"
fresh 1700
refused 'a directory with the sticky bit' "$serve"
fresh && mv "$state" "$tmp/real" && ln -s "$tmp/real" "$state"
refused 'a symbolic link to a good directory' "$serve"
rm -rf "$state" "$tmp/real" && ln -s /nowhere "$state"
refused 'a symbolic link to nothing' "$serve"
rm -rf "$state" && echo text >"$state"
refused 'a file' "$serve"
rm -rf "$state" && mkfifo -m 700 "$state"
refused 'a FIFO' "$serve"
rm -rf "$state"
refused 'a directory without a parent' env EFDSHIM_DIR="$state/parent/child" "$serve"
refused 'a path that is too long' env EFDSHIM_DIR="$tmp/$(printf 'x%.0s' {1..250})" "$serve"
refused 'a path below a file' env EFDSHIM_DIR=/etc/passwd/efdshim "$serve"

if is_root; then
	chmod 711 "$tmp"
	fresh && chown $other "$state"
	refused "another user's directory" "$serve"
	fresh
	mkdir "$tmp/open" && chmod 755 "$tmp/open" && cp "$serve" "$lib" "$tmp/open"
	refused "root's directory, for another user" env LD_PRELOAD="$tmp/open/${lib##*/}" \
		setpriv --reuid $other --regid $other --clear-groups "$tmp/open/serve"
else
	left_out "another user's directory" 'needs root'
fi

# The file system. Mounts are the script's own: nobody else sees them.
mounted() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs -o mode=700,"$1" efdshim "$2" && shift 2 && exec "$@"' \
		sh "$1" "$state" "${@:2}"
}
in_mount=(env -u LD_PRELOAD bash -c "state=$state; $(declare -f mounted); mounted \"\$@\"" bash)
under=(env "LD_PRELOAD=$lib")
fresh
if is_root && mounted size=1m true 2>/dev/null; then
	served shim 'a file system without devices, programs or setuid serves' \
		"${in_mount[@]}" size=4m,nodev,noexec,nosuid "${under[@]}" "$serve"
	refused 'a full file system' "${in_mount[@]}" size=64k \
		sh -c 'cat /dev/zero >"$0/filler" 2>/dev/null; exec "$@"' "$state" "${under[@]}" "$serve"
	refused 'a file system without room for the segment' "${in_mount[@]}" size=8k "${under[@]}" "$serve"
	refused 'a file system without inodes' "${in_mount[@]}" size=1m,nr_inodes=1 "${under[@]}" "$serve"
	refused 'a file system that cannot be written' "${in_mount[@]}" size=1m,ro "${under[@]}" "$serve"
	served shim 'a file system that is full, with room in the segment' \
		"${in_mount[@]}" size=1m "${under[@]}" "$serve" late-full "$state"
	served any 'a file system that has room for some FIFOs' \
		"${in_mount[@]}" size=1m,nr_inodes=50 "${under[@]}" "$serve" many
	served any 'a file system that has room for one chunk of the segment' \
		"${in_mount[@]}" size=148k "${under[@]}" "$serve" many
	served any 'a file system that cannot be written any more' "${in_mount[@]}" size=1m sh -c \
		'"$@" && mount -o remount,ro "$0" && exec "$@"' "$state" "${under[@]}" SERVED=any "$serve"
else
	left_out 'full and unwritable file systems' 'needs root and a mount namespace'
fi

# Where EFDSHIM_DIR is not set: the places where the directory may be, in a namespace where they are empty.
# places SERVED PLACE NAME COMMANDS
places() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	passes "$3" unshare -m sh -c 'set -e
		mount --make-rprivate /
		mount -t tmpfs -o mode=1777 efdshim /dev/shm
		mkdir /dev/shm/bin
		cp "$1" /dev/shm/bin/serve
		cp "$2" /dev/shm/bin/lib.so
		mount -t tmpfs -o mode=1777 efdshim /tmp
		eval "$5"
		LD_PRELOAD=/dev/shm/bin/lib.so SERVED="$3" SERVED_IN="$4" /dev/shm/bin/serve' \
		sh "$serve" "$lib" "$1" "$2" "$4"
}
id=$(id -u)
if is_root && unshare -m true 2>/dev/null; then
	squatted="mkdir -m 700 /dev/shm/efdshim-$id && chown $other /dev/shm/efdshim-$id"
	places shim "/dev/shm/efdshim-$id" 'without EFDSHIM_DIR it is in /dev/shm' true
	places shim /tmp/run/efdshim 'else in XDG_RUNTIME_DIR' \
		"$squatted; mkdir -m 700 /tmp/run; export XDG_RUNTIME_DIR=/tmp/run"
	places shim "/tmp/efdshim-$id" 'else in /tmp' "$squatted; export XDG_RUNTIME_DIR=/nowhere"
	places kernel '' "where all of them are another user's, the kernel serves" \
		"$squatted; cp -a /dev/shm/efdshim-$id /tmp"
else
	left_out 'the places of the directory' 'needs root and a mount namespace'
fi

# The files in it.
damage() {
	fresh
	"${shim[@]}" "$serve" >/dev/null 2>&1
	for name in "$state"/*; do
		[ -f "$name" ] && "$@" "$name"
	done
}
replace() { rm -f "${@: -1}" && "$@"; }
damage truncate -s 0
served any 'empty segment files' "$serve" many
damage truncate -s 4096
served any 'segment files that were cut short' "$serve" many
damage truncate -s 40
served any 'segment files with half a head' "$serve" many
damage cp "$serve"
served any 'segment files that are none' "$serve" many
damage replace mkdir
served any 'directories in place of the segment files' "$serve" many
damage replace mkfifo
served any 'FIFOs in place of the segment files' "$serve" many
damage replace ln -s /etc/passwd
served any 'symbolic links in place of the segment files' "$serve" many
damage chmod 000
served any 'segment files that nobody may open' "$serve" many
damage rm
served any 'FIFOs without segment files' "$serve" many
damage true
rm -f "$state"/*.*
served any 'segment files without FIFOs' "$serve" many

# What the user asks for.
fresh
served kernel 'EFDSHIM_MODE=missing leaves eventfds to the kernel' env EFDSHIM_MODE=missing "$serve"
verdict 'and makes nothing in the directory' "$(ls -A "$state")"
served shim 'another EFDSHIM_MODE is none' env EFDSHIM_MODE=other "$serve"
served shim 'EFDSHIM_MIRROR=always' env EFDSHIM_MIRROR=always "$serve" many

# Limits.
fresh
refused 'no file may grow' prlimit --fsize=0 "$serve"
fresh
served any 'a file may grow, but little' prlimit --fsize=100000 "$serve" many
served any 'no file may grow, the segment being there' prlimit --fsize=0 "$serve" many
fresh
for fds in 6 7 8 12 30; do # six are what the program needs without the shim
	served any "at most $fds fds" prlimit --nofile=$fds "$serve"
done
fresh
served any 'a hundred megabytes of addresses' prlimit --as=100000000 "$serve"
served any 'three hundred megabytes of addresses' prlimit --as=300000000 "$serve"
if "${plain[@]}" "$serve" locked 2>/dev/null; then
	served any 'all memory is locked' "$serve" locked
	served any 'all memory is locked later on' "$serve" late-locked
	served any 'all memory is locked, and little of it taken' "$serve" weighed
else
	left_out 'all memory is locked' 'RLIMIT_MEMLOCK forbids it'
fi

# Sandboxes.
for call in mknodat openat mmap fallocate fcntl; do
	fresh
	refused "$call is refused with EPERM" "$build/denied" $call 1 "$serve"
	fresh
	served any "$call is refused with ENOSYS" "$build/denied" $call 38 "$serve"
done
for call in mkdirat linkat fstat prlimit; do
	fresh
	served any "$call is refused with EPERM" "$build/denied" $call 1 "$serve"
done
fresh
refused 'a program seals itself' "$serve" sealed
fresh
served any 'a program seals itself, with eventfds made before' "$serve" late-sealed
if is_root; then
	mkdir -p "$tmp/empty"
	fresh
	refused 'a program changes its root' "$serve" chroot "$tmp/empty"
	served any 'a program changes its root, with eventfds made before' "$serve" late-chroot "$tmp/empty"
	fresh
	refused 'a program drops its privileges' "$serve" dropped $other
	served any 'a program drops its privileges, with eventfds made before' "$serve" late-dropped $other
else
	left_out 'chroot and dropped privileges' 'needs root'
fi
exit $failed
