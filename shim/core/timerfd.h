/* timerfd_create(2) and its kin in user space. */
#ifndef EFDSHIM_CORE_TIMERFD_H
#define EFDSHIM_CORE_TIMERFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/fdtable.h"
#include "core/outcome.h"

/* What fdinfo tells. */
struct timerfd_facts {
	int clock;
	uint64_t ticks;
	int flags; /* of the last timerfd_settime */
	struct itimerspec setting;
};
struct timerfd_facts timerfd_facts(const struct slot *slot);

/* ENOSYS where the shim cannot emulate. */
struct outcome timerfd_make(int clock, int flags);

/* The calls on a timer. `ref` is NULL where fd is no timer of the shim's: then they answer what the
 * kernel says of that. */
struct outcome timerfd_set(const struct fdref *ref, int fd, int flags,
	const struct itimerspec *value, struct itimerspec *old);
struct outcome timerfd_get(const struct fdref *ref, int fd, struct itimerspec *value);

struct outcome timerfd_read(const struct fdref *ref, void *buf, size_t n);

/* Takes what one read takes, before it is stored anywhere: 0 or an errno value. */
int timerfd_take(const struct fdref *ref, bool nowait, uint64_t *ticks);

#endif
