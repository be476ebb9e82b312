#include "core/plainset.h"

#include <stddef.h>

#include "core/front.h"
#include "core/watch.h"

_Atomic bool plainset_doubtful;

bool plainset_has_nothing(int epfd)
{
	struct front *front = front_of(epfd);

	return (!front || !atomic_load(&front->rings)) && !watch_added();
}
