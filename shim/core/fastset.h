/* Which watches are fast. A fast watch is in the kernel's set too, with an empty interest: so it is
 * for the kernel to say what is there already and what is gone. */
#ifndef EFDSHIM_CORE_FASTSET_H
#define EFDSHIM_CORE_FASTSET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/fdtable.h"
#include "core/front.h"

/* epoll_ctl(2) of a counter: true where that was all, and *err is 0 or an errno value. Else a watch
 * that was fast is so no more, and the call is still to be made. */
bool fastset_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, int *err);

/* What the kernel has of a fast watch. 0 or an errno value. */
int fastset_anchor(int epfd, int op, int fd, uint32_t events, uint64_t cookie);

#endif
