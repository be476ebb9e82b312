/* A lock for what happens seldom, and never in a read, write, poll or close: whoever holds it has
 * all signals blocked, so that no handler waits for the thread that it interrupted. */
#ifndef EFDSHIM_CORE_LATCH_H
#define EFDSHIM_CORE_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

struct latch {
	/* 0, or 1 while somebody holds it, or 2 while others may sleep besides. A forked child
	 * stores 0. */
	_Atomic uint32_t word;
	uint64_t mask; /* of the holder: the signals that were blocked before */
};

void latch_lock(struct latch *latch);
void latch_unlock(struct latch *latch);

#endif
