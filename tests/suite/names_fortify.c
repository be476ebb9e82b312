/* The fortified names: they do what the plain ones do, and abort where the buffer is too small. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

TestSuite(fortify, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(open_names, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void *chk_name(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);
	if (!found)
		cr_skip_test("no %s in this libc", name);
	return found;
}

typedef ssize_t read_chk(int, void *, size_t, size_t);
typedef ssize_t pread_chk(int, void *, size_t, off_t, size_t);
typedef int poll_chk(struct pollfd *, nfds_t, int, size_t);
typedef int ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
typedef ssize_t readlink_chk(const char *, char *, size_t, size_t);
typedef ssize_t readlinkat_chk(int, const char *, char *, size_t, size_t);
typedef ssize_t recv_chk(int, void *, size_t, size_t, int);

Test(fortify, __read_chk_reads)
{
	read_chk *call = chk_name("__read_chk");
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value = 0;
	SAME(b, call(fd, &value, 4, 8), SYS_read, fd, addr(&value), 4);
	SAME(b, call(fd, &value, 8, 8), SYS_read, fd, addr(&value), 8);
	cr_assert_eq(value, 6);
	SAME(b, call(fd, &value, 8, 8), SYS_read, fd, addr(&value), 8);
	both_close(b);
}

Test(fortify, __read_chk_aborts_on_overflow, .signal = SIGABRT)
{
	read_chk *call = chk_name("__read_chk");
	uint64_t value[2];
	call(eventfd(6, EFD_NONBLOCK), value, 16, 8);
}

Test(fortify, __pread_chk_answers_as_pread)
{
	pread_chk *call = chk_name("__pread_chk");
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value;
	SAME(b, call(fd, &value, 8, 0, 8), SYS_pread64, fd, addr(&value), 8, 0);
	both_close(b);
}

Test(fortify, __pread_chk_aborts_on_overflow, .signal = SIGABRT)
{
	pread_chk *call = chk_name("__pread_chk");
	uint64_t value[2];
	call(eventfd(6, EFD_NONBLOCK), value, 16, 0, 8);
}

Test(fortify, __pread64_chk_answers_as_pread)
{
	pread_chk *call = chk_name("__pread64_chk");
	struct both b = both_open(6, EFD_NONBLOCK);
	uint64_t value;
	SAME(b, call(fd, &value, 8, 0, 8), SYS_pread64, fd, addr(&value), 8, 0);
	both_close(b);
}

Test(fortify, __pread64_chk_aborts_on_overflow, .signal = SIGABRT)
{
	pread_chk *call = chk_name("__pread64_chk");
	uint64_t value[2];
	call(eventfd(6, EFD_NONBLOCK), value, 16, 0, 8);
}

Test(fortify, __poll_chk_polls)
{
	poll_chk *call = chk_name("__poll_chk");
	int fd = new_eventfd(1, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	errno = ERRNO_CANARY;
	cr_assert_eq(call(&p, 1, 0, sizeof(p)), 1);
	cr_assert_eq(p.revents, POLLIN | POLLOUT);
	cr_assert_eq(errno, ERRNO_CANARY);
	assert_count(fd, 1);
	p.events = POLLIN;
	cr_assert_eq(call(&p, 1, 0, sizeof(p)), 0);
	cr_assert_eq(close(fd), 0);
}

Test(fortify, __poll_chk_aborts_on_overflow, .signal = SIGABRT)
{
	poll_chk *call = chk_name("__poll_chk");
	struct pollfd p[2] = {{.fd = eventfd(1, 0), .events = POLLIN}, {.fd = -1}};
	call(p, 2, 0, sizeof(p) / 2);
}

Test(fortify, __ppoll_chk_polls)
{
	ppoll_chk *call = chk_name("__ppoll_chk");
	int fd = new_eventfd(1, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	const struct timespec now = {0};
	cr_assert_eq(call(&p, 1, NULL, NULL, sizeof(p)), 1);
	cr_assert_eq(p.revents, POLLIN);
	assert_count(fd, 1);
	cr_assert_eq(call(&p, 1, &now, NULL, sizeof(p)), 0);
	cr_assert_eq(close(fd), 0);
}

Test(fortify, __ppoll_chk_aborts_on_overflow, .signal = SIGABRT)
{
	ppoll_chk *call = chk_name("__ppoll_chk");
	struct pollfd p[2] = {{.fd = eventfd(1, 0), .events = POLLIN}, {.fd = -1}};
	call(p, 2, NULL, NULL, sizeof(p) / 2);
}

static const char *link_of(int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

Test(fortify, __readlink_chk_reads_the_link)
{
	readlink_chk *call = chk_name("__readlink_chk");
	int fd = new_eventfd(1, 0);
	char text[64] = "";
	cr_assert_eq(call(link_of(fd), text, 63, sizeof(text)), 20);
	cr_assert_str_eq(text, "anon_inode:[eventfd]");
	cr_assert_eq(close(fd), 0);
}

Test(fortify, __readlink_chk_aborts_on_overflow, .signal = SIGABRT)
{
	readlink_chk *call = chk_name("__readlink_chk");
	char text[64];
	call(link_of(eventfd(1, 0)), text, 64, 32);
}

Test(fortify, __readlinkat_chk_reads_the_link)
{
	readlinkat_chk *call = chk_name("__readlinkat_chk");
	int fd = new_eventfd(1, 0);
	char text[64] = "";
	cr_assert_eq(call(AT_FDCWD, link_of(fd), text, 63, sizeof(text)), 20);
	cr_assert_str_eq(text, "anon_inode:[eventfd]");
	cr_assert_eq(close(fd), 0);
}

Test(fortify, __readlinkat_chk_aborts_on_overflow, .signal = SIGABRT)
{
	readlinkat_chk *call = chk_name("__readlinkat_chk");
	char text[64];
	call(AT_FDCWD, link_of(eventfd(1, 0)), text, 64, 32);
}

Test(fortify, __recv_chk_is_ENOTSOCK)
{
	recv_chk *call = chk_name("__recv_chk");
	int fd = new_eventfd(1, 0);
	char text[8];
	FAILS(call(fd, text, 8, 8, 0), ENOTSOCK);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

typedef int open_2(const char *, int);
typedef int openat_2(int, const char *, int);

static void assert_shows_count(int info, const char *expected)
{
	char text[512] = "";
	cr_assert_geq(info, 0, "%s", strerror(errno));
	cr_assert_gt(read(info, text, sizeof(text) - 1), 0);
	cr_assert(strstr(text, expected), "%s", text);
	cr_assert_eq(close(info), 0);
}

static void opens_fdinfo(open_2 *call)
{
	int fd = new_eventfd(0x1a, 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_shows_count(call(path, O_RDONLY), "eventfd-count:               1a\n");
	FAILS(call(link_of(fd), O_RDWR), ENXIO);
	cr_assert_eq(close(fd), 0);
}

static void opens_fdinfo_at(openat_2 *call)
{
	int fd = new_eventfd(0x1a, 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_shows_count(call(AT_FDCWD, path, O_RDONLY), "eventfd-count:               1a\n");
	FAILS(call(AT_FDCWD, link_of(fd), O_RDWR), ENXIO);
	cr_assert_eq(close(fd), 0);
}

/* Names this libc does not export pass. */
#define OPEN_NAME(check, name)                                                                     \
	Test(open_names, name)                                                                     \
	{                                                                                          \
		void *found = dlsym(RTLD_DEFAULT, #name);                                          \
		if (found)                                                                         \
			check(found);                                                              \
	}

OPEN_NAME(opens_fdinfo, open)
OPEN_NAME(opens_fdinfo, open64)
OPEN_NAME(opens_fdinfo, __open)
OPEN_NAME(opens_fdinfo, __open64)
OPEN_NAME(opens_fdinfo, __open_2)
OPEN_NAME(opens_fdinfo, __open64_2)
OPEN_NAME(opens_fdinfo_at, openat)
OPEN_NAME(opens_fdinfo_at, openat64)
OPEN_NAME(opens_fdinfo_at, __openat_2)
OPEN_NAME(opens_fdinfo_at, __openat64_2)

Test(open_names, __open_2_with_O_CREAT_aborts, .signal = SIGABRT)
{
	open_2 *call = chk_name("__open_2");
	call("/proc/self/fdinfo/0", O_RDONLY | O_CREAT);
}

Test(open_names, __openat_2_with_O_CREAT_aborts, .signal = SIGABRT)
{
	openat_2 *call = chk_name("__openat_2");
	call(AT_FDCWD, "/proc/self/fdinfo/0", O_RDONLY | O_CREAT);
}
