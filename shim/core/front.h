/* The front of an epoll set: what a loop finds ready without asking the kernel, and the bell that
 * wakes it where it sleeps there. One set of this process alone has one, until the first thing that
 * needs the kernel's own list: then it is banned, for good. */
#ifndef EFDSHIM_CORE_FRONT_H
#define EFDSHIM_CORE_FRONT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum front_state {
	FRONT_OPEN = 1,
	FRONT_BANNED = 2,
};

struct front {
	/* The set's number, 0 where there is none. Written by whoever makes the set, last of all,
	 * and by whoever finds it closed. */
	_Atomic uint64_t set;
	/* enum front_state. Banned by anybody; whoever adds a watch looks at it afterwards. */
	_Atomic uint32_t state;
	/* 1 while a thread waits here: it alone has the list. Taken by compare-and-swap; who does
	 * not get it bans the front. */
	_Atomic uint32_t waiter;
	/* 1 once the set has anything that only the kernel tells of. */
	_Atomic uint32_t foreign;
	/* 1 once a fast watch was made and the bell is in the set. */
	_Atomic uint32_t rings;
	/* Demotions under way, and above them how many have begun: what they move is neither here
	 * nor there meanwhile. Moved by who demotes, read by waiters that have found nothing. */
	_Atomic uint64_t moves;
	/* Number + 1 of a kernel eventfd of the library's, 0 where there is none. */
	_Atomic int bell;
	/* A number of the set's. */
	_Atomic int epfd;
	/* The list of watches that may be ready, first come first; the waiter's own. Of each, index
	 * as in fastwatch.h. */
	uint32_t first;
	uint32_t last;
	uint32_t length;
	/* Watches that were made ready, last come first; pushed by writers, taken whole by the
	 * waiter. seq_cst: see fastwatch_push. */
	_Atomic uint32_t pushed;
	/* 1 while the waiter sleeps in the kernel, or is about to. Set by it before its last look,
	 * exchanged for 0 by the first writer that finds it, who rings. */
	_Atomic uint32_t sleeping;
	/* spin.h: how the last waits here ended; 0 for none. */
	_Atomic uint32_t pace;
	/* The waiter's, too: the kernel is first at the next wait, as it had no room at the last.
	 */
	bool kernel_first;
} __attribute__((aligned(64)));

/* `epfd` is a new set; a number was closed, or turned out to be stale, that was the set's. */
void front_made(int epfd);
void front_number_gone(uint64_t set);

/* The front of the set with this number, though it may be banned; that of this fd, which is open.
 * NULL where there is none. */
struct front *front_of_set(uint64_t set);
struct front *front_of(int epfd);

/* Around a demotion; the front may be NULL. And whether none was under way since `moves` was what
 * is given. */
void front_begin_move(struct front *front);
void front_end_move(struct front *front);
static inline bool front_unmoved(const struct front *front, uint64_t moves)
{
	return !(uint32_t)moves && atomic_load(&front->moves) == moves;
}

/* A number of the set's that is open now; -1 where there is none. */
int front_epfd(const struct front *front);

/* The bell is in the set on return: 0 or an errno value. */
int front_hang_bell(struct front *front, int epfd);
void front_take_bell(struct front *front, int epfd);

/* Whether the number is the front's set to the kernel too, which it may not be to a vfork child. */
bool front_is_here(const struct front *front, int epfd);

/* What the kernel gives for the bell. */
bool front_any_bell(void);
bool front_is_bell(uint64_t data);

/* Wakes the waiter, where it sleeps. */
void front_ring(struct front *front);

/* The set has something that only the kernel tells of. */
void front_note_foreign(int epfd);

/* Each front there is. */
void front_each(void (*act)(struct front *front));

/* An internal fd has another number now, and the old one for a moment still. */
void front_bell_moved(int from, int to);

/* It is about to be lost to the program, as there is no other number: for each front whose bell it
 * is. */
void front_bell_lost(int fd, void (*act)(struct front *front));

/* In a forked child: its sets are its parent's too. */
void front_forked(void);

#endif
