/* Epoll watches of masks. The kernel watches the object's own FIFO, under a cookie in place of the
 * user's data, and what a mask shows is looked up when it wakes: the FIFO's level tells only that
 * some watcher's interest is met. */
#ifndef EFDSHIM_CORE_MASKWATCH_H
#define EFDSHIM_CORE_MASKWATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/watch.h"

/* epoll_ctl(2) of a mask with a valid op, and an event that could be loaded; 0 or an errno value.
 * `edge`: every write must reach the watch, whatever its own mode. */
int maskwatch_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, bool edge);

/* What the program gets for an event of such a watch: poll bits, 0 for nothing. */
uint32_t maskwatch_events(int epfd, const struct watch *watch, uint64_t cookie);

#endif
