/* Threads that do asyncfd_submit()'s operations: a few, while there are any. */
#ifndef EFDSHIM_CORE_WORKERS_H
#define EFDSHIM_CORE_WORKERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "efdshim/asyncfd.h"

/* What an operation returned, or -errno. */
typedef int64_t workers_function(const struct asyncfd_op *op);

/* Takes operations in, for the ring of `ref`: how many, or -errno. `perform` does each; always the
 * same function. */
int workers_submit(
	const struct fdref *ref, const struct asyncfd_op *ops, int n, workers_function *perform);

/* 1 while results wait for room in a ring. Set by the thread that is to deliver them, before it
 * tries; exchanged for 0 by whoever may have made room. */
extern _Atomic uint32_t workers_stuck;

/* There may be room in a ring: for its consumer, wherever it looks at the fd. */
void workers_retry(void);
static inline void workers_room(void)
{
	if (atomic_load_explicit(&workers_stuck, memory_order_relaxed) &&
		atomic_exchange(&workers_stuck, 0))
		workers_retry();
}

/* In a forked child, which has no threads and no operations. */
void workers_forked(void);

#endif
