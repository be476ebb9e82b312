/* One token between two threads, or two processes, over two channels. */
#ifndef EFDSHIM_BENCH_PINGPONG_H
#define EFDSHIM_BENCH_PINGPONG_H

#include "result.h"

void pingpong_measure(const struct options *options, struct result *result);

#endif
