/* What this process alone knows of each object: how many of its fds are the object's, and the fds
 * of its class FIFOs. */
#ifndef EFDSHIM_CORE_LOCAL_H
#define EFDSHIM_CORE_LOCAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/slot.h"

enum { SLOTS_MAX = 1 << 20 };

struct local {
	/* Fds and sleeping operations of this process that keep the object. Moved by create, dup,
	 * close and sleepers. */
	_Atomic uint32_t holds;
	/* Which object the holds are on. Written by create and adopt, before the number is noted.
	 */
	_Atomic uint32_t generation;
	/* setid_forks() when this process made the object: where it has moved on, others have the
	 * object too. Written by create. */
	_Atomic uint32_t forks;
	/* spin.h: how the last waits of this process ended; 0 for none. */
	_Atomic uint32_t pace;
	/* A number of the object's, or what was one: of a timer. Written by who makes or sets it.
	 */
	_Atomic int number;
	/* Fd + 1 of each class FIFO, 0 where it is not open; with the generation it was opened for
	 * in the high half. Filled by whoever first needs it, emptied when the object has died. */
	_Atomic uint64_t class_fd[CLASS_COUNT];
};

/* Makes the table; 0 or an errno value. */
int local_init(void);

/* The entry of a slot. */
struct local *local_of(uint32_t slot);

#endif
