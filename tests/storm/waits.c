/* Steps that poll. */
#include "storm.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SPINNING = 1000, SPINNING_MS = 2000, POLLED = 4 };

static bool polled_readable(struct member *m, unsigned index)
{
	struct pollfd ask = {.fd = m->seat->fd[index], .events = POLLIN};

	return poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN);
}

/* A level may be late while the process that changes it does not get to run; not longer. */
void read_reported(struct member *m, unsigned index, bool (*reported)(struct member *, unsigned))
{
	int64_t begun = now_ms();
	unsigned reads = 0;

	while (m->seat->fd[index] >= 0 && reported(m, index) && !m->book->faults) {
		if (book_read_now(m->book, m->number, index, m->seat->fd[index]) > 0)
			return;
		if (++reads % SPINNING || now_ms() - begun < SPINNING_MS)
			continue;
		fault(m->book, m->number,
			"%s shows eventfd %u readable, but %u reads in %d ms found nothing",
			reported == polled_readable ? "poll" : "epoll", index, reads, SPINNING_MS);
	}
}

static int gather(struct member *m, struct pollfd *ask, unsigned *index)
{
	int count = 0, wanted = 1 + (int)random_below(&m->random, POLLED);

	while (wanted--) {
		int any = member_any(m);

		if (any < 0)
			continue;
		index[count] = (unsigned)any;
		ask[count++] = (struct pollfd){
			.fd = m->seat->fd[any], .events = chance(&m->random, 4) ? POLLOUT : POLLIN};
	}
	return count;
}

/* The number of ready ones; what no eventfd of the storm shows is a fault. */
static int ask_poll(struct member *m, struct pollfd *ask, int count, int timeout)
{
	int ready = poll(ask, (nfds_t)count, timeout), seen = 0;

	for (int i = 0; i < count; i++) {
		if (ready > 0 && (ask[i].revents & ~ask[i].events))
			fault(m->book, m->number, "poll of fd %d shows %#x", ask[i].fd,
				(unsigned)ask[i].revents);
		seen += ready > 0 && ask[i].revents;
	}
	if (ready < 0 || seen != ready || (timeout < 0 && !ready))
		fault(m->book, m->number, "poll: %d, of which %d, errno %d", ready, seen, errno);
	return ready;
}

void step_poll(struct member *m)
{
	struct pollfd ask[POLLED];
	unsigned index[POLLED];
	int count = gather(m, ask, index);

	if (!count || ask_poll(m, ask, count, chance(&m->random, 8) ? 1 : 0) <= 0)
		return;
	for (int i = 0; i < count; i++) {
		if (ask[i].revents & POLLIN)
			read_reported(m, index[i], polled_readable);
	}
}

void step_block_poll(struct member *m)
{
	struct pollfd ask[POLLED];
	unsigned index[POLLED];
	int count = gather(m, ask, index);

	if (!count)
		return;
	m->seat->waits =
		(index[0] + 1) << WAITS_SHIFT | (ask[0].events == POLLOUT ? WAITS_FOR_OUT : 0);
	ask_poll(m, ask, count, -1);
	m->seat->waits = 0;
}

static void sleep_in_poll(struct member *m)
{
	struct pollfd ask[FDS];
	int count = 0;

	for (unsigned i = 0; i < FDS; i++) {
		if (m->seat->fd[i] >= 0)
			ask[count++] = (struct pollfd){.fd = m->seat->fd[i], .events = POLLIN};
	}
	ask_poll(m, ask, count, -1);
}

static void sleep_in_epoll(struct member *m, uint32_t flags)
{
	struct epoll_event event;
	int set = epoll_create1(EPOLL_CLOEXEC), ready;

	for (unsigned i = 0; i < FDS; i++) {
		event = (struct epoll_event){.events = EPOLLIN | flags, .data.u64 = i};
		if (m->seat->fd[i] >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, m->seat->fd[i], &event))
			fault(m->book, m->number, "EPOLL_CTL_ADD to a new set: errno %d", errno);
	}
	ready = epoll_wait(set, &event, 1, -1);
	if (ready != 1 || event.events != EPOLLIN || event.data.u64 >= FDS)
		fault(m->book, m->number, "epoll_wait in a quiet storm: %d, errno %d", ready,
			errno);
	close(set);
}

void wait_quietly(struct member *m)
{
	uint32_t command = m->seat->obeyed;
	unsigned lonely = 40 + m->number, first = 0;

	while (first < FDS && m->seat->fd[first] < 0)
		first++;
	if (first == FDS) {
		while (m->book->command == command)
			book_sleep(&m->book->command, command, 1000);
		return;
	}
	m->seat->waits = (first + 1) << WAITS_SHIFT;
	if (m->number % 4 == 0 && m->seat->fd[lonely] >= 0) {
		m->seat->waits = (lonely + 1) << WAITS_SHIFT;
		book_read(m->book, m->number, lonely, m->seat->fd[lonely]);
	} else if (m->number % 4 == 1) {
		sleep_in_epoll(m, 0);
	} else if (m->number % 4 == 2) {
		sleep_in_epoll(m, EPOLLET);
	} else {
		sleep_in_poll(m);
	}
	m->seat->waits = 0;
}
