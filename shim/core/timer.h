/* The state of a timer as a pure state machine: no fd, no sleeping, no mirror.
 *
 * All there is to know is when the first expiration lies that has not been read, how far apart they
 * are, and what time it is: how many are unread is computed when somebody asks. So nobody has to
 * count while time passes, whoever is late loses nothing, and no expiration is counted twice. */
#ifndef EFDSHIM_CORE_TIMER_H
#define EFDSHIM_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mask.h"

/* In the words of a slot's cell. */
#define TIMER_RELATIVE (1ull << 63) /* of the first: on CLOCK_MONOTONIC, whatever its clock is */
#define TIMER_FIRED (1ull << 63)    /* of the second: the fd has been made readable for it */
#define TIMER_TIME (TIMER_FIRED - 1)

/* Both change by compare-and-swap of the two words only. */
struct timer {
	uint64_t first;	 /* the first expiration that has not been read, 0 where there is none */
	uint64_t second; /* the interval, 0 for one-shot ones */
};

static inline uint64_t timer_expiry(struct timer timer)
{
	return timer.first & TIMER_TIME;
}

static inline uint64_t timer_interval(struct timer timer)
{
	return timer.second & TIMER_TIME;
}

static inline bool timer_fired(struct timer timer)
{
	return (timer.second & TIMER_FIRED) != 0;
}

/* Armed, and nobody has been told yet. */
static inline bool timer_pending(struct timer timer)
{
	return timer_expiry(timer) && !timer_fired(timer);
}

/* How many expirations a read gives at `now`. The clock may have been set back since it fired. */
static inline uint64_t timer_ticks(struct timer timer, uint64_t now)
{
	uint64_t expiry = timer_expiry(timer), interval = timer_interval(timer);

	if (!expiry)
		return 0;
	if (now < expiry)
		return timer_fired(timer) ? 1 : 0;
	return interval ? (now - expiry) / interval + 1 : 1;
}

/* How long until the next expiration, as timerfd_gettime tells it. */
static inline uint64_t timer_remaining(struct timer timer, uint64_t now)
{
	uint64_t expiry = timer_expiry(timer), interval = timer_interval(timer);

	if (expiry > now)
		return expiry - now;
	if (!expiry || !interval)
		return 0;
	return interval - (now - expiry) % interval;
}

/* What it is after `ticks` expirations were read. */
static inline struct timer timer_after(struct timer timer, uint64_t ticks)
{
	uint64_t step, expiry, interval = timer_interval(timer);

	if (!interval)
		return (struct timer){0, 0};
	if (__builtin_mul_overflow(ticks, interval, &step) ||
		__builtin_add_overflow(timer_expiry(timer), step, &expiry) || expiry > TIMER_TIME)
		expiry = TIMER_TIME;
	return (struct timer){(timer.first & TIMER_RELATIVE) | expiry, interval};
}

/* The two words may not belong together: for a swap to begin with. */
static inline struct timer timer_guess(const struct mask_cell *cell)
{
	return (struct timer){atomic_load(&cell->state), atomic_load(&cell->data)};
}

static inline bool timer_swap(struct mask_cell *cell, struct timer *before, struct timer after)
{
	return swap16(cell, &before->first, &before->second, after.first, after.second);
}

static inline struct timer timer_load(struct mask_cell *cell)
{
	struct timer timer = timer_guess(cell);

	while (!timer_swap(cell, &timer, timer))
		;
	return timer;
}

#endif
