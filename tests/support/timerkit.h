/* Timers: single steps, asserted. */
#ifndef TIMERKIT_H
#define TIMERKIT_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "testkit.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
enum { LIMIT_MS = 10000 };

__attribute__((unused)) static int64_t now_on(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

__attribute__((unused)) static int64_t now(void)
{
	return now_on(CLOCK_MONOTONIC);
}

__attribute__((unused)) static void sleep_until(int64_t at)
{
	struct timespec to = {at / SECOND, at % SECOND};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL) == EINTR)
		;
}

__attribute__((unused)) static struct timespec time_of(int64_t ns)
{
	return (struct timespec){ns / SECOND, ns % SECOND};
}

__attribute__((unused)) static int64_t ns_of(struct timespec time)
{
	return time.tv_sec * SECOND + time.tv_nsec;
}

__attribute__((unused)) static struct itimerspec spec(int64_t value, int64_t interval)
{
	return (struct itimerspec){.it_value = time_of(value), .it_interval = time_of(interval)};
}

__attribute__((unused)) static int new_timer(int flags)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, flags);
	cr_assert_geq(fd, 0);
	return fd;
}

/* A fork copies what a thread that is just starting has locked in the sanitizers' runtime. */
__attribute__((unused)) static void let_threads_start(void)
{
#ifdef __SANITIZE_ADDRESS__
	DIR *tasks = opendir("/proc/self/task");
	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		pid_t tid = atoi(task->d_name);
		if (tid && tid != getpid())
			tk_wait_asleep(tid);
	}
	if (tasks)
		closedir(tasks);
#endif
}

__attribute__((unused)) static void set_timer(int fd, int flags, int64_t value, int64_t interval)
{
	struct itimerspec to = spec(value, interval);
	errno = 0;
	cr_assert_eq(timerfd_settime(fd, flags, &to, NULL), 0);
	cr_assert_eq(errno, 0);
}

__attribute__((unused)) static struct itimerspec get_timer(int fd)
{
	struct itimerspec is;
	cr_assert_eq(timerfd_gettime(fd, &is), 0);
	return is;
}

/* The count, or -errno. */
__attribute__((unused)) static int64_t read_timer(int fd)
{
	uint64_t count = 0;
	errno = 0;
	ssize_t n = read(fd, &count, sizeof(count));
	if (n < 0)
		return -errno;
	cr_assert_eq(n, 8);
	cr_assert_eq(errno, 0);
	return (int64_t)count;
}

__attribute__((unused)) static int polled_timer(int fd, short events, int timeout)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = poll(&p, 1, timeout);
	cr_assert_eq(n, p.revents != 0);
	return p.revents;
}

__attribute__((unused)) static int new_set_of(int fd, uint32_t events, uint64_t data)
{
	int set = epoll_create1(0);
	struct epoll_event event = {.events = events, .data.u64 = data};
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	return set;
}

/* The events of the set's only watch, 0 where it tells none. */
__attribute__((unused)) static uint32_t told(int set, int timeout)
{
	struct epoll_event events[4];
	int n = epoll_wait(set, events, 4, timeout);
	cr_assert(n == 0 || n == 1);
	return n ? events[0].events : 0;
}

#endif
