/* A counter and a FIFO that mirrors it, without an object around them. */
#ifndef LEVELKIT_H
#define LEVELKIT_H

#include <fcntl.h>

#include "core/counter.h"
#include "core/level.h"
#include "unit.h"

struct mirrored {
	struct slot *slot; /* in memory shared with children */
	int fifo;
	bool edge; /* every change is to be an edge */
};

static inline struct mirrored levelkit_make(uint64_t count, bool semaphore)
{
	const char *path = unit_path("level");
	struct mirrored m = {.slot = unit_shared(sizeof(struct slot))};

	cr_assert_eq(mkfifo(path, 0600), 0);
	m.fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	cr_assert(m.fifo >= 0);
	unlink(path);
	atomic_store(&m.slot->flags, KIND_COUNTER | (semaphore ? SLOT_SEMAPHORE : 0u));
	atomic_store(&m.slot->count, count);
	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_UP, false);
	return m;
}

static inline void levelkit_free(struct mirrored *m)
{
	close(m->fifo);
	munmap(m->slot, sizeof(struct slot));
}

/* What a write does, settled as whoever writes has to. */
static inline bool levelkit_add(const struct mirrored *m, uint64_t value)
{
	struct counter_step step =
		counter_add(&m->slot->counter, atomic_load(&m->slot->counter.guard), value);

	if (!step.err)
		level_settle(m->slot, CLASS_IN, m->fifo, LEVEL_UP, m->edge);
	return !step.err;
}

/* What a read does. */
static inline bool levelkit_take(const struct mirrored *m)
{
	bool semaphore = atomic_load(&m->slot->flags) & SLOT_SEMAPHORE;
	struct counter_step step =
		counter_take(&m->slot->counter, atomic_load(&m->slot->counter.guard), semaphore);

	if (step.err)
		return false;
	if (!step.after)
		level_settle(m->slot, CLASS_IN, m->fifo, LEVEL_DOWN, false);
	else if (step.before == COUNTER_LIMIT)
		level_leave_limit(m->slot, m->fifo);
	return true;
}

/* No operation is under way: the FIFO shows what the counter is, both ways. NULL, or what is wrong.
 */
static inline const char *levelkit_wrong(const struct mirrored *m)
{
	uint64_t count = atomic_load(&m->slot->count);
	short shown = unit_poll(m->fifo, POLLIN | POLLOUT);

	if (count && !(shown & POLLIN))
		return "a positive counter is not shown as readable";
	if (!count && (shown & POLLIN))
		return "an empty counter is shown as readable";
	if (count == COUNTER_LIMIT && (shown & POLLOUT))
		return "a full counter is shown as writable";
	if (count < COUNTER_LIMIT && !(shown & POLLOUT))
		return "a counter with room is shown as not writable";
	if (level_landed(m->slot, CLASS_IN) != (count != 0))
		return "the level word does not say what is in the FIFO";
	return NULL;
}

static inline void levelkit_check(const struct mirrored *m)
{
	const char *wrong = levelkit_wrong(m);

	cr_assert_null(wrong, "%s", wrong);
}

#endif
