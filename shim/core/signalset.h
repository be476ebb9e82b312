/* Signalfds in epoll sets. The kernel knows of each that it is there, and nothing else; what it
 * shows is looked up at each wait, as it is the waiting thread's own affair. */
#ifndef EFDSHIM_CORE_SIGNALSET_H
#define EFDSHIM_CORE_SIGNALSET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/epollset.h"
#include "core/fdtable.h"

/* One above the highest watch there ever was; 0: no set has any. */
extern _Atomic uint32_t signalset_top;

/* epoll_ctl(2) of a signalfd: 0 or an errno value. */
int signalset_ctl(int epfd, int op, const struct fdref *ref, const struct epoll_event *event);

/* The same was done with a set, and has worked. */
void signalset_nested(int op, int outer, int inner, const struct epoll_event *event);

/* Whether the set has any signalfd in it, that can be ready. */
bool signalset_has(int epfd);

/* What is ready there now; and the signals that would make something ready. */
bool signalset_ready(int epfd);
uint64_t signalset_signals(int epfd);

/* What the set's signalfds have to tell; then that is told. How many. */
int signalset_collect(int epfd, struct epoll_event *events, int max);

/* epoll_wait(2) on such a set. */
struct outcome signalset_wait(struct epoll_call *call);

/* A signal of that number was taken, handled or discarded: the next one is an edge. */
void signalset_taken(int sig);

#endif
