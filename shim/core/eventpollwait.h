/* Waiting at an eventpoll. */
#ifndef EFDSHIM_CORE_EVENTPOLLWAIT_H
#define EFDSHIM_CORE_EVENTPOLLWAIT_H

#include <poll.h>

#include "core/epollset.h"

struct eventpoll_call {
	int epfd;
	const struct pollfd **events; /* the program's */
	int timeout;		      /* milliseconds */
	/* Makes the system call, see epollset.h. */
	struct outcome (*attempt)(const struct epoll_call *call);
};

/* eventpoll_wait. */
struct outcome eventpollwait(const struct eventpoll_call *call);

#endif
