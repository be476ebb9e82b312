/* Single steps on eventpolls, asserted. */
#ifndef EVENTPOLL_STEPS_H
#define EVENTPOLL_STEPS_H

#include <criterion/criterion.h>
#include <efdshim/eventpoll.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

/* What the last wait handed out. */
static const struct pollfd *got;

static inline int fake(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	cr_assert_geq(fd, 0);
	return fd;
}

static inline int create(int maxfds)
{
	int set = eventpoll_create(maxfds);
	cr_assert_geq(set, 0, "errno %d", errno);
	return set;
}

static inline void put(int fd)
{
	cr_assert_eq(eventfd_write(fd, 1), 0);
}

static inline void take(int fd)
{
	eventfd_t value;
	cr_assert_eq(eventfd_read(fd, &value), 0);
}

static inline void add(int set, int fd, unsigned events)
{
	cr_assert_eq(eventpoll_ctl(set, EPOLL_CTL_ADD, fd, events), 0, "errno %d", errno);
}

static inline int ctl_errno(int set, int op, int fd, unsigned events)
{
	errno = 0;
	return eventpoll_ctl(set, op, fd, events) ? errno : 0;
}

static inline int wait_errno(int set, int ms)
{
	errno = 0;
	return eventpoll_wait(set, &got, ms) < 0 ? errno : 0;
}

static inline void expect_none(int set)
{
	int n = eventpoll_wait(set, &got, 0);
	cr_assert_eq(n, 0, "%d, the first is %#x of %d", n, n > 0 ? got->revents : 0,
		n > 0 ? got->fd : 0);
}

static inline void expect_one(int set, int fd, short revents)
{
	int n = eventpoll_wait(set, &got, 1000);
	cr_assert_eq(n, 1, "%d events, errno %d", n, errno);
	cr_assert_eq(got->fd, fd);
	cr_assert_eq(got->revents, revents, "%#x", got->revents);
}

static inline void close_all(int a, int b, int c)
{
	cr_assert_eq(close(a), 0);
	if (b >= 0)
		cr_assert_eq(close(b), 0);
	if (c >= 0)
		cr_assert_eq(close(c), 0);
}

static inline bool polls_in(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	fd_set in;
	int n = poll(&p, 1, 0);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	cr_assert_eq(select(fd + 1, &in, NULL, NULL, &(struct timeval){0}), n);
	return n == 1 && p.revents == POLLIN;
}

#endif
