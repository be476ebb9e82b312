/* read(2) and write(2) on a fake fd of whatever kind. */
#ifndef EFDSHIM_CORE_FDIO_H
#define EFDSHIM_CORE_FDIO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "core/counterfd.h"
#include "core/maskfd.h"
#include "core/signalfd.h"
#include "core/slot.h"
#include "core/timerfd.h"

static inline struct outcome fdio_read(const struct fdref *ref, void *buf, size_t n)
{
	if (slot_is_ring(ref->object))
		return outcome_err(EINVAL);
	if (slot_is_mask(ref->object))
		return maskfd_read(ref, buf, n);
	if (slot_is_signal(ref->object))
		return signalfd_read(ref, buf, n, false);
	if (slot_is_timer(ref->object))
		return timerfd_read(ref, buf, n);
	return counterfd_read(ref, buf, n);
}

static inline struct outcome fdio_write(const struct fdref *ref, const void *buf, size_t n)
{
	if (slot_is_ring(ref->object) || slot_is_signal(ref->object) || slot_is_timer(ref->object))
		return outcome_err(EINVAL);
	if (slot_is_mask(ref->object))
		return maskfd_write(ref, buf, n);
	return counterfd_write(ref, buf, n);
}

/* `nowait`: as with RWF_NOWAIT, never block. */
struct outcome fdio_readv(const struct fdref *ref, const struct iovec *iov, int count, bool nowait);
struct outcome fdio_writev(const struct fdref *ref, const struct iovec *iov, int count);

#endif
