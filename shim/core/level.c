#include "core/level.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "core/crash.h"
#include "core/stats.h"
#include "sys/probe.h"
#include "sys/raw.h"

enum { FILL_BYTES = 4096, DRAIN_BYTES = 65536 };

/* What is read out of FIFOs. Nobody looks at it, so all threads share it, and no handler's small
 * stack has to hold it. */
static char sink[DRAIN_BYTES];

static void drain(int fifo)
{
	long got;

	do {
		stats_syscall();
		got = raw_read(fifo, sink, sizeof(sink));
	} while (got == (long)sizeof(sink));
}

static int bytes_in(int fifo)
{
	int bytes = 0;

	stats_syscall();
	return raw_syscall3(SYS_ioctl, fifo, FIONREAD, (long)&bytes) ? 0 : bytes;
}

/* Makes room in a full FIFO, all but one byte; false where somebody else drained beside us, and it
 * may be empty now. */
static bool unfill(int fifo)
{
	int surplus = bytes_in(fifo) - 1;

	if (surplus > 0) {
		stats_syscall();
		raw_read(fifo, sink,
			(size_t)surplus < sizeof(sink) ? (size_t)surplus : sizeof(sink));
	}
	return bytes_in(fifo) > 0;
}

/* Writes one byte. A full FIFO makes room first, but is never emptied: its level must not blink. */
static void poke(int fifo, bool landed)
{
	if (landed && !probe_fifo_edges())
		drain(fifo);
	stats_syscall();
	if (raw_write(fifo, "", 1) != -EAGAIN)
		return;
	unfill(fifo);
	if (raw_write(fifo, "", 1) != -EAGAIN)
		return;
	drain(fifo); /* a FIFO of one page: there is no room beside a byte */
	raw_write(fifo, "", 1);
}

/* A counter at its limit is readable but not writable: so is a full FIFO. */
static bool has_room(int fifo)
{
	struct pollfd ask = {.fd = fifo, .events = POLLOUT};
	struct timespec now = {0, 0};

	stats_syscall();
	raw_syscall6(SYS_ppoll, (long)&ask, 1, (long)&now, 0, 0, 0);
	return ask.revents & POLLOUT;
}

/* Looks before each write: even one that fails for want of room raises an edge. */
static void fill(int fifo)
{
	static const char bytes[FILL_BYTES];

	while (has_room(fifo)) {
		stats_syscall();
		raw_write(fifo, bytes, sizeof(bytes));
	}
}

/* How the FIFO stands when a counter at its limit has been shown. */
enum shown {
	SHOWN,	    /* rightly */
	SHOWN_LATE, /* the counter left its limit meanwhile; the FIFO has room again: look once more
		     */
	SHOWN_EMPTY, /* the same, but the FIFO may be empty now */
};

/* After the level has landed. Whoever reaches the limit fills the FIFO, whoever leaves it makes
 * room; each looks again after its own act, so the last one to act has seen the last state. */
static enum shown show_limit(const struct slot *slot, unsigned class, int fifo)
{
	if (class != CLASS_IN || !slot_at_limit(slot))
		return SHOWN;
	fill(fifo);
	if (slot_at_limit(slot))
		return SHOWN;
	return unfill(fifo) ? SHOWN_LATE : SHOWN_EMPTY;
}

/* Unread pokes must not use up the FIFO where somebody looks for OUT in it. */
static void keep_room(const struct slot *slot, unsigned class, int fifo)
{
	if (class == CLASS_IN && (atomic_load(&slot->watched) & WATCHED_OUT) &&
		!slot_at_limit(slot) && !has_room(fifo))
		unfill(fifo);
}

static uint32_t next_epoch(uint32_t level)
{
	return ((level >> 1) + 1) << 1;
}

static void settle(
	struct slot *slot, unsigned class, int fifo, enum level_direction direction, bool edge)
{
	_Atomic uint32_t *word = &slot->level[class];
	bool down = direction == LEVEL_DOWN;
	enum shown shown;

	for (;;) {
		uint32_t level = atomic_load(word);

		if (down) {
			if (!atomic_compare_exchange_strong(word, &level, next_epoch(level)))
				continue;
			CRASH_POINT("settle.down");
			drain(fifo);
			CRASH_POINT("settle.drained");
			if (!slot_shows(slot, class))
				return;
			edge = true;
			down = false;
		} else if (!slot_shows(slot, class)) {
			down = true;
		} else {
			if (!(level & 1) || edge) {
				poke(fifo, level & 1);
				CRASH_POINT("settle.poke");
				keep_room(slot, class, fifo);
				if (!atomic_compare_exchange_strong(word, &level, level | 1))
					continue;
			}
			edge = false;
			shown = show_limit(slot, class, fifo);
			if (shown == SHOWN)
				return;
			down = shown == SHOWN_EMPTY;
		}
	}
}

/* Whoever is killed between these two leaves `settling` up. */
static void begin(struct slot *slot)
{
	atomic_fetch_add(&slot->settling, 1);
	CRASH_POINT("settle.begun");
}

static void end(struct slot *slot)
{
	uint32_t settling = atomic_load(&slot->settling);

	CRASH_POINT("settle.done");
	while (settling && !atomic_compare_exchange_weak(&slot->settling, &settling, settling - 1))
		;
}

/* Somebody may have been killed while the FIFO was full for a moment. */
static void mend_room(const struct slot *slot, unsigned class, int fifo)
{
	if (class == CLASS_IN && atomic_load(&slot->settling) > 1 && !slot_at_limit(slot) &&
		!has_room(fifo))
		unfill(fifo);
}

void level_settle(
	struct slot *slot, unsigned class, int fifo, enum level_direction direction, bool edge)
{
	begin(slot);
	settle(slot, class, fifo, direction, edge);
	mend_room(slot, class, fifo);
	end(slot);
}

void level_leave_limit(struct slot *slot, int fifo)
{
	begin(slot);
	settle(slot, CLASS_IN, fifo, unfill(fifo) ? LEVEL_UP : LEVEL_DOWN, false);
	end(slot);
}

void level_raise_out(struct slot *slot, int fifo)
{
	begin(slot);
	fill(fifo);
	CRASH_POINT("settle.filled");
	settle(slot, CLASS_IN, fifo, unfill(fifo) ? LEVEL_UP : LEVEL_DOWN, false);
	end(slot);
}

void level_raise_in(struct slot *slot, int fifo)
{
	begin(slot);
	poke(fifo, false);
	CRASH_POINT("settle.poked");
	settle(slot, CLASS_IN, fifo, LEVEL_DOWN, false);
	end(slot);
}

bool level_landed(const struct slot *slot, unsigned class)
{
	return atomic_load(&slot->level[class]) & 1;
}
