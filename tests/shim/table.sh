#!/usr/bin/env bash
# The table of fds never lies: fds closed where the shim cannot see it, its own fds closed or replaced, few fds and many.
. "$(dirname "$0")/lib.sh"
program table "$here/work.c" "$here/makers.c"
program internal "$here/work.c"
program limits "$here/work.c"

for name in table internal limits; do
	cases 'without the shim: ' $name "${plain[@]}"
	cases '' $name "${shim[@]}"
	cases 'mirrored: ' $name "${shim[@]}" EFDSHIM_MIRROR=always
done
exit $failed
