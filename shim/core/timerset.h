/* Which slots are timers that this process has. */
#ifndef EFDSHIM_CORE_TIMERSET_H
#define EFDSHIM_CORE_TIMERSET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"

/* ref is one; it stays until it is found gone. */
void timerset_note(const struct fdref *ref);
bool timerset_has(uint32_t slot);

/* Each of them, with a number that was its own once. */
void timerset_each(void (*act)(const struct fdref *, void *), void *arg);

/* False where there is none. */
bool timerset_any(void);

#endif
