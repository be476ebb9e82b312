/* The counter of an eventfd as a pure state machine: no fd, no sleeping, no mirror. */
#ifndef EFDSHIM_CORE_COUNTER_H
#define EFDSHIM_CORE_COUNTER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "sys/alone.h"
#include "sys/swap16.h"

#define COUNTER_LIMIT (UINT64_MAX - 1)

/* A counter, and what says whose it is: while the guard is not what an operation expects, the
 * operation moves nothing. Both change by compare-and-swap; seq_cst. */
struct counter {
	_Alignas(16) _Atomic uint64_t guard;
	_Atomic uint64_t count;
};

/* How one operation moved the counter. */
struct counter_step {
	int err; /* 0; EAGAIN where the counter could not move; ESTALE where the guard was another
		  */
	uint64_t before; /* its values around the operation */
	uint64_t after;
};

/* Where nobody else runs in this process nobody can have closed the object meanwhile, and a single
 * word will do. */
static inline bool counter_swap(
	struct counter *counter, uint64_t guard, uint64_t *before, uint64_t after)
{
	if (alone())
		return atomic_compare_exchange_strong(&counter->count, before, after);
	return swap16(counter, &guard, before, guard, after);
}

/* Adds `value` (below UINT64_MAX); EAGAIN where the sum would pass the limit. */
static inline struct counter_step counter_add(
	struct counter *counter, uint64_t guard, uint64_t value)
{
	uint64_t before = atomic_load(&counter->count);

	do {
		if (atomic_load(&counter->guard) != guard)
			return (struct counter_step){ESTALE, before, before};
		/* The kernel's test, word for word: ULLONG_MAX - count > value. */
		if (UINT64_MAX - before <= value)
			return (struct counter_step){EAGAIN, before, before};
	} while (!counter_swap(counter, guard, &before, before + value));
	return (struct counter_step){0, before, before + value};
}

/* Adds what fits below UINT64_MAX, which only this can reach. */
static inline struct counter_step counter_post(
	struct counter *counter, uint64_t guard, uint64_t value)
{
	uint64_t before = atomic_load(&counter->count), after;

	do {
		if (atomic_load(&counter->guard) != guard)
			return (struct counter_step){ESTALE, before, before};
		after = UINT64_MAX - before < value ? UINT64_MAX : before + value;
	} while (!counter_swap(counter, guard, &before, after));
	return (struct counter_step){0, before, after};
}

/* Takes all of it, or 1 of a semaphore; EAGAIN at 0. What was taken is before - after. */
static inline struct counter_step counter_take(
	struct counter *counter, uint64_t guard, bool semaphore)
{
	uint64_t before = atomic_load(&counter->count);

	do {
		if (atomic_load(&counter->guard) != guard)
			return (struct counter_step){ESTALE, before, before};
		if (!before)
			return (struct counter_step){EAGAIN, 0, 0};
	} while (!counter_swap(counter, guard, &before, semaphore ? before - 1 : 0));
	return (struct counter_step){0, before, semaphore ? before - 1 : 0};
}

/* Poll bits: IN above 0, OUT below the limit, ERR when it overflowed. */
static inline uint32_t counter_state(uint64_t count)
{
	uint32_t state = 0;

	if (count)
		state |= EPOLLIN;
	if (count < COUNTER_LIMIT)
		state |= EPOLLOUT;
	if (count == UINT64_MAX)
		state |= EPOLLERR;
	return state;
}

#endif
