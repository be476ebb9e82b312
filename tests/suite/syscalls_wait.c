/* libc's syscall(): the raw conventions of waiting, which differ from libc's own functions. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

TestSuite(syscalls_wait, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { KERNEL_SIGSET = 8, SHORT_MS = 20 };

static const struct timespec short_time = {0, SHORT_MS * 1000000};

struct mask_argument {
	const sigset_t *set;
	size_t size;
};

#ifdef SYS_poll
Test(syscalls_wait, poll)
{
	struct both b = both_open(5, 0);
	struct pollfd ours = {.fd = b.ours, .events = POLLIN | POLLOUT};
	struct pollfd kernel = {.fd = b.kernel, .events = POLLIN | POLLOUT};
	SAME(b, ((void)fd, syscall(SYS_poll, &ours, 1, -1)), SYS_poll, addr(&kernel), 1, -1);
	cr_assert_eq(ours.revents, kernel.revents);
	SAME_SYSCALL(b, SYS_poll, 8, 1, ((void)fd, 0));
	both_close(b);
}

Test(syscalls_wait, poll_times_out)
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t start = tk_now_ms();
	cr_assert_eq(syscall(SYS_poll, &p, 1, SHORT_MS), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	cr_assert_eq(close(fd), 0);
}
#endif

static long sys_ppoll(struct pollfd *p, struct timespec *time, const sigset_t *set, size_t size)
{
	return syscall(SYS_ppoll, p, 1, time, set, size);
}

Test(syscalls_wait, ppoll_tells_the_time_that_is_left)
{
	int fd = new_eventfd(1, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec time = {1000, 0};
	errno = ERRNO_CANARY;
	cr_assert_eq(sys_ppoll(&p, &time, NULL, 0), 1);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(p.revents, POLLIN);
	cr_assert_eq(time.tv_sec, 999);
	cr_assert_gt(time.tv_nsec, 0);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, ppoll_leaves_no_time_when_it_times_out)
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec time = short_time;
	int64_t start = tk_now_ms();
	cr_assert_eq(sys_ppoll(&p, &time, NULL, 0), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	cr_assert_eq(time.tv_sec, 0);
	cr_assert_eq(time.tv_nsec, 0);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, libcs_ppoll_leaves_its_timeout_alone)
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec time = short_time;
	cr_assert_eq(ppoll(&p, 1, &time, NULL), 0);
	cr_assert_eq(time.tv_nsec, short_time.tv_nsec);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, ppoll_wants_the_kernels_size_of_a_signal_set)
{
	int fd = new_eventfd(1, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec time = {0};
	sigset_t set;
	sigemptyset(&set);
	cr_assert_eq(sys_ppoll(&p, &time, &set, KERNEL_SIGSET), 1);
	FAILS(sys_ppoll(&p, &time, &set, sizeof(set)), EINVAL);
	FAILS(sys_ppoll(&p, &time, &set, 0), EINVAL);
	cr_assert_eq(sys_ppoll(&p, &time, NULL, 77), 1);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, ppoll_with_bad_arguments)
{
	int fd = new_eventfd(1, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec time = {0, 1000000000}, before = {-1, 0};
	FAILS(sys_ppoll(&p, &time, NULL, 0), EINVAL);
	FAILS(sys_ppoll(&p, &before, NULL, 0), EINVAL);
	FAILS(sys_ppoll(&p, (void *)8, NULL, 0), EFAULT);
	FAILS(sys_ppoll((void *)8, NULL, NULL, 0), EFAULT);
	FAILS(sys_ppoll(&p, NULL, (void *)8, KERNEL_SIGSET), EFAULT);
	cr_assert_eq(close(fd), 0);
}

static fd_set set_of(int fd)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return set;
}

#ifdef SYS_select
Test(syscalls_wait, select)
{
	int fd = new_eventfd(1, 0);
	fd_set in = set_of(fd), out = in, except = in;
	struct timeval time = {1000, 0};
	cr_assert_eq(syscall(SYS_select, fd + 1, &in, &out, &except, &time), 2);
	cr_assert(FD_ISSET(fd, &in) && FD_ISSET(fd, &out) && !FD_ISSET(fd, &except));
	cr_assert_eq(time.tv_sec, 999);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, select_leaves_no_time_when_it_times_out)
{
	int fd = new_eventfd(0, 0);
	fd_set in = set_of(fd);
	struct timeval time = {0, SHORT_MS * 1000};
	cr_assert_eq(syscall(SYS_select, fd + 1, &in, NULL, NULL, &time), 0);
	cr_assert_not(FD_ISSET(fd, &in));
	cr_assert_eq(time.tv_usec, 0);
	cr_assert_eq(close(fd), 0);
}
#endif

Test(syscalls_wait, pselect6_tells_the_time_that_is_left)
{
	int fd = new_eventfd(1, 0);
	fd_set in = set_of(fd), out = in;
	struct timespec time = {1000, 0};
	cr_assert_eq(syscall(SYS_pselect6, fd + 1, &in, &out, NULL, &time, NULL), 2);
	cr_assert(FD_ISSET(fd, &in) && FD_ISSET(fd, &out));
	cr_assert_eq(time.tv_sec, 999);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, pselect6_leaves_no_time_when_it_times_out)
{
	int fd = new_eventfd(0, 0);
	fd_set in = set_of(fd);
	struct timespec time = short_time;
	cr_assert_eq(syscall(SYS_pselect6, fd + 1, &in, NULL, NULL, &time, NULL), 0);
	cr_assert_not(FD_ISSET(fd, &in));
	cr_assert(time.tv_sec == 0 && time.tv_nsec == 0);
	cr_assert_eq(close(fd), 0);
}

static long pselect6_masked(int fd, struct mask_argument *mask)
{
	fd_set in = set_of(fd);
	struct timespec time = {0};
	return syscall(SYS_pselect6, fd + 1, &in, NULL, NULL, &time, mask);
}

Test(syscalls_wait, pselect6_takes_a_signal_set_and_its_size)
{
	int fd = new_eventfd(1, 0);
	sigset_t set;
	sigemptyset(&set);
	cr_assert_eq(pselect6_masked(fd, &(struct mask_argument){&set, KERNEL_SIGSET}), 1);
	FAILS(pselect6_masked(fd, &(struct mask_argument){&set, sizeof(set)}), EINVAL);
	cr_assert_eq(pselect6_masked(fd, &(struct mask_argument){NULL, 0}), 1);
	FAILS(pselect6_masked(fd, (struct mask_argument *)8), EFAULT);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls_wait, pselect6_of_a_closed_number_is_EBADF)
{
	int fd = new_eventfd(1, 0);
	cr_assert_eq(close(fd), 0);
	FAILS(pselect6_masked(fd, NULL), EBADF);
}

static void assert_one_event(long n, const struct epoll_event *got, uint32_t events, uint64_t data)
{
	cr_assert_eq(n, 1, "%ld events, errno %d", n, errno);
	cr_assert_eq(got->events, events);
	cr_assert_eq(got->data.u64, data);
}

static int watched_set(int fd, uint64_t data)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u64 = data};
	long ep = syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	cr_assert_geq(ep, 0);
	cr_assert_eq(fcntl((int)ep, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e), 0);
	return (int)ep;
}

static void close_both(int a, int b)
{
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(syscalls_wait, epoll_ctl)
{
	int fd = new_eventfd(1, 0), ep = watched_set(fd, 9);
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 10}, got;
	FAILS(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e), EEXIST);
	cr_assert_eq(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, fd, &e), 0);
	assert_one_event(epoll_wait(ep, &got, 1, 0), &got, EPOLLIN, 10);
	FAILS(syscall(SYS_epoll_ctl, ep, 77, fd, &e), EINVAL);
	FAILS(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, fd, 8), EFAULT);
	cr_assert_eq(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, fd, NULL), 0);
	FAILS(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, fd, NULL), ENOENT);
	close_both(fd, ep);
}

Test(syscalls_wait, epoll_pwait)
{
	int fd = new_eventfd(1, 0), ep = watched_set(fd, 0xfedcba9876543210);
	struct epoll_event got;
	sigset_t set;
	sigemptyset(&set);
	assert_one_event(syscall(SYS_epoll_pwait, ep, &got, 1, -1, NULL, 0), &got,
		EPOLLIN | EPOLLOUT, 0xfedcba9876543210);
	assert_one_event(syscall(SYS_epoll_pwait, ep, &got, 1, 0, &set, KERNEL_SIGSET), &got,
		EPOLLIN | EPOLLOUT, 0xfedcba9876543210);
	FAILS(syscall(SYS_epoll_pwait, ep, &got, 1, 0, &set, sizeof(set)), EINVAL);
	FAILS(syscall(SYS_epoll_pwait, ep, &got, 0, 0, NULL, 0), EINVAL);
	FAILS(syscall(SYS_epoll_pwait, fd, &got, 1, 0, NULL, 0), EINVAL);
	close_both(fd, ep);
}

#ifdef SYS_epoll_pwait2
Test(syscalls_wait, epoll_pwait2)
{
	int fd = new_eventfd(0, 0), ep = watched_set(fd, 3);
	struct epoll_event got;
	struct timespec time = {1000, 0}, bad = {0, -1};
	assert_one_event(syscall(SYS_epoll_pwait2, ep, &got, 1, &time, NULL, 0), &got, EPOLLOUT, 3);
	cr_assert_eq(time.tv_sec, 1000);
	assert_one_event(syscall(SYS_epoll_pwait2, ep, &got, 1, NULL, NULL, 0), &got, EPOLLOUT, 3);
	FAILS(syscall(SYS_epoll_pwait2, ep, &got, 1, &bad, NULL, 0), EINVAL);
	close_both(fd, ep);
}

Test(syscalls_wait, epoll_pwait2_times_out)
{
	int fd = new_eventfd(0, 0), ep = watched_set(fd, 3);
	struct epoll_event got, in = {.events = EPOLLIN};
	struct timespec time = short_time;
	int64_t start = tk_now_ms();
	cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &in), 0);
	cr_assert_eq(syscall(SYS_epoll_pwait2, ep, &got, 1, &time, NULL, 0), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	cr_assert_eq(time.tv_nsec, short_time.tv_nsec);
	close_both(fd, ep);
}
#endif

#if defined(SYS_epoll_create) && defined(SYS_epoll_wait)
Test(syscalls_wait, epoll_create_and_epoll_wait)
{
	int fd = new_eventfd(1, 0);
	long ep = syscall(SYS_epoll_create, 1);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 4}, got;
	cr_assert_geq(ep, 0);
	cr_assert_eq(epoll_ctl((int)ep, EPOLL_CTL_ADD, fd, &e), 0);
	assert_one_event(syscall(SYS_epoll_wait, ep, &got, 1, -1), &got, EPOLLIN, 4);
	cr_assert_eq(syscall(SYS_epoll_wait, ep, &got, 1, 0), 0);
	add(fd, 1);
	assert_one_event(syscall(SYS_epoll_wait, ep, &got, 1, 0), &got, EPOLLIN, 4);
	FAILS(syscall(SYS_epoll_create, 0), EINVAL);
	close_both(fd, (int)ep);
}
#endif

Test(syscalls_wait, sets_made_by_libc_and_by_number_mix)
{
	int fd = new_eventfd(0, 0), ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 8}, got;
	cr_assert_eq(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e), 0);
	cr_assert_eq(epoll_wait(ep, &got, 1, 0), 0);
	cr_assert_eq(syscall(SYS_write, fd, &(uint64_t){1}, 8), 8);
	assert_one_event(epoll_wait(ep, &got, 1, -1), &got, EPOLLIN, 8);
	assert_one_event(syscall(SYS_epoll_pwait, ep, &got, 1, -1, NULL, 0), &got, EPOLLIN, 8);
	cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), 0);
	cr_assert_eq(syscall(SYS_epoll_pwait, ep, &got, 1, 0, NULL, 0), 0);
	close_both(fd, ep);
}
