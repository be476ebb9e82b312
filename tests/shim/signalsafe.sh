#!/usr/bin/env bash
# What signal handlers may call reaches no malloc, no dlsym, no stdio and no lock.
. "$(dirname "$0")/lib.sh"
program signalsafe "$here/tripwire.c" -O2 -rdynamic

# trips FUNCTION: else the tests below would prove nothing.
trips() {
	quietly "${shim[@]}" "$build/signalsafe" wire "$1"
	if grep -q ": calls $1 " "$tmp/said"; then ok "the wire trips for $1"; else not_ok "the wire trips for $1" "$(said "$tmp/said")"; fi
}

trips malloc
trips dlsym
trips pthread_mutex_lock
cases 'without the shim: ' signalsafe "${plain[@]}"
cases '' signalsafe "${shim[@]}"
cases 'mirrored: ' signalsafe "${shim[@]}" EFDSHIM_MIRROR=always
exit $failed
