/* O_NONBLOCK belongs to the open eventfd, not to a number or a process. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

TestSuite(nonblock, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void expect_nonblocking(int fd)
{
	uint64_t value = 0;
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(efd_try_read(fd, &value), -EAGAIN);
	efd_add(fd, EFD_LIMIT);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	cr_assert_eq(efd_try_read(fd, &value), 8);
}

static void expect_blocking(int fd)
{
	struct task t;
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR);
	task_start_blocked(&t, task_read, fd, 0);
	efd_add(fd, 1);
	cr_assert_eq(task_join(&t), 8);
	efd_add(fd, EFD_LIMIT);
	task_start_blocked(&t, task_write, fd, 1);
	cr_assert_eq(efd_try_read(fd, &t.value), 8);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(efd_try_read(fd, &t.value), 8);
}

static void set_by_fcntl(int fd, int on)
{
	errno = 12345;
	cr_assert_eq(fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0), 0);
	cr_assert_eq(errno, 12345);
}

static void set_by_ioctl(int fd, int on)
{
	errno = 12345;
	cr_assert_eq(ioctl(fd, FIONBIO, &on), 0);
	cr_assert_eq(errno, 12345);
}

typedef void (*setter)(int fd, int on);
static const setter setters[] = {set_by_fcntl, set_by_ioctl};

Test(nonblock, efd_nonblock_sets_it_and_its_absence_does_not)
{
	int on = efd_open(0, EFD_NONBLOCK), off = efd_open(0, 0);
	expect_nonblocking(on);
	expect_blocking(off);
	efd_close(on);
	efd_close(off);
}

Test(nonblock, fcntl_and_ioctl_set_and_clear_it)
{
	for (int i = 0; i < 2; i++) {
		int fd = efd_open(0, 0);
		setters[i](fd, 1);
		expect_nonblocking(fd);
		setters[i](fd, 0);
		expect_blocking(fd);
		setters[i](fd, 1);
		setters[i](fd, 1);
		expect_nonblocking(fd);
		efd_close(fd);
	}
}

Test(nonblock, what_fcntl_sets_ioctl_clears_and_the_other_way_round)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < 2; i++) {
		setters[i](fd, 1);
		expect_nonblocking(fd);
		setters[!i](fd, 0);
		expect_blocking(fd);
	}
	efd_close(fd);
}

Test(nonblock, any_value_but_zero_sets_it_by_ioctl)
{
	int fd = efd_open(0, 0);
	set_by_ioctl(fd, 0x10000);
	expect_nonblocking(fd);
	set_by_ioctl(fd, 0);
	set_by_ioctl(fd, -1);
	expect_nonblocking(fd);
	efd_close(fd);
}

Test(nonblock, an_unreadable_ioctl_argument_is_efault_and_changes_nothing)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	int *volatile nowhere = NULL;
	cr_assert(ioctl(fd, FIONBIO, nowhere) == -1 && errno == EFAULT);
	expect_nonblocking(fd);
	efd_close(fd);
}

Test(nonblock, every_dup_shares_it)
{
	for (int i = 0; i < 2; i++) {
		int fd = efd_open(0, 0), other = dup(fd), third = fcntl(fd, F_DUPFD, 100);
		setters[i](other, 1);
		expect_nonblocking(fd);
		expect_nonblocking(third);
		setters[i](third, 0);
		expect_blocking(fd);
		expect_blocking(other);
		efd_close(fd);
		setters[i](other, 1);
		expect_nonblocking(third);
		efd_close(other);
		efd_close(third);
	}
}

Test(nonblock, two_eventfds_do_not_share_it)
{
	int a = efd_open(0, 0), b = efd_open(0, 0);
	set_by_fcntl(a, 1);
	expect_blocking(b);
	expect_nonblocking(a);
	efd_close(a);
	efd_close(b);
}

struct set_in_child {
	setter set;
	int fd;
	int on;
};

static void run_set(void *arg)
{
	struct set_in_child *s = arg;
	int on = s->on;
	if (s->set == set_by_ioctl)
		CHECK(ioctl(s->fd, FIONBIO, &on) == 0);
	else
		CHECK(fcntl(s->fd, F_SETFL, on ? O_NONBLOCK : 0) == 0);
}

Test(nonblock, what_a_child_sets_its_parent_sees)
{
	for (int i = 0; i < 2; i++) {
		int fd = efd_open(0, 0);
		in_child(run_set, &(struct set_in_child){setters[i], fd, 1});
		expect_nonblocking(fd);
		in_child(run_set, &(struct set_in_child){setters[i], fd, 0});
		expect_blocking(fd);
		efd_close(fd);
	}
}

static void wait_and_expect_nonblocking(void *arg)
{
	const int *fds = arg;
	uint64_t value;
	CHECK(fcntl(fds[0], F_GETFL) == O_RDWR);
	CHECK(read(fds[1], &value, 8) == 8);
	CHECK(fcntl(fds[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(read(fds[0], &value, 8) == -1 && errno == EAGAIN);
}

Test(nonblock, what_a_parent_sets_its_child_sees)
{
	int fds[2] = {efd_open(0, 0), efd_open(0, 0)};
	pid_t pid = start_child(wait_and_expect_nonblocking, fds);
	tk_wait_process_asleep(pid);
	set_by_fcntl(fds[0], 1);
	efd_add(fds[1], 1);
	end_child(pid);
	efd_close(fds[0]);
	efd_close(fds[1]);
}

Test(nonblock, setting_it_does_not_end_a_read_that_waits)
{
	for (int i = 0; i < 2; i++) {
		struct task t;
		int fd = efd_open(0, 0);
		task_start_blocked(&t, task_read, fd, 0);
		setters[i](fd, 1);
		task_wait_asleep(&t);
		efd_add(fd, 3);
		cr_assert_eq(task_join(&t), 8);
		cr_assert_eq(t.value, 3);
		expect_nonblocking(fd);
		efd_close(fd);
	}
}

Test(nonblock, setting_it_does_not_end_a_write_that_waits)
{
	struct task t;
	uint64_t value;
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	task_start_blocked(&t, task_write, fd, 3);
	set_by_fcntl(fd, 1);
	task_wait_asleep(&t);
	cr_assert_eq(efd_try_read(fd, &value), 8);
	cr_assert_eq(task_join(&t), 8);
	efd_expect(fd, 3);
	efd_close(fd);
}

Test(nonblock, readv_and_writev_heed_it)
{
	uint64_t value = 1;
	struct iovec iov = {&value, 8};
	int fd = efd_open(0, 0);
	set_by_ioctl(fd, 1);
	cr_assert(readv(fd, &iov, 1) == -1 && errno == EAGAIN);
	efd_add(fd, EFD_LIMIT);
	cr_assert(writev(fd, &iov, 1) == -1 && errno == EAGAIN);
	efd_close(fd);
}

Test(nonblock, a_count_survives_the_changes)
{
	int fd = efd_open(11, 0);
	for (int i = 0; i < 100; i++)
		setters[i & 1](fd, i % 3 != 0);
	efd_expect(fd, 11);
	efd_close(fd);
}
