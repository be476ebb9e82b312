/* Fake fds: making them, finding the object behind one, giving them back. */
#ifndef EFDSHIM_CORE_OBJECT_H
#define EFDSHIM_CORE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/outcome.h"
#include "core/slotpool.h"

/* Everything below eventfd() is in place on return; 0 or an errno value. */
int object_prepare(void);

/* Whether it is: only a look. */
bool object_prepared(void);

/* eventfd(2) in user space (objectmake.c). `initial` is the count, the events, or the clock;
 * `flags` has been checked. ENOSYS where the shim cannot emulate and the kernel should serve;
 * EMFILE, ENFILE and ENOMEM are the program's own. */
struct outcome object_create(enum slot_kind kind, uint64_t initial, int flags);

/* The same in a vfork child, where the kernel has no eventfds: nothing is noted in the memory,
 * which is the parent's. Such a child finds all eventfds by their files. */
struct outcome object_create_borrowed(enum slot_kind kind, uint64_t initial, int flags);

/* What object_is() does where the entry is not that of a living object, or may not be of this
 * process. */
bool object_is_not(int *fd, uint64_t entry, struct fdref *ref);

/* The object behind an fd. False where fd is not a fake fd; then *fd is what to hand to the kernel:
 * the same number, or -1 where the program has no such fd (a closing one, one of the library's
 * own). */
static inline bool object_is(int *fd, struct fdref *ref)
{
	uint64_t entry = fdtable_entry(*fd);

	if (!entry && !fdtable_doubtful())
		return false;
	if (fdtable_decode(*fd, entry, ref) && !fdtable_doubtful()) {
		ref->object = slotpool_slots + ref->slot;
		if (slot_lives_as(ref->object, ref->generation))
			return true;
	}
	return object_is_not(fd, entry, ref);
}

/* ref->fd, which this process was given, is the object's from now on; false where it cannot be. */
bool object_adopt(const struct fdref *ref);

/* False where the object has died, or died with its last process: no fd of it is open anywhere. */
bool object_still_open(uint32_t slot, uint32_t generation);

/* close(2) of a fake fd. */
struct outcome object_close(const struct fdref *ref);

/* `fd` was just made by duplicating ref->fd, which the caller has pinned. */
void object_duplicated(const struct fdref *ref, int fd);

/* What an fd was is being replaced by dup2: drops its hold, after the kernel replaced the number.
 */
void object_replaced(const struct fdref *ref);

/* A sleeping operation keeps the object, as a file reference does in the kernel. */
void object_hold(const struct fdref *ref);
void object_release(const struct fdref *ref);

/* The same for an object that may have died since it was looked up: false where it has. */
bool object_hold_living(const struct fdref *ref);

/* Gives back a pin taken by fdtable_pin(): the last one of a closed number closes it. */
void object_unpin(const struct fdref *ref);

/* In a forked child. */
void object_forked(void);

/* `fd` is a new file that the kernel just made: whatever was known of the number is no longer true.
 * Returns fd. */
int object_new_file(int fd);

#endif
