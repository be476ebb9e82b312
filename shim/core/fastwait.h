/* Waiting at a front: what is ready there is told without a system call, and the kernel is asked
 * for the rest and to sleep. */
#ifndef EFDSHIM_CORE_FASTWAIT_H
#define EFDSHIM_CORE_FASTWAIT_H

#include <stdbool.h>

#include "core/epollset.h"
#include "core/front.h"

/* epoll_wait(2) of the front's set. False where that is not for the front any more: then
 * call->timeout is what is left of it. */
bool fastwait(struct front *front, struct epoll_call *call, struct outcome *outcome);

#endif
