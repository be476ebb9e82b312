#include "core/eventpollctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#include "core/epollset.h"
#include "core/eventpoll.h"
#include "core/front.h"
#include "core/object.h"
#include "core/stats.h"
#include "sys/raw.h"

#define ASKABLE                                                                                    \
	((unsigned)(POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL | POLLRDNORM |       \
		    POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP))

/* How often it is looked whether another thread's probe is over. */
enum { TURNS = 1000 };

/* One call on its way. */
struct change {
	struct eventpoll *eventpoll;
	struct eventpoll_place *place;
	int epfd;
	int fd;
	uint32_t events;
};

static bool is_open(int fd)
{
	struct fdref ref;

	return object_is(&fd, &ref) || raw_fcntl(fd, F_GETFD, 0) >= 0;
}

int eventpollctl_refusal(int epfd)
{
	return is_open(epfd) ? EINVAL : EBADF;
}

static uint32_t next_generation(const struct eventpoll *eventpoll)
{
	return atomic_fetch_add(&eventpoll->shared->generation, 1) + 1;
}

static uint32_t generation_of(uint64_t word)
{
	return (uint32_t)(word >> PLACE_GENERATION_SHIFT);
}

static uint64_t word_of(uint32_t generation, uint32_t events)
{
	return (uint64_t)generation << PLACE_GENERATION_SHIFT | (events & PLACE_EVENTS);
}

/* epoll_ctl of the set that the eventpoll is. */
static int change_set(const struct change *change, int op, uint32_t generation)
{
	struct epoll_event event = {
		.events = change->events | EPOLLET,
		.data.u64 = (uint64_t)(uint32_t)change->fd << 32 | generation,
	};
	int fd = change->fd, err;
	struct fdref ref;

	if (object_is(&fd, &ref))
		return epollset_ctl(change->epfd, op, &ref, &event).err;
	stats_syscall();
	err = -raw_epoll_ctl(change->epfd, op, fd, &event);
	if (!err && op == EPOLL_CTL_ADD)
		front_note_foreign(change->epfd);
	if (!err && op != EPOLL_CTL_DEL && fdtable_kind(fd) == FD_SET)
		epollset_nested(change->epfd, fd, event.events);
	return err;
}

/* One number at a time. */
static bool begin_probe(struct eventpoll *eventpoll, int fd)
{
	for (int turns = 0; turns < TURNS; turns++) {
		uint64_t seen = atomic_load(&eventpoll->probed);

		if (!(seen & PROBED_NUMBER) &&
			atomic_compare_exchange_strong(
				&eventpoll->probed, &seen, seen + PROBED_STEP + (uint32_t)fd + 1))
			return true;
		sched_yield();
	}
	return false;
}

/* What ADD would say, without leaving anything in the set; EAGAIN where that cannot be asked. */
static int try_add(struct eventpoll *eventpoll, int epfd, int fd)
{
	struct epoll_event event = {.data.u64 = (uint64_t)EVENTPOLL_NOBODY << 32};
	int err;

	if (!begin_probe(eventpoll, fd))
		return EAGAIN;
	err = -raw_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	if (!err)
		raw_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &event);
	atomic_fetch_and(&eventpoll->probed, ~PROBED_NUMBER);
	return err;
}

static bool has_left(struct eventpoll *eventpoll, int epfd, int fd)
{
	int err = try_add(eventpoll, epfd, fd);

	return err != EEXIST && err != EAGAIN && err != ENOMEM && err != ENOSPC;
}

/* Another thread may have had the number in the set for a moment, and taken out what was added
 * meanwhile: then it is added again. */
static int add_surely(const struct change *change, uint32_t generation)
{
	_Atomic uint64_t *probed = &change->eventpoll->probed;
	uint64_t number = (uint32_t)change->fd + 1;
	bool added = false;
	int err;

	for (int turns = 0; turns < TURNS; turns++) {
		uint64_t before = atomic_load(probed), after;

		err = change_set(change, EPOLL_CTL_ADD, generation);
		added = added || !err;
		after = atomic_load(probed);
		if ((err && err != EEXIST) || (before / PROBED_STEP == after / PROBED_STEP &&
						      (before & PROBED_NUMBER) != number))
			break;
		if ((after & PROBED_NUMBER) == number)
			sched_yield();
	}
	return added && err == EEXIST ? 0 : err;
}

static bool reserve(struct eventpoll *eventpoll)
{
	uint32_t count = atomic_load(&eventpoll->count);

	do {
		if (count >= eventpoll->maxfds)
			return false;
	} while (!atomic_compare_exchange_weak(&eventpoll->count, &count, count + 1));
	return true;
}

static void give_back(struct eventpoll *eventpoll)
{
	atomic_fetch_sub(&eventpoll->count, 1);
}

/* Who is closed leaves without a word. It is missed only here, and is not looked for again before
 * the next one is missed: numbers that are closed are mostly those that come back. */
static bool find_room(struct eventpoll *eventpoll, int epfd)
{
	uint32_t top = atomic_load(&eventpoll->top), from = atomic_load(&eventpoll->cursor);

	for (uint32_t i = 0; i < top; i++) {
		uint32_t fd = (from + i) % top;
		_Atomic uint64_t *word = &eventpoll->places[fd].word;
		uint64_t seen = atomic_load(word);

		if (!(seen & PLACE_COUNTED) || !has_left(eventpoll, epfd, (int)fd) ||
			!atomic_compare_exchange_strong(word, &seen, seen & ~PLACE_COUNTED))
			continue;
		give_back(eventpoll);
		atomic_store(&eventpoll->cursor, fd + 1);
		if (reserve(eventpoll))
			return true;
	}
	return reserve(eventpoll);
}

static void raise_top(struct eventpoll *eventpoll, uint32_t fd)
{
	uint32_t seen = atomic_load(&eventpoll->top);

	while (seen <= fd && !atomic_compare_exchange_weak(&eventpoll->top, &seen, fd + 1))
		;
}

/* Whether the place counted before. One that was added later stays. */
static bool publish(const struct change *change, uint32_t generation)
{
	_Atomic uint64_t *word = &change->place->word;
	uint64_t seen = atomic_load(word);

	raise_top(change->eventpoll, (uint32_t)change->fd);
	do {
		if ((seen & PLACE_COUNTED) && (int32_t)(generation_of(seen) - generation) > 0)
			return true;
	} while (!atomic_compare_exchange_weak(
		word, &seen, word_of(generation, change->events) | PLACE_COUNTED));
	return seen & PLACE_COUNTED;
}

/* A place that counts is added to where its file was closed: then it is the new one's. Until the
 * new generation is published both are told of, so that no edge is lost. */
static int add(const struct change *change)
{
	struct eventpoll *eventpoll = change->eventpoll;
	bool counts = atomic_load(&change->place->word) & PLACE_COUNTED;
	uint32_t generation;
	int err;

	if (!counts && !reserve(eventpoll) && !find_room(eventpoll, change->epfd)) {
		err = is_open(change->fd) ? try_add(eventpoll, change->epfd, change->fd) : EBADF;
		return err && err != EAGAIN ? err : ENOSPC;
	}
	generation = next_generation(eventpoll);
	err = add_surely(change, generation);
	if (!err && publish(change, generation) != counts) {
		if (counts) /* it was found to have left meanwhile */
			atomic_fetch_add(&eventpoll->count, 1);
		else
			give_back(eventpoll);
	} else if (err && !counts) {
		give_back(eventpoll);
	}
	return err;
}

/* By a generation that no relative drops, whatever it has registered; what counts here stays, so
 * that no event on its way is dropped. */
static int modify(const struct change *change)
{
	_Atomic uint64_t *word = &change->place->word;
	uint64_t seen;

	do {
		int err;

		seen = atomic_load(word);
		err = change_set(change, EPOLL_CTL_MOD, next_generation(change->eventpoll));
		if (err)
			return err;
	} while (!atomic_compare_exchange_strong(word, &seen,
		word_of(generation_of(seen), change->events) | (seen & PLACE_COUNTED)));
	return 0;
}

/* Where another thread has added it again meanwhile it stays. */
static int take_out(const struct change *change)
{
	_Atomic uint64_t *word = &change->place->word;
	uint64_t seen = atomic_load(word);
	uint32_t first = generation_of(seen), next;
	int err = change_set(change, EPOLL_CTL_DEL, 0);

	if (err)
		return err;
	next = next_generation(change->eventpoll);
	do {
		if (generation_of(seen) != first)
			return 0;
	} while (!atomic_compare_exchange_weak(word, &seen, word_of(next, 0)));
	if (seen & PLACE_COUNTED)
		give_back(change->eventpoll);
	return 0;
}

static int make(struct change *change, int op)
{
	if ((uint32_t)change->fd >= EVENTPOLL_FDS)
		return is_open(change->fd) ? ENOMEM : EBADF;
	change->place = &change->eventpoll->places[change->fd];
	switch (op) {
	case EPOLL_CTL_ADD:
		return add(change);
	case EPOLL_CTL_MOD:
		return modify(change);
	case EPOLL_CTL_DEL:
		return take_out(change);
	default:
		return is_open(change->fd) ? EINVAL : EBADF;
	}
}

int eventpollctl(int epfd, int op, int fd, unsigned events)
{
	struct change change = {.epfd = epfd, .fd = fd, .events = events & ~(unsigned)POLLNVAL};
	int err;

	change.eventpoll = eventpoll_get(epfd);
	if (!change.eventpoll)
		return is_open(epfd) && !is_open(fd) ? EBADF : eventpollctl_refusal(epfd);
	if (op != EPOLL_CTL_DEL && (events & ~ASKABLE))
		err = is_open(fd) ? EINVAL : EBADF;
	else
		err = make(&change, op);
	eventpoll_put(change.eventpoll);
	return err;
}
