/* epoll sets that hold fake fds. */
#ifndef EFDSHIM_CORE_EPOLLSET_H
#define EFDSHIM_CORE_EPOLLSET_H

#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "core/fdtable.h"
#include "core/outcome.h"

/* epoll_ctl(2) of a fake fd. */
struct outcome epollset_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event);

/* The set `inner` was put into `outer` with `events`. */
void epollset_nested(int outer, int inner, uint32_t events);

/* epoll_wait(2) and its kin: how the call is made, with what is left of its timeout. */
struct epoll_call {
	int epfd;
	struct epoll_event *events;
	int max;
	const struct timespec *timeout; /* NULL: none */
	const sigset_t *mask;
	bool rung;	      /* the bell of the set's front was among the kernel's events */
	struct timespec left; /* of the timeout, where that points here */
	/* Makes the system call of the flavour the program used. */
	struct outcome (*attempt)(const struct epoll_call *call);
};

/* Waits, and turns cookies back into what the program registered. The second asks nobody but the
 * kernel. */
struct outcome epollset_wait(struct epoll_call *call);
struct outcome epollset_wait_in_kernel(struct epoll_call *call);

#endif
