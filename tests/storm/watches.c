/* Steps with the member's two epoll sets: one level-triggered, one edge-triggered. */
#include "storm.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { LEVEL, EDGE, EVENTS = 256 };

static void control(struct member *m, int set, unsigned index, int op, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = index};
	int err = epoll_ctl(m->seat->set[set], op, m->seat->fd[index], &event) ? errno : 0;

	/* a watch that was left behind has the same number */
	if (op == EPOLL_CTL_ADD && err == EEXIST) {
		control(m, set, index, EPOLL_CTL_MOD, events);
		return;
	}
	if (err)
		fault(m->book, m->number, "epoll_ctl %d of eventfd %u: errno %d", op, index, err);
	m->seat->watched[set][index] = op == EPOLL_CTL_DEL ? 0 : events;
}

void step_watch(struct member *m)
{
	static const uint32_t wanted[] = {
		EPOLLIN, EPOLLIN, EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLOUT, EPOLLIN | EPOLLONESHOT};
	uint32_t events = wanted[random_below(&m->random, ARRAY_LEN(wanted))];
	int set = chance(&m->random, 2) ? LEVEL : EDGE, index = member_any(m);

	if (index < 0)
		return;
	if (set == EDGE)
		events |= EPOLLET;
	if (!m->seat->watched[set][index])
		control(m, set, (unsigned)index, EPOLL_CTL_ADD, events);
	else if (chance(&m->random, 2))
		control(m, set, (unsigned)index, EPOLL_CTL_MOD, events);
	else
		control(m, set, (unsigned)index, EPOLL_CTL_DEL, 0);
}

static int wait_set(struct member *m, int set, struct epoll_event *events, int max, int timeout)
{
	int ready = epoll_wait(m->seat->set[set], events, max, timeout);

	if (ready < 0 || (timeout < 0 && !ready))
		fault(m->book, m->number, "epoll_wait: %d, errno %d", ready, errno);
	for (int i = 0; i < ready; i++) {
		if (events[i].data.u64 >= FDS || !events[i].events ||
			(events[i].events & ~(uint32_t)(EPOLLIN | EPOLLOUT)))
			fault(m->book, m->number, "epoll_wait shows %#x for %#lx", events[i].events,
				(unsigned long)events[i].data.u64);
	}
	return m->book->faults ? 0 : ready;
}

static bool level_shows(struct member *m, unsigned index)
{
	struct epoll_event events[EVENTS];
	int ready = wait_set(m, LEVEL, events, EVENTS, 0);

	while (ready-- > 0) {
		if (events[ready].data.u64 == index && (events[ready].events & EPOLLIN))
			return true;
	}
	return false;
}

void step_epoll(struct member *m)
{
	struct epoll_event events[EVENTS];
	int set = chance(&m->random, 2) ? LEVEL : EDGE;
	int ready = wait_set(m, set, events, 8, chance(&m->random, 8) ? 1 : 0);

	for (int i = 0; i < ready; i++) {
		unsigned index = (unsigned)events[i].data.u64;

		if (!(events[i].events & EPOLLIN) || m->seat->fd[index] < 0)
			continue;
		if (set == LEVEL)
			read_reported(m, index, level_shows);
		else
			book_read_now(m->book, m->number, index, m->seat->fd[index]);
	}
}

void step_block_epoll(struct member *m)
{
	struct epoll_event event;
	int set = chance(&m->random, 2) ? LEVEL : EDGE, index = member_any(m);
	uint32_t watched = index < 0 ? 0 : m->seat->watched[set][index];

	if (!(watched & EPOLLIN) || (watched & EPOLLONESHOT))
		return;
	m->seat->waits = (uint32_t)(index + 1) << WAITS_SHIFT;
	wait_set(m, set, &event, 1, -1);
	m->seat->waits = 0;
}

void step_renew_set(struct member *m)
{
	int set = chance(&m->random, 2) ? LEVEL : EDGE;

	close(m->seat->set[set]);
	m->seat->set[set] = epoll_create1(0);
	for (unsigned index = 0; index < FDS; index++)
		m->seat->watched[set][index] = 0;
}
