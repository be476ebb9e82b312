/* Working memory for one call: on the stack where it is small, mapped where it is not; never
 * malloc. */
#ifndef EFDSHIM_CORE_SCRATCH_H
#define EFDSHIM_CORE_SCRATCH_H

#include <stddef.h>

enum { SCRATCH_SMALL = 2304 };

struct scratch {
	void *mapped; /* NULL where the small space serves */
	size_t bytes;
	_Alignas(16) char small[SCRATCH_SMALL];
};

/* NULL where there is no memory. */
void *scratch_get(struct scratch *scratch, size_t bytes);

/* Takes a struct scratch *; fit for a cancellation handler. */
void scratch_put(void *scratch);

#endif
