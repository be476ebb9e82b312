/* signalfd(2) in user space. The object holds the mask alone: what is pending is the kernel's, and
 * a read takes it from there, in the thread that reads. */
#ifndef EFDSHIM_CORE_SIGNALFD_H
#define EFDSHIM_CORE_SIGNALFD_H

#include <stddef.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/outcome.h"
#include "core/slot.h"

/* A new one for `signals`; ENOSYS where it cannot be. */
struct outcome signalfd_create(uint64_t signals, int flags);

/* A new mask for one there is. */
struct outcome signalfd_change(const struct fdref *ref, uint64_t signals);

uint64_t signalfd_signals(const struct slot *slot);

/* The poll bits it shows to the calling thread now. */
uint32_t signalfd_state(const struct slot *slot);

/* read(2); `nowait`: never to block. */
struct outcome signalfd_read(const struct fdref *ref, void *buf, size_t n, bool nowait);

#endif
