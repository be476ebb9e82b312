#include "core/mirror.h"

#include <errno.h>

#include "core/classfd.h"
#include "core/config.h"
#include "core/demote.h"
#include "core/fastwatch.h"
#include "core/level.h"
#include "core/fifoloan.h"
#include "core/object.h"
#include "core/stats.h"
#include "core/wait.h"
#include "sys/probe.h"

/* Opens or pins what the class is mirrored into. */
static struct fifo_loan get_fifo(const struct fdref *ref, unsigned class)
{
	if (class == CLASS_IN)
		return fifoloan_borrow(ref);
	return (struct fifo_loan){.fd = classfd_get(ref->slot, ref->generation, class)};
}

static void put_fifo(const struct fdref *ref, unsigned class, struct fifo_loan loan)
{
	if (class == CLASS_IN)
		fifoloan_return(ref, loan);
}

static int settle(
	const struct fdref *ref, unsigned class, enum level_direction direction, bool edge);

/* Late writes were done while the object's own FIFO was settled: the others are to hear of them. */
static void tell_late(const struct fdref *ref)
{
	struct slot *slot = ref->object;
	uint32_t watched = atomic_load(&slot->watched);
	uint32_t classes = watched & CLASSES_MASK & ~(1u << CLASS_IN);

	if (watched & WATCHED_FAST)
		fastwatch_written(ref->slot, watched);
	wait_wake(&slot->read_seq, &slot->read_waiters);
	for (; classes; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctz(classes);
		bool edge = watched & 1u << (class + WATCHED_EDGE);

		settle(ref, class, LEVEL_UP, edge && (class_bits(class) & EPOLLIN));
	}
}

static int settle(
	const struct fdref *ref, unsigned class, enum level_direction direction, bool edge)
{
	/* the last close would close the class fd under our hands */
	bool held = class != CLASS_IN && object_hold_living(ref);
	struct fifo_loan loan = {.fd = 0};
	bool late = false;

	if (class == CLASS_IN || held || slot_lives_as(ref->object, ref->generation)) {
		loan = get_fifo(ref, class);
		if (loan.fd >= 0) {
			late = level_settle(ref->object, class, loan.fd, direction, edge);
			put_fifo(ref, class, loan);
		}
	}
	if (late)
		tell_late(ref);
	if (held)
		object_release(ref);
	return loan.fd < 0 ? -loan.fd : 0;
}

static void with_own_fifo(const struct fdref *ref, bool (*act)(struct slot *, int))
{
	struct fifo_loan loan = get_fifo(ref, CLASS_IN);
	bool late;

	if (loan.fd < 0)
		return;
	late = act(ref->object, loan.fd);
	put_fifo(ref, CLASS_IN, loan);
	if (late)
		tell_late(ref);
}

int mirror_watch(const struct fdref *ref, unsigned class, bool edge)
{
	uint32_t bits = 1u << class;
	int err;

	if (edge) {
		bits |= 1u << (class + WATCHED_EDGE);
		probe_fifo_edges(); /* here rather than in a thread that only writes */
		probe_full_fifo_edges();
	}
	if ((atomic_load(&ref->object->watched) & bits) != bits)
		atomic_fetch_or(&ref->object->watched, bits);
	if (class == CLASS_NONE)
		return 0;
	err = settle(ref, class, LEVEL_UP, false);
	if (!err && class == CLASS_IN && (atomic_load(&ref->object->watched) & WATCHED_OUT))
		with_own_fifo(ref, level_make_room);
	return err;
}

void mirror_keep_room(const struct fdref *ref)
{
	if (!(atomic_load(&ref->object->watched) & WATCHED_OUT))
		atomic_fetch_or(&ref->object->watched, WATCHED_OUT);
}

void mirror_show(const struct fdref *ref)
{
	const uint32_t edges = 1u << CLASS_IN | 1u << (CLASS_IN + WATCHED_EDGE);

	if (atomic_load(&ref->object->watched) & WATCHED_COUNTED)
		atomic_fetch_or(&ref->object->watched, edges);
	else
		mirror_watch(ref, CLASS_IN, false);
}

void mirror_watch_out_edges(const struct fdref *ref)
{
	atomic_fetch_or(&ref->object->watched, WATCHED_OUT | WATCHED_OUT_EDGE);
	mirror_watch(ref, CLASS_IN, true);
}

int mirror_want(const struct fdref *ref, uint32_t bits, bool edge)
{
	struct slot *slot = ref->object;
	uint32_t uncounted = bits & ~want_bits(want_one(bits));
	int err;

	atomic_fetch_add(&slot->watchers, want_one(bits));
	if (uncounted & ~atomic_load(&slot->wanted))
		atomic_fetch_or(&slot->wanted, uncounted);
	err = mirror_watch(ref, CLASS_IN, edge);
	if (err)
		mirror_unwant(ref, bits);
	return err;
}

/* The object may have died, and its slot be another one's by now, which has not these watchers. */
void mirror_unwant(const struct fdref *ref, uint32_t bits)
{
	struct slot *slot = ref->object;
	uint64_t counts = atomic_load(&slot->watchers);
	uint64_t one = want_one(bits);

	do {
		if (!slot_lives_as(slot, ref->generation) || (want_bits(one) & ~want_bits(counts)))
			return;
	} while (!atomic_compare_exchange_weak(&slot->watchers, &counts, counts - one));
	if (level_landed(slot, CLASS_IN) && !slot_shows(slot, CLASS_IN))
		settle(ref, CLASS_IN, LEVEL_UP, false);
}

static void watch_from_outside(const struct fdref *ref)
{
	if (slot_is_mask(ref->object))
		mirror_want(ref, EPOLLIN, true);
	else if (!slot_is_signal(ref->object))
		mirror_watch(ref, CLASS_IN, true);
}

void mirror_always_on(void)
{
	config.mirror_always = true;
	demote_all_sets();
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		struct fdref ref;
		int number = (int)fd;

		if (object_is(&number, &ref))
			watch_from_outside(&ref);
	}
}

void mirror_refresh(const struct fdref *ref, unsigned class)
{
	if (class != CLASS_NONE)
		settle(ref, class, LEVEL_UP, false);
}

void mirror_raise(const struct fdref *ref, unsigned class)
{
	settle(ref, class, LEVEL_UP, true);
}

void mirror_mend(const struct fdref *ref)
{
	settle(ref, CLASS_IN, LEVEL_DOWN, false);
}

static bool at_limit(uint64_t count)
{
	return !(counter_state(count) & (EPOLLOUT | EPOLLERR));
}

static bool overflowed(uint64_t count)
{
	return counter_state(count) & EPOLLERR;
}

/* An operation, and what slot.watched was after it. */
struct change {
	struct counter_step step;
	uint32_t raised; /* its event bits: an edge for the classes that hold one of them */
	uint32_t watched;
};

/* A level that rests is raised by the next write only. */
static bool is_due(const struct fdref *ref, unsigned class, const struct change *change)
{
	bool rests = (change->watched & WATCHED_COUNTED) && change->raised == EPOLLOUT;

	return (!level_landed(ref->object, class) && !rests) || at_limit(change->step.after);
}

static void class_changed(const struct fdref *ref, unsigned class, const struct change *change)
{
	struct counter_step step = change->step;
	bool edge = change->watched & 1u << (class + WATCHED_EDGE);

	if (class == CLASS_APART && !overflowed(step.before) && !overflowed(step.after))
		return;
	edge = edge && (change->raised & class_bits(class));
	if (!(counter_state(step.after) & class_bits(class)))
		settle(ref, class, LEVEL_DOWN, false);
	else if (edge || is_due(ref, class, change))
		settle(ref, class, LEVEL_UP, edge);
	/* last, as an edge may take the room that is made here */
	if (class == CLASS_IN && step.after && at_limit(step.before) && !at_limit(step.after))
		with_own_fifo(ref, level_leave_limit);
}

static void changed(const struct fdref *ref, const struct change *change)
{
	uint32_t classes = change->watched & CLASSES_MASK;

	for (; classes; classes &= classes - 1)
		class_changed(ref, (unsigned)__builtin_ctz(classes), change);
}

void mirror_eagerly(const struct fdref *ref)
{
	struct slot *slot = ref->object;
	uint32_t watched = atomic_fetch_or(&slot->watched, WATCHED_EAGERLY);

	for (uint32_t classes = watched & CLASSES_MASK; classes; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctz(classes);

		if (level_landed(slot, class) && !slot_shows(slot, class))
			settle(ref, class, LEVEL_UP, false);
	}
}

/* `bits` make the predicate of the class true. Whoever made it false takes the level down, or
 * leaves that to whom it wakes; where it was false already nothing is to be done. True where
 * something was.
 */
static bool mask_class_written(
	const struct fdref *ref, unsigned class, uint32_t bits, uint32_t before, uint32_t after)
{
	uint32_t watched = atomic_load(&ref->object->watched);
	bool edge = watched & 1u << (class + WATCHED_EDGE);
	bool landed = level_landed(ref->object, class);

	if (after & bits) {
		if (landed && !edge)
			return false;
		settle(ref, class, LEVEL_UP, edge);
		return true;
	}
	if (!edge && !(watched & WATCHED_EAGERLY))
		return false;
	if (!landed && !(before & bits))
		return false;
	settle(ref, class, LEVEL_DOWN, false);
	return true;
}

void mirror_mask_written(const struct fdref *ref, uint32_t before, uint32_t after)
{
	struct slot *slot = ref->object;
	uint32_t classes = atomic_load(&slot->watched) & CLASSES_MASK;
	bool settled = false;

	for (; classes; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctz(classes);
		uint32_t bits = class == CLASS_IN ? slot_wanted(slot) : class_bits(class);

		settled |= mask_class_written(ref, class, bits, before, after);
	}
	if (!settled)
		stats_add(STATS_AVOIDED);
}

void mirror_settle_written(const struct fdref *ref, struct counter_step step, uint32_t watched)
{
	bool overflow = overflowed(step.after) && !overflowed(step.before);
	const struct change change = {step, overflow ? EPOLLIN | EPOLLERR : EPOLLIN, watched};

	if (!step.after && (watched & WATCHED_OUT_EDGE))
		with_own_fifo(ref, level_raise_in);
	changed(ref, &change);
	if (overflow && (watched & WATCHED_OUT_EDGE)) /* who watches for OUT alone hears of ERR */
		with_own_fifo(ref, level_raise_out);
}

void mirror_tell_written(const struct fdref *ref, struct counter_step step)
{
	struct slot *slot = ref->object;
	uint32_t watched = atomic_load(&slot->watched);

	if (watched & WATCHED_FAST)
		watched = fastwatch_written(ref->slot, watched);
	wait_wake(&slot->read_seq, &slot->read_waiters);
	if (watched & CLASSES_MASK)
		mirror_settle_written(ref, step, watched);
	else if (watched)
		stats_add(STATS_AVOIDED);
}

void mirror_tell_read(const struct fdref *ref, struct counter_step step)
{
	struct slot *slot = ref->object;
	struct change change = {step, EPOLLOUT, 0};

	wait_wake(&slot->write_seq, &slot->write_waiters);
	change.watched = atomic_load(&slot->watched);
	changed(ref, &change);
	if (change.watched & WATCHED_OUT_EDGE)
		with_own_fifo(ref, level_raise_out);
}
