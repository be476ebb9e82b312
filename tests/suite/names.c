/* Every name under which libc exports a call meets an eventfd the same way. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

TestSuite(names, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

/* Names this libc does not export pass. */
#define NAME(check, name)                                                                          \
	Test(names, name)                                                                          \
	{                                                                                          \
		void *found = dlsym(RTLD_DEFAULT, #name);                                          \
		if (found)                                                                         \
			check(found);                                                              \
	}

static void check_read(ssize_t (*call)(int, void *, size_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 0;
	SAME(b, call(fd, &value, 4), SYS_read, fd, addr(&value), 4);
	SAME(b, call(fd, &value, 8), SYS_read, fd, addr(&value), 8);
	SAME(b, call(fd, &value, 8), SYS_read, fd, addr(&value), 8);
	both_write(b, 2);
	cr_assert_eq(call(b.ours, &value, 100), 8);
	cr_assert_eq(value, 2);
	add(b.ours, 2);
	both_close(b);
}

NAME(check_read, read)
NAME(check_read, __read)

static void check_write(ssize_t (*call)(int, const void *, size_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 3, all = UINT64_MAX, most = UINT64_MAX - 1;
	SAME(b, call(fd, &value, 8), SYS_write, fd, addr(&value), 8);
	SAME(b, call(fd, &value, 7), SYS_write, fd, addr(&value), 7);
	SAME(b, call(fd, &all, 8), SYS_write, fd, addr(&all), 8);
	SAME(b, call(fd, &most, 8), SYS_write, fd, addr(&most), 8);
	both_close(b);
}

NAME(check_write, write)
NAME(check_write, __write)

static void check_readv(ssize_t (*call)(int, const struct iovec *, int))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint32_t halves[2];
	struct iovec iov[2] = {{&halves[0], 4}, {&halves[1], 4}};
	SAME(b, call(fd, iov, 1), SYS_readv, fd, addr(iov), 1);
	SAME(b, call(fd, iov, 2), SYS_readv, fd, addr(iov), 2);
	SAME(b, call(fd, iov, 2), SYS_readv, fd, addr(iov), 2);
	both_close(b);
}

NAME(check_readv, readv)

static void check_writev(ssize_t (*call)(int, const struct iovec *, int))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t values[2] = {3, 4};
	struct iovec whole[2] = {{&values[0], 8}, {&values[1], 8}};
	struct iovec halves[2] = {{&values[0], 4}, {(char *)values + 4, 4}};
	SAME(b, call(fd, whole, 1), SYS_writev, fd, addr(whole), 1);
	SAME(b, call(fd, whole, 2), SYS_writev, fd, addr(whole), 2);
	SAME(b, call(fd, halves, 2), SYS_writev, fd, addr(halves), 2);
	both_close(b);
}

NAME(check_writev, writev)

static void check_pread(ssize_t (*call)(int, void *, size_t, off_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value;
	SAME(b, call(fd, &value, 8, 0), SYS_pread64, fd, addr(&value), 8, 0);
	SAME(b, call(fd, &value, 8, -1), SYS_pread64, fd, addr(&value), 8, -1);
	both_close(b);
}

NAME(check_pread, pread)
NAME(check_pread, pread64)
NAME(check_pread, __pread64)

static void check_pwrite(ssize_t (*call)(int, const void *, size_t, off_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 1;
	SAME(b, call(fd, &value, 8, 0), SYS_pwrite64, fd, addr(&value), 8, 0);
	SAME(b, call(fd, &value, 8, -1), SYS_pwrite64, fd, addr(&value), 8, -1);
	both_close(b);
}

NAME(check_pwrite, pwrite)
NAME(check_pwrite, pwrite64)
NAME(check_pwrite, __pwrite64)

static void check_preadv(ssize_t (*call)(int, const struct iovec *, int, off_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value;
	struct iovec iov = {&value, 8};
	SAME(b, call(fd, &iov, 1, 0), SYS_preadv, fd, addr(&iov), 1, 0, 0);
	both_close(b);
}

NAME(check_preadv, preadv)
NAME(check_preadv, preadv64)

static void check_pwritev(ssize_t (*call)(int, const struct iovec *, int, off_t))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 9;
	struct iovec iov = {&value, 8};
	SAME(b, call(fd, &iov, 1, 0), SYS_pwritev, fd, addr(&iov), 1, 0, 0);
	both_close(b);
}

NAME(check_pwritev, pwritev)
NAME(check_pwritev, pwritev64)

static void check_preadv2(ssize_t (*call)(int, const struct iovec *, int, off_t, int))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 0;
	struct iovec iov = {&value, 8};
	SAME(b, call(fd, &iov, 1, 0, 0), SYS_preadv2, fd, addr(&iov), 1, 0, 0, 0);
	SAME(b, call(fd, &iov, 1, -1, 0), SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0);
	SAME(b, call(fd, &iov, 1, -1, 0), SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0);
	both_close(b);
}

NAME(check_preadv2, preadv2)
NAME(check_preadv2, preadv64v2)

static void check_pwritev2(ssize_t (*call)(int, const struct iovec *, int, off_t, int))
{
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 7;
	struct iovec iov = {&value, 8};
	SAME(b, call(fd, &iov, 1, 0, 0), SYS_pwritev2, fd, addr(&iov), 1, 0, 0, 0);
	SAME(b, call(fd, &iov, 1, -1, 0), SYS_pwritev2, fd, addr(&iov), 1, -1, -1, 0);
	both_close(b);
}

NAME(check_pwritev2, pwritev2)
NAME(check_pwritev2, pwritev64v2)

static void check_lseek(off_t (*call)(int, off_t, int))
{
	struct both b = both_open(6, 0);
	SAME(b, call(fd, 0, SEEK_CUR), SYS_lseek, fd, 0, SEEK_CUR);
	SAME(b, call(fd, 4, SEEK_SET), SYS_lseek, fd, 4, SEEK_SET);
	both_close(b);
}

NAME(check_lseek, lseek)
NAME(check_lseek, lseek64)
NAME(check_lseek, __lseek)

static void check_close(int (*call)(int))
{
	int fd = new_eventfd(3, 0);
	errno = ERRNO_CANARY;
	cr_assert_eq(call(fd), 0);
	cr_assert_eq(errno, ERRNO_CANARY);
	assert_closed(fd);
	FAILS(call(fd), EBADF);
	int file = open("/dev/null", O_RDWR);
	cr_assert_eq(file, fd);
	cr_assert_eq(write(file, "abc", 3), 3);
	cr_assert_eq(call(file), 0);
}

NAME(check_close, close)
NAME(check_close, __close)

static void check_fcntl(int (*call)(int, int, ...))
{
	int fd = new_eventfd(3, EFD_CLOEXEC);
	errno = ERRNO_CANARY;
	cr_assert_eq(call(fd, F_GETFL), O_RDWR);
	cr_assert_eq(call(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(call(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(call(fd, F_GETFD), FD_CLOEXEC);
	int lowest = tk_lowest_free();
	errno = ERRNO_CANARY;
	int copy = call(fd, F_DUPFD, fd);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(copy, lowest);
	assert_count(copy, 3);
	if (!tk_refuses((long[7]){SYS_fcntl, fd, F_GETPIPE_SZ}))
		FAILS(call(fd, F_GETPIPE_SZ), EBADF);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(copy), 0);
}

NAME(check_fcntl, fcntl)
NAME(check_fcntl, fcntl64)
NAME(check_fcntl, __fcntl)

static void check_dup2(int (*call)(int, int))
{
	int a = new_eventfd(3, 0), b = new_eventfd(30, 0);
	cr_assert_eq(call(a, b), b);
	add(b, 1);
	assert_count(a, 4);
	FAILS(call(a, -1), EBADF);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

NAME(check_dup2, dup2)
NAME(check_dup2, __dup2)

static void check_poll(int (*call)(struct pollfd *, nfds_t, int))
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
	errno = ERRNO_CANARY;
	cr_assert_eq(call(&p, 1, 0), 1);
	cr_assert_eq(p.revents, POLLOUT);
	add(fd, 1);
	cr_assert_eq(call(&p, 1, -1), 1);
	cr_assert_eq(p.revents, POLLIN | POLLOUT);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(close(fd), 0);
}

NAME(check_poll, poll)
NAME(check_poll, __poll)

static void check_select(int (*call)(int, fd_set *, fd_set *, fd_set *, struct timeval *))
{
	int fd = new_eventfd(1, 0);
	fd_set in, out, except;
	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = except = in;
	errno = ERRNO_CANARY;
	cr_assert_eq(call(fd + 1, &in, &out, &except, &(struct timeval){0}), 2);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert(FD_ISSET(fd, &in) && FD_ISSET(fd, &out) && !FD_ISSET(fd, &except));
	assert_count(fd, 1);
	cr_assert_eq(call(fd + 1, &in, NULL, NULL, &(struct timeval){0}), 0);
	cr_assert_not(FD_ISSET(fd, &in));
	cr_assert_eq(close(fd), 0);
}

NAME(check_select, select)
NAME(check_select, __select)

static void check_send(ssize_t (*call)(int, const void *, size_t, int))
{
	int fd = new_eventfd(1, 0);
	uint64_t value = 1;
	FAILS(call(fd, &value, 8, 0), ENOTSOCK);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

NAME(check_send, send)
NAME(check_send, __send)

static void check_recv(ssize_t (*call)(int, void *, size_t, int))
{
	int fd = new_eventfd(1, 0);
	uint64_t value;
	FAILS(call(fd, &value, 8, 0), ENOTSOCK);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

NAME(check_recv, recv)
NAME(check_recv, __recv)

static void check_eventfd_read(int (*call)(int, eventfd_t *))
{
	int fd = new_eventfd(8, EFD_NONBLOCK);
	eventfd_t value;
	errno = ERRNO_CANARY;
	cr_assert_eq(call(fd, &value), 0);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(value, 8);
	FAILS(call(fd, &value), EAGAIN);
	cr_assert_eq(close(fd), 0);
}

NAME(check_eventfd_read, eventfd_read)

static void check_eventfd_write(int (*call)(int, eventfd_t))
{
	int fd = new_eventfd(8, EFD_NONBLOCK);
	cr_assert_eq(call(fd, 2), 0);
	FAILS(call(fd, UINT64_MAX), EINVAL);
	FAILS(call(fd, UINT64_MAX - 1), EAGAIN);
	assert_count(fd, 10);
	cr_assert_eq(close(fd), 0);
}

NAME(check_eventfd_write, eventfd_write)
