#!/usr/bin/env bash
# The library's face to the dynamic linker: what it exports, what it needs, how it is laid out.
. "$(dirname "$0")/lib.sh"

# The functions that are the library's own, not libc's.
own='efdshim_version asyncfd asyncfd_add_results asyncfd_fget asyncfd_submit efd_fput eventfd_fget eventfd_signal
eventpoll_create eventpoll_ctl eventpoll_wait io_getevents io_pgetevents io_submit'

# What the library must not lean on, in any path: some of them may run in a signal handler.
# vsnprintf is there for dprintf alone, which no signal handler may call
unsafe='malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|asprintf|vasprintf|printf|fprintf|vfprintf|dprintf|snprintf|sprintf|puts|fputs|fwrite|perror|syslog|pthread_mutex_\w+|pthread_rwlock_\w+|pthread_spin_\w+|pthread_once|pthread_cond_\w+|sem_\w+|__tls_get_addr|pthread_key_create|pthread_setspecific|localtime|strerror|usleep|nanosleep|sleep'

listed() {
	echo '#include "sys/symbols.h"
#define NAME(type, name, parameters) efdshim_lists name;
#define ALIAS(name, function) efdshim_lists name;
SYMBOLS(NAME, ALIAS)' | compile -E -P -x c - | grep -o 'efdshim_lists *\w*' | sed 's/.* //'
}

exported() { nm -D --defined-only "$lib" | awk '{ sub(/@.*/, "", $NF); print $NF }'; }

dynamic() { readelf -dW "$lib" | grep -E "$1"; }

# same NAME FILE FILE
same() {
	local more less
	less=$(comm -23 "$2" "$3" | paste -sd' ')
	more=$(comm -13 "$2" "$3" | paste -sd' ')
	verdict "$1" "${less:+missing: $less }${more:+too many: $more}"
}

# shellcheck disable=SC2086 # one word a name
own=$(printf '%s\n' $own)
{ listed && echo "$own"; } | sort >"$tmp/listed"
exported | sort >"$tmp/exported"
same 'the library exports what its list names, and nothing else' "$tmp/listed" "$tmp/exported"
verdict 'the list names no symbol twice' "$(uniq -d "$tmp/listed" | paste -sd' ')"
verdict 'every exported symbol is a function' "$(nm -D --defined-only "$lib" | awk '$2 != "T" { print $3 }' | paste -sd' ')"
verdict 'every exported symbol has no version, so that it stands for all of them' \
	"$(nm -D --defined-only "$lib" | grep @ | paste -sd' ')"
verdict 'it needs libc and the loader only' "$(dynamic NEEDED |
	grep -vE '\[(libc\.so\.6|libdl\.so\.2|libpthread\.so\.0|ld-linux.*)\]' | paste -sd' ')"
verdict 'it has its name' "$(dynamic 'SONAME.*\[libefdshim\.so\]' >/dev/null || echo 'no SONAME libefdshim.so')"
verdict 'it has no text relocations' "$(dynamic TEXTREL)"
verdict 'its symbols are bound when it is loaded' \
	"$(dynamic 'BIND_NOW|FLAGS.*NOW' >/dev/null || echo 'no BIND_NOW')"
verdict 'no segment can be written and executed' "$(readelf -lW "$lib" | grep -E ' RWE ')"
verdict 'it imports nothing that allocates, locks or prints' \
	"$(nm -D --undefined-only "$lib" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -xE "$unsafe" | paste -sd' ')"

grep -vxF "$own" "$tmp/exported" | sed 's/.*/NAME(&)/' >"$build/exported.h"
program resolve -fPIC -I"$build"
passes 'a preloaded program finds the library by every name' env LD_PRELOAD="$lib" "$build/resolve" "$lib"
exit $failed
