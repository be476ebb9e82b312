#include "core/local.h"

#include <stddef.h>

#include "sys/raw.h"
#include "sys/sparse.h"

/* Published by local_init, then constant. */
static _Atomic(struct local *) table;

int local_init(void)
{
	size_t bytes = SLOTS_MAX * sizeof(struct local);
	struct local *none = NULL;
	long map;

	if (atomic_load(&table))
		return 0;
	map = sparse_map(bytes, -1);
	if (map < 0)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&table, &none, (struct local *)map))
		raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return 0;
}

struct local *local_of(uint32_t slot)
{
	return atomic_load_explicit(&table, memory_order_acquire) + slot;
}
