/* Kernel AIO that completes into fake eventfds: the kernel tells a real eventfd, the bridge, and a
 * thread of the library passes on what comes there. */
#ifndef EFDSHIM_CORE_AIOBRIDGE_H
#define EFDSHIM_CORE_AIOBRIDGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/fdtable.h"

struct bridge;

/* The number of a kernel eventfd that stands for a fake one, or -EAGAIN. It stays open until *taken
 * is given back. */
int aiobridge_take(const struct fdref *ref, struct bridge **taken);
void aiobridge_give_back(struct bridge *bridge);

/* What the kernel has told bridges by now is in their objects on return: before a completion is
 * seen otherwise, and before the process ends. */
void aiobridge_pull_slow(void);

/* How many bridges there are. Moved under the latch; read where an object may have died. */
extern _Atomic uint32_t aiobridge_count;

/* This process has closed its last fd of the object: a bridge to it goes, once nobody else has it.
 */
void aiobridge_left_slow(const struct fdref *ref);
static inline void aiobridge_left(const struct fdref *ref)
{
	if (atomic_load(&aiobridge_count))
		aiobridge_left_slow(ref);
}

static inline void aiobridge_pull(void)
{
	if (atomic_load(&aiobridge_count))
		aiobridge_pull_slow();
}

/* An internal fd has another number now. */
void aiobridge_moved(int from, int to);

/* In a forked child, which has neither contexts nor the thread. */
void aiobridge_forked(void);

#endif
