#include "core/eager.h"

#include <stdatomic.h>

#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"

/* 1 once somebody looked at a set itself; set by eager_all, inherited by children. */
static _Atomic int eager;

void eager_all(void)
{
	if (atomic_exchange(&eager, 1))
		return;
	for (uint32_t i = 0; i < fdtable_top(); i++) {
		struct fdref ref;
		int fd = (int)i;

		if (object_is(&fd, &ref) && slot_is_mask(ref.object))
			mirror_eagerly(&ref);
	}
}

/* Others may look at a shared one. */
bool eager_set(int epfd)
{
	return atomic_load(&eager) || setid_shared(epfd);
}
