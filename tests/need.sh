#!/bin/sh
# Sees to it that tools are there: need.sh THING[=PACKAGE]...
# A THING is a command, or a C header (its name ends in .h); PACKAGE is Debian's name for what holds it.
missing=
for wanted; do
	thing=${wanted%%=*}
	case $thing in
	*.h) echo "#include <$thing>" | ${CC:-cc} -E -x c - >/dev/null 2>&1 && continue ;;
	*) command -v "$thing" >/dev/null 2>&1 && continue ;;
	esac
	missing="$missing ${wanted#*=}"
done
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
install_missing() {
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # one word per package
	$as_root apt-get install -y --no-install-recommends $missing </dev/null >/dev/null 2>&1
}
if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || command -v sudo >/dev/null 2>&1; }; then
	echo "installing$missing"
	install_missing && exit 0
	$as_root apt-get update </dev/null >/dev/null 2>&1
	install_missing && exit 0
fi
echo "missing: please install$missing (Debian's package names) first" >&2
exit 1
