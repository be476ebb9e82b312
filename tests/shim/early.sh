#!/usr/bin/env bash
# The shim at odd moments and in odd company: before constructors, at exit, beside other libraries, where it is not.
. "$(dirname "$0")/lib.sh"
work=$here/work.c
program plain "$work"
program preinit "$work"
program leaving "$work"
program counted "$work"
program smallstack "$work"
program opener "$work"
program noerrno
library first "$work" "$here/prog.c"
library plugin "$work" "$here/prog.c"
library counting
library allocator

without='without the shim: '
cases "$without" plain "${plain[@]}"
cases "$without" leaving "${plain[@]}"
cases "$without" smallstack "${plain[@]}"
cases "${without}errno is left alone: " noerrno "${plain[@]}"

# Before the library's constructor, and after its destructor. Constructors run in the reverse order of LD_PRELOAD.
preloaded "$lib" "$build/libfirst.so"
passes "in another library's constructor that runs before the shim's" "${shim[@]}" "$build/plain" nothing
passes 'there, with EFDSHIM_MODE=missing' "${shim[@]}" SERVED=kernel EFDSHIM_MODE=missing "$build/plain" nothing
passes 'there, with EFDSHIM_MIRROR=always' "${shim[@]}" EFDSHIM_MIRROR=always "$build/plain" everything
preloaded "$build/libfirst.so" "$lib"
passes "in another library's constructor that runs after the shim's" "${shim[@]}" "$build/plain" nothing
preloaded "$lib"
passes "${without}in .preinit_array" "${plain[@]}" "$build/preinit"
# libc has not set environ up yet: the default directory serves
passes 'in .preinit_array' "${shim[@]}" SERVED_IN= "$build/preinit"
# At that time the environment is not there yet: the shim uses its directory of default.
for binding in lazy now; do
	if compile -Wl,-z,$binding -o "$build/resolver" "$here/resolver.c" "$here/prog.c" 2>/dev/null &&
		env SERVED=kernel "$build/resolver" 2>/dev/null; then
		passes "in the resolver of an indirect function, symbols bound by -z $binding" "${shim[@]}" SERVED_IN= "$build/resolver"
	else
		left_out "in the resolver of an indirect function, -z $binding" 'this compiler or libc cannot'
	fi
done
cases 'while the process ends: ' leaving "${shim[@]}" EFDSHIM_STATS=

# Beside other libraries.
for order in "$lib $build/liballocator.so" "$build/liballocator.so $lib"; do
	# shellcheck disable=SC2086 # two words
	preloaded $order
	way='in front of'
	[ "${order%% *}" = "$lib" ] && way=behind
	passes "an allocator that calls open, read, mmap and eventfd, $way the shim" "${shim[@]}" "$build/plain" everything
	passes "that allocator $way the shim, in a shell" "${shim[@]}" sh -c 'x=$(echo a | cat) && [ "$x" = a ]'
done
preloaded "$build/libcounting.so" "$lib"
passes 'another interposer in front of the shim sees every call' "${shim[@]}" "$build/counted" 'in front' ordinary
passes 'and the program works' "${shim[@]}" "$build/counted" everything
preloaded "$lib" "$build/libcounting.so"
passes "another interposer behind the shim sees the calls on others' fds" "${shim[@]}" "$build/counted" behind ordinary
passes 'and then the program works, too' "${shim[@]}" "$build/counted" everything
preloaded "$lib" "$lib"
passes 'the shim preloaded twice' "${shim[@]}" "$build/plain" everything
mkdir -p "$build/copy" && cp "$lib" "$build/copy/libefdshim-copy.so"
preloaded "$lib" "$build/copy/libefdshim-copy.so"
passes 'a copy of the shim behind the shim' "${shim[@]}" "$build/plain" everything
preloaded "$lib"
for way in local global deep; do
	who=any
	[ $way = deep ] || who=shim
	passes "a library that was loaded by dlopen, $way" "${shim[@]}" SERVED=$who "$build/opener" "$build/libplugin.so" $way
done

# Linked rather than preloaded.
program plain "$work" -Wl,--no-as-needed -L"$(dirname "$lib")" "-l:$(basename "$lib")" "-Wl,-rpath,$(dirname "$lib")"
passes 'a program that is linked with the shim' "${shim[@]}" LD_PRELOAD= "$build/plain" everything
passes 'a program that is linked with it and preloads it' "${shim[@]}" "$build/plain" everything
cp "$build/plain" "$build/linked"
program plain "$work"

# Sanitizers, whose runtimes interpose, too.
asan=(ASAN_OPTIONS=verify_asan_link_order=0)
if compile -fsanitize=address -o "$build/asan" "$here/plain.c" "$here/prog.c" "$work" 2>/dev/null; then
	passes 'a program built with AddressSanitizer' "${shim[@]}" "${asan[@]}" "$build/asan" everything
	passes 'with EFDSHIM_MIRROR=always' "${shim[@]}" "${asan[@]}" EFDSHIM_MIRROR=always "$build/asan" everything
else
	left_out 'a program built with AddressSanitizer' 'this compiler cannot'
fi

# Where the shim is not.
for kind in static static-pie; do
	if compile -$kind -o "$build/$kind" "$here/plain.c" "$here/prog.c" "$work" 2>/dev/null; then
		passes "a program built with -$kind" "${shim[@]}" SERVED=kernel "$build/$kind" everything
	else
		left_out "a program built with -$kind" 'this compiler cannot'
	fi
done

# Setuid: the loader drops LD_PRELOAD; where the program is linked with the library, it does not heed the environment.
other=65533
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
setuid_copy() {
	cp "$1" "$open/$2" && chown $other "$open/$2" && chmod 4755 "$open/$2"
}
open=$(mktemp -d) && chmod 755 "$open"
trap 'rm -rf "$tmp" "$open"' EXIT
if is_root && setuid_copy "$(command -v id)" id && [ "$(nobody "$open/id" -u)" = $other ]; then
	setuid_copy "$build/plain" plain
	passes 'a setuid program' "${shim[@]}" SERVED=kernel setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$open/plain" everything
	cp "$lib" "$open/"
	program plain "$work" -Wl,--no-as-needed -L"$open" "-l:$(basename "$lib")" "-Wl,-rpath,$open"
	setuid_copy "$build/plain" linked
	mkdir -m 777 "$tmp/lure" && chmod 711 "$tmp"
	passes 'a setuid program that is linked with the shim ignores its variables' env SERVED=any \
		EFDSHIM_DIR="$tmp/lure/state" EFDSHIM_DEBUG=1 EFDSHIM_STATS=1 EFDSHIM_MODE=missing \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$open/linked" everything
	verdict 'and makes nothing where they say' "$(ls -A "$tmp/lure")"
	rm -rf "/dev/shm/efdshim-$other"
	program plain "$work"
else
	left_out 'a setuid program' 'needs root and a file system that allows it'
fi

# Small stacks, and errno.
cases '' smallstack "${shim[@]}"
cases 'mirrored: ' smallstack "${shim[@]}" EFDSHIM_MIRROR=always
cases 'errno is left alone: ' noerrno "${shim[@]}"
rm -rf "$state" && mkdir -m 755 "$state"
cases 'errno is left alone where the kernel serves: ' noerrno "${shim[@]}" SERVED=kernel
exit $failed
