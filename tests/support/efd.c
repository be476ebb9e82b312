#include "efd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ERRNO_BEFORE = 12345 };

static long result(long ret, const char *call)
{
	if (ret == -1)
		return -errno;
	cr_assert_eq(errno, ERRNO_BEFORE, "%s succeeds and sets errno to %d", call, errno);
	return ret;
}

long efd_try_read(int fd, uint64_t *value)
{
	errno = ERRNO_BEFORE;
	return result(read(fd, value, sizeof(*value)), "read");
}

long efd_try_write(int fd, uint64_t value)
{
	errno = ERRNO_BEFORE;
	return result(write(fd, &value, sizeof(value)), "write");
}

int efd_open(unsigned initval, int flags)
{
	errno = ERRNO_BEFORE;
	int fd = (int)result(eventfd(initval, flags), "eventfd");
	cr_assert(fd >= 0, "eventfd: errno %d", -fd);
	return fd;
}

void efd_close(int fd)
{
	errno = ERRNO_BEFORE;
	cr_assert_eq(result(close(fd), "close"), 0);
}

void efd_add(int fd, uint64_t value)
{
	long ret = efd_try_write(fd, value);
	cr_assert_eq(ret, 8, "write: %ld", ret);
}

static long read_now(int fd, uint64_t *value)
{
	int flags = fcntl(fd, F_GETFL);
	cr_assert(flags >= 0);
	cr_assert_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	long ret = efd_try_read(fd, value);
	cr_assert_eq(fcntl(fd, F_SETFL, flags), 0);
	return ret;
}

void efd_expect(int fd, uint64_t value)
{
	uint64_t got = 0;
	long ret = read_now(fd, &got);
	cr_assert_eq(ret, 8, "read: %ld", ret);
	cr_assert_eq(got, value, "read %#llx, not %#llx", (unsigned long long)got,
		(unsigned long long)value);
}

void efd_expect_empty(int fd)
{
	uint64_t got = 0;
	long ret = read_now(fd, &got);
	cr_assert_eq(ret, -EAGAIN, "read: %ld, value %#llx", ret, (unsigned long long)got);
}
