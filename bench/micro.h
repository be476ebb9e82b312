/* What single calls cost, on one kind of channel. */
#ifndef EFDSHIM_BENCH_MICRO_H
#define EFDSHIM_BENCH_MICRO_H

#include "channels.h"

enum { MICRO_MOST = 100000 }; /* times */

struct cost {
	const char *name;
	bool (*fits)(const struct channel_kind *kind); /* NULL: always */
	/* Nanoseconds of one, after so many. */
	double (*measure)(const struct channel_kind *kind, long times);
	long times;
};

/* Their last one has no name. */
extern const struct cost micro_calls[], micro_wakes[];

#endif
