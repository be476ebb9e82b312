#!/usr/bin/env bash
# A process that starts new images of itself leaves no slots behind: nobody would reclaim them while it lives. Nor do
# children that end by _exit, as most do.
. "$(dirname "$0")/lib.sh"
program images

for way in execve execvp fexecve syscall; do
	rm -rf "$state"
	passes "$way, again and again" "${shim[@]}" "$build/images" $way
	fifos=$(find "$state" -type p | wc -l)
	verdict "$way takes no slot of the image's with it" "$([ "$fifos" -le 2 ] || echo "$fifos slots for 21 images")"
done
for way in _exit exit_group; do
	rm -rf "$state"
	passes "children that end by $way" "${shim[@]}" "$build/images" $way
	fifos=$(find "$state" -type p | wc -l)
	verdict "$way leaves no slot behind" "$([ "$fifos" -le 3 ] || echo "$fifos slots of 20 children")"
done
exit $failed
