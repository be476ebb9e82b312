/* The few instructions that a read or write of an eventfd takes where nothing is in its way.
 * Whatever is not plain goes the long way of counterfd.h, which answers the same. */
#ifndef EFDSHIM_CORE_COUNTERFD_FAST_H
#define EFDSHIM_CORE_COUNTERFD_FAST_H

#include <sys/types.h>

#include "core/counter.h"
#include "core/counterfd.h"
#include "core/object.h"
#include "core/detour.h"
#include "core/usermem.h"

/* What is done where this is not the place for it. */
typedef ssize_t (*counterfd_reader)(int fd, void *buf, size_t n);
typedef ssize_t (*counterfd_writer)(int fd, const void *buf, size_t n);

/* Somebody waits for the object, of which the counter moved: the long halves of the two below. They
 * return 8. */
ssize_t counterfd_tell_read(int fd, uint64_t entry, uint64_t before, uint64_t after);
ssize_t counterfd_tell_written(int fd, uint64_t entry, uint64_t before, uint64_t after);

/* No thread sleeps and the level is up, but for fast watches: slot.watched was `watched`. */
ssize_t counterfd_tell_front(
	int fd, uint64_t entry, uint64_t before, uint64_t after, uint32_t watched);

/* Whether the entry is that of a fake fd, of whatever kind, and no detour but these is to be made.
 * Whether the object still lives is for its counter to say. */
static inline bool counterfd_fast_object(uint64_t entry, uint32_t made)
{
	return (entry & ENTRY_SLOT_FIELD) - 1 < ENTRY_SPECIAL - 1 && !(entry & ENTRY_CLOSING) &&
	       !(detours_now() & ~made) && !fdtable_doubtful();
}

/* By numbers, as there may be no slots yet. */
static inline struct slot *counterfd_fast_slot(uint64_t entry)
{
	uintptr_t index = (uintptr_t)(entry & ENTRY_SLOT_FIELD) - 1;

	return (struct slot *)((uintptr_t)slotpool_slots + index * sizeof(struct slot));
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

/* read(2), and write(2), of what is an eventfd: `made` are the detours that the caller has made.
 * Anything else is done by `otherwise`. */
static inline ssize_t counterfd_fast_read(
	int fd, void *buf, size_t n, uint32_t made, counterfd_reader otherwise)
{
	uint64_t entry = fdtable_entry(fd);
	struct slot *slot = counterfd_fast_slot(entry);
	uint64_t guard = counterfd_fast_guard(entry), before, after;
	uint32_t flags;

	if (!counterfd_fast_object(entry, made) || n < sizeof(before) ||
		n > USERMEM_PLAIN_END - (uintptr_t)buf ||
		!counterfd_fast_memory(buf, USERMEM_STORE))
		return otherwise(fd, buf, n);
	flags = atomic_load(&slot->flags);
	before = atomic_load(&slot->count);
	after = flags & SLOT_SEMAPHORE ? before - 1 : 0;
	if ((flags & SLOT_KIND_MASK) != KIND_COUNTER || !before ||
		atomic_load(&slot->counter.guard) != guard ||
		!counter_swap(&slot->counter, guard, &before, after))
		return otherwise(fd, buf, n);
	before -= after;
	memcpy(buf, &before, sizeof(before));
	if ((atomic_load(&slot->watched) & ~WATCHED_BY_FRONTS) | atomic_load(&slot->write_waiters))
		return counterfd_tell_read(fd, entry, before + after, after);
	return sizeof(before);
}

/* True where the kernel's only watches are level-triggered ones for which the level is up already.
 * It is looked at after the counter moved: if a reader takes it down meanwhile, that reader finds
 * the new count. */
static inline bool counterfd_fast_shown(const struct slot *slot, uint32_t watched, uint64_t count)
{
	watched &= ~WATCHED_BY_FRONTS;
	return !(watched & ~(1u << CLASS_IN | WATCHED_OUT)) && count && count < COUNTER_LIMIT &&
	       (!watched || (atomic_load(&slot->level[CLASS_IN]) & 1));
}

static inline ssize_t counterfd_fast_write(
	int fd, const void *buf, size_t n, uint32_t made, counterfd_writer otherwise)
{
	uint64_t entry = fdtable_entry(fd);
	struct slot *slot = counterfd_fast_slot(entry);
	uint64_t guard = counterfd_fast_guard(entry), value, before;
	uint32_t watched;

	if (!counterfd_fast_object(entry, made) || n != sizeof(value) ||
		slot_kind(slot) != KIND_COUNTER || !counterfd_fast_memory(buf, USERMEM_LOAD))
		return otherwise(fd, buf, n);
	memcpy(&value, buf, sizeof(value));
	before = atomic_load(&slot->count);
	if (UINT64_MAX - before <= value || atomic_load(&slot->counter.guard) != guard ||
		!counter_swap(&slot->counter, guard, &before, before + value))
		return otherwise(fd, buf, n);
	watched = atomic_load(&slot->watched);
	if (atomic_load(&slot->read_waiters) ||
		!counterfd_fast_shown(slot, watched, before + value))
		return counterfd_tell_written(fd, entry, before, before + value);
	if (watched & WATCHED_FAST)
		return counterfd_tell_front(fd, entry, before, before + value, watched);
	return sizeof(value);
}

#endif
