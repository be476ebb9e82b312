/* Copies made by fcntl, and how waiting sees copies. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(dup_fcntl, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void close_both(int a, int b)
{
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(dup_fcntl, F_DUPFD_takes_the_lowest_number_from_its_argument_on)
{
	int a = new_eventfd(2, EFD_CLOEXEC);
	errno = ERRNO_CANARY;
	int b = fcntl(a, F_DUPFD, 100);
	int c = fcntl(a, F_DUPFD, 100);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(b, 100);
	cr_assert_eq(c, 101);
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	add(c, 1);
	assert_count(b, 3);
	close_both(a, b);
	cr_assert_eq(close(c), 0);
}

Test(dup_fcntl, F_DUPFD_from_zero_is_dup)
{
	int a = new_eventfd(2, 0);
	int lowest = tk_lowest_free();
	int b = fcntl(a, F_DUPFD, 0);
	cr_assert_eq(b, lowest);
	assert_count(b, 2);
	close_both(a, b);
}

Test(dup_fcntl, F_DUPFD_CLOEXEC_sets_close_on_exec)
{
	int a = new_eventfd(2, 0);
	int b = fcntl(a, F_DUPFD_CLOEXEC, 50);
	cr_assert_eq(b, 50);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	assert_count(b, 2);
	close_both(a, b);
}

Test(dup_fcntl, F_DUPFD_of_a_closed_number_is_EBADF)
{
	int a = new_eventfd(2, 0);
	cr_assert_eq(close(a), 0);
	FAILS(fcntl(a, F_DUPFD, 0), EBADF);
	FAILS(fcntl(a, F_DUPFD_CLOEXEC, 0), EBADF);
	FAILS(fcntl(-1, F_DUPFD, 0), EBADF);
}

Test(dup_fcntl, F_DUPFD_from_an_impossible_number_is_EINVAL)
{
	struct both b = both_open(2, 0);
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	SAME(b, fcntl(fd, F_DUPFD, -1), SYS_fcntl, fd, F_DUPFD, -1);
	SAME(b, fcntl(fd, F_DUPFD_CLOEXEC, -1), SYS_fcntl, fd, F_DUPFD_CLOEXEC, -1);
	SAME(b, fcntl(fd, F_DUPFD, limit.rlim_cur), SYS_fcntl, fd, F_DUPFD, (long)limit.rlim_cur);
	both_close(b);
}

Test(dup_fcntl, copies_made_by_fcntl_share_O_NONBLOCK)
{
	int a = new_eventfd(0, 0);
	int b = fcntl(a, F_DUPFD, 0), on = 1, off = 0;
	uint64_t value;
	cr_assert_eq(ioctl(a, FIONBIO, &on), 0);
	cr_assert_eq(fcntl(b, F_GETFL), O_RDWR | O_NONBLOCK);
	FAILS(read(b, &value, 8), EAGAIN);
	cr_assert_eq(ioctl(b, FIONBIO, &off), 0);
	cr_assert_eq(fcntl(a, F_GETFL), O_RDWR);
	close_both(a, b);
}

Test(dup_fcntl, FIOCLEX_is_each_numbers_own)
{
	int a = new_eventfd(0, 0), b = dup(a);
	cr_assert_eq(ioctl(b, FIOCLEX), 0);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(ioctl(b, FIONCLEX), 0);
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	close_both(a, b);
}

Test(dup_fcntl, a_copy_keeps_the_number_when_the_original_number_is_a_file)
{
	int a = new_eventfd(5, 0);
	int b = fcntl(a, F_DUPFD, 30);
	cr_assert_eq(close(a), 0);
	int file = open("/dev/null", O_RDWR);
	cr_assert_eq(file, a);
	add(b, 1);
	assert_count(b, 6);
	cr_assert_eq(read(file, &(uint64_t){0}, 8), 0);
	close_both(b, file);
}

Test(dup_fcntl, poll_of_one_sees_a_write_to_the_other)
{
	int a = new_eventfd(0, 0), b = dup(a);
	struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
	add(b, 1);
	cr_assert_eq(poll(p, 2, 0), 2);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, POLLIN);
	close_both(a, b);
}

static void watch(int ep, int fd, uint64_t data)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = data};
	cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0, "%s", strerror(errno));
}

Test(dup_fcntl, epoll_watches_each_copy_by_itself)
{
	int ep = epoll_create1(0), a = new_eventfd(0, 0), b = dup(a);
	struct epoll_event got[4], again = {.events = EPOLLIN};
	watch(ep, a, 1);
	watch(ep, b, 2);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, a, &again), EEXIST);
	add(a, 1);
	cr_assert_eq(epoll_wait(ep, got, 4, 0), 2);
	cr_assert_eq(got[0].data.u64 + got[1].data.u64, 3);
	close_both(a, b);
	cr_assert_eq(close(ep), 0);
}

Test(dup_fcntl, epoll_reports_a_closed_number_while_a_copy_lives)
{
	int ep = epoll_create1(0), a = new_eventfd(0, 0), b = dup(a);
	struct epoll_event got[4];
	watch(ep, a, 77);
	cr_assert_eq(close(a), 0);
	add(b, 1);
	cr_assert_eq(epoll_wait(ep, got, 4, 0), 1);
	cr_assert_eq(got[0].data.u64, 77);
	FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL), EBADF);
	FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, b, NULL), ENOENT);
	close_both(b, ep);
}

Test(dup_fcntl, epoll_forgets_an_eventfd_with_its_last_copy)
{
	int ep = epoll_create1(0), a = new_eventfd(1, 0), b = dup(a);
	struct epoll_event got[4];
	watch(ep, a, 77);
	close_both(a, b);
	cr_assert_eq(epoll_wait(ep, got, 4, 0), 0);
	cr_assert_eq(close(ep), 0);
}

Test(dup_fcntl, epoll_drops_the_number_dup2_replaces)
{
	int ep = epoll_create1(0), a = new_eventfd(0, 0), b = new_eventfd(0, 0);
	struct epoll_event got[4];
	watch(ep, b, 5);
	cr_assert_eq(dup2(a, b), b);
	add(b, 1);
	cr_assert_eq(epoll_wait(ep, got, 4, 0), 0);
	watch(ep, b, 6);
	cr_assert_eq(epoll_wait(ep, got, 4, 0), 1);
	cr_assert_eq(got[0].data.u64, 6);
	close_both(a, b);
	cr_assert_eq(close(ep), 0);
}
