#include "sys/sparse.h"

#include <sys/mman.h>

#include "sys/raw.h"

long sparse_map(size_t bytes, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	long map = raw_syscall6(SYS_mmap, 0, (long)bytes, PROT_NONE, flags, fd, 0);
	long err;

	if (map < 0 && map > -4096)
		return map;
	raw_syscall3(SYS_munlock, map, (long)bytes, 0);
	err = raw_syscall3(SYS_mprotect, map, (long)bytes, PROT_READ | PROT_WRITE);
	if (!err)
		return map;
	raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return err;
}
