#!/usr/bin/env bash
# Where /dev/shm is read-only, absent, planted or full, there is another place, or the kernel serves. In mount
# namespaces of the script's own.
. "$(dirname "$0")/lib.sh"
program serve "$here/work.c" "$here/deny.c"
program crowded "$here/work.c"
other=65534
id=$(id -u)

passes 'without the shim' "${plain[@]}" "$build/serve" many
if ! is_root || ! unshare -m true 2>/dev/null; then
	left_out 'places that are read-only, absent, planted or full' 'needs root and a mount namespace'
	exit $failed
fi

# room SERVED PLACE NAME COMMANDS: as in fallback.sh. The commands find /dev/shm and /tmp empty, /dev in a tmpfs of its
# own and the binaries in /tmp/bin, which stays readable.
room() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	passes "$3" unshare -m bash -c 'set -e
		mount --make-rprivate /
		mount -t tmpfs -o mode=755 efdshim /mnt
		mkdir /mnt/bin /mnt/dev
		cp "$1" /mnt/bin/serve
		cp "$2" /mnt/bin/lib.so
		mount --rbind /dev /mnt/dev
		mount -t tmpfs -o mode=755 efdshim /dev
		for name in null zero urandom; do : >/dev/$name; mount --bind /mnt/dev/$name /dev/$name; done
		mkdir /dev/shm
		mount -t tmpfs -o mode=1777 efdshim /dev/shm
		mount -t tmpfs -o mode=1777 efdshim /tmp
		unset XDG_RUNTIME_DIR
		eval "$5"
		LD_PRELOAD=/mnt/bin/lib.so SERVED="$3" SERVED_IN="$4" /mnt/bin/serve "${6:-many}"' \
		bash "$build/serve" "$lib" "$1" "$2" "$4" "${5:-many}"
}
shm=/dev/shm/efdshim-$id
tmp_place=/tmp/efdshim-$id
run=/tmp/run/efdshim
with_run='mkdir -m 700 /tmp/run; export XDG_RUNTIME_DIR=/tmp/run'
shut_tmp='mount -o remount,ro /tmp'

room shim "$shm" '/dev/shm is there' true
room shim "$tmp_place" '/dev/shm is read-only' 'mount -o remount,ro /dev/shm'
room shim "$run" '/dev/shm is read-only, with XDG_RUNTIME_DIR' "$with_run; mount -o remount,ro /dev/shm"
room any '' '/dev/shm is read-only, the directory being there' "mkdir -m 700 $shm; mount -o remount,ro /dev/shm"
room kernel '' '/dev/shm and /tmp are read-only' "mount -o remount,ro /dev/shm; $shut_tmp"
room shim "$tmp_place" '/dev/shm is absent' 'umount /dev/shm; rmdir /dev/shm'
room shim "$run" '/dev/shm is absent, with XDG_RUNTIME_DIR' "umount /dev/shm; rmdir /dev/shm; $with_run"
room kernel '' '/dev/shm is absent, /tmp is read-only' "umount /dev/shm; rmdir /dev/shm; $shut_tmp"
room shim "$tmp_place" '/dev/shm is a file' 'umount /dev/shm; rmdir /dev/shm; echo text >/dev/shm'
room shim "/tmp/shm/efdshim-$id" '/dev/shm is a link to another directory' \
	'umount /dev/shm; rmdir /dev/shm; mkdir -m 1777 /tmp/shm; ln -s /tmp/shm /dev/shm'
room shim "$tmp_place" '/dev/shm is a link to nothing' 'umount /dev/shm; rmdir /dev/shm; ln -s /nowhere /dev/shm'
room any '' '/proc is absent' 'mount -t tmpfs efdshim /proc'
room any '' '/dev/urandom is absent' 'umount /dev/urandom; rm /dev/urandom'

# Planted by somebody else, in a directory that all may write to.
planted() {
	local place=$1 next=$2 who=$3 where=$4
	room "$who" "$next" "$where: another user's directory" "$5; mkdir -m 700 $place; chown $other $place"
	room "$who" "$next" "$where: a directory that others can enter" "$5; mkdir -m 770 $place"
	room "$who" "$next" "$where: a link to a good directory" "$5; mkdir -m 700 /tmp/good; ln -s /tmp/good $place"
	room "$who" "$next" "$where: a link to nothing" "$5; ln -s /tmp/made $place"
	room "$who" "$next" "$where: a file" "$5; : >$place"
	room "$who" "$next" "$where: a FIFO" "$5; mkfifo -m 700 $place"
	room "$who" "$next" "$where: a socket or device" "$5; mknod -m 700 $place c 1 3"
}
planted "$shm" "$tmp_place" shim 'planted in /dev/shm' true
planted "$run" "$tmp_place" shim 'planted in XDG_RUNTIME_DIR' "$with_run; umount /dev/shm; rmdir /dev/shm"
planted "$tmp_place" '' kernel 'planted in /tmp' 'umount /dev/shm; rmdir /dev/shm'
room shim "$shm" "another user's files in the directory" \
	"mkdir -m 700 $shm; echo text >$shm/slots; echo text >$shm/watches; chown $other $shm/*" plain

# Full, at various points.
room any '' '/dev/shm is full' 'mount -o remount,size=16k /dev/shm; cat /dev/zero >/dev/shm/filler 2>/dev/null || :'
room any '' '/dev/shm has no inodes' 'mount -o remount,nr_inodes=1 /dev/shm || mount -t tmpfs -o nr_inodes=1 x /dev/shm'
sized() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs -o mode=700,"$1" efdshim "$2" && lib=$3 && shift 3 &&
		LD_PRELOAD=$lib exec "$@"' sh "$1" "$state" "$lib" "${@:2}"
}
in_mount=(env -u LD_PRELOAD "EFDSHIM_DIR=$state" SERVED=any bash -c "state=$state lib=$lib; $(declare -f sized)
	sized \"\$@\"" bash)
mkdir -m 700 "$state"
for size in 4 8 12 16 64 68 72 76 80 132 136 140 144 148 152 204 208 212; do
	passes "a file system of $size KiB" "${in_mount[@]}" size=${size}k "$build/serve" many
done
for inodes in 1 2 3 4 5 6 7 8 20 500 601; do
	passes "a file system of $inodes inodes" "${in_mount[@]}" size=4m,nr_inodes=$inodes "$build/serve" many
done
for before in 0 1 2 100 511 512 600; do
	passes "bytes run out after $before eventfds" "${in_mount[@]}" size=1m "$build/crowded" bytes "$state" $before
	passes "inodes run out after $before eventfds" "${in_mount[@]}" size=4m,nr_inodes=2000 "$build/crowded" inodes \
		"$state" $before
done
exit $failed
