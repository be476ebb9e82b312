#define _GNU_SOURCE
#include "twin.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ERRNO_BEFORE = 12345, DRAIN_LIMIT = 100 };

static unsigned char before[TWIN_WATCH_MAX];
static unsigned char after_kernel[TWIN_WATCH_MAX];

struct call {
	const char *name;
	long nr;
	long (*libc)(int fd, long a, long b);
};

static long libc_read(int fd, long a, long b)
{
	return read(fd, (void *)a, (size_t)b);
}

static long libc_write(int fd, long a, long b)
{
	return write(fd, (const void *)a, (size_t)b);
}

static long libc_readv(int fd, long a, long b)
{
	return readv(fd, (const struct iovec *)a, (int)b);
}

static long libc_writev(int fd, long a, long b)
{
	return writev(fd, (const struct iovec *)a, (int)b);
}

static long libc_fcntl(int fd, long a, long b)
{
	return fcntl(fd, (int)a, (int)b);
}

static const struct call call_read = {"read", SYS_read, libc_read};
static const struct call call_write = {"write", SYS_write, libc_write};
static const struct call call_readv = {"readv", SYS_readv, libc_readv};
static const struct call call_writev = {"writev", SYS_writev, libc_writev};
static const struct call call_fcntl = {"fcntl", SYS_fcntl, libc_fcntl};

static long run_libc(const struct call *c, int fd, long a, long b)
{
	errno = ERRNO_BEFORE;
	long ret = c->libc(fd, a, b);
	if (ret != -1)
		cr_assert_eq(errno, ERRNO_BEFORE, "%s changed errno to %d", c->name, errno);
	return ret == -1 ? -errno : ret;
}

static long run_both(struct twin *t, const struct call *c, long a, long b)
{
	if (t->len)
		memcpy(before, t->mem, t->len);
	long kernel = tk_raw_syscall(c->nr, t->kernel, a, b, 0, 0, 0);
	if (t->len) {
		memcpy(after_kernel, t->mem, t->len);
		memcpy(t->mem, before, t->len);
	}
	long libc = run_libc(c, t->libc, a, b);
	cr_assert_eq(libc, kernel, "%s(%#lx, %ld): %ld, the kernel says %ld", c->name,
		(unsigned long)a, b, libc, kernel);
	if (t->len)
		cr_assert(memcmp(t->mem, after_kernel, t->len) == 0,
			"%s(%#lx, %ld) stored other bytes than the kernel", c->name,
			(unsigned long)a, b);
	return libc;
}

struct twin twin_open(unsigned initval, int flags)
{
	struct twin t = {.libc = eventfd(initval, flags)};
	cr_assert(t.libc >= 0);
	t.kernel = (int)tk_raw_syscall(SYS_eventfd2, initval, flags, 0, 0, 0, 0);
	cr_assert(t.kernel >= 0);
	return t;
}

void twin_watch(struct twin *t, void *mem, size_t len)
{
	cr_assert(len <= TWIN_WATCH_MAX);
	t->mem = mem;
	t->len = len;
}

long twin_read(struct twin *t, void *buf, size_t len)
{
	return run_both(t, &call_read, (long)buf, (long)len);
}

long twin_write(struct twin *t, const void *buf, size_t len)
{
	return run_both(t, &call_write, (long)buf, (long)len);
}

long twin_readv(struct twin *t, const struct iovec *iov, int count)
{
	return run_both(t, &call_readv, (long)iov, count);
}

long twin_writev(struct twin *t, const struct iovec *iov, int count)
{
	return run_both(t, &call_writev, (long)iov, count);
}

long twin_setfl(struct twin *t, int flags)
{
	return run_both(t, &call_fcntl, F_SETFL, flags);
}

void twin_add(struct twin *t, uint64_t value)
{
	cr_assert_eq(twin_write(t, &value, sizeof(value)), 8);
}

uint64_t twin_drain(struct twin *t)
{
	uint64_t sum = 0, value;
	cr_assert_eq(twin_setfl(t, O_NONBLOCK), 0);
	twin_watch(t, &value, sizeof(value));
	for (int i = 0; i < DRAIN_LIMIT; i++) {
		value = 0;
		if (twin_read(t, &value, sizeof(value)) != 8)
			break;
		sum += value;
	}
	twin_watch(t, NULL, 0);
	return sum;
}

void twin_close(struct twin *t)
{
	twin_drain(t);
	cr_assert_eq(tk_raw_syscall(SYS_close, t->kernel, 0, 0, 0, 0, 0), 0);
	cr_assert_eq(close(t->libc), 0);
}
