/* asyncfd: which ring an object has in this process, and what it shows. */
#ifndef EFDSHIM_CORE_ASYNCRING_H
#define EFDSHIM_CORE_ASYNCRING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/outcome.h"
#include "core/ringtable.h"
#include "core/slot.h"
#include "efdshim/asyncfd.h"

/* A new fd for the ring; or an errno value, as asyncfd() has them. */
struct outcome asyncring_create(struct asyncfd_uring *head);

/* The ring takes the place of the one there is, if any: on return that one is used no more, and
 * what it shows has been told. 0 or an errno value. Waits for producers. */
int asyncring_set(const struct fdref *ref, struct asyncfd_uring *head);

/* Stores results and wakes who waits; how many, or -errno: EBADFD where no fd is left, EFAULT,
 * EINVAL. Never blocks. */
int asyncring_add(const struct fdref *ref, const struct asyncfd_result *results, int n);

/* The poll bits shown now. */
uint32_t asyncring_state(const struct slot *slot);

/* The ring was found empty by somebody who is about to sleep, and has nothing else to do: waits a
 * moment for results, where that has paid before. */
void asyncring_linger(const struct slot *slot);

/* This process got the object from another one, or from the image before. */
void asyncring_adopted(const struct fdref *ref);

/* The kernel is about to be asked for a set itself: takes down the levels of rings that have been
 * emptied. */
void asyncring_lower(void);

/* The program is about to unmap this range: rings of which any part lies there are none any more,
 * nobody is at one on return, and their watchers have been told. */
void asyncring_unmapping_slow(const void *at, size_t n);
static inline void asyncring_unmapping(const void *at, size_t n)
{
	if (atomic_load_explicit(&ringtable_listed, memory_order_relaxed))
		asyncring_unmapping_slow(at, n);
}

#endif
