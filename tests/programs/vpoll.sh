#!/usr/bin/env bash
# libvpoll, which tells its kernel's EFD_VPOLL from none and emulates it there, without the shim, on
# the shim, and on the shim's EFD_VPOLL: one line 'ok ...', 'not ok ...' or 'left out ...' each.
# Usage: vpoll.sh [BUILD-DIRECTORY]
set -u
build=$(realpath "${1:-build}")
here=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset "${!EFDSHIM_@}" LD_PRELOAD
export EFDSHIM_DIR=$tmp/state
efdshim=$build/efdshim
lib=$build/libefdshim.so
failed=0
LIMIT=120

ok() { echo "ok $1"; }
not_ok() {
	echo "not ok $1 - $2"
	failed=1
}
left_out() { echo "left out $1: $2"; }

# equal NAME WANTED GOT
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '${3//$'\n'/ | }' (want '${2//$'\n'/ | }')"; fi
}

if ! "$here/../need.sh" vpoll.h=libvpoll-dev; then
	left_out 'libvpoll' 'libvpoll-dev is not installed'
	exit 0
fi
compile() {
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -I"$here/../../include" -o "$tmp/$1" "${@:2}" -lvpoll -pthread
}
compile example "$here/vpoll_example.c" || exit 1
compile check "$here/"vpoll_{check,walk,wait,script}.c || exit 1

# The ways to run a program: each a name and the words before the command.
plain() { timeout -k 5 "$LIMIT" "$@"; }
shim() { timeout -k 5 "$LIMIT" env LD_PRELOAD="$lib" "$@"; }
launched() { timeout -k 5 "$LIMIT" "$efdshim" run -- "$@"; }
mirrored() { timeout -k 5 "$LIMIT" "$efdshim" run --mirror -- "$@"; }
dialect() { timeout -k 5 "$LIMIT" env EFDSHIM_MASK=vpoll LD_PRELOAD="$lib" "$@"; }
launched_dialect() { timeout -k 5 "$LIMIT" "$efdshim" run --vpoll -- "$@"; }
mirrored_dialect() { timeout -k 5 "$LIMIT" "$efdshim" run --vpoll --mirror -- "$@"; }
missing_dialect() { timeout -k 5 "$LIMIT" "$efdshim" run --vpoll --only-missing -- "$@"; }
masks() { timeout -k 5 "$LIMIT" env EFDSHIM_MASK=mask LD_PRELOAD="$lib" "$@"; }

# events WORD...: what the example prints for these.
events() { printf 'timeout\ntimeout\nGOT event %s\n' "$@"; }

# The manual's own example and the outputs it promises, where the manual is installed. It has a clock
# of seconds, which may tick once more or less before an event.
manual=/usr/share/man/man3/vpoll.3.gz
manual_part() {
	gzip -dc "$manual" | awk -v part="$1" '
		/^\.SH "EXAMPLE"/ { inside = 1 }
		/^\.fi/ { shown = 0 }
		inside && shown && at == part { print }
		inside && /^\.nf/ { shown = 1; at++ }' | sed 's/\\e/\\/g; s/\\\([-.]\)/\1/g'
}
start_manual() {
	manual_part 1 >"$tmp/manual.c"
	compile manual "$tmp/manual.c" 2>"$tmp/said" || {
		not_ok "the manual's example is one" "$(head -c 300 "$tmp/said")"
		return 1
	}
	for way in plain shim dialect launched_dialect; do
		$way "$tmp/manual" >"$tmp/manual.$way" 2>&1 </dev/null &
	done
}
judge_manual() {
	wait
	for way in plain shim; do
		equal "the manual's example, $way: as it says of the emulation" "$(manual_part 3 | uniq)" "$(uniq <"$tmp/manual.$way")"
	done
	for way in dialect launched_dialect; do
		equal "the manual's example, $way: as it says of the kernel" "$(manual_part 2 | uniq)" "$(uniq <"$tmp/manual.$way")"
	done
	equal 'which ends with event 10' 'GOT event 10' "$(manual_part 2 | tail -n 1)"
}
with_manual=no
if [ -r "$manual" ]; then
	start_manual && with_manual=yes
else
	left_out "the manual's example" 'no manual pages are installed here'
fi

# What libvpoll asks of its kernel, and whether it gets it.
if plain "$tmp/example" | grep -q '^GOT event 10$'; then
	left_out "libvpoll's emulation" 'this kernel has EFD_VPOLL, or /dev/vpoll'
	kernel=vpoll
else
	kernel=without
fi

emulated=$(events 1 1 4 2011)
patched=$(events 1 1 4 10)
if [ $kernel = without ]; then
	for way in plain shim launched mirrored; do
		equal "the example, $way" "$emulated" "$($way "$tmp/example" 2>&1)"
	done
	plain "$tmp/check" transcript >"$tmp/wanted" 2>&1
	equal 'the transcript is a whole one' 409 "$(wc -l <"$tmp/wanted")"
	for way in shim launched mirrored; do
		$way "$tmp/check" transcript >"$tmp/got" 2>&1
		equal "emulation, $way: nothing differs" '' "$(diff "$tmp/wanted" "$tmp/got" | head -n 6)"
	done
fi
for way in dialect launched_dialect mirrored_dialect missing_dialect; do
	equal "the example, $way" "$patched" "$($way "$tmp/example" 2>&1)"
	equal "the patch's own example, $way" "$(events 1 1 3 2 4 10)" "$($way "$tmp/example" 1 1 3 2 4 10 2>&1)"
done

# checks WAY CASES: each line of the program is one of ours.
checks() {
	local rc
	$1 "$tmp/check" "$2" >"$tmp/log" 2>&1 </dev/null
	rc=$?
	sed -E "s/^(ok|not ok) /\1 $1: /" "$tmp/log"
	grep -q '^not ok' "$tmp/log" && failed=1
	if [ $rc -gt 1 ] || ! grep -q '^ok' "$tmp/log"; then not_ok "$1 $2" "exit code $rc"; fi
}
for way in dialect launched_dialect mirrored_dialect missing_dialect; do
	checks $way patch
done
checks masks mask
for way in shim launched mirrored; do
	checks $way both
done
[ $with_manual = no ] || judge_manual
exit $failed
