/* Clocks, in nanoseconds. */
#ifndef EFDSHIM_BENCH_CLOCK_H
#define EFDSHIM_BENCH_CLOCK_H

#include <time.h>

static inline double clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
