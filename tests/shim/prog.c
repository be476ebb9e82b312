#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

int prog_run(int argc, char **argv, const struct prog_case *cases, int count)
{
	bool list = argc == 2 && !strcmp(argv[1], "--list");

	for (int i = 0; i < count; i++) {
		if (list)
			puts(cases[i].name);
		for (int j = 1; j < argc; j++) {
			if (!strcmp(argv[j], cases[i].name))
				cases[i].run();
		}
	}
	return 0;
}

/* By bare system calls: it must work in any state of the process. */
void prog_fail(const char *what)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s (errno %d)\n", what, errno);

	raw_write(2, line, (size_t)n);
	raw_syscall3(SYS_exit_group, 1, 0, 0);
}

const char *prog_link(int fd)
{
	static _Thread_local char target[512];
	char path[64];
	long n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = raw_syscall6(
		SYS_readlinkat, AT_FDCWD, (long)path, (long)target, sizeof(target) - 1, 0, 0);
	target[n > 0 ? n : 0] = 0;
	return target;
}

/* The type of the file; -1 where fd is not open. An eventfd of the kernel's has none. */
static int type_of(int fd)
{
	struct stat st;

	return raw_syscall3(SYS_fstat, fd, (long)&st, 0) ? -1 : (int)(st.st_mode & S_IFMT);
}

/* In a chroot there may be no /proc. */
bool prog_is_kernels(int fd)
{
	const char *target = prog_link(fd);

	return type_of(fd) == 0 && (!*target || !strcmp(target, "anon_inode:[eventfd]"));
}

bool prog_is_fake(int fd)
{
	const char *target = prog_link(fd);
	const char *dir = getenv("SERVED_IN");
	size_t length = dir ? strlen(dir) : 0;

	if (type_of(fd) != S_IFIFO || !*target)
		return type_of(fd) == S_IFIFO;
	return !dir || (!strncmp(target, dir, length) && target[length] == '/');
}

static bool expected(const char *who)
{
	const char *served = getenv("SERVED");

	return served && !strcmp(served, who);
}

bool prog_expects_shim(void)
{
	return expected("shim");
}

static void fail_served(const char *wanted, int fd)
{
	char line[640];

	snprintf(
		line, sizeof(line), "not served by the %s: fd %d is %s", wanted, fd, prog_link(fd));
	prog_fail(line);
}

void prog_require_served(int fd)
{
	if (expected("shim") && !prog_is_fake(fd))
		fail_served("shim", fd);
	if (expected("kernel") && !prog_is_kernels(fd))
		fail_served("kernel", fd);
}

int prog_eventfd(unsigned initval, int flags)
{
	int fd = eventfd(initval, flags);

	require(fd >= 0, "eventfd");
	prog_require_served(fd);
	return fd;
}

unsigned long prog_take(int fd)
{
	eventfd_t value = 0;

	if (read(fd, &value, sizeof(value)) == sizeof(value))
		return value;
	require(errno == EAGAIN, "read of an eventfd");
	return 0;
}

void prog_add(int fd, unsigned long value)
{
	require(write(fd, &value, sizeof(value)) == sizeof(value), "write to an eventfd");
}

void prog_wait_asleep(int tid)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (int seen = 0; seen < 3; sched_yield()) {
		int fd = raw_openat(AT_FDCWD, path, O_RDONLY, 0);
		long n = raw_read(fd, line, sizeof(line) - 1);
		const char *paren;

		raw_close(fd);
		require(n > 0, "the state of a thread");
		line[n] = 0;
		paren = strrchr(line, ')');
		seen = paren && paren[2] == 'S' ? seen + 1 : 0;
	}
}
