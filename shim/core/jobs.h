/* The operations that are under way: a table, and who may have how much of it. No thread here, and
 * no lock: whoever calls has that. */
#ifndef EFDSHIM_CORE_JOBS_H
#define EFDSHIM_CORE_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "efdshim/asyncfd.h"

/* All in all, and those of one asyncfd: a consumer that is stuck leaves room for the others. */
enum { JOBS = 1024, JOBS_EACH = 256 };

struct job {
	struct asyncfd_op op;
	int64_t res;
	uint32_t owner;
	uint32_t next; /* of those in the same list: index + 1, 0 for the last one */
};

struct joblist {
	uint32_t first, last; /* index + 1, 0 for none */
};

/* An asyncfd that has operations. */
struct job_owner {
	struct fdref ref;
	uint32_t jobs;	      /* 0: the place is free */
	struct joblist stuck; /* results that wait for room, in the order of their completion */
	uint32_t next;	      /* of those with such: index + 1 */
};

struct jobs {
	struct job all[JOBS];
	struct job_owner owners[JOBS];
	uint32_t top, owners_top; /* one above the highest that ever were used */
	struct joblist free;
	struct joblist queue; /* not begun yet */
	uint32_t queued;
	uint32_t stuck_owners; /* the first; index + 1 */
};

/* One more for the asyncfd `ref`; false where it has too many, or all together. */
bool jobs_add(struct jobs *jobs, const struct fdref *ref, const struct asyncfd_op *op);

/* The next one, taken from the queue, which is not empty; it stays where it is until it is done. */
struct job *jobs_begin(struct jobs *jobs);

/* It is done, with the result in it: delivers that, or keeps it until there is room. */
void jobs_done(struct jobs *jobs, struct job *job);

/* Whether results wait; and delivers what there is room for: true where that was anything. */
static inline bool jobs_stuck(const struct jobs *jobs)
{
	return jobs->stuck_owners != 0;
}
bool jobs_deliver(struct jobs *jobs);

/* There are none from now on. */
void jobs_forget(struct jobs *jobs);

#endif
