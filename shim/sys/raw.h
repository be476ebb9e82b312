/* System calls as bare instructions: no errno, no cancellation, nothing anyone can interpose.
 * Every call returns what the kernel returns: a value, or -errno. */
#ifndef EFDSHIM_SYS_RAW_H
#define EFDSHIM_SYS_RAW_H

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#if defined(__x86_64__)
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "efdshim knows the system call instruction of x86-64 and aarch64 only"
#endif

static inline long raw_syscall3(long nr, long a, long b, long c)
{
	return raw_syscall6(nr, a, b, c, 0, 0, 0);
}

static inline long raw_read(int fd, void *buf, size_t n)
{
	return raw_syscall3(SYS_read, fd, (long)buf, (long)n);
}

static inline long raw_write(int fd, const void *buf, size_t n)
{
	return raw_syscall3(SYS_write, fd, (long)buf, (long)n);
}

static inline int raw_close(int fd)
{
	return (int)raw_syscall3(SYS_close, fd, 0, 0);
}

static inline int raw_openat(int dirfd, const char *path, int flags, unsigned mode)
{
	return (int)raw_syscall6(SYS_openat, dirfd, (long)path, flags, mode, 0, 0);
}

static inline int raw_fcntl(int fd, int cmd, long arg)
{
	return (int)raw_syscall3(SYS_fcntl, fd, cmd, arg);
}

static inline int raw_eventfd(unsigned initval, int flags)
{
	return (int)raw_syscall3(SYS_eventfd2, initval, flags, 0);
}

static inline int raw_epoll_ctl(int epfd, int op, int fd, void *event)
{
	return (int)raw_syscall6(SYS_epoll_ctl, epfd, op, fd, (long)event, 0, 0);
}

/* Kernels before 2.6.22 have no private futexes: what is called private there is shared. */
static inline long raw_futex_until(
	const void *word, int op, uint32_t value, const struct timespec *timeout)
{
	long ret = raw_syscall6(SYS_futex, (long)word, op, value, (long)timeout, 0, 0);

	if (ret == -ENOSYS && (op & FUTEX_PRIVATE_FLAG))
		ret = raw_syscall6(SYS_futex, (long)word, op & ~FUTEX_PRIVATE_FLAG, value,
			(long)timeout, 0, 0);
	return ret;
}

static inline long raw_futex(const void *word, int op, uint32_t value)
{
	return raw_futex_until(word, op, value, NULL);
}

/* Without waiting; by the older call where there is one. */
static inline long raw_poll_now(void *fds, unsigned n)
{
#ifdef SYS_poll
	return raw_syscall3(SYS_poll, (long)fds, n, 0);
#else
	struct timespec now = {0, 0};

	return raw_syscall6(SYS_ppoll, (long)fds, n, (long)&now, 0, 0, 0);
#endif
}

/* Of what can be read. */
static inline long raw_select_now(int n, void *fds)
{
	struct timespec now = {0, 0};

#ifdef SYS_select
	return raw_syscall6(SYS_select, n, (long)fds, 0, 0, (long)&now, 0);
#else
	return raw_syscall6(SYS_pselect6, n, (long)fds, 0, 0, (long)&now, 0);
#endif
}

static inline int raw_getpid(void)
{
	return (int)raw_syscall3(SYS_getpid, 0, 0, 0);
}

#endif
