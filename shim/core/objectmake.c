#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "core/config.h"
#include "core/crash.h"
#include "core/fifo.h"
#include "core/late.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/setid.h"
#include "core/stats.h"
#include "core/warm.h"
#include "sys/raw.h"

static uint32_t slot_flags(enum slot_kind kind, uint64_t initial, int flags)
{
	uint32_t set = kind;

	if (flags & EFD_SEMAPHORE)
		set |= SLOT_SEMAPHORE;
	if (flags & EFD_NONBLOCK)
		set |= SLOT_NONBLOCK;
	if (kind == KIND_TIMER)
		set |= (uint32_t)initial << SLOT_CLOCK_SHIFT;
	return set;
}

/* One that is open has its size already. */
static int open_own_fifo(uint32_t index, struct slot *slot, int flags, bool warm)
{
	uint64_t inode = atomic_load(&slot->inode);
	int mode = flags & EFD_CLOEXEC ? O_CLOEXEC : 0;
	int fd = warm ? fifo_open(index, CLASS_IN, mode, &inode)
		      : fifo_open_new(index, mode, &inode);

	stats_syscall();
	if (fd >= 0)
		atomic_store(&slot->inode, inode);
	return fd;
}

static struct outcome give_up(uint32_t index, int err)
{
	warm_forget(index);
	slotpool_give(index);
	if (err == EMFILE || err == ENFILE)
		return outcome_err(err);
	config_debug("no FIFO", err);
	return outcome_err(ENOSYS);
}

/* A new FIFO is empty. It is not drained: what is in it all the same is a late write. */
static void mirror_new(const struct fdref *ref)
{
	if (slot_kind(ref->object) == KIND_COUNTER)
		late_gather(ref);
	atomic_fetch_or(&ref->object->wanted, EPOLLIN);
	atomic_fetch_or(&ref->object->watched, 1u << CLASS_IN | 1u << (CLASS_IN + WATCHED_EDGE));
	if (slot_shows(ref->object, CLASS_IN))
		mirror_watch(ref, CLASS_IN, true);
}

static struct outcome create_in_slot(struct fdref ref, int flags, bool warm)
{
	ref.object = slotpool_slot(ref.slot);
	ref.fd = open_own_fifo(ref.slot, ref.object, flags, warm);
	if (ref.fd < 0)
		return give_up(ref.slot, -ref.fd);
	CRASH_POINT("create.opened");
	ref.generation = slot_generation(atomic_load(&ref.object->life));
	atomic_store(&local_of(ref.slot)->generation, ref.generation);
	atomic_store(&local_of(ref.slot)->holds, 1);
	atomic_store(&local_of(ref.slot)->forks, setid_forks());
	atomic_store_explicit(&local_of(ref.slot)->pace, 0, memory_order_relaxed);
	slotpool_publish(ref.object);
	CRASH_POINT("create.published");
	if (!fdtable_set_object(ref.fd, ref.slot, ref.generation)) {
		raw_close(ref.fd);
		warm_forget(ref.slot);
		slotpool_bury(ref.slot, atomic_load(&ref.object->life));
		return outcome_err(ENOSYS);
	}
	CRASH_POINT("create.noted");
	stats_add(STATS_EVENTFDS);
	if (config.mirror_always && !slot_is_signal(ref.object) && object_is(&ref.fd, &ref))
		mirror_new(&ref);
	return outcome_ok(ref.fd);
}

struct outcome object_create(enum slot_kind kind, uint64_t initial, int flags)
{
	struct fdref ref = {.fd = -1};
	struct outcome outcome;
	int err = process_borrows_memory() ? ENOSYS : object_prepare();
	bool free = true, warm;

	if (!err)
		ref.slot = warm_take();
	warm = ref.slot != 0;
	if (!err && !warm) {
		free = slotpool_has_free();
		ref.slot = slotpool_take(&err);
	}
	if (!ref.slot) {
		config_debug("no directory or no slot in it", err);
		return outcome_err(ENOSYS);
	}
	slotpool_fill(ref.slot, initial, slot_flags(kind, initial, flags));
	fdtable_begin_making();
	outcome = create_in_slot(ref, flags, warm);
	fdtable_end_making();
	/* not before: what is opened for that would be at the very number that others may be
	 * waiting for, and writing to */
	slotpool_made(free);
	return outcome;
}

struct outcome object_create_borrowed(enum slot_kind kind, uint64_t initial, int flags)
{
	int err = ENOSYS, fd;
	uint32_t slot = object_prepared() ? slotpool_take(&err) : 0;

	if (!slot)
		return outcome_err(ENOSYS);
	slotpool_fill(slot, initial, slot_flags(kind, initial, flags));
	fd = open_own_fifo(slot, slotpool_slot(slot), flags, false);
	if (fd < 0) {
		slotpool_give(slot);
		return outcome_err(-fd);
	}
	slotpool_publish(slotpool_slot(slot));
	return outcome_ok(fd);
}
