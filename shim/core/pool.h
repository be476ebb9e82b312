/* An array of fixed-size items in a file of the store, mapped once at its largest size and shared
 * by all processes of the user. Storage is reserved before it is used: a full file system gives an
 * errno, never SIGBUS. */
#ifndef EFDSHIM_CORE_POOL_H
#define EFDSHIM_CORE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pool_head;

struct pool {
	const char *name; /* of its file */
	uint32_t item_size;
	uint32_t items; /* the most it can hold; item 0 is never handed out */
	/* The mapping; published by pool_open, read by everybody. */
	_Atomic(struct pool_head *) head;
	/* The file's inode number and tag; written before the mapping is published. What the head
	 * says later may be anybody's garbage. */
	_Atomic uint64_t inode;
	_Atomic uint32_t tag;
	/* Items that this process has seen to lie within the file, with storage. Raised by whoever
	 * looked, read before any access to an item. */
	_Atomic uint32_t backed;
	/* What the head said was ready when that was found not to be so. */
	_Atomic uint32_t refused;
};

/* Maps the pool, making its file where there is none; 0 or an errno value. */
int pool_open(struct pool *pool);

/* The item, or NULL where index is no item that has storage. */
void *pool_item(struct pool *pool, uint32_t index);

/* Where item 0 would be, for indices that are known to be good. */
void *pool_base(const struct pool *pool);

/* Whether an item has been given back and not been taken since. */
bool pool_has_free(struct pool *pool);

/* Takes a free item: its index, or 0 with *err set. Fresh storage reads as zeros. Its first word,
 * an _Atomic uint32_t, is its owner's: 0 while it is free, from now on the process's mark, as long
 * as the process does not put another value in. */
uint32_t pool_take(struct pool *pool, int *err);

/* Gives an item back; only its owner may. */
void pool_give(struct pool *pool, uint32_t index);

/* Makes an item whose owner is a dead process this process's own; false where it is not so. */
bool pool_inherit(struct pool *pool, uint32_t index);

/* Finds the free items whose takers or givers died on the way. */
void pool_mend(struct pool *pool);

/* POOL_WORDS words in the head that are the user's. */
_Atomic uint64_t *pool_words(const struct pool *pool);

/* One above the highest index ever handed out. */
uint32_t pool_used(struct pool *pool);

/* Random, fixed when the file was made. */
uint32_t pool_tag(const struct pool *pool);

#endif
