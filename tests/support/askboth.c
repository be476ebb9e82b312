#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct answer raw_answer(long ret)
{
	if (ret < 0 && ret >= -4095)
		return (struct answer){-1, (int)-ret, 0};
	return (struct answer){ret, 0, 0};
}

/* What the library stands in for on kernels without it. */
static bool is_promised(const long nr_and_args[7])
{
	switch (nr_and_args[0]) {
	case SYS_fcntl:
		return nr_and_args[2] == F_DUPFD_CLOEXEC;
	case SYS_dup3:
	case SYS_epoll_pwait:
	case SYS_signalfd4: /* of fd -1 it makes one */
	case SYS_timerfd_gettime:
	case SYS_timerfd_settime:
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
#endif
#ifdef SYS_close_range
	case SYS_close_range:
#endif
		return true;
	default:
		return false;
	}
}

struct answer answer_of_kernel(const long nr_and_args[7])
{
	const long *a = nr_and_args + 1;
	struct answer answer =
		raw_answer(tk_raw_syscall(nr_and_args[0], a[0], a[1], a[2], a[3], a[4], a[5]));

	if (!is_promised(nr_and_args))
		answer.elsewhere = tk_refuses(nr_and_args);
	return answer;
}

long libc_syscall(const long nr_and_args[7])
{
	const long *a = nr_and_args + 1;
	return syscall(nr_and_args[0], a[0], a[1], a[2], a[3], a[4], a[5]);
}

struct answer answer_of_libc(const char *call, long ret)
{
	if (ret == -1)
		return (struct answer){-1, errno, 0};
	cr_assert_eq(errno, ERRNO_CANARY, "%s succeeds and changes errno to %d", call, errno);
	return (struct answer){ret, 0, 0};
}

void assert_same_answer(const char *call, struct answer libc, struct answer kernel)
{
	if (kernel.elsewhere && libc.ret == -1 && libc.err == kernel.elsewhere)
		return;
	cr_assert(libc.ret == kernel.ret && libc.err == kernel.err,
		"%s: %ld (%s), but the kernel says %ld (%s)", call, libc.ret, strerror(libc.err),
		kernel.ret, strerror(kernel.err));
}

long errno_from(int err)
{
	if (!err)
		return 0;
	errno = err;
	return -1;
}

struct both both_open(unsigned int initval, int flags)
{
	struct both b = {.ours = new_eventfd(initval, flags)};
	b.kernel = (int)tk_raw_syscall(SYS_eventfd2, initval, flags, 0, 0, 0, 0);
	cr_assert_geq(b.kernel, 0);
	return b;
}

void both_write(struct both b, uint64_t value)
{
	SAME(b, write(fd, &value, sizeof(value)), SYS_write, fd, addr(&value), sizeof(value));
}

static void assert_same_count(struct both b)
{
	uint64_t ours = 0, kernel = 0;
	fcntl(b.ours, F_SETFL, O_NONBLOCK);
	tk_raw_syscall(SYS_fcntl, b.kernel, F_SETFL, O_NONBLOCK, 0, 0, 0);
	ssize_t got = read(b.ours, &ours, sizeof(ours));
	struct answer libc = {got, got < 0 ? errno : 0, 0};
	long ret = tk_raw_syscall(SYS_read, b.kernel, addr(&kernel), sizeof(kernel), 0, 0, 0);
	assert_same_answer("the read at the end", libc, raw_answer(ret));
	cr_assert_eq(ours, kernel, "count %llx, kernel's %llx", (unsigned long long)ours,
		(unsigned long long)kernel);
}

void both_close(struct both b)
{
	SAME(b, fcntl(fd, F_GETFL), SYS_fcntl, fd, F_GETFL);
	SAME(b, fcntl(fd, F_GETFD), SYS_fcntl, fd, F_GETFD);
	assert_same_count(b);
	SAME(b, close(fd), SYS_close, fd);
}

int new_eventfd(unsigned int initval, int flags)
{
	int fd = eventfd(initval, flags);
	cr_assert_geq(fd, 0, "eventfd: %s", strerror(errno));
	return fd;
}

void add(int fd, uint64_t value)
{
	cr_assert_eq(write(fd, &value, sizeof(value)), 8, "write: %s", strerror(errno));
}

uint64_t take(int fd)
{
	uint64_t value;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	cr_assert_eq(poll(&p, 1, 0), 1, "a read would block");
	cr_assert_eq(read(fd, &value, sizeof(value)), 8, "read: %s", strerror(errno));
	return value;
}

void assert_count(int fd, uint64_t count)
{
	uint64_t value = take(fd);
	cr_assert_eq(value, count, "count %llu, not %llu", (unsigned long long)value,
		(unsigned long long)count);
}

void assert_empty(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	cr_assert_eq(poll(&p, 1, 0), 0, "fd %d: revents %x", fd, (unsigned int)p.revents);
}

void assert_errno(const char *call, long ret, int err)
{
	cr_assert_eq(ret, -1, "%s returns %ld", call, ret);
	cr_assert_eq(errno, err, "%s: %s, not %s", call, strerror(errno), strerror(err));
}

void assert_closed(int fd)
{
	uint64_t value = 1;
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	FAILS(fcntl(fd, F_GETFD), EBADF);
	FAILS(write(fd, &value, sizeof(value)), EBADF);
	FAILS(read(fd, &value, sizeof(value)), EBADF);
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(p.revents, POLLNVAL);
}

void check_in_child(bool ok, int line, const char *what)
{
	if (ok)
		return;
	dprintf(2, "line %d, in the child: %s is false (errno %d)\n", line, what, errno);
	_exit(line % 255 + 1);
}

pid_t start_child(void (*run)(void *), void *arg)
{
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(arg);
	_exit(0);
}

void end_child(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "the child dies of signal %d", WTERMSIG(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "line %d (modulo 255) fails in the child",
		WEXITSTATUS(status) - 1);
}

void in_child(void (*run)(void *), void *arg)
{
	end_child(start_child(run, arg));
}
