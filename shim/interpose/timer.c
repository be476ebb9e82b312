/* Timers: the kernel's, where it has them. */
#include <sys/timerfd.h>

#include "interpose/interpose.h"

#include "core/config.h"
#include "core/timerfd.h"
#include "interpose/rawcall.h"

static int kernel_timer(int clock, int flags)
{
	return object_new_file(real()->timerfd_create(clock, flags));
}

int timerfd_create(int clock, int flags)
{
	struct outcome outcome;

	config_load();
	if (!config.emulate_timers) {
		int saved = errno;
		int fd = kernel_timer(clock, flags);

		/* EINVAL: of flags before 2.6.27, of CLOCK_BOOTTIME before 3.15 */
		if (fd >= 0 || (errno != ENOSYS && errno != EINVAL))
			return fd;
		errno = saved;
	}
	outcome = timerfd_make(clock, flags);
	return outcome.err == ENOSYS ? kernel_timer(clock, flags) : (int)outcome_return(outcome);
}

/* NULL where it is none of the shim's; `*fd` is what to hand to the kernel. */
static const struct fdref *timer_of(int *fd, struct fdref *ref)
{
	return object_is(fd, ref) && slot_is_timer(ref->object) ? ref : NULL;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	struct fdref space;
	const struct fdref *ref = timer_of(&fd, &space);
	int saved = errno;

	if (!ref) {
		int ret = real()->timerfd_settime(fd, flags, value, old);

		if (!ret || errno != ENOSYS)
			return ret;
		errno = saved;
	}
	return (int)outcome_return(timerfd_set(ref, fd, flags, value, old));
}

int timerfd_gettime(int fd, struct itimerspec *value)
{
	struct fdref space;
	const struct fdref *ref = timer_of(&fd, &space);
	int saved = errno;

	if (!ref) {
		int ret = real()->timerfd_gettime(fd, value);

		if (!ret || errno != ENOSYS)
			return ret;
		errno = saved;
	}
	return (int)outcome_return(timerfd_get(ref, fd, value));
}

long rawcall_timerfd_create(const struct rawcall *call)
{
	return timerfd_create((int)call->a[0], (int)call->a[1]);
}

long rawcall_timerfd_settime(const struct rawcall *call)
{
	return timerfd_settime((int)call->a[0], (int)call->a[1],
		(const struct itimerspec *)call->a[2], (struct itimerspec *)call->a[3]);
}

long rawcall_timerfd_gettime(const struct rawcall *call)
{
	return timerfd_gettime((int)call->a[0], (struct itimerspec *)call->a[1]);
}
