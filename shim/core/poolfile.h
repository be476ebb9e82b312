/* The file behind a pool: made whole or not at all, verified before it is mapped. */
#ifndef EFDSHIM_CORE_POOLFILE_H
#define EFDSHIM_CORE_POOLFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/pool.h"

/* A head of one page; then a bit for each item, set while it is free; then the items. */
enum { HEAD_BYTES = 4096, MARKS_PAGE = 4096, SUMMARY_WORDS = 256, POOL_WORDS = 64 };

struct pool_head {
	char magic[8]; /* these four are written before the file gets its name */
	uint32_t version;
	uint32_t item_size;
	uint32_t items;
	uint32_t tag;
	/* These are hints, which anything may have overwritten: what the file has is for the kernel
	 * to say, whether an item is free for its owner word. */
	_Atomic uint32_t ready; /* items with storage; raised by pool_take, read by whoever meets an
				   item that is new to its process */
	_Atomic uint32_t used;	/* items ever handed out; raised by pool_take */
	/* A bit for each word of free bits, set where that word may have one: set after the free
	 * bit, cleared by whoever finds the word empty, who then looks once more. */
	_Atomic uint64_t summary[SUMMARY_WORDS];
	/* Of whoever has the pool, zeros at first. */
	_Atomic uint64_t words[POOL_WORDS];
};

_Static_assert(sizeof(struct pool_head) <= HEAD_BYTES, "the head is one page");

/* Opens the pool's file, making it where there is none and setting aside one that does not fit; an
 * fd or -errno. */
int poolfile_open(const struct pool *pool);

/* Where an item lies in the file. */
off_t poolfile_offset(const struct pool *pool, uint32_t index);

/* How many of the first `ready` items the file has, storage and all. */
uint32_t poolfile_backed(const struct pool *pool, int fd, uint32_t ready);

/* Reads the head; false where it is none of a pool's. */
bool poolfile_read(int fd, struct pool_head *head);

/* Gives the file storage for [from, to); 0 or an errno value. */
int poolfile_reserve(int fd, off_t from, off_t to);

#endif
