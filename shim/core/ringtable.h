/* The rings of this process, by slot, and who is at them. */
#ifndef EFDSHIM_CORE_RINGTABLE_H
#define EFDSHIM_CORE_RINGTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "efdshim/asyncfd.h"

/* Producers, and those who look whether there is anything: each have a cache line of their own, as
 * they are on different processors. */
enum ring_user { RING_PRODUCER, RING_LOOKER, RING_USERS };

struct ring_users {
	/* Who is at the ring, by the turn's last bit. A futex for whoever has the lock. */
	_Atomic uint32_t busy[2];
} __attribute__((aligned(64)));

/* What this process knows of a slot's ring. Whoever uses the ring is counted meanwhile, in one of
 * two counts by turns: whoever replaces it begins another turn, and waits for those of the last. */
struct ring_entry {
	/* Of the object that the ring is of. Written by whoever has the lock, while there is no
	 * ring. */
	_Atomic uint32_t generation;
	/* Moved by whoever has the lock, after the ring. */
	_Atomic uint32_t turn;
	/* Somebody waits for users. Written by whoever has the lock. */
	_Atomic uint32_t waiting;
	/* How often the process had been forked off when the ring was set, or met first: where
	 * `ringtable_forks` says more it came with the memory of the parent. */
	_Atomic uint32_t forks;
	/* The number under which the ring was set last; a hint. */
	_Atomic int fd;
	/* The next slot that ever had a ring; 0: the last one. Constant once it is in the list. */
	_Atomic uint32_t next;
	_Atomic uint32_t listed;
	/* The ring's size when it was set. Written by whoever has the lock. */
	uint32_t size;
	_Atomic(struct asyncfd_uring *) head;
	struct ring_users users[RING_USERS];
} __attribute__((aligned(64)));

/* The first of the slots that ever had a ring; pushed by whoever has the lock. */
extern _Atomic uint32_t ringtable_listed;

/* Moved in each forked child. */
extern _Atomic uint32_t ringtable_forks;

/* Makes the table; 0 or an errno value. */
int ringtable_open(void);

/* NULL where no ring was ever set. */
struct ring_entry *ringtable_entry(uint32_t slot);

/* For whoever sets rings. */
void ringtable_lock(void);
void ringtable_unlock(void);

/* Around any use of a ring; what the first returns is for the second. */
uint32_t ringtable_enter(struct ring_entry *entry, enum ring_user who);
void ringtable_leave(struct ring_entry *entry, enum ring_user who, uint32_t turn);

/* The ring, or NULL, for whoever has entered. */
struct asyncfd_uring *ringtable_ring(struct ring_entry *entry, uint32_t generation);

/* Waits until nobody is left who may have found the ring that was there before; with the lock. */
void ringtable_drain(struct ring_entry *entry);

/* The slot has, or had, a ring; with the lock. */
void ringtable_list(uint32_t slot, struct ring_entry *entry);

/* Whether any part of the ring lies in the range. Waits for nobody: any handler may ask. */
bool ringtable_lies_in(struct ring_entry *entry, uintptr_t at, size_t n);

/* In a forked child. */
void ringtable_forked(void);

#endif
