/* Calls that change mappings: remembered pages are forgotten. After the real call, but for rings,
 * which other threads are at without the program's saying so: whoever could know that it has
 * returned verifies anew; who races with it had no right to the page before either. These run while
 * the process is being built. */
#include <stdarg.h>
#include <sys/mman.h>

#include "interpose/interpose.h"

#include "core/asyncring.h"
#include "core/usermem.h"

/* Pages that can be loaded and stored afterwards leave nothing to verify. */
static bool takes_away(int prot)
{
	return (prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	void *ret = real()->mmap(at, n, prot, flags, fd, offset);

	if ((flags & MAP_FIXED) && (takes_away(prot) || !(flags & MAP_ANONYMOUS)))
		usermem_forget();
	return ret;
}

int munmap(void *at, size_t n)
{
	int ret;

	asyncring_unmapping(at, n);
	ret = real()->munmap(at, n);
	usermem_forget();
	return ret;
}

int mprotect(void *at, size_t n, int prot)
{
	int ret = real()->mprotect(at, n, prot);

	if (takes_away(prot))
		usermem_forget();
	return ret;
}

int pkey_mprotect(void *at, size_t n, int prot, int key)
{
	int ret = real()->pkey_mprotect(at, n, prot, key);

	usermem_forget();
	return ret;
}

void *mremap(void *at, size_t n, size_t to, int flags, ...)
{
	void *target = NULL;
	va_list args;
	void *ret;

	va_start(args, flags);
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		target = va_arg(args, void *);
	va_end(args);
	ret = real()->mremap(at, n, to, flags, target);
	usermem_forget();
	return ret;
}

int shmdt(const void *at)
{
	int ret = real()->shmdt(at);

	usermem_forget();
	return ret;
}

SYMBOLS_MEM(SHIM_NO_ALIAS, SHIM_ALIAS)
