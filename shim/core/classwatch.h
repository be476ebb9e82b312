/* Watches that the object's own FIFO cannot show: the kernel watches a class FIFO, under a cookie.
 */
#ifndef EFDSHIM_CORE_CLASSWATCH_H
#define EFDSHIM_CORE_CLASSWATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/watch.h"

/* epoll_ctl(2); 0 or an errno value. */
int classwatch_control(int epfd, int op, int fd, uint32_t events, uint64_t data);

/* The class FIFO is this process's to open. Where others have the set or the object too, they must
 * be able to change the watch, to poke, and to go on when this process is gone: the object's own
 * FIFO serves all. */
bool classwatch_must_share(int epfd, const struct fdref *ref);

/* The class of a watch with these events in this set: {IN} where another one could not be shared.
 */
unsigned classwatch_class(int epfd, const struct fdref *ref, uint32_t events);

/* The own FIFO is in the set with an empty interest: adds the watch proper. 0 or an errno value. */
int classwatch_join(
	int epfd, const struct fdref *ref, const struct epoll_event *event, unsigned class);

/* The part of it that is the object's. */
bool classwatch_others_have(const struct fdref *ref);

/* The same for a watch that is there already, of the same class. */
int classwatch_change(int epfd, const struct fdref *ref, const struct epoll_event *event,
	const struct watch *old, uint64_t cookie);

/* Takes the watch out of the kernel and forgets it. */
void classwatch_leave(int epfd, uint64_t cookie, const struct watch *watch);

/* EPOLL_CTL_ADD or _MOD of a fake fd whose interest belongs to `class`; 0 or an errno value. */
int classwatch_set(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, unsigned class);

/* Forgets the class watch that the fd has in the set, where it has one. */
void classwatch_drop(int epfd, const struct fdref *ref);

/* The object has died, with nobody here to close it: its watch must not wake the set for ever. */
void classwatch_end(int epfd, const struct watch *watch, uint64_t cookie);

/* The kernel has disarmed a one-shot watch that had nothing to report. */
void classwatch_rearm(int epfd, const struct watch *watch, uint64_t cookie);

/* The next image gets the set: it gets the fds that the class watches are on, too. */
void classwatch_keep(int epfd);

/* Others get the set: its class watches end with this process, so the objects' own FIFOs take their
 * place. */
void classwatch_share(int epfd);

#endif
