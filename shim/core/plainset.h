/* Epoll sets in which there is nothing of ours, nor can there be as long as a wait takes: the wait
 * is the kernel's affair alone. */
#ifndef EFDSHIM_CORE_PLAINSET_H
#define EFDSHIM_CORE_PLAINSET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/fdtable.h"
#include "core/setid.h"
#include "sys/alone.h"

/* Whether a fake fd was ever put into a set here. Set before the first one is, never cleared. */
extern _Atomic bool plainset_doubtful;

static inline void plainset_doubt(void)
{
	if (!atomic_load_explicit(&plainset_doubtful, memory_order_relaxed))
		atomic_store(&plainset_doubtful, true);
}

/* The same for a set of this process's own, with whatever was put in. */
bool plainset_has_nothing(int epfd);

/* Another process, or thread, could put something in while this one waits; so could a handler, but
 * that ends the wait. */
static inline bool plainset_is(int epfd)
{
	if (!alone() || !setid_private(epfd))
		return false;
	return !atomic_load_explicit(&plainset_doubtful, memory_order_relaxed) ||
	       plainset_has_nothing(epfd);
}

#endif
