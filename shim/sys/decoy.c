#include "sys/decoy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "sys/older.h"
#include "sys/passing.h"
#include "sys/raw.h"

int decoy_open(uint64_t count)
{
	int fd = passing_eventfd(EFD_NONBLOCK);

	if (fd >= 0 && count)
		raw_write(fd, &count, sizeof(count));
	return fd;
}

static _Atomic bool stands_in;

bool decoy_stands_in(void)
{
	return atomic_load(&stands_in);
}

int decoy_alike(void)
{
	int fd = decoy_open(0);

	if (fd != -ENOSYS)
		return fd;
	atomic_store(&stands_in, true);
	return older_flagged(passing_epoll(), O_NONBLOCK);
}

void decoy_close(int fd)
{
	passing_close(fd);
}

/* The same of a pipe, which takes fewer than 8 bytes. */
static int alike_read_error(const void *address, size_t n)
{
	int ends[2];
	long ret;

	if (passing_pipe(ends))
		return EFAULT;
	ret = raw_read(ends[0], (void *)(uintptr_t)address, n);
	passing_close(ends[0]);
	passing_close(ends[1]);
	if (ret == -EFAULT)
		return EFAULT;
	return n < sizeof(uint64_t) ? EINVAL : (int)-ret;
}

int decoy_read_error(const void *address, size_t n)
{
	int fd = decoy_open(0);
	long ret;

	if (fd == -ENOSYS)
		return alike_read_error(address, n);
	if (fd < 0)
		return EFAULT;
	ret = raw_read(fd, (void *)(uintptr_t)address, n);
	decoy_close(fd);
	return ret < 0 ? (int)-ret : 0;
}

long decoy_syscall(long nr, const long args[6], unsigned fakes)
{
	long asked[6];
	int fd = decoy_alike();
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
