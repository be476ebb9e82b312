/* A slot: the state of one object, in memory shared by every process of the user. */
#ifndef EFDSHIM_CORE_SLOT_H
#define EFDSHIM_CORE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/counter.h"
#include "core/mask.h"

/* Kinds of objects. Eventpolls will join. */
enum slot_kind {
	KIND_COUNTER = 1,
	KIND_MASK = 2,	/* EFD_MASK: read and written as struct efd_mask */
	KIND_VPOLL = 3, /* the same in the dialect of EFD_VPOLL: read and written as 8 bytes */
	/* A ring in the memory of each process, see asyncring.h: watched as a mask is, whose
	 * version moves with each addition; levels fall lazily. Neither read nor written. */
	KIND_ASYNC = 4,
	/* A timerfd, see timer.h: watched as a counter is, which shows IN or nothing. Its state is
	 * in the mask's cell. */
	KIND_TIMER = 5,
	/* A signalfd: its mask is in the place of the count, and nothing of it is ever mirrored. */
	KIND_SIGNAL = 6,
};

/* slot.life = generation << LIFE_STATE_BITS | state */
enum slot_state {
	STATE_FREE = 0, /* no object: never used, being made or torn down, or given back */
	STATE_LIVE = 2, /* an object somebody has, or had, open */
};
enum { LIFE_STATE_BITS = 2, LIFE_STATE_MASK = 3, GENERATION_MASK = 0xffffff };

/* A class is the part of an interest that chooses the FIFO its watchers sleep on: any union of
 * these three bits. {IN} is the object's own FIFO, which every process that has the object shares.
 * Of a mask that one is for whatever its watchers want; its classes {} and {IN} have the fourth
 * bit. */
enum {
	CLASS_NONE = 0,
	CLASS_IN = 1,
	CLASS_PRI = 2,
	CLASS_OUT = 4,
	CLASS_APART = 8, /* of a counter: {}, for ERR */
	/* Of a counter: for a watch that has told its edge already. Its level is that of {IN}, but
	 * is raised by the next write only. */
	CLASS_RESTING = CLASS_IN | CLASS_PRI,
	CLASS_COUNT = 10,
};

/* slot.flags */
#define SLOT_KIND_MASK 0xfu
#define SLOT_SEMAPHORE 0x10u
#define SLOT_NONBLOCK 0x20u
#define SLOT_APPEND 0x40u
#define SLOT_NOATIME 0x80u
/* Somebody has, or had, a reference to signal it by: it can overflow. */
#define SLOT_SIGNALLED 0x100u
/* Of an asyncfd: its processes may see different rings, so that none may take the others' level
 * down. */
#define SLOT_DIFFERS 0x200u
/* Of a timer: several processes have it; the flags it was set with last; its clock. */
#define SLOT_SHARED 0x400u
#define SLOT_ABSTIME 0x800u
#define SLOT_CANCEL_ON_SET 0x1000u
#define SLOT_CLOCK_SHIFT 16
#define SLOT_CLOCK_MASK 0xfu
#define SLOT_STATUS_MASK (SLOT_NONBLOCK | SLOT_APPEND | SLOT_NOATIME)

/* slot.watched: bit c says that class c is mirrored, bit c + WATCHED_EDGE that every operation must
 * raise an edge on it */
enum { WATCHED_EDGE = CLASS_COUNT, CLASSES_MASK = 0x3fe };

/* slot.watched: some watch on the object's own FIFO is interested in OUT; every read must raise an
 * edge of OUT there */
#define WATCHED_OUT (1u << 20)
#define WATCHED_OUT_EDGE (1u << 21)

/* slot.watched: the levels of a mask may not be stale */
#define WATCHED_EAGERLY (1u << 22)

/* slot.watched: a process has fast watches of the object, or had; and some of them are
 * edge-triggered: writes are counted, and a level that is down stays so until the next one, as the
 * edge may have been told */
#define WATCHED_FAST (1u << 23)
#define WATCHED_COUNTED (1u << 24)

/* slot.watched: a process has had two fast watches of the object */
#define WATCHED_TWICE (1u << 25)

/* slot.watched: some fast watch is interested in OUT, which nobody but `efdshim ls` asks */
#define WATCHED_FAST_OUT (1u << 26)

/* What of it is only for fronts. */
#define WATCHED_BY_FRONTS (WATCHED_FAST | WATCHED_COUNTED | WATCHED_TWICE | WATCHED_FAST_OUT)

struct slot {
	union {
		struct {
			/* 0 while the slot is free, the mark of the process that makes the object
			 * or tears it down, PROCESS_NOBODY while it lives. Moved by
			 * compare-and-swap: whoever has it may write the other fields. */
			_Atomic uint32_t owner;
			/* Generation and state. Written by the owner, read by every operation to
			 * tell an object from the one that had the slot before. */
			_Atomic uint32_t life;
			/* The counter. Read and written by every process that has the object, by
			 * compare-and-swap only; seq_cst pairs it with readers, writers and
			 * watched: whoever changes it looks at these afterwards, whoever raises
			 * these looks at the counter afterwards. */
			_Atomic uint64_t count;
		};
		/* The three as the counter's operations see them: the first two are its guard. */
		struct counter counter;
	};
	/* Kind and semaphore bit, fixed at create; status flags, written by F_SETFL and FIONBIO in
	 * any process. */
	_Atomic uint32_t flags;
	/* Classes mirrored, and those of them that need edges. Bits are set by watchers before they
	 * look, never cleared while the object lives; read by whoever changed the counter. */
	_Atomic uint32_t watched;
	/* How many threads sleep, or are about to, until the counter is positive / has room. A
	 * killed sleeper leaves its mark: that costs wake-up calls, never correctness. */
	_Atomic uint32_t read_waiters;
	_Atomic uint32_t write_waiters;
	/* Futex words: moved by whoever wakes sleepers, so that a sleeper that looked before does
	 * not fall asleep. */
	_Atomic uint32_t read_seq;
	_Atomic uint32_t write_seq;
	/* How many threads are about to change a FIFO's contents. One that was killed leaves its
	 * mark, so that others know that the FIFOs may not be what the levels say. */
	_Atomic uint32_t settling;
	/* First record of the object's cookie watches, 0 for none. Pushed at the front by watchers,
	 * unlinked by reclaim. */
	_Atomic uint32_t watches;
	/* Inode number of the FIFO. Written by the process that makes the FIFO, before the slot
	 * first goes live. */
	_Atomic uint64_t inode;
	/* level.h: epoch << 1 | landed, a word for each class. */
	_Atomic uint32_t level[CLASS_COUNT];
	/* Of a mask: what it shows. Of a timer its state, see timer.h. */
	struct mask_cell mask;
	/* Of a mask: how many watchers, of every process, ask for what besides. Raised before they
	 * look, lowered when they have gone, but for those that were killed. */
	_Atomic uint64_t watchers;
	/* Of a mask: events that its own FIFO's level tells of for as long as the object lives.
	 * Bits are set by watchers before they look; read by whoever writes the mask. */
	_Atomic uint32_t wanted;
	/* Writes to a counter with WATCHED_COUNTED, by which a watch knows an edge that it has told
	 * of. Moved by each writer after it moved the counter, before it tells anybody. */
	_Atomic uint32_t edges;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct slot) == 128, "a slot is two cache lines");

static inline uint32_t slot_generation(uint32_t life)
{
	return (life >> LIFE_STATE_BITS) & GENERATION_MASK;
}

/* The guard of a living object's counter. */
static inline uint64_t slot_guard(uint32_t generation)
{
	return (uint64_t)(generation << LIFE_STATE_BITS | STATE_LIVE) << 32 | UINT32_MAX;
}

static inline bool slot_lives_as(const struct slot *slot, uint32_t generation)
{
	uint32_t life = atomic_load(&slot->life);

	return (life & LIFE_STATE_MASK) == STATE_LIVE && slot_generation(life) == generation;
}

static inline enum slot_kind slot_kind(const struct slot *slot)
{
	return (enum slot_kind)(atomic_load(&slot->flags) & SLOT_KIND_MASK);
}

/* A ring, shown as a mask is: all that can be done to its fd is to watch it. */
static inline bool slot_is_ring(const struct slot *slot)
{
	return slot_kind(slot) == KIND_ASYNC;
}

static inline bool slot_signalled(const struct slot *slot)
{
	return atomic_load(&slot->flags) & SLOT_SIGNALLED;
}

/* A mask, in either dialect; or what is watched as one. */
static inline bool slot_is_mask(const struct slot *slot)
{
	return (unsigned)slot_kind(slot) - KIND_MASK <= KIND_ASYNC - KIND_MASK;
}

static inline bool slot_is_signal(const struct slot *slot)
{
	return slot_kind(slot) == KIND_SIGNAL;
}

static inline bool slot_is_timer(const struct slot *slot)
{
	return slot_kind(slot) == KIND_TIMER;
}

/* Of a timer, which nobody waits for to write: how many threads have found it due, and tell. */
static inline _Atomic uint32_t *slot_telling(struct slot *slot)
{
	return &slot->write_seq;
}

/* Of a timer. */
static inline int slot_clock(const struct slot *slot)
{
	return (int)(atomic_load(&slot->flags) >> SLOT_CLOCK_SHIFT & SLOT_CLOCK_MASK);
}

/* The poll bits the object shows now. */
uint32_t slot_state(const struct slot *slot);

/* Of a counter, the class of a watch with these epoll events: {IN}, the object's own FIFO, wherever
 * the kernel can show its state there. Of a mask, that of its interest, or {IN} where there is
 * none for it. */
unsigned slot_class(const struct slot *slot, uint32_t events);

/* The poll bits the object can ever show. */
uint32_t slot_possible(const struct slot *slot);

/* The poll bits that make the predicate of a class true. */
uint32_t class_bits(unsigned class);

/* Of a mask, what its watchers ask for, together. */
uint32_t slot_wanted(const struct slot *slot);

/* The predicate of a class: whether its FIFO is to hold a byte. */
bool slot_shows(const struct slot *slot, unsigned class);

/* True where the own FIFO is to be full, so that the kernel shows no OUT there: a counter at its
 * limit. One that overflowed has room: whoever watches for OUT must wake for ERR. */
bool slot_at_limit(const struct slot *slot);

#endif
