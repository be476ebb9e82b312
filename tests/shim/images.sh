#!/usr/bin/env bash
# A process that starts new images of itself leaves no slots behind: nobody would reclaim them while it lives.
. "$(dirname "$0")/lib.sh"
program images

for way in execve execvp fexecve syscall; do
	rm -rf "$state"
	passes "$way, again and again" "${shim[@]}" "$build/images" $way
	fifos=$(find "$state" -type p | wc -l)
	verdict "$way takes no slot of the image's with it" "$([ "$fifos" -le 2 ] || echo "$fifos slots for 21 images")"
done
exit $failed
