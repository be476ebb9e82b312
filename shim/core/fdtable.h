/* What this process knows of its fd numbers: one word a number. 0 means 'not ours'.
 *
 * An entry of an object also counts pins: operations that are about to use the number in a system
 * call. While pins are held the number is not given back to the kernel: close marks the entry
 * closing, and the last pin closes it. So no late poke or drain ever hits a file that got the
 * number meanwhile. */
#ifndef EFDSHIM_CORE_FDTABLE_H
#define EFDSHIM_CORE_FDTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct slot;

enum { FDTABLE_SIZE = 1 << 20 };

/* The table. NULL size before the first fake fd: then every fd is 'not ours'. Entries are written
 * by whoever makes or closes the number, by compare-and-swap where somebody may pin; every
 * interposed call reads one. */
extern _Atomic uint64_t *fdtable;
extern _Atomic uint32_t fdtable_size;

/* How many children of vfork are under way. They share this memory but not the fds, so that what
 * the table says may be wrong for whoever asks. Moved by vfork and clone, read by every interposed
 * call. */
extern _Atomic uint32_t fdtable_borrowers;

/* How many threads are making fake fds of which the table does not know yet. Moved by them, read by
 * whoever may have met such a one. */
extern _Atomic uint32_t fdtable_makers;

/* Whether there has ever been a fake fd here. Set before the first one has a number, never cleared.
 */
extern _Atomic bool fdtable_objects;

/* An object's entry: slot + 1 in bits 0..23, generation in 24..47, pins in 48..61, closing in 62.
 * Four values of the slot field are no slots: an internal fd, an epoll set with its number in
 * bits 24..61, an fdinfo file with the slot it tells of there, and what is not ours at all. */
#define ENTRY_SLOT_FIELD 0xffffffull
#define ENTRY_INTERNAL 0xffffffull
#define ENTRY_SET 0xfffffeull
#define ENTRY_INFO 0xfffffdull
#define ENTRY_OTHER 0xfffffcull
#define ENTRY_SPECIAL ENTRY_OTHER /* from here on they are no slots */
#define ENTRY_GENERATION_SHIFT 24
#define ENTRY_PIN_ONE (1ull << 48)
#define ENTRY_PIN_FIELD (0x3fffull << 48)
#define ENTRY_CLOSING (1ull << 62)
#define ENTRY_REPLACING (1ull << 63) /* dup2 is about to replace the file: no new pins */

/* The library's own for a moment: whoever wants the number waits, as for one that is being closed.
 * In bits 24..61 it has what tells it from the one that had the number before. */
#define ENTRY_PASSING (ENTRY_INTERNAL | ENTRY_CLOSING)

/* Announced by a dup2 of what is not ours. */
#define ENTRY_ANNOUNCED (ENTRY_OTHER | ENTRY_REPLACING)
/* Of an announced number, in the place of a pin: the library has opened a file there meanwhile, and
 * left it to the dup2. */
#define ENTRY_LEFT ENTRY_PIN_ONE

enum fd_kind {
	FD_FOREIGN,  /* not ours */
	FD_OBJECT,   /* a fake fd */
	FD_CLOSING,  /* a fake fd that was closed; a pin still holds the number */
	FD_INTERNAL, /* the library's own: to the program it is not open */
	FD_SET,	     /* an epoll set with a number of its own */
	FD_INFO,     /* a file that stands for the fdinfo of a fake fd */
};

/* A decoded entry of an object. */
struct fdref {
	int fd;
	struct slot *object;
	uint32_t slot;
	uint32_t generation;
	uint64_t entry; /* as it was read, without pins; 0: a vfork child's own, in no table */
};

/* In fdref.entry: the number is a duplicate of the library's own, as long as the caller has the
 * reference that it belongs to. */
#define FDREF_LENT ENTRY_CLOSING

static inline uint64_t fdtable_entry(int fd)
{
	if ((uint32_t)fd >= atomic_load_explicit(&fdtable_size, memory_order_acquire))
		return 0;
	return atomic_load(&fdtable[fd]);
}

static inline bool fdtable_doubtful(void)
{
	return atomic_load_explicit(&fdtable_borrowers, memory_order_relaxed) != 0;
}

/* The one look that an ordinary fd costs. */
static inline bool fdtable_foreign(int fd)
{
	return fdtable_entry(fd) == 0 && !fdtable_doubtful();
}

/* The entry of an object, without marks. */
static inline uint64_t fdtable_object_entry(uint32_t slot, uint32_t generation)
{
	return (uint64_t)(slot + 1) | (uint64_t)generation << ENTRY_GENERATION_SHIFT;
}

enum fd_kind fdtable_kind(int fd);
enum fd_kind fdtable_kind_of(uint64_t entry);

/* True, and *ref filled but for the object, where `entry` is that of a fake fd (not a closing one).
 */
static inline bool fdtable_decode(int fd, uint64_t entry, struct fdref *ref)
{
	if (!entry || (entry & ENTRY_SLOT_FIELD) >= ENTRY_SPECIAL || (entry & ENTRY_CLOSING))
		return false;
	ref->fd = fd;
	ref->slot = (uint32_t)(entry & ENTRY_SLOT_FIELD) - 1;
	ref->generation = (uint32_t)(entry >> ENTRY_GENERATION_SHIFT) & (uint32_t)ENTRY_SLOT_FIELD;
	ref->entry = entry & ~(ENTRY_PIN_FIELD | ENTRY_REPLACING);
	return true;
}

/* Around the making of a fake fd, see fdtable_makers. */
void fdtable_begin_making(void);
void fdtable_end_making(void);

/* Makes the table; 0 or an errno value. Safe to call from several threads at once. */
int fdtable_init(void);

/* True while this process has had any fake fd: nothing to look for otherwise. */
bool fdtable_used(void);

/* One above the highest number that ever was ours. */
uint32_t fdtable_top(void);

/* Notes that fd now is an object's / the library's own / the epoll set `id`. EMFILE-free: false
 * where fd is beyond the table. */
bool fdtable_set_object(int fd, uint32_t slot, uint32_t generation);
bool fdtable_set_internal(int fd);
bool fdtable_set_epoll(int fd, uint64_t id);
uint64_t fdtable_epoll_id(int fd);

enum passing_step {
	PASSING_MARKED,
	PASSING_UNKNOWN, /* the table has no room for it */
	PASSING_TAKEN,	 /* dup2 is about to replace it: it is not to be touched any more */
};

/* The library has just opened fd, and closes it soon: the two keep a dup2 of the program from
 * landing on it in between, which the close would hit. See passage.h. */
enum passing_step fdtable_begin_passing(int fd);
void fdtable_end_passing(int fd);
/* dup2 did land on it, for want of patience: true where that was so. */
bool fdtable_take_passing(int fd);

/* Around what other threads may wait for: a handler within the two must not wait for such as long
 * as they do. */
void fdtable_enter(void);
void fdtable_leave(void);

/* Notes that fd shows the fdinfo of an object; and of which, -1 where it shows none. */
bool fdtable_set_info(int fd, uint32_t slot);
int fdtable_info_slot(int fd);

/* fd is a number that the kernel just gave to the caller for an ordinary file: forgets what it was.
 */
void fdtable_drop(int fd);

/* Forgets what was found stale, which `entry` was read of; false where the number changed hands
 * since: then it is somebody else's, and stays. */
bool fdtable_drop_stale(int fd, uint64_t entry);

/* Makes `to` of an entry that is no object's, and that still is `from`. */
bool fdtable_change_epoll(int fd, uint64_t from, uint64_t id);

/* Pins the number while `ref` is still what it means; false where it is not. What is in no table
 * needs no pin. */
bool fdtable_pin(const struct fdref *ref);

enum pin_step {
	PIN_HELD,
	PIN_CHANGED, /* the number is something else by now: look again */
	PIN_NEVER,   /* it stayed about to be replaced, or full of pins */
};

/* The same, but waits, yielding so many times, while dup2 is about to replace the number. */
enum pin_step fdtable_pin_within(const struct fdref *ref, int rounds);

/* How often to yield to other threads: less where the caller's own thread holds a pin or replaces,
 * as a signal handler's may. To be asked before taking pins that are not to count. */
int fdtable_patience(void);

/* Undoes one pin; true where the caller was the last on a closing number: it must close the number,
 * then call fdtable_closed(). */
bool fdtable_unpin(const struct fdref *ref);

enum close_step {
	CLOSE_NOT_OURS, /* the entry changed: look again */
	CLOSE_NOW,	/* the caller closes the number, then calls fdtable_closed() */
	CLOSE_LATER,	/* the last pin will close it */
};

/* First step of a close: from now on the number is no object for anybody. */
enum close_step fdtable_begin_close(const struct fdref *ref);
/* Last step: the kernel has the number back. */
void fdtable_closed(const struct fdref *ref);

/* For dup2, which must replace the number at once: lets no new pin on it and waits until the old
 * ones are gone, and a close or another dup2 under way is done. Where the caller's own thread holds
 * a pin or replaces, as a signal handler's may, it waits only so long. True where the number is an
 * object's: nobody else closes or replaces it now. */
bool fdtable_begin_replace(int fd);
bool fdtable_begin_replace_within(int fd, int rounds);
/* The number was not replaced after all. */
void fdtable_end_replace(int fd);

/* The number is not an object's, but dup2 is about to make it one: reads and writes go to that
 * object from now on, so that at no moment its FIFO is there and the table does not know. False
 * where another thread has done something with the number. */
bool fdtable_announce(int fd, uint64_t object, uint64_t *before);
/* dup2 failed after all. */
void fdtable_take_back(int fd, uint64_t object, uint64_t before);

/* The number has been replaced, or has not: the thread waits for others again. */
void fdtable_replace_over(void);

/* Waits until a close that was begun is done, as fdtable_begin_replace() does. */
void fdtable_await_close(const struct fdref *ref);

/* In a forked child: the threads that held pins are not here. */
void fdtable_forked(void);

#endif
