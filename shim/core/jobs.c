#include "core/jobs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/asyncring.h"

enum { BATCH = 32 };

static uint32_t place_of(const struct jobs *jobs, const struct job *job)
{
	return (uint32_t)(job - jobs->all) + 1;
}

static void append(struct jobs *jobs, struct joblist *list, struct job *job)
{
	job->next = 0;
	if (list->first)
		jobs->all[list->last - 1].next = place_of(jobs, job);
	else
		list->first = place_of(jobs, job);
	list->last = place_of(jobs, job);
}

static struct job *take_first(struct jobs *jobs, struct joblist *list)
{
	struct job *job = list->first ? &jobs->all[list->first - 1] : NULL;

	if (job)
		list->first = job->next;
	return job;
}

static bool is_of(const struct job_owner *owner, const struct fdref *ref)
{
	return owner->jobs && owner->ref.slot == ref->slot &&
	       owner->ref.generation == ref->generation;
}

/* There are as many places as there are jobs. */
static struct job_owner *owner_of(struct jobs *jobs, const struct fdref *ref)
{
	struct job_owner *free = NULL;

	for (uint32_t i = 0; i < jobs->owners_top; i++) {
		if (is_of(&jobs->owners[i], ref))
			return &jobs->owners[i];
		if (!jobs->owners[i].jobs)
			free = &jobs->owners[i];
	}
	if (!free && jobs->owners_top < JOBS)
		free = &jobs->owners[jobs->owners_top++];
	if (free)
		*free = (struct job_owner){.ref = *ref};
	return free;
}

static struct job *free_job(struct jobs *jobs)
{
	struct job *job = take_first(jobs, &jobs->free);

	if (!job && jobs->top < JOBS)
		job = &jobs->all[jobs->top++];
	return job;
}

bool jobs_add(struct jobs *jobs, const struct fdref *ref, const struct asyncfd_op *op)
{
	struct job_owner *owner = owner_of(jobs, ref);
	struct job *job;

	if (!owner || owner->jobs == JOBS_EACH)
		return false;
	job = free_job(jobs);
	if (!job)
		return false;
	job->op = *op;
	job->owner = (uint32_t)(owner - jobs->owners);
	owner->jobs++;
	append(jobs, &jobs->queue, job);
	jobs->queued++;
	return true;
}

struct job *jobs_begin(struct jobs *jobs)
{
	jobs->queued--;
	return take_first(jobs, &jobs->queue);
}

static void release(struct jobs *jobs, struct job *job)
{
	jobs->owners[job->owner].jobs--;
	append(jobs, &jobs->free, job);
}

static struct asyncfd_result result_of(const struct job *job)
{
	return (struct asyncfd_result){job->op.cookie, job->op.obj, job->res, 0};
}

static void keep(struct jobs *jobs, struct job_owner *owner, struct job *job)
{
	if (!owner->stuck.first) {
		owner->next = jobs->stuck_owners;
		jobs->stuck_owners = (uint32_t)(owner - jobs->owners) + 1;
	}
	append(jobs, &owner->stuck, job);
}

/* How many are gone. What nobody can ever get, as no fd is left, is dropped; where the ring is none
 * another one may be set. */
static int add(const struct job_owner *owner, const struct asyncfd_result *results, int n)
{
	int stored = asyncring_add(&owner->ref, results, n);

	if (stored >= 0)
		return stored;
	return stored == -EFAULT ? 0 : n;
}

void jobs_done(struct jobs *jobs, struct job *job)
{
	struct job_owner *owner = &jobs->owners[job->owner];
	struct asyncfd_result result = result_of(job);

	if (owner->stuck.first || !add(owner, &result, 1))
		keep(jobs, owner, job);
	else
		release(jobs, job);
}

/* How many are gone, of the first few. */
static int deliver_some(struct jobs *jobs, struct job_owner *owner, int *tried)
{
	struct asyncfd_result results[BATCH];
	uint32_t next = owner->stuck.first;
	int gone;

	for (*tried = 0; next && *tried < BATCH; next = jobs->all[next - 1].next)
		results[(*tried)++] = result_of(&jobs->all[next - 1]);
	gone = add(owner, results, *tried);
	for (int i = 0; i < gone; i++)
		release(jobs, take_first(jobs, &owner->stuck));
	return gone;
}

static bool deliver_to(struct jobs *jobs, struct job_owner *owner)
{
	bool any = false;
	int tried, gone;

	do {
		gone = deliver_some(jobs, owner, &tried);
		any = any || gone;
	} while (gone == tried && owner->stuck.first);
	return any;
}

bool jobs_deliver(struct jobs *jobs)
{
	uint32_t *link = &jobs->stuck_owners;
	bool any = false;

	while (*link) {
		struct job_owner *owner = &jobs->owners[*link - 1];

		any |= deliver_to(jobs, owner);
		if (owner->stuck.first)
			link = &owner->next;
		else
			*link = owner->next;
	}
	return any;
}

/* What lies in the table meant something to the parent only. */
void jobs_forget(struct jobs *jobs)
{
	memset(&jobs->top, 0, sizeof(*jobs) - offsetof(struct jobs, top));
}
