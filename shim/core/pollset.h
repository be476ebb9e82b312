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

/* What poll shows of a file even where it was not asked for. */
enum { POLLSET_UNASKED = POLLERR | POLLHUP };

/* ppoll(2); a NULL timeout is none. Of fake fds only those bits are shown unasked that `always`
 * holds: POLLSET_UNASKED, or 0 for select. A cancellation point. */
struct outcome pollset_wait(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, short always);

#endif
