/* What an epoll watch of a mask has to tell, and what the kernel is asked for it. */
#ifndef EFDSHIM_CORE_MASKTELL_H
#define EFDSHIM_CORE_MASKTELL_H

#include <stdint.h>

#include "core/slot.h"
#include "core/watch.h"

/* What a watch with `events` waits for: as the kernel has it, always ERR and HUP besides. */
uint32_t masktell_interest(uint32_t events, const struct slot *slot);

/* What the kernel is asked of the own FIFO. A watch begins as the user made it; a one-shot watch,
 * and one that had nothing to report while the level was up, keeps its mode up here, and the kernel
 * tells edges only: else it would wake the set for ever. EPOLLEXCLUSIVE is not handed on: the
 * kernel might choose to wake only a watch that has nothing to report. */
uint32_t masktell_asks(const struct watch *watch, uint64_t cookie);

/* What the program gets for an event of such a watch: poll bits, 0 for nothing. */
uint32_t masktell_events(int epfd, const struct watch *watch, uint64_t cookie);

#endif
