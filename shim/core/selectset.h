/* select(2) over sets that hold fake fds: done by poll, as fds of the library may lie above
 * FD_SETSIZE. */
#ifndef EFDSHIM_CORE_SELECTSET_H
#define EFDSHIM_CORE_SELECTSET_H

#include <signal.h>
#include <stdbool.h>
#include <sys/select.h>
#include <time.h>

#include "core/outcome.h"

/* The three sets of a call, as words; any may be NULL. */
struct selectset {
	int n;
	fd_set *in;
	fd_set *out;
	fd_set *except;
};

/* True where the sets can be read and hold a fake fd: else the call is the kernel's. */
bool selectset_concerned(const struct selectset *set);

/* pselect(2); a NULL timeout is none. A cancellation point. */
struct outcome selectset_wait(
	const struct selectset *set, const struct timespec *timeout, const sigset_t *mask);

#endif
