/* What the program is told for the kernel's events of an epoll set: cookies become what it
 * registered, what stands for nothing is left out. */
#ifndef EFDSHIM_CORE_EPOLLTELL_H
#define EFDSHIM_CORE_EPOLLTELL_H

#include <stdbool.h>

#include "core/epollset.h"

/* Whether an event may be any of the library's own. A bell rings for the first cookie there ever
 * was before that one is made. */
bool epolltell_any(void);

/* Of the kernel's events those that are to be told, as the program registered them; how many. */
long epolltell_translate(struct epoll_call *call, struct epoll_event *events, long n);

#endif
