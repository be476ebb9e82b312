/* What the shim did in this process, for EFDSHIM_STATS. Counted only where asked for. */
#ifndef EFDSHIM_CORE_STATS_H
#define EFDSHIM_CORE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum stats_counter {
	STATS_EVENTFDS,
	STATS_READS,
	STATS_WRITES,
	STATS_WAKEUPS,
	STATS_SYSCALLS, /* made on behalf of fake fds */
	STATS_AVOIDED,	/* calls on fake fds that needed none */
	STATS_COUNT,
};

extern bool stats_on; /* set once, while the library loads */
extern _Atomic uint64_t
	stats[STATS_COUNT]; /* added to by every thread, relaxed: read only at exit */

static inline void stats_add(enum stats_counter counter)
{
	if (stats_on)
		atomic_fetch_add_explicit(&stats[counter], 1, memory_order_relaxed);
}

static inline void stats_syscall(void)
{
	stats_add(STATS_SYSCALLS);
}

/* Starts from zero: at load, and in a forked child. */
void stats_reset(bool in_child);

/* Prints the line to stderr where EFDSHIM_STATS asks for it; once a process, never from a vfork
 * child. */
void stats_print(void);

#endif
