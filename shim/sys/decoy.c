#include "sys/decoy.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "sys/passing.h"
#include "sys/raw.h"

int decoy_open(uint64_t count)
{
	int fd = passing_eventfd(EFD_NONBLOCK);

	if (fd >= 0 && count)
		raw_write(fd, &count, sizeof(count));
	return fd;
}

void decoy_close(int fd)
{
	passing_close(fd);
}

int decoy_read_error(const void *address, size_t n)
{
	int fd = decoy_open(0);
	long ret;

	if (fd < 0)
		return EFAULT;
	ret = raw_read(fd, (void *)(uintptr_t)address, n);
	decoy_close(fd);
	return ret < 0 ? (int)-ret : 0;
}

long decoy_syscall(long nr, const long args[6], unsigned fakes)
{
	long asked[6];
	int fd = decoy_open(0);
	long ret;

	if (fd < 0)
		return fd;
	memcpy(asked, args, sizeof(asked));
	for (unsigned i = 0; i < 6; i++) {
		if (fakes & 1u << i)
			asked[i] = fd;
	}
	ret = raw_syscall6(nr, asked[0], asked[1], asked[2], asked[3], asked[4], asked[5]);
	decoy_close(fd);
	return ret;
}
