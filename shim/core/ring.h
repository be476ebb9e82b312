/* A ring of results as a state machine over the program's memory: no fd, no mirror. Any number of
 * producers store at once, threads and signal handlers of any process that has the memory; nobody
 * waits for anybody. Each reserves places, writes them, and publishes all that are written: in
 * order, whoever's they are. All that producers share is one word in the head. */
#ifndef EFDSHIM_CORE_RING_H
#define EFDSHIM_CORE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "efdshim/asyncfd.h"

/* The ring as one call finds it; private to the call. */
struct ring {
	struct asyncfd_uring *head;
	struct asyncfd_result *places;
	uint32_t size;
	uintptr_t known; /* the page of the places that was verified last, + 1 */
};

/* What a ring is like that a program hands in: 0, EINVAL, or EFAULT where some of it cannot be
 * stored to. */
int ring_check(struct asyncfd_uring *head);

/* Ready for producers, of whom there are none yet. */
void ring_start(struct asyncfd_uring *head);

/* Whoever was storing is gone for good: their places are free again. */
void ring_abandon(struct ring *ring);

/* 0; EFAULT where the head is not sound. */
int ring_look(struct asyncfd_uring *head, struct ring *ring);

/* Whether the place that is to be taken next is there. */
bool ring_readable(struct ring *ring);

/* Whether there are results to take. */
bool ring_holds(const struct ring *ring);

/* Whether it is not full: one more result might be stored. */
bool ring_has_room(const struct ring *ring);

/* Stores up to n results, none of which has a cookie of 0: how many there was room for, or
 * -EFAULT. */
int ring_add(struct ring *ring, const struct asyncfd_result *results, uint32_t n);

/* The steps of the former, for tests. *first is the first place. */
int ring_reserve(struct ring *ring, uint32_t n, uint32_t *first);
void ring_write(
	struct ring *ring, uint32_t first, const struct asyncfd_result *results, uint32_t n);
void ring_publish(struct ring *ring);

#endif
