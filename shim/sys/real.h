/* The functions the shim stands in front of. */
#ifndef EFDSHIM_SYS_REAL_H
#define EFDSHIM_SYS_REAL_H

#include <stdatomic.h>

#include "sys/symbols.h"

#define REAL_FIELD(type, name, parameters) type(*name) parameters;
#define REAL_NO_FIELD(name, function)

struct real {
	SYMBOLS(REAL_FIELD, REAL_NO_FIELD)
};

extern struct real real_table;
extern _Atomic int real_resolved;

/* Looks all of them up; any number of times, from any thread. */
void real_resolve(void);

/* The table. Works before any constructor ran, and while a lookup is under way: then what an
 * allocator or the loader may call is answered by bare system calls. */
static inline const struct real *real(void)
{
	if (__builtin_expect(!atomic_load_explicit(&real_resolved, memory_order_acquire), 0))
		real_resolve();
	return &real_table;
}

#endif
