/* timerfd_create, timerfd_settime and timerfd_gettime: what they take, refuse and tell; and the
 * calls that a timer answers otherwise than an eventfd. */
#define _GNU_SOURCE
#include "timerkit.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

TestSuite(timer_calls, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void *bad_page(void)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(page, MAP_FAILED);
	return page;
}

#define REFUSED(call, error)                                                                       \
	do {                                                                                       \
		errno = 0;                                                                         \
		cr_assert_eq(call, -1);                                                            \
		cr_assert_eq(errno, error, "%s: errno %d", #call, errno);                          \
	} while (0)

Test(timer_calls, create_refuses)
{
	REFUSED(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	REFUSED(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | 0x10), EINVAL);
	REFUSED(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	REFUSED(timerfd_create(CLOCK_MONOTONIC_RAW, 0), EINVAL);
	REFUSED(timerfd_create(-1, 0), EINVAL);
	REFUSED(timerfd_create(1000, 0), EINVAL);
	REFUSED(syscall(SYS_timerfd_create, 1000, 0), EINVAL);
}

Test(timer_calls, create_flags)
{
	const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
	for (unsigned i = 0; i < 12; i++) {
		int flags = (i & 1 ? TFD_CLOEXEC : 0) | (i & 2 ? TFD_NONBLOCK : 0);
		int fd = i & 4 ? timerfd_create(clocks[i % 3], flags)
			       : (int)syscall(SYS_timerfd_create, clocks[i % 3], flags);
		cr_assert_geq(fd, 0);
		cr_assert_eq(fcntl(fd, F_GETFD), i & 1 ? FD_CLOEXEC : 0);
		cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | (i & 2 ? O_NONBLOCK : 0));
		cr_assert_eq(close(fd), 0);
	}
}

Test(timer_calls, settime_refuses_in_the_order_of_the_kernel)
{
	int fd = new_timer(0), other = eventfd(0, 0), pipes[2];
	struct itimerspec good = spec(SECOND, 0), bad = good, old;
	struct itimerspec *nowhere = bad_page();
	cr_assert_eq(pipe(pipes), 0);
	bad.it_value.tv_nsec = SECOND;

	REFUSED(timerfd_settime(-1, 77, nowhere, &old), EFAULT);
	REFUSED(timerfd_settime(-1, 77, NULL, &old), EFAULT);
	REFUSED(timerfd_settime(-1, 77, &good, &old), EINVAL);
	REFUSED(timerfd_settime(-1, 0, &bad, &old), EINVAL);
	REFUSED(timerfd_settime(-1, 0, &good, &old), EBADF);
	REFUSED(timerfd_settime(1000000, 0, &good, &old), EBADF);
	REFUSED(timerfd_settime(other, 0, &good, &old), EINVAL);
	REFUSED(timerfd_settime(pipes[0], 0, &good, &old), EINVAL);
	REFUSED(timerfd_settime(other, 0, NULL, &old), EFAULT);
	REFUSED(timerfd_settime(fd, 4, &good, &old), EINVAL);
	REFUSED(timerfd_settime(fd, 0, &bad, &old), EINVAL);
	REFUSED(syscall(SYS_timerfd_settime, fd, 0, &bad, &old), EINVAL);
	REFUSED(syscall(SYS_timerfd_settime, fd, 0, nowhere, &old), EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	close(other);
	close(fd);
}

Test(timer_calls, settime_refuses_what_is_no_time)
{
	int fd = new_timer(0);
	const struct timespec wrong[] = {{-1, 0}, {0, -1}, {0, SECOND}, {5, 2 * SECOND}};
	for (unsigned i = 0; i < 8; i++) {
		struct itimerspec to = spec(SECOND, SECOND);
		*(i & 1 ? &to.it_value : &to.it_interval) = wrong[i / 2];
		REFUSED(timerfd_settime(fd, 0, &to, NULL), EINVAL);
		REFUSED(timerfd_settime(fd, TFD_TIMER_ABSTIME, &to, NULL), EINVAL);
	}
	cr_assert_eq(ns_of(get_timer(fd).it_value), 0);
	close(fd);
}

Test(timer_calls, the_time_is_set_even_where_the_old_one_cannot_be_stored)
{
	int fd = new_timer(0);
	struct itimerspec to = spec(100 * SECOND, 7 * SECOND);
	REFUSED(timerfd_settime(fd, 0, &to, bad_page()), EFAULT);
	cr_assert_eq(get_timer(fd).it_interval.tv_sec, 7);
	cr_assert_gt(ns_of(get_timer(fd).it_value), 80 * SECOND);
	close(fd);
}

Test(timer_calls, gettime_refuses)
{
	int fd = new_timer(0), other = eventfd(0, 0);
	struct itimerspec is;
	REFUSED(timerfd_gettime(-1, &is), EBADF);
	REFUSED(timerfd_gettime(-1, NULL), EBADF);
	REFUSED(timerfd_gettime(other, &is), EINVAL);
	REFUSED(timerfd_gettime(other, NULL), EINVAL);
	REFUSED(timerfd_gettime(fd, NULL), EFAULT);
	REFUSED(timerfd_gettime(fd, bad_page()), EFAULT);
	REFUSED(syscall(SYS_timerfd_gettime, fd, NULL), EFAULT);
	close(fd);
	REFUSED(timerfd_gettime(fd, &is), EBADF);
	close(other);
}

/* 0 < remaining <= asked. */
static void expect_left(struct itimerspec is, int64_t most, int64_t interval)
{
	int64_t left = ns_of(is.it_value);
	cr_assert(left > 0 && left <= most, "%lld left", (long long)left);
	cr_assert_gt(left, most - LIMIT_MS * MS);
	cr_assert_eq(ns_of(is.it_interval), interval);
}

Test(timer_calls, gettime_tells_what_is_left)
{
	int fd = new_timer(TFD_NONBLOCK);
	cr_assert_eq(ns_of(get_timer(fd).it_value), 0);
	cr_assert_eq(ns_of(get_timer(fd).it_interval), 0);
	set_timer(fd, 0, 100 * SECOND, 3 * SECOND + 5);
	expect_left(get_timer(fd), 100 * SECOND, 3 * SECOND + 5);
	int64_t at = now() + 200 * SECOND;
	set_timer(fd, TFD_TIMER_ABSTIME, at, 0);
	int64_t before = now(), left = ns_of(get_timer(fd).it_value), after = now();
	cr_assert(at - left >= before && at - left <= after, "not on the clock");
	close(fd);
}

Test(timer_calls, the_old_setting_is_told)
{
	int fd = new_timer(TFD_NONBLOCK);
	struct itimerspec to = spec(100 * SECOND, 9), old;
	memset(&old, 1, sizeof(old));
	cr_assert_eq(timerfd_settime(fd, 0, &to, &old), 0);
	cr_assert(ns_of(old.it_value) == 0 && ns_of(old.it_interval) == 0);
	to = spec(0, 8 * SECOND);
	cr_assert_eq(syscall(SYS_timerfd_settime, fd, 0, &to, &old), 0);
	expect_left(old, 100 * SECOND, 9);
	/* disarmed, but the interval is kept */
	to = spec(0, 0);
	cr_assert_eq(timerfd_settime(fd, 0, &to, &old), 0);
	cr_assert(ns_of(old.it_value) == 0 && ns_of(old.it_interval) == 8 * SECOND);
	cr_assert_eq(ns_of(get_timer(fd).it_interval), 0);
	close(fd);
}

Test(timer_calls, a_one_shot_timer_that_has_expired_is_disarmed)
{
	int fd = new_timer(0);
	struct itimerspec to = spec(0, 0), old;
	set_timer(fd, 0, 1, 0);
	cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
	cr_assert_eq(ns_of(get_timer(fd).it_value), 0);
	cr_assert_eq(timerfd_settime(fd, 0, &to, &old), 0);
	cr_assert_eq(ns_of(old.it_value), 0);
	close(fd);
}

Test(timer_calls, times_that_never_come)
{
	int fd = new_timer(TFD_NONBLOCK);
	struct itimerspec to = {.it_value = {INT64_MAX, 999999999}, .it_interval = {INT64_MAX, 0}};
	for (int flags = 0; flags <= TFD_TIMER_ABSTIME; flags++) {
		cr_assert_eq(timerfd_settime(fd, flags, &to, NULL), 0);
		cr_assert_gt(get_timer(fd).it_value.tv_sec, 1000000000);
		cr_assert_eq(read_timer(fd), -EAGAIN);
		cr_assert_eq(polled_timer(fd, POLLIN, 0), 0);
	}
	close(fd);
}

Test(timer_calls, a_timer_cannot_be_written)
{
	int fd = new_timer(TFD_NONBLOCK);
	uint64_t value = 1;
	struct iovec iov = {&value, 8};
	for (int i = 0; i < 2; i++) {
		REFUSED(write(fd, &value, 8), EINVAL);
		REFUSED(write(fd, &value, 4), EINVAL);
		REFUSED(write(fd, bad_page(), 8), EINVAL);
		REFUSED(writev(fd, &iov, 1), EINVAL);
		REFUSED(syscall(SYS_write, fd, &value, 8), EINVAL);
		REFUSED(eventfd_write(fd, 1), EINVAL);
		cr_assert_eq(read_timer(fd), -EAGAIN);
		cr_assert_eq(polled_timer(fd, POLLIN | POLLOUT, 0), 0);
	}
	close(fd);
}

Test(timer_calls, reads_that_fail)
{
	int fd = new_timer(TFD_NONBLOCK);
	char small[7];
	set_timer(fd, TFD_TIMER_ABSTIME, 1, 0);
	cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
	REFUSED(read(fd, small, 7), EINVAL);
	REFUSED(read(fd, small, 0), EINVAL);
	cr_assert_eq(polled_timer(fd, POLLIN, 0), POLLIN);
	/* taken all the same */
	REFUSED(read(fd, bad_page(), 8), EFAULT);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	close(fd);
}

Test(timer_calls, reads_into_more_and_into_several)
{
	int fd = new_timer(TFD_NONBLOCK);
	uint64_t big[4];
	uint32_t low, high;
	struct iovec iov[] = {{&low, 4}, {&high, 4}};
	set_timer(fd, TFD_TIMER_ABSTIME, 1, 0);
	cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
	cr_assert_eq(read(fd, big, sizeof(big)), 8);
	cr_assert_eq(big[0], 1);
	set_timer(fd, TFD_TIMER_ABSTIME, 1, 0);
	cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
	cr_assert_eq(readv(fd, iov, 2), 8);
	cr_assert(low == 1 && high == 0);
	close(fd);
}

Test(timer_calls, names)
{
	char path[64], text[1024];
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	struct stat st, of_eventfd;
	int other = eventfd(0, 0);

	set_timer(fd, TFD_TIMER_ABSTIME, 4000000000 * SECOND, 5 * SECOND + 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, text, sizeof(text));
	cr_assert(n == 20 && !memcmp(text, "anon_inode:[timerfd]", 20));
	cr_assert_eq(fstat(fd, &st) | fstat(other, &of_eventfd), 0);
	cr_assert_eq(st.st_mode, of_eventfd.st_mode);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *info = fopen(path, "r");
	cr_assert(info);
	text[fread(text, 1, sizeof(text) - 1, info)] = 0;
	fclose(info);
	cr_assert(strstr(text, "flags:\t04002\n"));
	cr_assert(strstr(text, "\nclockid: 0\nticks: 0\nsettime flags: 01\nit_value: ("));
	cr_assert(strstr(text, ")\nit_interval: (5, 6)\n"));
	cr_assert(!strstr(text, "eventfd"));
	close(other);
	close(fd);
}

Test(timer_calls, status_flags)
{
	int fd = new_timer(0), on = 1;
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
	cr_assert_eq(ioctl(fd, FIONBIO, &on), 0);
	cr_assert_eq(read_timer(fd), -EAGAIN);
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	close(fd);
}
