#include "core/eventpollwait.h"

#include <errno.h>
#include <pthread.h>

#include "core/eventpoll.h"
#include "core/eventpollctl.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "sys/raw.h"

/* How often a bell is passed on, a millisecond each, to who has not heard it. */
enum { RINGS = 1000, NAP_NS = 1000000 };

enum { POINTER = sizeof(void *) };

/* A wait on its way. */
struct waiting {
	const struct eventpoll_call *call;
	struct eventpoll *eventpoll;
	uint64_t by; /* what waits_by is as long as the number is open */
	struct pollfd *buffer;
	uint32_t n;   /* how many are there */
	bool dropped; /* some event was nobody's */
	int rings;
};

static void drain(const struct eventpoll *eventpoll)
{
	int bell = atomic_load(&eventpoll->bell);
	uint64_t value;

	if (fdtable_kind(bell) == FD_INTERNAL)
		raw_read(bell, &value, sizeof(value));
}

/* A bell that was for this wait is none for the next one. */
static void leave(void *arg)
{
	const struct waiting *waiting = arg;
	struct eventpoll *eventpoll = waiting->eventpoll;
	uint64_t by = atomic_exchange(&eventpoll->waits_by, 0);

	if ((by & WAITS_CUT) && atomic_fetch_sub(&eventpoll->shared->over, 1) <= 1)
		drain(eventpoll);
	eventpoll_put_waiter(eventpoll);
}

static bool is_cut(const struct waiting *waiting)
{
	return atomic_load(&waiting->eventpoll->waits_by) != waiting->by;
}

/* The set may be a relative's too, and the bell meant for a wait there. */
static void hear_bell(struct waiting *waiting)
{
	struct timespec nap = {.tv_nsec = NAP_NS};
	_Atomic int *over = &waiting->eventpoll->shared->over;

	if (is_cut(waiting) || atomic_load(over) <= 0)
		return;
	if (++waiting->rings > RINGS) { /* it was killed */
		atomic_store(over, 0);
		return;
	}
	eventpoll_ring(waiting->eventpoll);
	raw_syscall3(SYS_nanosleep, (long)&nap, 0, 0);
}

/* Of a number that was closed and is another file's by now, an event of the old one is dropped. */
static bool is_current(uint64_t word, uint32_t generation)
{
	return (int32_t)(generation - (uint32_t)(word >> PLACE_GENERATION_SHIFT)) >= 0;
}

static void put_event(struct waiting *waiting, uint32_t fd, uint64_t word, uint32_t events)
{
	struct eventpoll *eventpoll = waiting->eventpoll;
	struct eventpoll_place *place = &eventpoll->places[fd];
	struct pollfd *at = &waiting->buffer[place->index];

	if (place->serial == eventpoll->serial && place->index < waiting->n && at->fd == (int)fd) {
		at->revents = (short)((uint32_t)at->revents | events);
		return;
	}
	place->serial = eventpoll->serial;
	place->index = waiting->n++;
	waiting->buffer[place->index] = (struct pollfd){
		.fd = (int)fd,
		.events = (short)(word & PLACE_EVENTS),
		.revents = (short)events,
	};
}

static void put_batch(struct waiting *waiting, long n)
{
	const struct eventpoll *eventpoll = waiting->eventpoll;

	for (long i = 0; i < n; i++) {
		uint32_t events = eventpoll->batch[i].events & PLACE_EVENTS;
		uint64_t data = eventpoll->batch[i].data.u64;
		uint32_t fd = (uint32_t)(data >> 32);
		uint64_t word = fd < EVENTPOLL_FDS ? atomic_load(&eventpoll->places[fd].word) : 0;

		if (fd < EVENTPOLL_FDS && is_current(word, (uint32_t)data)) {
			put_event(waiting, fd, word, events);
			continue;
		}
		waiting->dropped = true;
		if (fd == EVENTPOLL_BELL)
			hear_bell(waiting);
	}
}

static struct outcome ask(const struct waiting *waiting, const struct timespec *timeout)
{
	struct epoll_call call = {
		.epfd = waiting->call->epfd,
		.events = waiting->eventpoll->batch,
		.max = EVENTPOLL_BATCH,
		.timeout = timeout,
		.attempt = waiting->call->attempt,
	};

	return epollset_wait(&call);
}

/* The rest of what is ready, if it was more than a batch. Who makes events all the while must not
 * keep this going. */
static void take_rest(struct waiting *waiting, long got)
{
	static const struct timespec now;
	uint32_t most = atomic_load(&waiting->eventpoll->count) / EVENTPOLL_BATCH;

	while (got == EVENTPOLL_BATCH && most--) {
		got = ask(waiting, &now).value;
		put_batch(waiting, got);
	}
}

static struct outcome wait_open(struct waiting *waiting, const struct timespec *timeout)
{
	struct timeout limit = timeout_start(timeout);
	struct timespec left;

	for (;;) {
		struct outcome outcome = ask(waiting, timeout);

		if (is_cut(waiting))
			return outcome_err(EBADF);
		if (outcome.err || !outcome.value)
			return outcome;
		put_batch(waiting, outcome.value);
		take_rest(waiting, outcome.value);
		if (is_cut(waiting))
			return outcome_err(EBADF);
		if (waiting->n)
			return outcome_ok(waiting->n);
		if (timeout_over(&limit, &left))
			left = (struct timespec){0, 0};
		timeout = timeout ? &left : NULL;
	}
}

/* The number is told before it is looked at: who closes it does it the other way round. */
static struct outcome begin(struct waiting *waiting)
{
	struct eventpoll *eventpoll = waiting->eventpoll;
	int epfd = waiting->call->epfd;
	struct timespec space;

	waiting->by = (uint64_t)++eventpoll->serial << WAITS_SERIAL_SHIFT | ((uint32_t)epfd + 1);
	atomic_store(&eventpoll->waits_by, waiting->by);
	if (eventpoll_key(epfd) != atomic_load(&eventpoll->set))
		return outcome_err(EBADF);
	waiting->buffer = eventpoll->buffers[eventpoll->turn];
	return wait_open(waiting, timeout_from_ms(waiting->call->timeout, &space));
}

static struct outcome hand_out(struct waiting *waiting, struct outcome outcome)
{
	const struct pollfd *buffer = waiting->buffer;

	if (outcome.err)
		return outcome;
	if (!usermem_store((void *)waiting->call->events, &buffer, POINTER))
		return outcome_err(EFAULT);
	waiting->eventpoll->turn ^= 1;
	return outcome;
}

struct outcome eventpollwait(const struct eventpoll_call *call)
{
	struct waiting waiting = {.call = call};
	struct outcome outcome;
	int err;

	waiting.eventpoll = eventpoll_get_to_wait(call->epfd, &err);
	if (!waiting.eventpoll)
		return outcome_err(err == EBUSY ? err : eventpollctl_refusal(call->epfd));
	pthread_cleanup_push(leave, &waiting);
	if (usermem_storable((void *)call->events, POINTER))
		outcome = hand_out(&waiting, begin(&waiting));
	else
		outcome = outcome_err(EFAULT);
	pthread_cleanup_pop(1);
	return outcome;
}
