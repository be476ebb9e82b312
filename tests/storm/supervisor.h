/* What the supervisor knows. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "storm.h"

struct seen {
	uint64_t progress;
	int64_t since; /* when it last moved */
	uint32_t waits;
};

struct storm {
	const struct plan *plan;
	struct book *book;
	struct ledger ledger;
	uint64_t random;
	pid_t pid, child[MEMBERS];
	struct seen seen[MEMBERS];
	int set; /* watches all eventfds, level-triggered */
	unsigned alarm_seconds;
	unsigned long kills, births[BIRTHS];
};

/* Once in a while: gives sleepers what they wait for, sends fds to who wants some, finds out who
 * hangs, spins or died by itself. */
void watch_over(struct storm *s);

/* CPU time of a process. */
int64_t cpu_ms(pid_t pid);

#endif
