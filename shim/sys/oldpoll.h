/* ppoll(2) for kernels that lack it: x86-64 has it from Linux 2.6.19 on. */
#ifndef EFDSHIM_SYS_OLDPOLL_H
#define EFDSHIM_SYS_OLDPOLL_H

#include <poll.h>
#include <signal.h>
#include <time.h>

/* Answers as libc's function does. There a signal that the mask lets in ends the sleep within some
 * milliseconds; none is lost. */
int oldpoll_ppoll(
	struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);

#endif
