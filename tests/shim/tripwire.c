/* They are defined here, in the program, which the dynamic linker asks first: also for the
 * library's calls. */
#include "tripwire.h"
#include "prog.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#define OLDEST_VERSION "GLIBC_2.2.5"
#else
#define OLDEST_VERSION "GLIBC_2.17"
#endif

_Thread_local const char *tripwire;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *old, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *old);

__attribute__((noinline)) static void touch(const char *function)
{
	char line[160];
	const char *doing = tripwire;

	if (!doing)
		return;
	tripwire = NULL;
	snprintf(line, sizeof(line), "%s: calls %s", doing, function);
	prog_fail(line);
}

void *malloc(size_t n)
{
	touch("malloc");
	return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	touch("calloc");
	return __libc_calloc(count, n);
}

void *realloc(void *old, size_t n)
{
	touch("realloc");
	return __libc_realloc(old, n);
}

void *memalign(size_t alignment, size_t n)
{
	touch("memalign");
	return __libc_memalign(alignment, n);
}

void free(void *old)
{
	touch("free");
	__libc_free(old);
}

#define REAL(name) ((__typeof__(&name))dlvsym(RTLD_NEXT, #name, OLDEST_VERSION))

/* The last call is a jump (touch() must not be inlined): RTLD_NEXT depends on where dlsym was
 * called from. */
void *dlsym(void *handle, const char *name)
{
	static void *(*real)(void *, const char *);

	touch("dlsym");
	if (!real)
		real = REAL(dlsym);
	return real(handle, name);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static int (*real)(pthread_mutex_t *);

	touch("pthread_mutex_lock");
	if (!real)
		real = REAL(pthread_mutex_lock);
	return real(mutex);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	static int (*real)(pthread_rwlock_t *);

	touch("pthread_rwlock_rdlock");
	if (!real)
		real = REAL(pthread_rwlock_rdlock);
	return real(lock);
}

FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*real)(const char *, const char *);

	touch("fopen");
	if (!real)
		real = REAL(fopen);
	return real(path, mode);
}
