#!/usr/bin/env bash
# What the shim costs a program that makes no eventfd: 'true' with it, without it, and with an empty library.
. "$(dirname "$0")/lib.sh"
RUNS=${RUNS:-300}
MOST=${MOST:-3} # times as long as without: far from what is measured, so that a busy machine does not fail it
program startup
: >"$build/empty.c"
compile -shared -fPIC -o "$build/libempty.so" "$build/empty.c" || exit 1

# ratio NAME: measures, in the store as it is.
ratio() {
	local figures
	if ! figures=$(timeout -k 5 "$LIMIT" env "EFDSHIM_DIR=$state" "$build/startup" "$RUNS" "$lib" "$build/libempty.so" 2>&1); then
		not_ok "$1" "$figures"
	elif awk -v most="$MOST" '{ split($0, part, "shim/without "); exit !(part[2] + 0 > 0 && part[2] + 0 < most) }' <<<"$figures"; then
		ok "$1: $figures"
	else
		not_ok "$1" "$figures (at most $MOST is allowed)"
	fi
}

ratio 'true, no store being there'
verdict 'a program without eventfds makes no store' "$(ls -A "$state" 2>/dev/null)$([ -e "$state" ] && echo 'the directory')"
quietly "${shim[@]}" sh -c 'ls /proc/self/fd'
with=$(said "$tmp/said")
quietly sh -c 'ls /proc/self/fd'
verdict 'and has no fds that it would not have' "$([ "$with" = "$(said "$tmp/said")" ] || echo "$with")"

coproc holder { "${shim[@]}" "$build/startup" objects 1000; }
if read -r -t "$LIMIT" answer <&"${holder[0]}" && [ "$answer" = made ]; then
	ratio 'true, beside 1,000 eventfds of another process'
else
	not_ok 'true, beside 1,000 eventfds of another process' 'there are none'
fi
to=${holder[1]}
exec {to}>&-
wait
exit $failed
