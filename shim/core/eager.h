/* A mask that only level-triggered epoll watches look at need not take its level down at once: a
 * set that the stale level wakes finds nothing to report, and takes it down then. A loop that sets
 * and clears a mask makes no system call for it that way. Whoever looks at a set itself would see
 * it ready for nothing: then levels are kept up to date. Those of rings fall in no other way. */
#ifndef EFDSHIM_CORE_EAGER_H
#define EFDSHIM_CORE_EAGER_H

#include <stdbool.h>

/* A set of this process is watched or polled itself: from now on no level is stale, and none that
 * is. */
void eager_all(void);

/* Somebody is about to wait on a set, which others may be in: levels of rings, which nobody takes
 * down when they are emptied, are brought up to date. */
void eager_waiting(void);

/* Whether a watch in the set must have levels up to date. */
bool eager_set(int epfd);

#endif
