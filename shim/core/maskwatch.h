/* Epoll watches of masks. The kernel watches a FIFO under a cookie in place of the user's data, and
 * what the mask shows is looked up when it wakes. As a rule that is the object's own FIFO, by which
 * the kernel knows the watch wherever the set and the object go; its level tells that some
 * watcher's interest is met. A watch that wants something else than those before it is on the FIFO
 * of its class, where set and object are this process's alone. */
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

/* What was a fast watch of a ring becomes one: the number is in the set already. Where `told`, so
 * was the edge of the write that made `version`; where `fired`, it is one-shot and was told. */
struct maskwatch_past {
	bool fired;
	bool told;
	uint32_t version;
};
int maskwatch_take_over(int epfd, const struct fdref *ref, const struct epoll_event *event,
	const struct maskwatch_past *past);

/* Others get the set: a watch on the FIFO of a class moves to the own one. */
void maskwatch_share(int epfd, const struct fdref *ref, const struct watch *watch, uint64_t cookie);

#endif
