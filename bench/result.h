/* What the runs of pipetest and eventfd-bench gave. */
#ifndef EFDSHIM_BENCH_RESULT_H
#define EFDSHIM_BENCH_RESULT_H

#include "options.h"

struct result {
	double *wall; /* nanoseconds per event of each run */
	double *cpu;  /* the same of the processor's time, of both sides of a ping-pong */
	long writes;  /* of all runs */
	long events;
};

/* False where events were lost. */
bool result_print(const struct options *options, struct result *result);

#endif
