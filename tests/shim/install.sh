#!/usr/bin/env bash
# What 'make install' puts in place: a program finds the library by pkg-config, and needs no LD_PRELOAD.
# shellcheck source=tests/shim/lib.sh
. "$(dirname "$0")/lib.sh"
place=$tmp/usr
tool() { "$root/tests/need.sh" "$1" >/dev/null 2>&1; }

passes 'make install' env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s --no-print-directory -C "$root" install "B=$(dirname "$lib")" "PREFIX=$place"

there=
for file in bin/efdshim lib/libefdshim.so lib/pkgconfig/efdshim.pc include/efdshim/{eventfd,asyncfd,eventpoll}.h \
	share/man/man3/{eventfd_signal,asyncfd,eventpoll}.3; do
	[ -s "$place/$file" ] || there="$there $file is not there;"
done
verdict 'its files' "$there"

if tool pkg-config; then
	export PKG_CONFIG_PATH=$place/lib/pkgconfig
	verdict 'the version pkg-config tells' "$([ "$(pkg-config --modversion efdshim)" = "$("$place/bin/efdshim" --version | grep -o '[0-9.]*$')" ] ||
		echo "it is $(pkg-config --modversion efdshim)")"
	# shellcheck disable=SC2046 # words
	passes 'a program built by pkg-config' "${CC:-cc}" -Wall -Wextra -Werror -o "$tmp/linked" "$here/linked.c" $(pkg-config --cflags --libs efdshim)
	passes 'it runs without LD_PRELOAD' env "LD_LIBRARY_PATH=$place/lib" "EFDSHIM_DIR=$state" "$tmp/linked"
	passes 'the same under efdshim run' env "LD_LIBRARY_PATH=$place/lib" "$place/bin/efdshim" run --dir "$state" -- "$tmp/linked"
	# shellcheck disable=SC2046
	passes 'one of C++' "${CXX:-c++}" -Wall -Wextra -Werror -o "$tmp/linked++" -x c++ "$here/linked.c" -x none $(pkg-config --cflags --libs efdshim)
	passes 'it runs, too' env "LD_LIBRARY_PATH=$place/lib" "EFDSHIM_DIR=$state" "$tmp/linked++"
else
	left_out 'programs linked with the library' 'pkg-config is not there'
fi

if tool mandoc; then
	for page in "$place"/share/man/man3/*.3; do
		passes "the man page $(basename "$page")" mandoc -Tlint -Wwarning "$page"
	done
else
	left_out 'the man pages' 'mandoc is not there'
fi

# Each function of the headers has a page, and is exported.
missing=
for name in $(cat "$root"/include/efdshim/*.h | grep -E '^(int|void|struct efd_file \*)' | grep -oE '(eventfd|efd|asyncfd|eventpoll)[a-z_]*\(' | tr -d '(' | sort -u); do
	grep -q "$name" "$place"/share/man/man3/*.3 || missing="$missing $name has no page;"
	nm -D --defined-only "$place/lib/libefdshim.so" | grep -q " T $name$" || missing="$missing $name is not exported;"
done
verdict 'every function of the headers' "$missing"
exit $failed
