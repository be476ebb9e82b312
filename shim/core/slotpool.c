#include "core/slotpool.h"

#include <errno.h>
#include <stddef.h>

#include "core/crash.h"
#include "core/local.h"
#include "core/pool.h"
#include "core/process.h"
#include "core/fifo.h"
#include "core/store.h"
#include "core/timer.h"
#include "core/watch.h"

/* Where no slot has been given back, a process asks after many at first and then after two each
 * time, so that making an object stays cheap however many there are. */
enum { FIRST_BATCH = 64, BATCH = 2, PASSED_BY = 64 };

static struct pool slots = {
	.name = "slots",
	.item_size = sizeof(struct slot),
	.items = SLOTS_MAX,
};

struct slot *slotpool_slots;

int slotpool_open(void)
{
	int err = pool_open(&slots);

	if (err)
		return err;
	fifo_set_tag(pool_tag(&slots));
	slotpool_slots = pool_base(&slots);
	return 0;
}

struct slot *slotpool_slot(uint32_t index)
{
	return pool_item(&slots, index);
}

struct timers_bell *slotpool_bells(void)
{
	return (struct timers_bell *)pool_words(&slots);
}

uint32_t slotpool_used(void)
{
	return pool_used(&slots);
}

int slotpool_of_inode(uint64_t inode)
{
	uint32_t end = pool_used(&slots);

	for (uint32_t i = 1; i < end; i++) {
		struct slot *slot = slotpool_slot(i);

		if (slot && atomic_load(&slot->inode) == inode)
			return (int)i;
	}
	return -1;
}

static void set_life(struct slot *slot, uint32_t generation, enum slot_state state)
{
	atomic_store(&slot->life, generation << LIFE_STATE_BITS | state);
}

static void clear_class(uint32_t index, struct slot *slot, unsigned class)
{
	uint32_t level = atomic_load(&slot->level[class]);

	if (class != CLASS_IN)
		fifo_retire(index, class);
	/* a new epoch: whoever still settles the dead object fails */
	atomic_store(&slot->level[class], ((level >> 1) + 1) << 1);
}

/* What the object had besides its slot. */
static void clear(uint32_t index, struct slot *slot)
{
	uint32_t watched = atomic_load(&slot->watched);

	for (unsigned class = 1; class < CLASS_COUNT; class ++) {
		if (watched & 1u << class)
			clear_class(index, slot, class);
		CRASH_POINT("reclaim.class");
	}
	if (watched)
		atomic_store(&slot->watched, 0);
	CRASH_POINT("reclaim.unwatched");
	if (atomic_load(&slot->watches))
		watch_forget_all(slot);
	CRASH_POINT("reclaim.forgotten");
	if (atomic_load(&slot->read_waiters) | atomic_load(&slot->write_waiters)) {
		atomic_store(&slot->read_waiters, 0);
		atomic_store(&slot->write_waiters, 0);
	}
	if (atomic_load(&slot->settling))
		atomic_store(&slot->settling, 0);
}

void slotpool_give(uint32_t index)
{
	struct slot *slot = slotpool_slot(index);

	/* first of all: from now on it is no object for anybody */
	if ((atomic_load(&slot->life) & LIFE_STATE_MASK) == STATE_LIVE)
		set_life(slot, slot_generation(atomic_load(&slot->life)) + 1, STATE_FREE);
	CRASH_POINT("reclaim.dead");
	clear(index, slot);
	CRASH_POINT("reclaim.clear");
	pool_give(&slots, index);
}

/* Owner and life at once: it may have been buried meanwhile, and be another one's by now. */
static bool take_dead(uint32_t index, uint32_t life)
{
	uint64_t living = (uint64_t)life << 32 | PROCESS_NOBODY;
	uint32_t dead = (slot_generation(life) + 1) << LIFE_STATE_BITS | STATE_FREE;

	return atomic_compare_exchange_strong(&slotpool_slot(index)->counter.guard, &living,
		(uint64_t)dead << 32 | process_mark());
}

bool slotpool_bury(uint32_t index, uint32_t life)
{
	if (!take_dead(index, life))
		return false;
	CRASH_POINT("reclaim.owned");
	slotpool_give(index);
	return true;
}

bool slotpool_clear(uint32_t index, uint32_t life)
{
	if ((life & LIFE_STATE_MASK) != STATE_LIVE || !take_dead(index, life))
		return false;
	CRASH_POINT("clear.owned");
	clear(index, slotpool_slot(index));
	return true;
}

bool slotpool_again(uint32_t index, uint32_t life)
{
	uint64_t mark = process_mark();
	uint64_t before = (uint64_t)life << 32 | mark;
	uint32_t next = (slot_generation(life) + 1) << LIFE_STATE_BITS | STATE_FREE;

	return atomic_compare_exchange_strong(
		&slotpool_slot(index)->counter.guard, &before, (uint64_t)next << 32 | mark);
}

bool slotpool_reclaim(uint32_t index)
{
	struct slot *slot = slotpool_slot(index);
	uint32_t owner = slot ? atomic_load(&slot->owner) : 0;
	uint32_t life = slot ? atomic_load(&slot->life) : STATE_FREE;

	if (!owner)
		return false;
	if (owner != PROCESS_NOBODY) {
		if (!pool_inherit(&slots, index))
			return false;
		slotpool_give(index);
		return (life & LIFE_STATE_MASK) == STATE_LIVE;
	}
	return fifo_liveness(index) == LIVE_NOWHERE && slotpool_bury(index, life);
}

uint32_t slotpool_sweep(void)
{
	uint32_t freed = 0;

	for (uint32_t i = 1; i < pool_used(&slots); i++)
		freed += slotpool_reclaim(i);
	pool_mend(&slots);
	watch_mend();
	return freed;
}

bool slotpool_has_free(void)
{
	return pool_has_free(&slots);
}

/* Whether any of them was dead. */
static bool sweep_some(void)
{
	/* the slot this process looks at next; any thread moves it */
	static _Atomic uint32_t cursor;
	static _Atomic int begun;
	uint32_t used = pool_used(&slots);
	int batch = atomic_exchange(&begun, 1) ? BATCH : FIRST_BATCH;
	bool found = false;

	for (uint32_t i = 0; batch && i < PASSED_BY && i + 1 < used; i++) {
		uint32_t index = 1 + atomic_fetch_add(&cursor, 1) % (used - 1);
		struct slot *slot = slotpool_slot(index);

		if (!slot || !atomic_load(&slot->owner))
			continue;
		found |= slotpool_reclaim(index);
		batch--;
	}
	return found;
}

void slotpool_made(bool from_free)
{
	/* the last look was worth it; written by any thread */
	static _Atomic bool fruitful;

	if (!from_free || (atomic_load(&fruitful) && !pool_has_free(&slots)))
		atomic_store(&fruitful, sweep_some());
}

static void set_state(struct slot *slot, uint64_t initial)
{
	struct mask_pair before;

	if (slot_kind(slot) == KIND_COUNTER || slot_is_signal(slot)) {
		atomic_store(&slot->count, initial);
		return;
	}
	atomic_store(&slot->count, 0);
	if (slot_is_timer(slot)) {
		struct timer timer = timer_guess(&slot->mask);

		while (!timer_swap(&slot->mask, &timer, (struct timer){0, 0}))
			;
		atomic_store(slot_telling(slot), 0);
		return;
	}
	atomic_store(&slot->wanted, EPOLLERR | EPOLLHUP);
	atomic_store(&slot->watchers, 0);
	before = mask_guess(&slot->mask); /* writes to the slot's last object may be late */
	while (!mask_swap(&slot->mask, &before, (uint32_t)initial, 0))
		;
}

uint32_t slotpool_take(int *err)
{
	uint32_t index = pool_take(&slots, err);

	if (!index && (slotpool_sweep() || pool_has_free(&slots)))
		index = pool_take(&slots, err);
	return slotpool_slot(index) ? index : 0;
}

void slotpool_fill(uint32_t index, uint64_t initial, uint32_t flags)
{
	struct slot *slot = slotpool_slot(index);

	CRASH_POINT("create.taken");
	atomic_store(&slot->flags, flags);
	set_state(slot, initial);
}

void slotpool_publish(struct slot *slot)
{
	set_life(slot, slot_generation(atomic_load(&slot->life)), STATE_LIVE);
	CRASH_POINT("create.live");
	atomic_store(&slot->owner, PROCESS_NOBODY);
}
