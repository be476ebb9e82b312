#!/usr/bin/env bash
# How the shim finds the functions it stands in front of: as dlsym does, in whatever company.
. "$(dirname "$0")/lib.sh"
library looking "$root/shim/sys/lookup.c"
library counting
echo 'FIRST { global: read; write; }; SECOND { } FIRST;' >"$build/versions.map"
: >"$build/none.c"
echo 'int main(void) { return 0; }' >"$build/idle.c"
compile -o "$build/idle" "$build/idle.c"
compile -no-pie -fno-pie -o "$build/idle-fixed" "$build/idle.c"

# looks NAME DEMANDED PRELOADED COMMAND...
looks() {
	local name=$1 demanded=$2 preloaded=$3
	shift 3
	passes "$name" env "LD_PRELOAD=$preloaded" LOOKING="$demanded" "$@"
}

looks 'alone' sure "$build/liblooking.so" "$build/idle"
looks 'alone, in a program at a fixed address' sure "$build/liblooking.so" "$build/idle-fixed"
looks 'started by the loader itself' sure "$build/liblooking.so" "$(ldd "$build/idle" | grep -o '/[^ ]*ld-linux[^ ]*\|/[^ ]*ld-musl[^ ]*' | head -n 1)" "$build/idle"
looks 'in front of another interposer' sure "$build/liblooking.so:$build/libcounting.so" "$build/idle"
looks 'behind another interposer' sure "$build/libcounting.so:$build/liblooking.so" "$build/idle"
looks 'in front of the shim' sure "$build/liblooking.so:$lib" "$build/idle"
looks 'behind the shim' sure "$lib:$build/liblooking.so" "$build/idle"
looks 'in a program with many libraries' sure "$build/liblooking.so:$build/libcounting.so" bash -c :

if compile -shared -fPIC -Wl,--version-script="$build/versions.map" -o "$build/libversions.so" "$here/versions.c" 2>"$tmp/said"; then
	looks 'in front of an interposer with versions and an indirect function' '' "$build/liblooking.so:$build/libversions.so" "$build/idle"
else
	left_out 'an interposer with versions and an indirect function' 'this compiler or libc cannot'
fi
for style in sysv both; do
	if compile -shared -fPIC -Wl,--hash-style=$style -o "$build/libhash-$style.so" "$here/counting.c" -ldl 2>/dev/null; then
		looks "in front of an interposer linked with --hash-style=$style" '' "$build/liblooking.so:$build/libhash-$style.so" "$build/idle"
	else
		left_out "an interposer linked with --hash-style=$style" 'this linker cannot'
	fi
done
if compile -shared -fPIC -Wl,-f,libcounting.so -o "$build/libauxiliary.so" "$here/counting.c" -ldl 2>/dev/null; then
	looks 'in front of a library that has another one stand in' '' \
		"$build/liblooking.so:$build/libauxiliary.so" env LD_LIBRARY_PATH="$build" "$build/idle"
else
	left_out 'a library that has another one stand in' 'this linker cannot'
fi
echo 'unsigned la_version(unsigned version) { return version; }' >"$build/audit.c"
compile -shared -fPIC -Wno-missing-prototypes -o "$build/libaudit.so" "$build/audit.c"
passes 'auditors have a say' env LD_PRELOAD="$build/liblooking.so" LOOKING=unsure LD_AUDIT="$build/libaudit.so" "$build/idle"

cat >"$build/loads.c" <<'END'
#include <dlfcn.h>
int main(int argc, char **argv)
{
	return argc != 2 || !dlopen(argv[1], RTLD_NOW);
}
END
compile -o "$build/loads" "$build/loads.c" -ldl
looks 'loaded by dlopen it leaves all to dlsym' unsure '' "$build/loads" "$build/liblooking.so"
compile -shared -fPIC -Wl,--no-as-needed -o "$build/libwith.so" "$build/none.c" -L"$build" -lc -l:liblooking.so -l:libcounting.so \
	"-Wl,-rpath,$build" 2>/dev/null
looks 'needed by what is loaded by dlopen, behind libc' unsure '' "$build/loads" "$build/libwith.so"

if compile -fsanitize=address -o "$build/idle-asan" "$build/idle.c" 2>/dev/null; then
	looks 'in a program built with AddressSanitizer' sure "$build/liblooking.so" \
		env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "$build/idle-asan"
	looks 'in one that has its runtime inside' sure "$build/liblooking.so" \
		env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "$build/idle"
else
	left_out 'a program built with AddressSanitizer' 'this compiler cannot'
fi
cat >"$build/nodlsym.c" <<'END'
#include <unistd.h>
void *dlsym(void *handle, const char *name);
void *dlsym(void *handle, const char *name)
{
	return write(STDERR_FILENO, "dlsym\n", 6) < 0 || !name ? handle : NULL;
}
END
compile -shared -fPIC -o "$build/libnodlsym.so" "$build/nodlsym.c"
passes 'the shim itself does not ask dlsym when it is loaded' env LD_PRELOAD="$build/libnodlsym.so:$lib" "$build/idle"
exit $failed
