/* epoll_pwait(2) (Linux 2.6.19) and epoll_pwait2(2) (5.11) for kernels that lack them. */
#ifndef EFDSHIM_INTERPOSE_EPOLLOLDER_H
#define EFDSHIM_INTERPOSE_EPOLLOLDER_H

#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

/* They answer as libc's functions do. */
int epollolder_pwait(
	int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask);
int epollolder_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
	const sigset_t *mask);

#endif
