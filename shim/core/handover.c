#include "core/handover.h"

#include <fcntl.h>
#include <stdbool.h>

#include "core/adopt.h"
#include "core/aiobridge.h"
#include "core/classwatch.h"
#include "core/demote.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/signaldoor.h"
#include "core/timers.h"
#include "core/warm.h"
#include "core/watch.h"
#include "sys/raw.h"

void handover_number(int fd)
{
	struct fdref ref;

	if (fdtable_kind(fd) == FD_SET) {
		demote_set_of(fd);
		classwatch_share(fd);
		return;
	}
	adopt_check(fd); /* it may have been replaced by a system call instruction */
	if (!object_is(&fd, &ref))
		return;
	demote_object(&ref);
	if (slot_is_timer(ref.object))
		timers_given(&ref);
	if (slot_is_mask(ref.object))
		atomic_store(&local_of(ref.slot)->forks, UINT32_MAX); /* others have it too */
	else if (!slot_is_signal(ref.object))
		mirror_show(&ref);
}

static void keep_set(int epfd)
{
	demote_set_of(epfd);
	classwatch_keep(epfd);
}

static void hand_over(bool all)
{
	for (uint32_t i = 0; i < fdtable_top(); i++) {
		enum fd_kind kind = fdtable_kind((int)i);

		if ((kind != FD_SET && kind != FD_OBJECT) ||
			(!all && (raw_fcntl((int)i, F_GETFD, 0) & FD_CLOEXEC)))
			continue;
		if (kind == FD_SET)
			keep_set((int)i);
		else
			handover_number((int)i);
	}
}

void handover_inherited(void)
{
	hand_over(false);
}

/* The new image is the same process, so that nobody else would ever take what this one keeps. */
void handover_new_image(void)
{
	aiobridge_pull();
	signaldoor_new_image();
	handover_inherited();
	warm_leave();
}

void handover_all(void)
{
	hand_over(true);
}

void handover_stayed(void)
{
	for (uint32_t i = 0; i < fdtable_top() && watch_any(); i++) {
		if (fdtable_kind((int)i) == FD_INTERNAL)
			raw_fcntl((int)i, F_SETFD, FD_CLOEXEC);
	}
}
