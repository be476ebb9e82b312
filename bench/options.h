/* The command line of pipetest and eventfd-bench. */
#ifndef EFDSHIM_BENCH_OPTIONS_H
#define EFDSHIM_BENCH_OPTIONS_H

#include <stdbool.h>

#include "channels.h"
#include "loop.h"

enum mate { MATE_NONE, MATE_THREAD, MATE_PROCESS };
enum cores { CORES_ANY, CORES_ONE, CORES_TWO };

struct options {
	const struct channel_kind *kind;
	const struct loop *loop; /* NULL: wait in read, which only a ping-pong can */
	int channels, active, runs;
	long writes;
	enum mate mate;
	enum cores cores;
	bool edges; /* EPOLLET, and no reading where every write is an edge without it */
	bool json;
};

/* Ends the program on a wrong command line, and after --help. */
struct options options_of(int argc, char **argv, const struct channel_kind *kind);

#endif
