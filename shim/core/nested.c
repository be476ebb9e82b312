#include "core/nested.h"

#include <stdatomic.h>
#include <stddef.h>

/* The sets noted last; numbers of sets are not used twice, so an old entry is merely useless. */
enum { NOTED = 1024 };

/* A ring of set numbers. Written by nested_note, read by everybody. */
struct ring {
	_Atomic uint64_t sets[NOTED];
	_Atomic uint32_t used; /* entries ever written */
};

static struct ring inner_sets; /* put into some other set */
static struct ring edge_sets;  /* those whose objects need edges */

static bool has(const struct ring *ring, uint64_t set)
{
	uint32_t used = atomic_load(&ring->used);

	for (uint32_t i = 0; i < used && i < NOTED; i++) {
		if (atomic_load(&ring->sets[i]) == set)
			return true;
	}
	return false;
}

static void add(struct ring *ring, uint64_t set)
{
	if (!has(ring, set))
		atomic_store(&ring->sets[atomic_fetch_add(&ring->used, 1) % NOTED], set);
}

bool nested_needs_edges(uint64_t set)
{
	return has(&edge_sets, set);
}

bool nested_note(uint64_t outer, uint64_t inner, bool edge)
{
	uint32_t used = atomic_load(&inner_sets.used);

	add(&inner_sets, inner);
	if (!edge && !nested_needs_edges(outer))
		return false;
	add(&edge_sets, inner);
	/* which sets lie within `inner` is not known: all that lie in some set are taken to */
	for (uint32_t i = 0; i < used && i < NOTED; i++)
		add(&edge_sets, atomic_load(&inner_sets.sets[i]));
	return true;
}
