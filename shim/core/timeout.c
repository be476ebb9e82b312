#include "core/timeout.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "core/usermem.h"

/* Whole seconds; a longer wait never ends. */
#define CENTURIES (INT64_MAX / 4)

enum { NS = 1000000000, NS_IN_MS = 1000000, MS = 1000 };

struct timeout timeout_start(const struct timespec *timeout)
{
	struct timeout started = {.infinite = !timeout};

	if (!timeout)
		return started;
	started.zero = timeout->tv_sec == 0 && timeout->tv_nsec == 0;
	if (started.zero)
		return started;
	clock_gettime(CLOCK_MONOTONIC, &started.end);
	/* what is no time at all the kernel will refuse */
	started.infinite =
		timeout->tv_sec > CENTURIES || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS;
	if (started.infinite)
		return started;
	started.end.tv_sec += timeout->tv_sec;
	started.end.tv_nsec += timeout->tv_nsec;
	if (started.end.tv_nsec >= NS) {
		started.end.tv_nsec -= NS;
		started.end.tv_sec++;
	}
	return started;
}

bool timeout_over(const struct timeout *timeout, struct timespec *left)
{
	struct timespec now;

	*left = (struct timespec){timeout->infinite ? INT_MAX : 0, 0};
	if (timeout->infinite)
		return false;
	if (timeout->zero)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec = timeout->end.tv_sec - now.tv_sec;
	left->tv_nsec = timeout->end.tv_nsec - now.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_nsec += NS;
		left->tv_sec--;
	}
	if (left->tv_sec >= 0 && (left->tv_sec || left->tv_nsec))
		return false;
	*left = (struct timespec){0, 0};
	return true;
}

const struct timespec *timeout_from_ms(int ms, struct timespec *space)
{
	if (ms < 0)
		return NULL;
	space->tv_sec = ms / MS;
	space->tv_nsec = (long)(ms % MS) * NS_IN_MS;
	return space;
}

int timeout_to_ms(const struct timespec *timeout)
{
	if (!timeout)
		return -1;
	if (timeout->tv_sec >= INT_MAX / MS - 1)
		return INT_MAX;
	return (int)(timeout->tv_sec * MS + (timeout->tv_nsec + NS_IN_MS - 1) / NS_IN_MS);
}

const struct timespec *timeout_from_timeval(const struct timeval *timeout, struct timespec *space)
{
	enum { US = 1000000, NS_IN_US = 1000 };

	if (!usermem_loadable(timeout, sizeof(*timeout)) || timeout->tv_sec < 0 ||
		timeout->tv_usec < 0)
		return NULL;
	space->tv_nsec = timeout->tv_usec % US * NS_IN_US;
	if (!__builtin_add_overflow(timeout->tv_sec, timeout->tv_usec / US, &space->tv_sec))
		return space;
	space->tv_sec = LONG_MAX;
	return space;
}
