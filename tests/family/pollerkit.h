/* Steps with an eventpoll, asserted. */
#ifndef POLLERKIT_H
#define POLLERKIT_H

#include "pair.h"

#include <efdshim/eventpoll.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

enum { POLLER_ERRNO = 3131 };

/* 0 or more, or -errno; -4095 where a success touches errno. */
static inline long poller_told(long ret)
{
	if (ret == -1)
		return -errno;
	return errno == POLLER_ERRNO ? ret : -4095;
}

static inline int poller_open(int maxfds)
{
	errno = POLLER_ERRNO;
	long fd = poller_told(eventpoll_create(maxfds));
	if (fd < 0)
		cr_assert_fail("eventpoll_create: %ld", fd);
	return (int)fd;
}

static inline long poller_try(int poller, int op, int fd, unsigned events)
{
	errno = POLLER_ERRNO;
	return poller_told(eventpoll_ctl(poller, op, fd, events));
}

static inline void poller_ctl(int poller, int op, int fd, unsigned events)
{
	long ret = poller_try(poller, op, fd, events);
	if (ret)
		cr_assert_fail("eventpoll_ctl %d of fd %d for %#x: %ld", op, fd, events, ret);
}

static inline void poller_add(int poller, int fd, unsigned events)
{
	poller_ctl(poller, EPOLL_CTL_ADD, fd, events);
}

static inline void poller_mod(int poller, int fd, unsigned events)
{
	poller_ctl(poller, EPOLL_CTL_MOD, fd, events);
}

static inline void poller_del(int poller, int fd)
{
	poller_ctl(poller, EPOLL_CTL_DEL, fd, 0);
}

/* One that has `fd` in it. */
static inline int poller_of(int fd, unsigned events)
{
	int poller = poller_open(8);
	poller_add(poller, fd, events);
	return poller;
}

static inline int poller_wait(int poller, const struct pollfd **events, int timeout)
{
	errno = POLLER_ERRNO;
	return (int)poller_told(eventpoll_wait(poller, events, timeout));
}

/* revents of the only event now, which must be that of `fd`; 0 where there is none. */
static inline unsigned poller_event(int poller, int fd)
{
	const struct pollfd *events = NULL;
	int n = poller_wait(poller, &events, 0);
	if (n != 0 && n != 1)
		cr_assert_fail("eventpoll_wait: %d", n);
	if (n && events[0].fd != fd)
		cr_assert_fail("an event of fd %d, not %d", events[0].fd, fd);
	return n ? (unsigned short)events[0].revents : 0;
}

/* All there is now, by fd; how many entries there were. One wait has each fd once. */
static inline int poller_collect(int poller, unsigned *revents, int limit)
{
	const struct pollfd *events;
	int n, all = 0;
	while ((n = poller_wait(poller, &events, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			if (events[i].fd < 0 || events[i].fd >= limit || !events[i].revents)
				cr_assert_fail("fd %d, revents %#x", events[i].fd,
					(unsigned)events[i].revents);
			for (int j = 0; j < i && n < 64; j++)
				if (events[j].fd == events[i].fd)
					cr_assert_fail("fd %d twice in one wait", events[i].fd);
			revents[events[i].fd] |= (unsigned short)events[i].revents;
		}
		all += n;
		if (all > 4 * limit)
			cr_assert_fail("events without end");
	}
	if (n < 0)
		cr_assert_fail("eventpoll_wait: %d", n);
	return all;
}

/* A wait without a limit, for struct waiter. */
struct poller_waited {
	int poller;
	const struct pollfd *events;
};

static inline long poller_call(void *arg)
{
	struct poller_waited *w = arg;
	return eventpoll_wait(w->poller, &w->events, -1);
}

#endif
