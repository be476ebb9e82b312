/* Other ways to another process's eventfd: pidfd_getfd where the kernel allows it, /proc where it
 * does not. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "pair.h"
#include "peer.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(borrowed, .init = tk_setup, .fini = tk_teardown, .timeout = 30);
TestSuite(borrowed_proc, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int by_libc(int pidfd, int fd)
{
	return pidfd_getfd(pidfd, fd, 0);
}

static int by_syscall(int pidfd, int fd)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
}

static int (*const ways[])(int, int) = {by_libc, by_syscall};

static int open_pidfd(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		cr_skip_test("no pidfd_open here: %s", strerror(errno));
	return pidfd;
}

/* -errno, or the fd; a kernel that refuses ends the test. */
static int borrow(int way, int pidfd, int fd)
{
	errno = 77;
	int got = ways[way](pidfd, fd);
	if (got < 0 && (errno == ENOSYS || errno == EPERM))
		cr_skip_test("no pidfd_getfd here: %s", strerror(errno));
	cr_assert(got < 0 || errno == 77);
	return got < 0 ? -errno : got;
}

static void expect_shared(struct peer p, int fd, int there)
{
	efd_add(fd, 3);
	cr_assert_eq(peer_do(p, PEER_READ, there, 0, 0).value, 3);
	cr_assert_eq(peer_do(p, PEER_WRITE, there, 0, 4).ret, 8);
	efd_expect(fd, 4);
	efd_expect_empty(fd);
}

Test(borrowed, pidfd_getfd_brings_the_same_object)
{
	for (int i = 0; i < 4; i++) {
		struct peer p = peer_start(i / 2);
		int number = (int)peer_do(p, PEER_MAKE, 0, EFD_NONBLOCK, 6).ret;
		int pidfd = open_pidfd(p.pid), fd = borrow(i % 2, pidfd, number);
		cr_assert_geq(fd, 0, "%s", strerror(-fd));
		cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
		efd_expect(fd, 6);
		expect_shared(p, fd, 0);
		close(pidfd);
		peer_end(p);
		efd_add(fd, 9);
		efd_expect(fd, 9);
		efd_close(fd);
	}
}

Test(borrowed, and_its_events)
{
	for (int i = 0; i < 4; i++) {
		struct peer p = peer_start(i / 2);
		int number = (int)peer_do(p, PEER_MAKE, 0, EFD_NONBLOCK, 0).ret;
		cr_assert_eq(peer_do(p, PEER_SET, 0, EPOLLIN | EPOLLET, 5).ret, 0);
		int pidfd = open_pidfd(p.pid), fd = borrow(i % 2, pidfd, number);
		cr_assert_geq(fd, 0, "%s", strerror(-fd));
		int set = set_watching(fd, EPOLLIN | EPOLLOUT | EPOLLET, 8);
		cr_assert_eq(set_event(set), EPOLLOUT);
		for (int round = 0; round < 3; round++) {
			peer_ask_asleep(p, PEER_WAIT, 1, 0, 0);
			efd_add(fd, 1);
			cr_assert_eq(peer_answer(p).ret, EPOLLIN);
			cr_assert_eq(set_event(set), EPOLLIN | EPOLLOUT);
			cr_assert_eq(peer_do(p, PEER_WRITE, 0, 0, 1).ret, 8);
			cr_assert_eq(set_event(set), EPOLLIN | EPOLLOUT);
			cr_assert_eq(peer_do(p, PEER_LOOK, 1, 0, 0).ret, EPOLLIN);
		}
		close(pidfd);
		close(set);
		efd_close(fd);
		peer_end(p);
	}
}

Test(borrowed, of_an_epoll_set_brings_a_set_that_reports)
{
	struct peer p = peer_start(PEER_EXECED);
	int pidfd = open_pidfd(p.pid), fd = efd_open(0, EFD_NONBLOCK);
	int number = (int)peer_do(p, PEER_MAKE, 0, 0, 0).ret;
	peer_send_one(p, fd);
	cr_assert_eq(peer_do(p, PEER_SET, 1, EPOLLIN, 50).ret, 0);
	for (int i = 0; i < 40; i++) {
		int set = borrow(0, pidfd, number + i);
		struct epoll_event event;
		int n = set < 0 ? -1 : epoll_wait(set, &event, 1, 0);
		if (n == 0) {
			efd_add(fd, 1);
			cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
			cr_assert_eq(event.data.u64, 50);
			efd_expect(fd, 1);
		}
		if (set >= 0)
			close(set);
		if (n == 0)
			break;
		cr_assert_lt(i, 39, "no epoll set among the peer's fds");
	}
	close(pidfd);
	efd_close(fd);
	peer_end(p);
}

Test(borrowed, of_our_own_is_a_copy)
{
	int pidfd = open_pidfd(getpid()), fd = efd_open(2, 0);
	for (int way = 0; way < 2; way++) {
		int copy = borrow(way, pidfd, fd);
		cr_assert_geq(copy, 0, "%s", strerror(-copy));
		efd_expect(copy, 2);
		efd_add(copy, 2);
		efd_close(copy);
	}
	efd_expect(fd, 2);
	efd_close(fd);
	close(pidfd);
}

Test(borrowed, of_a_number_that_is_not_open_is_EBADF)
{
	int pidfd = open_pidfd(getpid()), fd = efd_open(2, 0);
	efd_close(fd);
	for (int way = 0; way < 2; way++)
		cr_assert_eq(borrow(way, pidfd, fd), -EBADF);
	close(pidfd);
}

static const char *path_of(const char *process, int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/%s/fd/%d", process, fd);
	return path;
}

static const char *process_of(pid_t pid)
{
	static char name[16];
	snprintf(name, sizeof(name), "%d", (int)pid);
	return name;
}

static const int open_flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_NONBLOCK,
	O_RDONLY | O_CLOEXEC, O_RDWR | O_CREAT, O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW,
	O_RDWR | O_TRUNC};

/* What the kernel says of its own eventfd, for libc's. */
static void open_both(const char *ours, const char *kernel, int flags)
{
	long by_kernel = tk_raw_syscall(SYS_openat, AT_FDCWD, addr(kernel), flags, 0600, 0, 0);
	cr_assert_lt(by_kernel, 0, "the kernel opens an eventfd");
	FAILS(open(ours, flags, 0600), (int)-by_kernel);
	FAILS(openat(AT_FDCWD, ours, flags, 0600), (int)-by_kernel);
	FAILS(syscall(SYS_openat, AT_FDCWD, ours, flags, 0600), (int)-by_kernel);
}

static void open_anew(const char *process, struct both b)
{
	char ours[64], kernel[64];
	strcpy(ours, path_of(process, b.ours));
	strcpy(kernel, path_of(process, b.kernel));
	for (size_t i = 0; i < ARRAY_LEN(open_flags); i++)
		open_both(ours, kernel, open_flags[i]);
}

Test(borrowed_proc, ours_cannot_be_opened_anew)
{
	struct both b = both_open(1, 0);
	open_anew("self", b);
	open_anew("thread-self", b);
	open_anew(process_of(getpid()), b);
	both_close(b);
}

static void opens_its_parents(void *arg)
{
	const struct both *b = arg;
	char ours[64], kernel[64];
	const char *parent = process_of(getppid());
	strcpy(ours, path_of(parent, b->ours));
	strcpy(kernel, path_of(parent, b->kernel));
	for (size_t i = 0; i < ARRAY_LEN(open_flags); i++) {
		int flags = open_flags[i];
		long answer = tk_raw_syscall(SYS_openat, AT_FDCWD, addr(kernel), flags, 0600, 0, 0);
		CHECK(answer < 0);
		CHECK(open(ours, flags, 0600) == -1 && errno == -answer);
	}
}

Test(borrowed_proc, nor_the_parents_by_a_child)
{
	struct both b = both_open(1, 0);
	in_child(opens_its_parents, &b);
	both_close(b);
}

Test(borrowed_proc, nor_an_unrelated_processs)
{
	struct peer p = peer_start(PEER_EXECED);
	int kernel = (int)tk_raw_syscall(SYS_eventfd2, 1, 0, 0, 0, 0, 0);
	int number = (int)peer_do(p, PEER_MAKE, 0, 0, 1).ret;
	char ours[64];
	strcpy(ours, path_of(process_of(p.pid), number));
	for (size_t i = 0; i < ARRAY_LEN(open_flags); i++)
		open_both(ours, path_of("self", kernel), open_flags[i]);
	cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).value, 1);
	cr_assert_eq(close(kernel), 0);
	peer_end(p);
}

Test(borrowed_proc, the_link_of_an_unrelated_processs)
{
	struct peer p = peer_start(PEER_EXECED);
	char target[64] = "";
	int number = (int)peer_do(p, PEER_MAKE, 0, 0, 1).ret;
	cr_assert_gt(readlink(path_of(process_of(p.pid), number), target, 63), 0);
	cr_assert_str_eq(target, "anon_inode:[eventfd]");
	peer_end(p);
}

static void expect_info(pid_t pid, int number, const char *line)
{
	char path[64], text[1024] = "";
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, number);
	int info = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(info, 0, "%s", strerror(errno));
	cr_assert_gt(read(info, text, sizeof(text) - 1), 0);
	cr_assert_eq(close(info), 0);
	cr_assert(strstr(text, line), "no '%s' in:\n%s", line, text);
}

Test(borrowed_proc, fdinfo_of_an_unrelated_processs)
{
	struct peer p = peer_start(PEER_EXECED);
	int number = (int)peer_do(p, PEER_MAKE, 0, EFD_NONBLOCK, 0x5a).ret;
	expect_info(p.pid, number, "flags:\t04002\n");
	expect_info(p.pid, number, "eventfd-count:               5a\n");
	cr_assert_eq(peer_do(p, PEER_WRITE, 0, 0, 1).ret, 8);
	expect_info(p.pid, number, "eventfd-count:               5b\n");
	cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).ret, 8);
	expect_info(p.pid, number, "eventfd-count:                0\n");
	peer_end(p);
}
