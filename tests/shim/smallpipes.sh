#!/usr/bin/env bash
# A user over the pipe limits: FIFOs get a page or two, or none at all. Readiness stays what it was, or the kernel serves.
. "$(dirname "$0")/lib.sh"
program smallpipes "$here/work.c"
program overlimit
user=65531 # nobody else's, as the limits count all pipes of a user
sys=/proc/sys/fs/pipe-user-pages
ulimit -Sn "$(ulimit -Hn)"

cases 'without the shim: ' smallpipes "${plain[@]}"
cases 'pipes of the usual size: ' smallpipes "${shim[@]}"
if ! is_root || ! command -v setpriv >/dev/null; then
	left_out 'a user over the pipe limits' 'needs root and setpriv'
	exit $failed
fi

open=$(mktemp -d) && chmod 755 "$open"
declare -A was
# The limits are the whole system's: whatever happens, they are put back.
restore() {
	local which
	for which in "${!was[@]}"; do echo "${was[$which]}" >"$sys-$which"; done
	was=()
}
trap 'restore; rm -rf "$tmp" "$open"' EXIT
trap 'exit 1' HUP INT TERM
set_limit() {
	: "${was[$1]:=$(cat "$sys-$1")}"
	{ echo "$2" >"$sys-$1"; } 2>/dev/null
}

cp "$build/smallpipes" "$build/overlimit" "$lib" "$open/"
chmod 711 "$tmp" && mkdir -m 700 "$tmp/theirs" && chown $user "$tmp/theirs"
# as_user PIPES VARIABLE=VALUE... NAME: a case, for a user who has that many pipes.
as_user() {
	setpriv --reuid $user --regid $user --clear-groups env "PRELOAD=$preload" "EFDSHIM_DIR=$tmp/theirs" \
		"${@:2:$#-2}" "$open/overlimit" "$1" "$open/smallpipes" "${@: -1}"
}
export -f as_user

# each PREFIX PIPES VARIABLE=VALUE...
each() {
	local prefix=$1 name
	shift
	while read -r name; do
		passes "$prefix$name" env preload="$preload" user="$user" tmp="$tmp" open="$open" \
			bash -c 'as_user "$@"' bash "$@" "$name"
	done < <("$build/smallpipes" --list)
}

preload=
soft=$(cat $sys-soft)
pipes=$((soft / 16 + 32))
as_user $pipes SERVED=kernel levels >"$tmp/said" 2>&1
case $? in
0) ok 'without the shim, over the soft limit' ;;
77) pipes=0 ;;
*) not_ok 'without the shim, over the soft limit' "$(said "$tmp/said")" ;;
esac
if [ "$soft" = 0 ] || [ $pipes = 0 ]; then
	left_out 'a user over the soft limit' 'there is none, or too few fds to reach it'
else
	preload=$open/${lib##*/}
	each 'over the soft limit: ' $pipes SERVED=any SMALL=1
	each 'over the soft limit, mirrored: ' $pipes SERVED=any SMALL=1 EFDSHIM_MIRROR=always
fi

# Every pipe a small one: one page would be all that is left to the user.
preload=$open/${lib##*/}
if set_limit soft 1; then
	each 'a soft limit of one page: ' 0 SERVED=any
	restore
else
	left_out 'a soft limit of one page' 'the system does not let us'
fi
# No pipe at all: the kernel has to serve.
if set_limit hard 1; then
	each 'a hard limit of one page: ' 0 SERVED=kernel
	set_limit hard 32
	each 'a hard limit of 32 pages: ' 0 SERVED=any
	restore
else
	left_out 'a hard limit' 'the system does not let us'
fi
exit $failed
