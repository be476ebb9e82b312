/* The entries of a poll that sleeps: what the kernel sleeps on in place of fake fds, and what these
 * show at each wake-up. */
#ifndef EFDSHIM_CORE_POLLSLEEP_H
#define EFDSHIM_CORE_POLLSLEEP_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"
#include "core/scratch.h"
#include "core/signaldoor.h"

/* What an entry was when the call began. A fake one sleeps on its object, as in the kernel,
 * whatever becomes of the number; what it shows is what has the number then. */
struct entry {
	uint32_t slot;
	uint32_t generation;
	bool fake;
	bool held;	/* it sleeps on the object: slot and generation say which */
	bool by_number; /* it has no fd of the library's own to sleep on */
	bool mask;	/* it sleeps in the call's set of masks */
	uint8_t class;
	uint16_t wanted; /* what it asks of its mask, counted there */
};

/* One call on its way. */
struct pollset {
	struct pollfd *program; /* the program's array, for the answer alone */
	struct pollfd *fds;	/* what it held when the call began, as in the kernel */
	nfds_t n;
	const sigset_t *mask;
	struct pollfd *asked; /* what the kernel is asked to sleep on */
	struct entry *entries;
	nfds_t foreign;	  /* entries for the kernel */
	short always;	  /* bits shown unasked */
	int masks;	  /* epoll set of the masks slept on; -1 where there is none yet */
	uint64_t signals; /* that would make one of its signalfds ready */
	struct signaldoor door;
	bool door_open;
	struct scratch scratch;
};

/* The bits poll knows; epoll takes more. */
enum { POLLSLEEP_BITS = 0x27ff };

/* What an entry shows while it is the object's; `always` are the bits shown unasked. */
static inline short pollsleep_shown(
	const struct slot *object, const struct pollfd *fd, short always)
{
	return (short)(slot_state(object) & POLLSLEEP_BITS & (uint16_t)(fd->events | always));
}

/* Entry i, of the number `fd` to the kernel, is for the kernel. */
void pollsleep_leave_to_kernel(struct pollset *set, nfds_t i, int fd);

/* Lets the kernel sleep on the FIFOs of the fake entries; 0 or an errno value. */
int pollsleep_prepare(struct pollset *set);

/* What fake entry i shows after the kernel's answer. */
short pollsleep_look(struct pollset *set, nfds_t i);

/* What a foreign entry shows besides: a set with a signalfd in it that is ready. */
short pollsleep_signals(const struct pollset *set, nfds_t i);

/* The kernel has answered: edges of masks that it woke us for are over. */
void pollsleep_woken(const struct pollset *set);

/* What woke the last sleep has been looked at. */
void pollsleep_close_door(struct pollset *set);

/* Lets go of the objects. */
void pollsleep_end(struct pollset *set);

#endif
