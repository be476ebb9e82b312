/* Tokens that go round a ring of channels, in one thread. */
#ifndef EFDSHIM_BENCH_CHAIN_H
#define EFDSHIM_BENCH_CHAIN_H

#include "result.h"

void chain_measure(const struct options *options, struct result *result);

#endif
