/* EPOLLEXCLUSIVE's rules, which a kernel that does not know the flag does not keep. */
#include "unit.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "core/exclusive.h"
#include "sys/probe.h"

static const uint32_t interests[] = {
	EPOLLIN,
	EPOLLIN | EPOLLEXCLUSIVE,
	EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE,
	EPOLLIN | EPOLLWAKEUP | EPOLLEXCLUSIVE,
	EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE,
	EPOLLPRI | EPOLLEXCLUSIVE,
	EPOLLRDHUP | EPOLLEXCLUSIVE,
	EPOLLEXCLUSIVE,
};

enum { INTERESTS = sizeof(interests) / sizeof(*interests) };

/* The running kernel knows the flag, or this cannot be told. */
static bool kernel_forbids(int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(0), ret;

	if (op != EPOLL_CTL_ADD)
		epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	event.events = events;
	ret = epoll_ctl(set, op, fd, &event);
	close(set);
	return ret != 0;
}

Test(core_exclusive, the_rules_are_the_kernels)
{
	int ends[2], set = epoll_create1(0);

	cr_assert(probe_exclusive());
	cr_assert_eq(pipe(ends), 0);
	for (int i = 0; i < INTERESTS; i++) {
		uint32_t events = interests[i];

		cr_assert_eq(exclusive_forbids(EPOLL_CTL_ADD, events, false),
			kernel_forbids(EPOLL_CTL_ADD, ends[0], events), "%x", events);
		cr_assert_eq(exclusive_forbids(EPOLL_CTL_ADD, events, true),
			kernel_forbids(EPOLL_CTL_ADD, set, events), "%x", events);
		cr_assert_eq(exclusive_forbids(EPOLL_CTL_MOD, events, false),
			kernel_forbids(EPOLL_CTL_MOD, ends[0], events), "%x", events);
		cr_assert_not(exclusive_forbids(EPOLL_CTL_DEL, events, false));
	}
	close(ends[0]);
	close(ends[1]);
	close(set);
}

Test(core_exclusive, a_watch_tells_that_it_is_exclusive)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	int ends[2], set = epoll_create1(0);

	cr_assert_eq(pipe(ends), 0);
	cr_assert_not(exclusive_is(set, ends[0]));
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
	cr_assert(exclusive_is(set, ends[0]));
	event.events = EPOLLIN;
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), 0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
	cr_assert_not(exclusive_is(set, ends[0]));
	close(ends[0]);
	close(ends[1]);
	close(set);
}
