/* Epoll watches of counters that can overflow, as somebody has a reference to signal them by. At
 * UINT64_MAX each is to show ERR, which no FIFO can: the kernel watches the object's own one under
 * a cookie, and what the counter shows is looked up. */
#ifndef EFDSHIM_CORE_SIGNALWATCH_H
#define EFDSHIM_CORE_SIGNALWATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/fdtable.h"
#include "core/watch.h"

/* EPOLL_CTL_ADD or _MOD of such a watch, whose class is {} or {IN}; 0 or an errno value. */
int signalwatch_set(int epfd, int op, const struct fdref *ref, const struct epoll_event *event);

/* One that asks for nothing but ERR is told of by edges, where it has no class of its own. */
bool signalwatch_needs_edges(const struct slot *slot, uint32_t events);

/* What the program gets for an event of such a watch: poll bits, 0 for nothing. */
uint32_t signalwatch_events(int epfd, const struct watch *watch, uint64_t cookie);

/* The object has its first reference: the watches that this process's sets have of it already
 * become such ones. */
void signalwatch_begin(const struct fdref *ref);

/* The same of one set's watches. */
void signalwatch_change_in(int epfd, const struct fdref *ref);

#endif
