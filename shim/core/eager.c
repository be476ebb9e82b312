#include "core/eager.h"

#include <stdatomic.h>

#include "core/asyncring.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"

/* 1 once somebody looked at a set itself; set by eager_all, inherited by children. */
static _Atomic int eager;

void eager_all(void)
{
	if (atomic_exchange(&eager, 1)) {
		asyncring_lower();
		return;
	}
	for (uint32_t i = 0; i < fdtable_top(); i++) {
		struct fdref ref;
		int fd = (int)i;

		if (object_is(&fd, &ref) && slot_is_mask(ref.object))
			mirror_eagerly(&ref);
	}
}

void eager_waiting(void)
{
	if (atomic_load_explicit(&eager, memory_order_relaxed))
		asyncring_lower();
}

/* Others may look at a shared one. */
bool eager_set(int epfd)
{
	return atomic_load(&eager) || setid_shared(epfd);
}
