/* When the counter moves: which classes are settled, and which way. */
#ifndef EFDSHIM_CORE_MIRROR_H
#define EFDSHIM_CORE_MIRROR_H

#include "core/counter.h"
#include "core/fdtable.h"
#include "core/slot.h"
#include "core/stats.h"

/* From now on class `class` of the object is mirrored, with an edge for every operation where
 * `edge` says so. The level is right on return. 0 or an errno value. */
int mirror_watch(const struct fdref *ref, unsigned class, bool edge);

/* From now on edges of IN leave room in the own FIFO, so that the kernel shows OUT. */
void mirror_keep_room(const struct fdref *ref);

/* mirror_watch of a mask, for one more watcher of `bits`; every write that shows one of them is an
 * edge where `edge` says so. */
int mirror_want(const struct fdref *ref, uint32_t bits, bool edge);

/* From now on its levels fall as soon as they are to. */
void mirror_eagerly(const struct fdref *ref);

/* A watcher of `bits` has gone. */
void mirror_unwant(const struct fdref *ref, uint32_t bits);

/* A write made a mask show `after` where it showed `before`. */
void mirror_mask_written(const struct fdref *ref, uint32_t before, uint32_t after);

/* Their slow halves, for objects that somebody waits for. */
void mirror_tell_written(const struct fdref *ref, struct counter_step step);
void mirror_tell_read(const struct fdref *ref, struct counter_step step);

/* Of the first, what is for the kernel's watches: slot.watched was `watched`. */
void mirror_settle_written(const struct fdref *ref, struct counter_step step, uint32_t watched);

/* A write, or a read, moved the counter as `step` says: wakes and settles. */
static inline void mirror_written(const struct fdref *ref, struct counter_step step)
{
	const struct slot *slot = ref->object;

	if (atomic_load(&slot->watched) | atomic_load(&slot->read_waiters))
		mirror_tell_written(ref, step);
	else
		stats_add(STATS_AVOIDED);
}

static inline void mirror_was_read(const struct fdref *ref, struct counter_step step)
{
	const struct slot *slot = ref->object;

	if ((atomic_load(&slot->watched) & ~WATCHED_BY_FRONTS) | atomic_load(&slot->write_waiters))
		mirror_tell_read(ref, step);
	else
		stats_add(STATS_AVOIDED);
}

/* Whoever gets the object may not know the shim, and shall see its level; but one that rests stays
 * so, as raising it would be an edge. */
void mirror_show(const struct fdref *ref);

/* From now on the object's own FIFO shows even the edge of OUT that each read is, at the price of
 * an edge of IN with it. */
void mirror_watch_out_edges(const struct fdref *ref);

/* Watchers the shim cannot see may come: mirrors every object of this process, and all it will
 * make, for good. */
void mirror_always_on(void);

/* Raises another edge on the FIFO of the class, if its level is to be up. */
void mirror_raise(const struct fdref *ref, unsigned class);

/* Somebody found the FIFO of the class readable: empties it where that is stale. */
void mirror_refresh(const struct fdref *ref, unsigned class);

/* Somebody read or wrote the object's own FIFO by mistake: what is in it is taken out, the writes
 * among it are done, and the level is put there anew. */
void mirror_mend(const struct fdref *ref);

#endif
