/* What pipetest and eventfd-bench have in common: all but the kind of channel. */
#ifndef EFDSHIM_BENCH_TOOL_H
#define EFDSHIM_BENCH_TOOL_H

#include "channels.h"

/* Returns the exit code. */
int tool_main(int argc, char **argv, const struct channel_kind *kind);

#endif
