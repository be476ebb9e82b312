#include "core/scratch.h"

#include <sys/mman.h>

#include "sys/raw.h"

void *scratch_get(struct scratch *scratch, size_t bytes)
{
	long map;

	scratch->mapped = NULL;
	if (bytes <= sizeof(scratch->small))
		return scratch->small;
	map = raw_syscall6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	scratch->mapped = (void *)map;
	scratch->bytes = bytes;
	return scratch->mapped;
}

void scratch_put(void *arg)
{
	struct scratch *scratch = arg;

	if (scratch->mapped)
		raw_syscall3(SYS_munmap, (long)scratch->mapped, (long)scratch->bytes, 0);
}
