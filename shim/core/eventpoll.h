/* Eventpolls: epoll sets that hand out their events where they lie. The fd is an epoll set like any
 * other, and its watches are that set's; here is what the process knows of it besides. */
#ifndef EFDSHIM_CORE_EVENTPOLL_H
#define EFDSHIM_CORE_EVENTPOLL_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/fdtable.h"

/* Numbers that can be in one; and how many events are asked for at once. */
enum { EVENTPOLL_FDS = FDTABLE_SIZE, EVENTPOLL_BATCH = 1024 };

/* What an event of the bell, and of a look whether a number is in the set, bears in the place of a
 * number. */
#define EVENTPOLL_BELL 0xefd5b311u
#define EVENTPOLL_NOBODY 0xefd5b312u

/* eventpoll_place.word: the events registered in bits 0..15, whether it counts, and in bits 32..63
 * the generation from which on events are this registration's. */
#define PLACE_EVENTS 0xffffull
#define PLACE_COUNTED (1ull << 16)
#define PLACE_GENERATION_SHIFT 32

/* eventpoll.waits_by: number + 1 of the waiter's, and above it which wait it is. */
#define WAITS_NUMBER 0x7fffffffull
#define WAITS_CUT (1ull << 31) /* that number was closed */
#define WAITS_SERIAL_SHIFT 32

/* eventpoll.probed */
#define PROBED_NUMBER 0xffffffffull
#define PROBED_STEP (1ull << 32)

/* One fd. */
struct eventpoll_place {
	/* Moved by compare-and-swap, by who has changed the registration, after that; read by the
	 * waiter. */
	_Atomic uint64_t word;
	/* Where it is in the buffer that is being filled, if that is so in this wait. The waiter's.
	 */
	uint32_t serial;
	uint32_t index;
};

/* Shared with forked relatives. */
struct eventpoll_shared {
	/* How many waits, in any of them, are still to hear that they are over. The bell may be
	 * heard by another one. */
	_Atomic int over;
	/* The last generation that was given to a registration: what one of them has registered
	 * the others' waits may get. */
	_Atomic uint32_t generation;
};

struct eventpoll {
	/* The set's number; 0 once no number of it is open, and while this is nobody's. Written by
	 * who makes it, last of all; exchanged for 0 by who closes it. */
	_Atomic uint64_t set;
	/* How many use this, the open set being one, and marks. Moved by compare-and-swap; the last
	 * one frees what the pointers below lead to. */
	_Atomic uint32_t refs;
	/* Registrations that count, up to maxfds. */
	_Atomic uint32_t count;
	/* One above the highest number that was ever in. */
	_Atomic uint32_t top;
	/* Where to look next for a number that has left. A hint. */
	_Atomic uint32_t cursor;
	/* The number + 1 that is in the set for a moment, to see whether it has left, and above it
	 * how often one was. Claimed by compare-and-swap. */
	_Atomic uint64_t probed;
	/* A kernel eventfd of the library's, in the set: it ends a wait whose number is closed. */
	_Atomic int bell;
	/* See WAITS_NUMBER; 0 where nobody waits. Written by the waiter; CUT by who closes. */
	_Atomic uint64_t waits_by;
	struct eventpoll_shared *shared;
	/* The waiter's thread, and where its stack was: by them a wait that a handler has jumped
	 * out of is told from one that goes on. Written by the waiter. */
	_Atomic uintptr_t thread;
	_Atomic uintptr_t frame;
	uint32_t maxfds;
	/* The waiter's: which buffer is filled next, and which wait it is. */
	uint32_t turn;
	uint32_t serial;
	struct eventpoll_place *places;
	struct pollfd *buffers[2];
	struct epoll_event *batch;
	/* The next of its bucket; constant once it is listed. It is never taken out, but may be
	 * another set's one day. */
	struct eventpoll *next;
};

/* `epfd` is a new epoll set, which is to be an eventpoll. 0 or an errno value. */
int eventpoll_begin(int epfd, int maxfds);

/* A number was closed, or turned out to be stale, that was this set's. */
void eventpoll_number_gone(uint64_t set);

/* Set before the first one is made, never cleared. */
extern _Atomic bool eventpoll_any;

/* Whether it is an eventpoll of this process. */
bool eventpoll_is_one(int epfd);
static inline bool eventpoll_is(int epfd)
{
	return atomic_load_explicit(&eventpoll_any, memory_order_relaxed) && eventpoll_is_one(epfd);
}

/* That of an fd, held for a moment, and for a wait: then nobody else waits. NULL, and *err is EBUSY
 * or EINVAL. */
struct eventpoll *eventpoll_get(int epfd);
struct eventpoll *eventpoll_get_to_wait(int epfd, int *err);
void eventpoll_put(struct eventpoll *eventpoll);
void eventpoll_put_waiter(struct eventpoll *eventpoll);

/* The number to look sets up by. */
uint64_t eventpoll_key(int epfd);

/* Rings the bell. */
void eventpoll_ring(const struct eventpoll *eventpoll);

/* An internal fd has another number now. */
void eventpoll_bell_moved(int from, int to);

/* In a forked child: the threads that used them are not here. */
void eventpoll_forked(void);

#endif
