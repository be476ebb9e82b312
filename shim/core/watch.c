#include "core/watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "core/crash.h"
#include "core/pool.h"
#include "core/process.h"
#include "core/slotpool.h"

enum { CROWD = 16, WATCHES_MAX = 1 << 20, INDEX_BITS = 20, VERSION_BITS = 12 };

/* A record in shared memory. */
struct record {
	/* As for every item of a pool; PROCESS_NOBODY once the record is in its object's list. */
	_Atomic uint32_t owner;
	/* Next record of the same object, 0 at the end. Written before the record is pushed on
	 * slot.watches, then constant. */
	_Atomic uint32_t next;
	/* 0 while dead. Written by whoever adds (last of all) and removes; a reader that finds it
	 * unchanged after copying the watch has a whole one. */
	_Atomic uint64_t cookie;
	/* Versions told apart within this record; moved by whoever claims it while it is dead. */
	_Atomic uint32_t version;
	/* 1 while somebody fills the record in or it is live; claimed by compare-and-swap. */
	_Atomic uint32_t taken;
	/* 1 once a one-shot watch has told its event. Set by whoever told it, cleared by whoever
	 * adds the next watch here. */
	_Atomic uint32_t fired;
	/* Of a mask's watch: 1 once the kernel is to tell edges only, set by whoever had nothing to
	 * report; 1 + the version told of last, by whoever told. Cleared as `fired`. */
	_Atomic uint32_t by_edges;
	_Atomic uint64_t told;
	struct watch watch;
};

_Static_assert(sizeof(struct record) <= 128, "a record is at most two cache lines");

static struct pool records = {
	.name = "watches",
	.item_size = 128,
	.items = WATCHES_MAX,
};

struct fdref watch_ref(const struct watch *watch)
{
	return (struct fdref){
		.fd = watch->fd,
		.object = slotpool_slot(watch->slot),
		.slot = watch->slot,
		.generation = watch->generation,
		.entry = fdtable_object_entry(watch->slot, watch->generation),
	};
}

int watch_open(void)
{
	return pool_open(&records);
}

bool watch_any(void)
{
	return pool_used(&records) > 1;
}

/* tag << 32 | version << 20 | index */
static uint64_t cookie_of(uint32_t index, uint32_t version)
{
	return (uint64_t)pool_tag(&records) << 32 |
	       (uint64_t)(version & ((1u << VERSION_BITS) - 1)) << INDEX_BITS | index;
}

static struct record *record_of(uint64_t cookie)
{
	return pool_item(&records, (uint32_t)cookie & ((1u << INDEX_BITS) - 1));
}

static void publish(struct record *record, uint32_t index, const struct watch *watch)
{
	uint32_t version = atomic_fetch_add(&record->version, 1) + 1;

	record->watch = *watch;
	record->watch.maker = process_mark();
	atomic_store(&record->fired, 0);
	atomic_store(&record->by_edges, 0);
	atomic_store(&record->told, 0);
	atomic_store(&record->cookie, cookie_of(index, version));
}

static uint32_t index_of(const struct slot *slot)
{
	return (uint32_t)(slot - slotpool_slots);
}

/* A walk over an object's records. The links may be anybody's garbage: it ends at the first record
 * that is not the object's, and after as many as there are. */
struct walk {
	const struct slot *slot;
	struct record *record;
	uint32_t index; /* 0 at the end */
	uint32_t left;
};

static void enter(struct walk *walk, uint32_t index)
{
	walk->record = walk->left ? pool_item(&records, index) : NULL;
	walk->index = index;
	if (walk->record && walk->record->watch.slot == index_of(walk->slot))
		walk->left--;
	else
		walk->index = 0;
}

static struct walk walk_begin(const struct slot *slot)
{
	uint32_t first = atomic_load(&slot->watches);
	struct walk walk = {.slot = slot, .left = first ? pool_used(&records) : 0};

	enter(&walk, first);
	return walk;
}

static void walk_on(struct walk *walk)
{
	enter(walk, atomic_load(&walk->record->next));
}

/* A dead record of the object, claimed; its index, or 0. */
static uint32_t claim_dead(struct slot *slot)
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		uint32_t no = 0;

		if (atomic_compare_exchange_strong(&walk.record->taken, &no, 1))
			return walk.index;
	}
	return 0;
}

static void push(struct slot *slot, struct record *record, uint32_t index)
{
	uint32_t first = atomic_load(&slot->watches);

	do {
		atomic_store(&record->next, first);
	} while (!atomic_compare_exchange_weak(&slot->watches, &first, index));
}

/* A new record in the object's list; its index, or 0 with *err set. */
static uint32_t add_record(struct slot *slot, const struct watch *watch, int *err)
{
	uint32_t index = pool_take(&records, err);
	struct record *record = pool_item(&records, index);

	if (!record)
		return 0;
	atomic_store(&record->cookie, 0);
	atomic_store(&record->taken, 1);
	record->watch = *watch;
	CRASH_POINT("watch.taken");
	push(slot, record, index);
	CRASH_POINT("watch.pushed");
	atomic_store(&record->owner, PROCESS_NOBODY);
	return index;
}

int watch_add(struct slot *slot, const struct watch *watch, uint64_t *cookie)
{
	uint32_t index = claim_dead(slot);
	struct record *record;
	int err = 0;

	if (!index)
		index = add_record(slot, watch, &err);
	record = pool_item(&records, index);
	if (!record)
		return err ? err : ENOMEM;
	publish(record, index, watch);
	*cookie = atomic_load(&record->cookie);
	return 0;
}

/* What was copied from shared memory: whether it is a watch that could have been stored. A number
 * that is not the library's, or no more, is not used in its name. */
static bool make_sound(struct watch *watch)
{
	const struct slot *slot = slotpool_slot(watch->slot);

	if (fdtable_kind(watch->class_fd) != FD_INTERNAL)
		watch->class_fd = -1;
	return slot &&
	       (watch->own || slot_is_mask(slot) || slot_class(slot, watch->events) > CLASS_IN);
}

enum watch_lookup watch_of(uint64_t cookie, struct watch *watch)
{
	struct record *record;

	if (cookie >> 32 != pool_tag(&records))
		return WATCH_NONE;
	record = record_of(cookie);
	if (!record)
		return WATCH_NONE;
	if (atomic_load(&record->cookie) != cookie)
		return WATCH_DEAD;
	*watch = record->watch;
	/* the copy comes before the second look */
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load(&record->cookie) != cookie || !make_sound(watch))
		return WATCH_DEAD;
	return WATCH_LIVE;
}

uint64_t watch_find(struct slot *slot, uint64_t set, int fd, struct watch *watch)
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		uint64_t cookie = atomic_load(&walk.record->cookie);

		if (cookie && watch_of(cookie, watch) == WATCH_LIVE && watch->set == set &&
			watch->fd == fd && watch->slot == index_of(slot))
			return cookie;
	}
	return 0;
}

uint64_t watch_find_where(struct slot *slot, int fd, watch_test *is_it, int epfd)
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		uint64_t cookie = atomic_load(&walk.record->cookie);
		struct watch watch;

		if (cookie && watch_of(cookie, &watch) == WATCH_LIVE && watch.fd == fd &&
			watch.slot == index_of(slot) && is_it(&watch, epfd))
			return cookie;
	}
	return 0;
}

bool watch_fire(uint64_t cookie)
{
	struct record *record = record_of(cookie);

	return record && atomic_exchange(&record->fired, 1);
}

bool watch_fired(uint64_t cookie)
{
	struct record *record = record_of(cookie);

	return record && atomic_load(&record->fired);
}

static bool is_told(uint64_t told, uint64_t now)
{
	return told && (int32_t)((uint32_t)now - (uint32_t)told) <= 0;
}

/* It never goes back: of two waiters the slower one has the older edge. */
bool watch_tell(uint64_t cookie, uint32_t version)
{
	struct record *record = record_of(cookie);
	uint64_t now = (uint64_t)version + 1;
	uint64_t told = record ? atomic_load(&record->told) : 0;

	do {
		if (!record || is_told(told, now))
			return record != NULL;
	} while (!atomic_compare_exchange_weak(&record->told, &told, now));
	return false;
}

bool watch_tell_edge(uint64_t cookie, const struct watch *watch, uint32_t edge)
{
	bool oneshot = watch->events & EPOLLONESHOT;

	if ((oneshot && watch_fired(cookie)) || watch_tell(cookie, edge))
		return false;
	return !oneshot || !watch_fire(cookie);
}

void watch_set_class(uint64_t cookie, int class_fd)
{
	struct record *record = record_of(cookie);

	if (record)
		__atomic_store_n(&record->watch.class_fd, class_fd, __ATOMIC_SEQ_CST);
}

bool watch_told_edge(uint64_t cookie, uint32_t edge)
{
	struct record *record = record_of(cookie);

	return record &&
	       (atomic_load(&record->told) == (uint64_t)edge + 1 || atomic_load(&record->fired));
}

void watch_set_by_edges(uint64_t cookie)
{
	struct record *record = record_of(cookie);

	if (record)
		atomic_store(&record->by_edges, 1);
}

bool watch_by_edges(uint64_t cookie)
{
	struct record *record = record_of(cookie);

	return record && atomic_load(&record->by_edges);
}

bool watch_remove(uint64_t cookie)
{
	struct record *record = record_of(cookie);

	if (!record || !atomic_compare_exchange_strong(&record->cookie, &cookie, 0))
		return false;
	atomic_store(&record->taken, 0);
	return true;
}

/* The powers of two, so that looking costs little however many there are. */
bool watch_crowded(const struct slot *slot)
{
	uint32_t count = 0;

	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk))
		count++;
	return count >= CROWD && !(count & (count - 1));
}

void watch_remove_all(struct slot *slot, bool (*is_it)(const struct watch *watch),
	void (*gone)(const struct watch *watch))
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		uint64_t cookie = atomic_load(&walk.record->cookie);
		struct watch watch;

		if (cookie && watch_of(cookie, &watch) == WATCH_LIVE && is_it(&watch) &&
			watch_remove(cookie))
			gone(&watch);
	}
}

/* A listed record is nobody's, or was left by who was about to list or free it. One that was freed
 * already, which a garbled list may lead to again, is not taken. */
static bool take_over(struct record *record, uint32_t index)
{
	uint32_t owner = PROCESS_NOBODY;

	return atomic_compare_exchange_strong(&record->owner, &owner, process_mark()) ||
	       owner == process_mark() || pool_inherit(&records, index);
}

/* One by one, each this process's before it leaves the list, so that none is lost on the way. */
void watch_forget_all(struct slot *slot)
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		uint32_t next = atomic_load(&walk.record->next);

		if (!take_over(walk.record, walk.index))
			break;
		atomic_store(&walk.record->cookie, 0);
		atomic_store(&walk.record->taken, 0);
		CRASH_POINT("watch.dead");
		atomic_store(&slot->watches, next);
		CRASH_POINT("watch.unlinked");
		pool_give(&records, walk.index);
	}
	atomic_store(&slot->watches, 0);
}

static bool listed(const struct slot *slot, uint32_t wanted)
{
	for (struct walk walk = walk_begin(slot); walk.index; walk_on(&walk)) {
		if (walk.index == wanted)
			return true;
	}
	return false;
}

void watch_mend(void)
{
	for (uint32_t i = 1; i < pool_used(&records); i++) {
		struct record *record = pool_item(&records, i);
		struct slot *slot;

		if (!record || !pool_inherit(&records, i))
			continue;
		slot = slotpool_slot(record->watch.slot);
		if (slot && listed(slot, i))
			atomic_store(&record->owner, PROCESS_NOBODY);
		else
			pool_give(&records, i);
	}
	pool_mend(&records);
}
