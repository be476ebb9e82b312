/* What the tests use and not every C library has; comes before every test's source. */
#ifndef LIBC_H
#define LIBC_H

#include <features.h>

#ifndef __GLIBC__
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef STATX_TYPE
#include <linux/stat.h>

static inline int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	return (int)syscall(SYS_statx, dir, path, flags, mask, st);
}
#endif

#ifndef RWF_HIPRI
#define RWF_HIPRI 1
#define RWF_DSYNC 2
#define RWF_SYNC 4
#define RWF_NOWAIT 8
#define RWF_APPEND 16

static inline ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return syscall(SYS_preadv2, fd, iov, n, at, 0, flags);
}

static inline ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return syscall(SYS_pwritev2, fd, iov, n, at, 0, flags);
}
#endif

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

static inline void closefrom(int first)
{
	close_range((unsigned)first, ~0U, 0);
}
#endif

static inline int epoll_pwait2(int epfd, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, 8);
}

static inline int execveat(
	int dir, const char *path, char *const argv[], char *const environment[], int flags)
{
	return (int)syscall(SYS_execveat, dir, path, argv, environment, flags);
}

static inline const char *strerrorname_np(int err)
{
	return strerror(err);
}

#define fcntl64 fcntl

/* What musl does not check, and the kernel does. */
static inline int checked_epoll_create(int size)
{
	return size > 0 ? epoll_create(size) : epoll_create1(-1);
}

static inline int checked_dup3(int from, int to, int flags)
{
	return flags & ~O_CLOEXEC ? (int)syscall(SYS_dup3, from, to, flags) : dup3(from, to, flags);
}

static inline FILE *checked_fdopen(int fd, const char *mode)
{
	return fcntl(fd, F_GETFD) < 0 ? NULL : fdopen(fd, mode);
}

#define fdopen checked_fdopen
#define epoll_create checked_epoll_create
#define dup3 checked_dup3
#endif

#endif
