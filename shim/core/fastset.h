/* Which watches are fast, and how they become the kernel's: demotion. A fast watch is in the
 * kernel's set too, with an empty interest: so it is for the kernel to say what is there already
 * and what is gone. */
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

/* The watch is the kernel's from now on; no event is lost, and no edge told twice. */
void fastset_demote(uint32_t index);

/* All watches of the set; for good. Somebody else looks at it: a second thread, another set or a
 * poll, another process. */
void fastset_ban(struct front *front);
void fastset_ban_fd(int epfd);
void fastset_ban_all(void);

/* Those of an object that another process gets. */
void fastset_share(const struct fdref *ref);

/* The number is about to be closed or replaced: where the object has others, those that it was
 * registered under stay in the kernel. */
void fastset_number_closing(const struct fdref *ref);

/* Around a fork, in the parent; and in the child. */
void fastset_forking(void);
void fastset_forked(void);

#endif
