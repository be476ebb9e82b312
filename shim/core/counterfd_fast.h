/* The few instructions that a read or write of an eventfd takes where nothing is in its way.
 * Whatever is not plain goes the long way of counterfd.h, which answers the same. */
#ifndef EFDSHIM_CORE_COUNTERFD_FAST_H
#define EFDSHIM_CORE_COUNTERFD_FAST_H

#include "core/counter.h"
#include "core/counterfd.h"
#include "core/object.h"
#include "core/stats.h"
#include "core/usermem.h"

/* Somebody waits for the object: the long halves of the two below. */
void counterfd_tell_read(int fd, uint64_t entry, struct counter_step step);
void counterfd_tell_written(int fd, uint64_t entry, struct counter_step step);

/* No thread sleeps and the level is up, but for fast watches: slot.watched was `watched`. */
void counterfd_tell_front(int fd, uint64_t entry, struct counter_step step, uint32_t watched);

/* The slot of an entry, or NULL. Whether the object still lives is for its counter to say. */
static inline struct slot *counterfd_fast_slot(uint64_t entry)
{
	struct slot *slot = slotpool_slots + (entry & ENTRY_SLOT_FIELD) - 1;

	if ((entry & ENTRY_SLOT_FIELD) >= ENTRY_SPECIAL || (entry & ENTRY_CLOSING) || stats_on ||
		fdtable_doubtful())
		return NULL;
	return slot;
}

static inline uint64_t counterfd_fast_guard(uint64_t entry)
{
	return slot_guard((uint32_t)(entry >> ENTRY_GENERATION_SHIFT) & GENERATION_MASK);
}

static inline bool counterfd_fast_memory(const void *buf, enum usermem_access access)
{
	uintptr_t address = (uintptr_t)buf;
	uintptr_t last = (1u << USERMEM_PAGE_BITS) - sizeof(uint64_t);

	return (address & ((1u << USERMEM_PAGE_BITS) - 1)) <= last &&
	       usermem_known(address >> USERMEM_PAGE_BITS, access);
}

/* True where the read was done: it returns 8. */
static inline bool counterfd_fast_read(int fd, uint64_t entry, void *buf, size_t n)
{
	struct slot *slot = counterfd_fast_slot(entry);
	struct counter_step step;
	uint32_t flags;
	uint64_t value;

	if (!slot || n < sizeof(value) || n > USERMEM_PLAIN_END - (uintptr_t)buf ||
		!counterfd_fast_memory(buf, USERMEM_STORE))
		return false;
	flags = atomic_load(&slot->flags);
	if ((flags & SLOT_KIND_MASK) != KIND_COUNTER)
		return false;
	step = counter_take(&slot->counter, counterfd_fast_guard(entry), flags & SLOT_SEMAPHORE);
	if (step.err)
		return false;
	value = step.before - step.after;
	memcpy(buf, &value, sizeof(value));
	if ((atomic_load(&slot->watched) & ~WATCHED_FAST) | atomic_load(&slot->write_waiters))
		counterfd_tell_read(fd, entry, step);
	return true;
}

/* True where the kernel's only watches are level-triggered ones for which the level is up already.
 * It is looked at after the counter moved: if a reader takes it down meanwhile, that reader finds
 * the new count. */
static inline bool counterfd_fast_shown(const struct slot *slot, uint32_t watched, uint64_t count)
{
	watched &= ~WATCHED_FAST;
	return !(watched & ~(1u << CLASS_IN | WATCHED_OUT)) && count && count < COUNTER_LIMIT &&
	       (!watched || (atomic_load(&slot->level[CLASS_IN]) & 1));
}

/* True where the write was done: it returns 8. */
static inline bool counterfd_fast_write(int fd, uint64_t entry, const void *buf, size_t n)
{
	struct slot *slot = counterfd_fast_slot(entry);
	struct counter_step step;
	uint32_t watched;
	uint64_t value;

	if (!slot || n != sizeof(value) || slot_is_mask(slot) ||
		!counterfd_fast_memory(buf, USERMEM_LOAD))
		return false;
	memcpy(&value, buf, sizeof(value));
	if (value == UINT64_MAX)
		return false;
	step = counter_add(&slot->counter, counterfd_fast_guard(entry), value);
	if (step.err)
		return false;
	watched = atomic_load(&slot->watched);
	if (atomic_load(&slot->read_waiters) || !counterfd_fast_shown(slot, watched, step.after))
		counterfd_tell_written(fd, entry, step);
	else if (watched & WATCHED_FAST)
		counterfd_tell_front(fd, entry, step, watched);
	return true;
}

#endif
