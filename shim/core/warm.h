/* The slot that a process keeps for its next object.
 *
 * A process that makes and closes objects again and again would open the same FIFO again and again,
 * and by its name once more to hear that nobody has it open. Instead it keeps one slot to itself
 * when the object in it has died, and the slot's FIFO open for reading: so the FIFO is there when
 * the next object opens it, and the kernel says by POLLHUP on that fd, as surely as ENXIO does,
 * when nobody has it open for writing any more, as whoever has an object does. Each object has an
 * open file of its own, as ever.
 *
 * While it is kept open the object's life is for this process to end: where its last fd was not
 * the last one of all, the fd is given up, and others find the FIFO closed by ENXIO again. */
#ifndef EFDSHIM_CORE_WARM_H
#define EFDSHIM_CORE_WARM_H

#include <stdbool.h>
#include <stdint.h>

/* The slot that is kept for the next object, this process's own from now on; 0 where there is none.
 */
uint32_t warm_take(void);

/* This process has closed its last fd of the object in the slot, whose life was `life`. True where
 * the object has died, and the slot is kept. */
bool warm_keep(uint32_t slot, uint32_t life);

/* The object has died, with nothing in its FIFO: true where the slot is kept from now on. */
bool warm_begin(uint32_t slot, uint32_t life);

/* The slot is given back after all, or its FIFO was moved to another number. */
void warm_forget(uint32_t slot);
void warm_moved(int from, int to);

/* The process, or its image, ends: the slot is given back. Or it is a forked child: nothing is kept
 * any more, as the slot is its parent's. */
void warm_leave(void);
void warm_forked(void);

#endif
