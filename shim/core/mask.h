/* The pair of a mask eventfd as a pure state machine: no fd, no mirror. */
#ifndef EFDSHIM_CORE_MASK_H
#define EFDSHIM_CORE_MASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "sys/swap16.h"

/* Poll bits: the rest of an epoll watch's events are flags. */
#define POLL_BITS 0x0fffffffu

/* The events a mask can show. */
#define MASK_EVENTS ((uint32_t)(EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP))

/* Written by compare-and-swap of both words only, by every process that has the object; readers of
 * the events alone load the first word. seq_cst: a writer looks at slot.watched and what is wanted
 * after it, watchers look at the events after they raised these. */
struct mask_cell {
	_Alignas(16) _Atomic uint64_t state; /* version << 32 | events */
	_Atomic uint64_t data;
};

/* Watchers of a mask that ask for IN, for PRI, for OUT: three counts in one word. */
enum { WANT_BITS = 21 };

/* One watcher of these bits, of which the others are not counted. */
static inline uint64_t want_one(uint32_t bits)
{
	return (bits & EPOLLIN ? 1ull : 0) | (bits & EPOLLPRI ? 1ull << WANT_BITS : 0) |
	       (bits & EPOLLOUT ? 1ull << 2 * WANT_BITS : 0);
}

/* The bits somebody asks for. */
static inline uint32_t want_bits(uint64_t counts)
{
	const uint64_t count = (1ull << WANT_BITS) - 1;

	return (counts & count ? (uint32_t)EPOLLIN : 0) |
	       (counts >> WANT_BITS & count ? (uint32_t)EPOLLPRI : 0) |
	       (counts >> 2 * WANT_BITS & count ? (uint32_t)EPOLLOUT : 0);
}

/* What the cell held at one moment. */
struct mask_pair {
	uint64_t state;
	uint64_t data;
};

static inline uint32_t mask_events(uint64_t state)
{
	return (uint32_t)state;
}

/* Each write makes another one, so that a watch tells a new edge from one it has reported, and a
 * write that was late for its object fails. */
static inline uint32_t mask_version(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

/* Stores the events and data where the cell still is *before; else *before is what it is. */
static inline bool mask_swap(
	struct mask_cell *cell, struct mask_pair *before, uint32_t events, uint64_t data)
{
	uint64_t after = (uint64_t)(mask_version(before->state) + 1) << 32 | events;

	return swap16(cell, &before->state, &before->data, after, data);
}

/* For a swap to begin with: the two may not belong together. */
static inline struct mask_pair mask_guess(const struct mask_cell *cell)
{
	return (struct mask_pair){atomic_load(&cell->state), atomic_load(&cell->data)};
}

/* Both words of one moment. */
static inline struct mask_pair mask_load(struct mask_cell *cell)
{
	struct mask_pair pair = mask_guess(cell);

	while (!swap16(cell, &pair.state, &pair.data, pair.state, pair.data))
		;
	return pair;
}

#endif
