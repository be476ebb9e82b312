#include "sys/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/lookup.h"
#include "sys/raw.h"

_Atomic int real_resolved;

/* This thread is inside real_resolve: what dlsym calls must not come back here. */
static _Thread_local int resolving;

static long answer(long ret)
{
	if (ret >= 0 || ret < -4095)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* Stands in for a function that libc lacks. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static ssize_t early_read(int fd, void *buf, size_t n)
{
	return answer(raw_read(fd, buf, n));
}

static ssize_t early_write(int fd, const void *buf, size_t n)
{
	return answer(raw_write(fd, buf, n));
}

static ssize_t early_pread(int fd, void *buf, size_t n, off_t at)
{
	return answer(raw_syscall6(SYS_pread64, fd, (long)buf, (long)n, at, 0, 0));
}

static int early_close(int fd)
{
	return (int)answer(raw_close(fd));
}

static int early_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned);
	va_end(args);
	return (int)answer(raw_openat(dir, path, flags, mode));
}

static int early_open(const char *path, int flags, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned);
	va_end(args);
	return (int)answer(raw_openat(AT_FDCWD, path, flags, mode));
}

static ssize_t early_readlink(const char *path, char *buf, size_t n)
{
	return answer(raw_syscall6(SYS_readlinkat, AT_FDCWD, (long)path, (long)buf, (long)n, 0, 0));
}

static int early_fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return (int)answer(raw_fcntl(fd, cmd, arg));
}

static int early_fstat(int fd, struct stat *st)
{
	return (int)answer(raw_syscall3(SYS_fstat, fd, (long)st, 0));
}

static int early_fxstat(int version, int fd, struct stat *st)
{
	(void)version;
	return early_fstat(fd, st);
}

static int early_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return (int)answer(raw_syscall6(SYS_newfstatat, dir, (long)path, (long)st, flags, 0, 0));
}

static int early_stat(const char *path, struct stat *st)
{
	return early_fstatat(AT_FDCWD, path, st, 0);
}

static void *early_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	return (void *)answer(raw_syscall6(SYS_mmap, (long)at, (long)n, prot, flags, fd, offset));
}

static int early_munmap(void *at, size_t n)
{
	return (int)answer(raw_syscall3(SYS_munmap, (long)at, (long)n, 0));
}

static int early_mprotect(void *at, size_t n, int prot)
{
	return (int)answer(raw_syscall3(SYS_mprotect, (long)at, (long)n, prot));
}

static int early_epoll_pwait2(int epfd, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	return (int)answer(raw_syscall6(
		SYS_epoll_pwait2, epfd, (long)events, max, (long)timeout, (long)mask, 8));
}

/* These serve for good where libc lacks the function. */
static int early_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	return (int)answer(raw_syscall6(SYS_statx, dir, (long)path, flags, mask, (long)st, 0));
}

static ssize_t early_preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return answer(raw_syscall6(SYS_preadv2, fd, (long)iov, n, at, 0, flags));
}

static ssize_t early_pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return answer(raw_syscall6(SYS_pwritev2, fd, (long)iov, n, at, 0, flags));
}

static int early_close_range(unsigned from, unsigned to, int flags)
{
	return (int)answer(raw_syscall3(SYS_close_range, from, to, flags));
}

static int early_execveat(
	int dir, const char *path, char *const argv[], char *const environment[], int flags)
{
	return (int)answer(raw_syscall6(
		SYS_execveat, dir, (long)path, (long)argv, (long)environment, flags, 0));
}

static long early_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	return answer(raw_syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static void early_exit(int status)
{
	raw_syscall3(SYS_exit_group, status, 0, 0);
}

struct real real_table = {
	.read = early_read,
	.write = early_write,
	.pread = early_pread,
	.close = early_close,
	.open = early_open,
	.openat = early_openat,
	.readlink = early_readlink,
	.fcntl = early_fcntl,
	.fstat = early_fstat,
	.__fxstat = early_fxstat,
	.stat = early_stat,
	.fstatat = early_fstatat,
	.mmap = early_mmap,
	.munmap = early_munmap,
	.mprotect = early_mprotect,
	.epoll_pwait2 = early_epoll_pwait2,
	.statx = early_statx,
	.preadv2 = early_preadv2,
	.pwritev2 = early_pwritev2,
	.close_range = early_close_range,
	.execveat = early_execveat,
	.syscall = early_syscall,
	._exit = early_exit,
};

#define NAME(type, name, parameters) #name "\0"
#define NO_NAME(name, function)

/* The names of the table's functions, one behind the other. */
static const char function_names[] = SYMBOLS(NAME, NO_NAME);

enum { FUNCTIONS = sizeof(struct real) / sizeof(void *) };

static void set(size_t place, void *function)
{
	memcpy((void **)&real_table + place, &function, sizeof(function));
}

static void *get(size_t place)
{
	void *function;

	memcpy(&function, (void **)&real_table + place, sizeof(function));
	return function;
}

static void ask_dlsym(struct lookup *name)
{
	name->address = dlsym(RTLD_NEXT, name->name);
	name->result = name->address ? LOOKUP_FOUND : LOOKUP_ABSENT;
	if (!name->address)
		dlerror(); /* the program must not find our failed lookups */
}

void real_resolve(void)
{
	struct lookup functions[FUNCTIONS];
	const char *name = function_names;
	int saved = errno;

	if (resolving)
		return;
	resolving = 1;
	for (size_t i = 0; i < FUNCTIONS; i++) {
		functions[i].name = name;
		name += strlen(name) + 1;
		if (!get(i)) /* before dlsym: it may call an allocator */
			set(i, (void *)missing);
	}
	lookup_all(functions, FUNCTIONS, LOOKUP_NEXT);
	for (size_t i = 0; i < FUNCTIONS; i++) {
		if (functions[i].result == LOOKUP_UNSURE)
			ask_dlsym(&functions[i]);
		if (functions[i].result == LOOKUP_FOUND)
			set(i, functions[i].address);
	}
	resolving = 0;
	atomic_store_explicit(&real_resolved, 1, memory_order_release);
	errno = saved;
}
