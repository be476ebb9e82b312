/* A read or write that went to the kernel, as the number was not ours, and met a fake fd's FIFO
 * there: between the look at the table and the system call another thread put an eventfd at the
 * number. */
#ifndef EFDSHIM_CORE_LATE_H
#define EFDSHIM_CORE_LATE_H

#include <stdbool.h>

#include "core/fdtable.h"
#include "core/outcome.h"
#include "sys/alone.h"

/* True where no other thread can do so: it is the only one, or none has made an eventfd so far.
 * Then a call need not be looked at afterwards, and may be the last thing that the caller does: a
 * return into the library costs more than all the rest, as the processor does not foresee returns
 * right after a system call. */
static inline bool late_never(void)
{
	return alone() || !atomic_load_explicit(&fdtable_objects, memory_order_relaxed);
}

/* True where that may be. Asked only after a call that ended as one on a FIFO may end. */
static inline bool late_possible(int fd)
{
	return fdtable_entry(fd) || atomic_load(&fdtable_makers);
}

/* A write of 8 bytes was done: where they lie in a FIFO they are taken out, and the write is done
 * again. Whoever settles the level meanwhile does it as well, see level.h. */
struct outcome late_write(int fd);

/* A read would have blocked, or got whole words: such as the level of a watched object. */
struct outcome late_read(int fd, void *buf, unsigned long n, struct outcome got);

/* Does the writes that met the FIFO of a new object, before its level comes to be in there. */
void late_gather(const struct fdref *ref);

#endif
