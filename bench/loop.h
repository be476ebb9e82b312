/* The ways to wait for many channels. One loop at a time in a thread. */
#ifndef EFDSHIM_BENCH_LOOP_H
#define EFDSHIM_BENCH_LOOP_H

#include <stdbool.h>

struct loop {
	const char *name;
	int most; /* fd numbers must be below this; 0: no bound */
	/* Watches fds[0] to fds[count - 1] for input; edges: where the way has them. */
	void (*open)(const int *fds, int count, bool edges);
	/* Stores the indices of those that are ready, and returns how many; timeout as poll's. */
	int (*wait)(int *ready, int timeout);
	void (*close)(void);
};

extern const struct loop loop_epoll, loop_poll, loop_select;

#endif
