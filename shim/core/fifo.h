/* The FIFOs in the store: one for each object, one more for each further class that is watched. */
#ifndef EFDSHIM_CORE_FIFO_H
#define EFDSHIM_CORE_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of FIFOs carry the tag of their segment, so that an older segment's FIFOs are never taken
 * for ours. */
void fifo_set_tag(uint32_t tag);

/* Opens the FIFO of an object's class O_RDWR|O_NONBLOCK with further `flags`, making it where it
 * does not exist: the lowest free fd, or -errno. *inode is the FIFO's inode number, 0 where it was
 * never made; set where it is made now. */
int fifo_open(uint32_t slot, unsigned class, int flags, uint64_t *inode);

/* The same for the own FIFO of an object that is being made. */
int fifo_open_passing(uint32_t slot, unsigned class, uint64_t *inode);
int fifo_open_new(uint32_t slot, int flags, uint64_t *inode);

/* The own FIFO of a slot for reading only; an fd that is taken for a moment, or -errno. */
int fifo_open_reader(uint32_t slot);

/* Empties the FIFO of a class and takes its name away: whoever still watches it sees nothing any
 * more. */
void fifo_retire(uint32_t slot, unsigned class);

enum liveness {
	LIVE_NOWHERE, /* no process has the FIFO open, in flight included */
	LIVE_SOMEWHERE,
	LIVE_UNKNOWN, /* the FIFO's name is gone, or fds ran out: never reclaim */
};

/* Whether anybody still has the object's own FIFO open. */
enum liveness fifo_liveness(uint32_t slot);

/* The slot and class of the FIFO that a path of /proc/PID/fd/N leads to; false where it is none of
 * ours. */
bool fifo_of_link(const char *target, size_t length, uint32_t *slot, unsigned *class);

/* The slot whose own FIFO a path of /proc/PID/fd/N leads to; -1 where the target is none of ours.
 */
int fifo_slot_of_link(const char *target, size_t length);

/* True where a path ends like the name of some store's FIFO. Needs no open store. */
bool fifo_is_name(const char *target);

#endif
