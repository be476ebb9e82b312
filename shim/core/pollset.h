/* poll(2) over sets that hold fake fds. */
#ifndef EFDSHIM_CORE_POLLSET_H
#define EFDSHIM_CORE_POLLSET_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "core/outcome.h"

/* True where the array can be read, is not longer than the kernel takes, and holds a fake fd: else
 * the call is the kernel's. */
bool pollset_concerned(struct pollfd *fds, nfds_t n);

/* ppoll(2); a NULL timeout is none. A cancellation point. */
struct outcome pollset_wait(
	struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);

#endif
