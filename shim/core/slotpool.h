/* Slots: taken for new objects, torn down when the objects have died, found again when whoever had
 * them was killed. */
#ifndef EFDSHIM_CORE_SLOTPOOL_H
#define EFDSHIM_CORE_SLOTPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slot.h"

/* Opens the pool; 0 or an errno value. */
int slotpool_open(void);

/* Where slot 0 would be; set by slotpool_open, then constant. */
extern struct slot *slotpool_slots;

/* The slot of an index that came from shared memory or a file name; NULL where it is none. */
struct slot *slotpool_slot(uint32_t index);

/* What timers.h needs that all processes share. */
struct timers_bell *slotpool_bells(void);

/* One above the highest slot ever used. */
uint32_t slotpool_used(void);

/* The slot whose own FIFO has this inode number, -1 where there is none. */
int slotpool_of_inode(uint64_t inode);

/* A slot that this process owns; 0 with *err set where there is none. */
uint32_t slotpool_take(int *err);

/* Puts `flags` in a slot that this process owns, and the count, or the events, it begins with. */
void slotpool_fill(uint32_t index, uint64_t initial, uint32_t flags);

/* The slot is an object from now on, nobody's in particular. */
void slotpool_publish(struct slot *slot);

/* Gives back a slot that this process owns. */
void slotpool_give(uint32_t index);

/* The object whose life was seen as `life` has died: gives its slot back, unless somebody else is
 * at it. True where it was done here. */
bool slotpool_bury(uint32_t index, uint32_t life);

/* The same, but the slot is this process's own from then on. */
bool slotpool_clear(uint32_t index, uint32_t life);

/* A slot that was cleared here, and whose life has been `life` since, is to be filled again: false
 * where it has been already. */
bool slotpool_again(uint32_t index, uint32_t life);

/* Frees the slot if nobody has its FIFO open any more, or whoever made or tore it down is dead;
 * true where it did. */
bool slotpool_reclaim(uint32_t index);

/* All that is dead, at once; how many objects it freed. */
uint32_t slotpool_sweep(void);

/* Whether a slot that was given back is there to be taken. */
bool slotpool_has_free(void);

/* An object was made, of such a slot or not: looks at a few slots where more are wanted. */
void slotpool_made(bool from_free);

#endif
