/* A wait on a futex in which the thread can be cancelled, and nowhere else. */
#ifndef EFDSHIM_SYS_CANCEL_H
#define EFDSHIM_SYS_CANCEL_H

#include <stdint.h>
#include <time.h>

/* FUTEX_WAIT on a word that processes may share: 0 or -errno. */
long cancel_futex_wait(
	const _Atomic uint32_t *word, uint32_t value, const struct timespec *timeout);

#endif
