/* Epoll sets in which there is nothing of ours, nor can there be as long as a wait takes: the wait
 * is the kernel's affair alone. */
#ifndef EFDSHIM_CORE_PLAINSET_H
#define EFDSHIM_CORE_PLAINSET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/setid.h"
#include "sys/alone.h"

enum { PLAINSET_MARKS = 4096, PLAINSET_WORD = 64 };

/* A bit for each set into which a fake fd was put, by the number of the set; several may share one.
 * Set before that is done, never cleared. */
extern _Atomic uint64_t plainset_marks[PLAINSET_MARKS / PLAINSET_WORD];

/* A fake fd is about to be put into the set. */
void plainset_end(int epfd);

/* Another process, or thread, could put something in while this one waits; so could a handler, but
 * that ends the wait. */
static inline bool plainset_is(int epfd)
{
	uint64_t set = alone() ? setid_private(epfd) : 0;
	uint64_t marks = atomic_load_explicit(
		&plainset_marks[set % PLAINSET_MARKS / PLAINSET_WORD], memory_order_relaxed);

	return set && !(marks >> set % PLAINSET_WORD & 1);
}

#endif
