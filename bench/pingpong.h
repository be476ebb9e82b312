/* One token between two threads, or two processes, over two channels. */
#ifndef EFDSHIM_BENCH_PINGPONG_H
#define EFDSHIM_BENCH_PINGPONG_H

#include "result.h"

void pingpong_measure(const struct options *options, struct result *result);

/* The calling thread stays on the first core that it may use, or on the second one. */
void pin_to_core(int which);

#endif
