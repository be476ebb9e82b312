/* What keeps every read and write from the short way of counterfd_fast.h. */
#ifndef EFDSHIM_CORE_DETOUR_H
#define EFDSHIM_CORE_DETOUR_H

#include <stdatomic.h>
#include <stdint.h>

#define DETOUR_STATS 1u /* operations are counted */
#define DETOUR_CANCEL                                                                              \
	2u /* threads get cancelled: each operation must look whether it is its turn */

/* Bits are set while the library loads, or before the first thread is cancelled, never cleared;
 * read by every read and write. Whoever could know that he was cancelled sees them. */
extern _Atomic uint32_t detours;

static inline uint32_t detours_now(void)
{
	return atomic_load_explicit(&detours, memory_order_relaxed);
}

static inline void detour_add(uint32_t detour)
{
	if (!(detours_now() & detour))
		atomic_fetch_or(&detours, detour);
}

#endif
