#include "core/level.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "core/crash.h"
#include "core/stats.h"
#include "sys/probe.h"
#include "sys/raw.h"

enum { WORD = sizeof(uint64_t), FILL_BYTES = 4096, DRAIN_WORDS = 256, FEW_WORDS = 16 };

/* A FIFO on which a thread works. It holds whole words only: zeros, and late writes. */
struct fifo {
	int fd;
	uint64_t late; /* the sum of the late writes that were read out of it, and are to be done */
};

static const uint64_t level_word;

/* UINT64_MAX is no value that could be written. One that does not fit into the sum goes back. */
static void keep_late(struct fifo *fifo, uint64_t value)
{
	if (value != UINT64_MAX && UINT64_MAX - fifo->late <= value)
		raw_write(fifo->fd, &value, WORD);
	else if (value != UINT64_MAX)
		fifo->late += value;
}

/* Looks for late writes among the words, which hardly ever are there. Where the words are no whole
 * ones somebody has written what is no eventfd's. */
static void sort_out(struct fifo *fifo, const uint64_t *words, long bytes)
{
	static const uint64_t level[DRAIN_WORDS];

	if (bytes <= 0 || bytes % WORD || !memcmp(words, level, (size_t)bytes))
		return;
	for (long i = 0; i < bytes / WORD; i++) {
		if (words[i])
			keep_late(fifo, words[i]);
	}
}

/* Reads as much, or less where there is not as much in it. */
static __attribute__((noinline)) void take_out(struct fifo *fifo, size_t bytes)
{
	uint64_t words[DRAIN_WORDS];
	size_t ask = sizeof(words);

	for (long got = (long)ask; got == (long)ask && bytes; bytes -= ask) {
		ask = bytes < ask ? bytes : ask;
		stats_syscall();
		got = raw_read(fifo->fd, words, ask);
		sort_out(fifo, words, got);
	}
}

/* Mostly there is little in it, and a handler's stack may be small. */
static void drain(struct fifo *fifo)
{
	uint64_t words[FEW_WORDS];
	long got;

	stats_syscall();
	got = raw_read(fifo->fd, words, sizeof(words));
	sort_out(fifo, words, got);
	if (got == (long)sizeof(words))
		take_out(fifo, SIZE_MAX);
}

static int bytes_in(const struct fifo *fifo)
{
	int bytes = 0;

	stats_syscall();
	return raw_syscall3(SYS_ioctl, fifo->fd, FIONREAD, (long)&bytes) ? 0 : bytes;
}

/* Makes room in a full FIFO, all but one word; false where somebody else drained beside us, and it
 * may be empty now. */
static bool unfill(struct fifo *fifo)
{
	int surplus = bytes_in(fifo) - WORD;

	if (surplus > 0)
		take_out(fifo, (size_t)surplus);
	return bytes_in(fifo) > 0;
}

static bool put_word(const struct fifo *fifo)
{
	stats_syscall();
	return raw_write(fifo->fd, &level_word, WORD) != -EAGAIN;
}

/* Writes one word. A full FIFO makes room first, but is never emptied: its level must not blink. */
static void poke(struct fifo *fifo, bool landed)
{
	if (landed && !probe_fifo_edges())
		drain(fifo);
	if (put_word(fifo))
		return;
	/* the write that failed may have raised the edge: a second one would be one too many */
	if (unfill(fifo) && probe_full_fifo_edges())
		return;
	if (put_word(fifo))
		return;
	drain(fifo); /* a FIFO of one page: there is no room beside a word */
	put_word(fifo);
}

/* A counter at its limit is readable but not writable: so is a full FIFO. */
static bool has_room(const struct fifo *fifo)
{
	struct pollfd ask = {.fd = fifo->fd, .events = POLLOUT};

	stats_syscall();
	raw_poll_now(&ask, 1);
	return ask.revents & POLLOUT;
}

/* Looks before each write: even one that fails for want of room raises an edge. */
static void fill(const struct fifo *fifo)
{
	static const char bytes[FILL_BYTES];

	while (has_room(fifo)) {
		stats_syscall();
		raw_write(fifo->fd, bytes, sizeof(bytes));
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
static enum shown show_limit(const struct slot *slot, unsigned class, struct fifo *fifo)
{
	if (class != CLASS_IN || !slot_at_limit(slot))
		return SHOWN;
	fill(fifo);
	if (slot_at_limit(slot))
		return SHOWN;
	return unfill(fifo) ? SHOWN_LATE : SHOWN_EMPTY;
}

/* Room for what is no level. Whoever makes some looks at the counter again, see show_limit. */
static enum shown make_room(const struct slot *slot, struct fifo *fifo)
{
	if (slot_at_limit(slot) || has_room(fifo))
		return SHOWN;
	return unfill(fifo) ? SHOWN_LATE : SHOWN_EMPTY;
}

/* Unread pokes must not use up the FIFO where somebody looks for OUT in it. */
static enum shown keep_room(const struct slot *slot, unsigned class, struct fifo *fifo)
{
	if (class != CLASS_IN || !(atomic_load(&slot->watched) & WATCHED_OUT))
		return SHOWN;
	return make_room(slot, fifo);
}

static uint32_t next_epoch(uint32_t level)
{
	return ((level >> 1) + 1) << 1;
}

/* The FIFO was drained in the epoch `level`, and there is nothing to show. A mask's predicate may
 * have been true meanwhile without being taken down after that: whoever wrote its word before the
 * drain must not land, nor have landed. */
static bool is_down(const struct slot *slot, _Atomic uint32_t *word, uint32_t level)
{
	return !slot_is_mask(slot) ||
	       atomic_compare_exchange_strong(word, &level, next_epoch(level));
}

static void settle(struct slot *slot, unsigned class, struct fifo *fifo,
	enum level_direction direction, bool edge)
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
			if (slot_shows(slot, class)) {
				edge = true;
				down = false;
			} else if (is_down(slot, word, next_epoch(level))) {
				return;
			}
		} else if (!slot_shows(slot, class)) {
			down = true;
		} else {
			if (!(level & 1) || edge) {
				poke(fifo, level & 1);
				CRASH_POINT("settle.poke");
				down = keep_room(slot, class, fifo) == SHOWN_EMPTY;
				if (down ||
					!atomic_compare_exchange_strong(word, &level, level | 1))
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

/* Somebody may have been killed while the FIFO was full for a moment: a counter's. */
static enum shown mend_room(const struct slot *slot, unsigned class, struct fifo *fifo)
{
	if (class != CLASS_IN || atomic_load(&slot->settling) <= 1 || slot_is_mask(slot))
		return SHOWN;
	return make_room(slot, fifo);
}

static void settle_again(struct slot *slot, unsigned class, struct fifo *fifo, enum shown shown)
{
	if (shown != SHOWN)
		settle(slot, class, fifo, shown == SHOWN_EMPTY ? LEVEL_DOWN : LEVEL_UP, false);
}

/* Whoever is killed between these two leaves `settling` up. */
static void begin(struct slot *slot)
{
	atomic_fetch_add(&slot->settling, 1);
	CRASH_POINT("settle.begun");
}

/* Does the late writes that were met; where the counter has no room for them they stay in the FIFO.
 */
static bool do_late(struct slot *slot, unsigned class, struct fifo *fifo)
{
	uint64_t value = fifo->late;
	struct counter_step step;

	fifo->late = 0;
	if (!value || slot_kind(slot) != KIND_COUNTER)
		return false;
	step = counter_add(&slot->counter, atomic_load(&slot->counter.guard), value);
	if (step.err == EAGAIN)
		raw_write(fifo->fd, &value, WORD);
	if (step.err)
		return false;
	settle(slot, class, fifo, LEVEL_UP, true);
	return true;
}

static bool end(struct slot *slot, unsigned class, struct fifo *fifo)
{
	bool late = false;
	uint32_t settling;

	while (do_late(slot, class, fifo))
		late = true;
	settling = atomic_load(&slot->settling);
	CRASH_POINT("settle.done");
	while (settling && !atomic_compare_exchange_weak(&slot->settling, &settling, settling - 1))
		;
	return late;
}

bool level_settle(
	struct slot *slot, unsigned class, int fd, enum level_direction direction, bool edge)
{
	struct fifo fifo = {.fd = fd};

	begin(slot);
	settle(slot, class, &fifo, direction, edge);
	settle_again(slot, class, &fifo, mend_room(slot, class, &fifo));
	return end(slot, class, &fifo);
}

bool level_leave_limit(struct slot *slot, int fd)
{
	struct fifo fifo = {.fd = fd};

	begin(slot);
	settle(slot, CLASS_IN, &fifo, unfill(&fifo) ? LEVEL_UP : LEVEL_DOWN, false);
	return end(slot, CLASS_IN, &fifo);
}

bool level_raise_out(struct slot *slot, int fd)
{
	struct fifo fifo = {.fd = fd};

	begin(slot);
	fill(&fifo);
	CRASH_POINT("settle.filled");
	settle(slot, CLASS_IN, &fifo, unfill(&fifo) ? LEVEL_UP : LEVEL_DOWN, false);
	return end(slot, CLASS_IN, &fifo);
}

bool level_make_room(struct slot *slot, int fd)
{
	struct fifo fifo = {.fd = fd};

	begin(slot);
	settle_again(slot, CLASS_IN, &fifo, keep_room(slot, CLASS_IN, &fifo));
	return end(slot, CLASS_IN, &fifo);
}

bool level_raise_in(struct slot *slot, int fd)
{
	struct fifo fifo = {.fd = fd};

	begin(slot);
	poke(&fifo, false);
	CRASH_POINT("settle.poked");
	settle(slot, CLASS_IN, &fifo, LEVEL_DOWN, false);
	return end(slot, CLASS_IN, &fifo);
}

bool level_landed(const struct slot *slot, unsigned class)
{
	return atomic_load(&slot->level[class]) & 1;
}
