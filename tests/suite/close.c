/* close, close_range and closefrom. What becomes of the number afterwards is in close_reuse.c. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

TestSuite(close, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(close_range, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(close_all, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

Test(close, succeeds_and_leaves_errno_alone)
{
	int fd = new_eventfd(1, 0);
	errno = ERRNO_CANARY;
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(errno, ERRNO_CANARY);
}

Test(close, twice_is_EBADF)
{
	int fd = new_eventfd(1, 0);
	cr_assert_eq(close(fd), 0);
	FAILS(close(fd), EBADF);
	FAILS(close(fd), EBADF);
}

Test(close, after_a_close_behind_libcs_back_is_EBADF)
{
	int fd = new_eventfd(1, 0);
	cr_assert_eq(tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0), 0);
	FAILS(close(fd), EBADF);
	FAILS(fcntl(fd, F_GETFD), EBADF);
	FAILS(dup(fd), EBADF);
}

Test(close, of_impossible_numbers_is_EBADF)
{
	FAILS(close(-1), EBADF);
	FAILS(close(-2), EBADF);
	FAILS(close(1 << 30), EBADF);
}

Test(close, leaves_nothing_to_read_write_or_wait_for)
{
	int fd = new_eventfd(1, 0);
	cr_assert_eq(close(fd), 0);
	assert_closed(fd);
}

Test(close, makes_every_other_call_EBADF)
{
	int fd = new_eventfd(1, 0), ep = epoll_create1(0);
	uint64_t value = 0;
	struct iovec iov = {&value, 8};
	struct epoll_event e = {.events = EPOLLIN};
	fd_set set;
	cr_assert_eq(close(fd), 0);
	FAILS(readv(fd, &iov, 1), EBADF);
	FAILS(writev(fd, &iov, 1), EBADF);
	FAILS(fcntl(fd, F_GETFL), EBADF);
	FAILS(fcntl(fd, F_SETFL, O_NONBLOCK), EBADF);
	FAILS(ioctl(fd, FIONBIO, &(int){1}), EBADF);
	FAILS(eventfd_read(fd, &value), EBADF);
	FAILS(eventfd_write(fd, 1), EBADF);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), EBADF);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	FAILS(select(fd + 1, &set, NULL, NULL, NULL), EBADF);
	cr_assert_eq(close(ep), 0);
}

Test(close, in_the_middle_leaves_the_neighbours)
{
	int a = new_eventfd(1, 0), b = new_eventfd(2, 0), c = new_eventfd(3, 0);
	cr_assert_eq(close(b), 0);
	assert_count(a, 1);
	assert_count(c, 3);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(c), 0);
}

Test(close, gives_the_number_to_the_next_eventfd_with_nothing_of_the_old)
{
	int a = new_eventfd(7, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	cr_assert_eq(close(a), 0);
	int b = new_eventfd(3, 0);
	cr_assert_eq(b, a);
	cr_assert_eq(fcntl(b, F_GETFL), O_RDWR);
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	assert_count(b, 3);
	assert_empty(b);
	cr_assert_eq(close(b), 0);
}

Test(close, and_create_a_thousand_times_starts_fresh_each_time)
{
	int first = new_eventfd(0, 0);
	cr_assert_eq(close(first), 0);
	for (unsigned int i = 1; i <= 1000; i++) {
		int fd = new_eventfd(i, 0);
		cr_assert_eq(fd, first);
		add(fd, i);
		assert_count(fd, 2 * i);
		cr_assert_eq(close(fd), 0);
	}
}

static int reader_tid;

static void *blocked_read(void *arg)
{
	uint64_t value = 0;
	__atomic_store_n(&reader_tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	cr_assert_eq(read(*(int *)arg, &value, 8), 8);
	return (void *)(uintptr_t)value;
}

Test(close, of_a_number_being_read_leaves_the_reader_with_its_object)
{
	int fd = new_eventfd(0, 0), copy = dup(fd);
	pthread_t thread;
	void *got;
	cr_assert_eq(pthread_create(&thread, NULL, blocked_read, &fd), 0);
	while (!__atomic_load_n(&reader_tid, __ATOMIC_ACQUIRE))
		sched_yield();
	tk_wait_asleep(reader_tid);
	cr_assert_eq(close(fd), 0);
	int next = new_eventfd(100, 0);
	cr_assert_eq(next, fd);
	add(copy, 6);
	cr_assert_eq(pthread_join(thread, &got), 0);
	cr_assert_eq((uintptr_t)got, 6);
	assert_count(next, 100);
	cr_assert_eq(close(next), 0);
	cr_assert_eq(close(copy), 0);
}

Test(close_range, closes_what_is_inside_and_nothing_else)
{
	int fds[4];
	for (int i = 0; i < 4; i++) {
		int fd = new_eventfd((unsigned int)i + 1, 0);
		fds[i] = fcntl(fd, F_DUPFD, 200 + i);
		cr_assert_eq(fds[i], 200 + i);
		cr_assert_eq(close(fd), 0);
	}
	errno = ERRNO_CANARY;
	cr_assert_eq(close_range((unsigned int)fds[1], (unsigned int)fds[2], 0), 0);
	cr_assert_eq(errno, ERRNO_CANARY);
	assert_closed(fds[1]);
	assert_closed(fds[2]);
	assert_count(fds[0], 1);
	assert_count(fds[3], 4);
	cr_assert_eq(close(fds[0]), 0);
	cr_assert_eq(close(fds[3]), 0);
}

Test(close_range, of_closed_numbers_succeeds)
{
	int fd = new_eventfd(0, 0), high = fcntl(fd, F_DUPFD, 400);
	cr_assert_eq(high, 400);
	cr_assert_eq(close_range(400, 410, 0), 0);
	cr_assert_eq(close_range(400, 410, 0), 0);
	assert_closed(high);
	cr_assert_eq(close(fd), 0);
}

Test(close_range, with_CLOEXEC_only_sets_the_flag)
{
	int a = new_eventfd(1, 0), b = new_eventfd(2, 0);
	cr_assert_eq(close_range((unsigned int)b, (unsigned int)b, CLOSE_RANGE_CLOEXEC), 0);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	assert_count(b, 2);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(close_range, backwards_is_EINVAL_and_closes_nothing)
{
	int a = new_eventfd(1, 0), b = new_eventfd(2, 0);
	FAILS(close_range((unsigned int)b, (unsigned int)a, 0), EINVAL);
	assert_count(a, 1);
	assert_count(b, 2);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(close_range, with_unknown_flags_is_EINVAL_and_closes_nothing)
{
	int fd = new_eventfd(1, 0);
	FAILS(close_range((unsigned int)fd, (unsigned int)fd, 1), EINVAL);
	FAILS(close_range((unsigned int)fd, (unsigned int)fd, 1 << 20), EINVAL);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

Test(close_range, with_UNSHARE_closes_too)
{
	int fd = new_eventfd(1, 0);
	cr_assert_eq(close_range((unsigned int)fd, (unsigned int)fd, CLOSE_RANGE_UNSHARE), 0);
	assert_closed(fd);
}

Test(close_range, leaves_a_copy_outside_alive)
{
	int fd = new_eventfd(1, 0), inside = fcntl(fd, F_DUPFD, 200);
	int copy = fcntl(fd, F_DUPFD, 300);
	cr_assert_eq(close_range(200, 299, 0), 0);
	assert_closed(inside);
	add(copy, 1);
	assert_count(fd, 2);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(copy), 0);
}

Test(close_range, gives_the_number_to_the_next_file)
{
	int fd = new_eventfd(1, 0);
	uint64_t value;
	cr_assert_eq(close_range((unsigned int)fd, (unsigned int)fd, 0), 0);
	int file = open("/dev/null", O_RDONLY);
	cr_assert_eq(file, fd);
	cr_assert_eq(read(file, &value, 8), 0);
	cr_assert_eq(close(file), 0);
}

static bool is_closed(int fd)
{
	return fcntl(fd, F_GETFD) == -1 && errno == EBADF;
}

static void check_eventfds_work(int expected_first)
{
	uint64_t value = 5;
	int a = eventfd(1, 0), b = dup(a), other = eventfd(0, EFD_NONBLOCK);
	CHECK(a == expected_first);
	CHECK(b == a + 1 && other == a + 2);
	CHECK(write(b, &value, 8) == 8);
	CHECK(read(other, &value, 8) == -1 && errno == EAGAIN);
	struct pollfd p = {.fd = a, .events = POLLIN};
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	CHECK(read(a, &value, 8) == 8 && value == 6);
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(close(a) == 0 && close(b) == 0 && close(other) == 0);
}

static void loop_from_3(void)
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

static void loop_over_the_limit(void)
{
	for (int fd = (int)sysconf(_SC_OPEN_MAX); fd >= 3; fd--)
		close(fd);
}

static void range_from_3(void)
{
	CHECK(close_range(3, ~0U, 0) == 0);
}

static void from_3(void)
{
	errno = ERRNO_CANARY;
	closefrom(3);
	CHECK(errno == ERRNO_CANARY);
}

static void range_by_syscall(void)
{
	CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
}

static void range_behind_libcs_back(void)
{
	CHECK(tk_raw_syscall(SYS_close_range, 3, ~0U, 0, 0, 0, 0) == 0);
}

static void loop_behind_libcs_back(void)
{
	for (int fd = 3; fd < 65536; fd++)
		tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void close_all_then_use(void *close_all)
{
	int before = eventfd(1, 0);
	((void (*)(void))close_all)();
	CHECK(is_closed(before));
	CHECK(is_closed(3));
	check_eventfds_work(3);
	((void (*)(void))close_all)();
	check_eventfds_work(3);
}

Test(close_all, by_a_loop_up_to_1023_then_new_eventfds_work)
{
	in_child(close_all_then_use, loop_from_3);
}

Test(close_all, by_a_loop_down_from_the_limit_then_new_eventfds_work)
{
	in_child(close_all_then_use, loop_over_the_limit);
}

Test(close_all, by_close_range_then_new_eventfds_work)
{
	in_child(close_all_then_use, range_from_3);
}

Test(close_all, by_closefrom_then_new_eventfds_work)
{
	in_child(close_all_then_use, from_3);
}

Test(close_all, by_syscall_then_new_eventfds_work)
{
	in_child(close_all_then_use, range_by_syscall);
}

Test(close_all, by_a_raw_close_range_then_new_eventfds_work)
{
	in_child(close_all_then_use, range_behind_libcs_back);
}

Test(close_all, by_a_raw_loop_then_new_eventfds_work)
{
	in_child(close_all_then_use, loop_behind_libcs_back);
}

static void standard_files_too(void *unused)
{
	(void)unused;
	close_range(0, ~0U, 0);
	check_eventfds_work(0);
}

Test(close_all, with_the_standard_files_then_eventfds_start_at_zero)
{
	in_child(standard_files_too, NULL);
}

static void an_old_eventfd_survives(void *unused)
{
	(void)unused;
	uint64_t value;
	int fd = eventfd(4, 0), high = fcntl(fd, F_DUPFD, 1500);
	loop_from_3();
	CHECK(high == 1500 && is_closed(fd));
	CHECK(read(high, &value, 8) == 8 && value == 4);
	struct pollfd p = {.fd = high, .events = POLLIN | POLLOUT};
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
	CHECK(eventfd_write(high, 2) == 0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT));
}

Test(close_all, leaves_an_eventfd_above_the_loop_in_order)
{
	in_child(an_old_eventfd_survives, NULL);
}
