/* Small pools in the test's own store. */
#ifndef POOLKIT_H
#define POOLKIT_H

#include "core/pool.h"
#include "unit.h"

enum { ITEM_BYTES = 64, ITEMS_IN_CHUNK = 65536 / ITEM_BYTES };

/* What the tests keep in an item, behind the word that says whose it is. */
struct item {
	_Atomic uint32_t taker; /* the pool's */
	_Atomic uint32_t owner; /* 0: nobody has it */
	char rest[ITEM_BYTES - 8];
};

static inline struct pool poolkit_unopened(uint32_t items)
{
	return (struct pool){.name = "items", .item_size = ITEM_BYTES, .items = items};
}

static inline void poolkit_open(struct pool *pool, uint32_t items)
{
	*pool = poolkit_unopened(items);
	unit_open_store();
	cr_assert_eq(pool_open(pool), 0);
}

static inline uint32_t poolkit_take(struct pool *pool)
{
	int err = 0;
	uint32_t index = pool_take(pool, &err);

	cr_assert_neq(index, 0, "pool_take: %d", err);
	return index;
}

static inline int poolkit_refusal(struct pool *pool)
{
	int err = 0;

	cr_assert_eq(pool_take(pool, &err), 0);
	return err;
}

#endif
