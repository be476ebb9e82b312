#include "core/fdtable.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>

#include "core/process.h"
#include "core/slot.h"
#include "sys/raw.h"
#include "sys/sparse.h"

enum { HANDLER_ROUNDS = 1000, REPLACE_ROUNDS = 10000000 };

/* Pins this thread holds, and numbers it makes or replaces: what it must not wait for. */
static _Thread_local int own_pins;

_Atomic uint64_t *fdtable;
_Atomic uint32_t fdtable_size;
_Atomic uint32_t fdtable_borrowers;
_Atomic uint32_t fdtable_makers;
_Atomic bool fdtable_objects;

/* One above the highest number ever noted. Raised by whoever notes one, read by scans. */
static _Atomic uint32_t top;

int fdtable_init(void)
{
	size_t bytes = FDTABLE_SIZE * sizeof(*fdtable);
	_Atomic uint64_t *mine;
	_Atomic uint64_t *none = NULL;

	if (atomic_load(&fdtable_size))
		return 0;
	long ret = sparse_map(bytes, -1);

	if (ret < 0)
		return (int)-ret;
	mine = (_Atomic uint64_t *)ret;
	if (!__atomic_compare_exchange_n(
		    &fdtable, &none, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		raw_syscall3(SYS_munmap, (long)mine, (long)bytes, 0);
	atomic_store(&fdtable_size, FDTABLE_SIZE);
	return 0;
}

bool fdtable_used(void)
{
	return atomic_load_explicit(&top, memory_order_acquire) != 0;
}

uint32_t fdtable_top(void)
{
	return atomic_load(&top);
}

void fdtable_enter(void)
{
	own_pins++;
}

void fdtable_leave(void)
{
	own_pins--;
}

static void note_objects(void)
{
	if (!atomic_load_explicit(&fdtable_objects, memory_order_relaxed))
		atomic_store(&fdtable_objects, true);
}

void fdtable_begin_making(void)
{
	own_pins++;
	note_objects();
	atomic_fetch_add(&fdtable_makers, 1);
}

/* A child that a handler forked in the middle of the making starts from none. */
void fdtable_end_making(void)
{
	uint32_t before = atomic_load(&fdtable_makers);

	while (before && !atomic_compare_exchange_weak(&fdtable_makers, &before, before - 1))
		;
	own_pins--;
}

enum fd_kind fdtable_kind_of(uint64_t entry)
{
	if (!entry)
		return FD_FOREIGN;
	if ((entry & ENTRY_SLOT_FIELD) == ENTRY_OTHER)
		return FD_FOREIGN;
	if ((entry & ENTRY_SLOT_FIELD) == ENTRY_INTERNAL)
		return entry & ENTRY_CLOSING ? FD_CLOSING : FD_INTERNAL;
	if ((entry & ENTRY_SLOT_FIELD) == ENTRY_SET)
		return FD_SET;
	if ((entry & ENTRY_SLOT_FIELD) == ENTRY_INFO)
		return FD_INFO;
	return entry & ENTRY_CLOSING ? FD_CLOSING : FD_OBJECT;
}

enum fd_kind fdtable_kind(int fd)
{
	return fdtable_kind_of(fdtable_entry(fd));
}

/* Room for an entry: false where there can be none. The table is made for the first one: most
 * programs never have any. */
static bool reach(int fd)
{
	uint32_t seen = atomic_load(&top);

	if ((uint32_t)fd >= FDTABLE_SIZE || process_borrows_memory())
		return false;
	process_watch_forks();
	if (fdtable_init())
		return false;
	while (seen <= (uint32_t)fd && !atomic_compare_exchange_weak(&top, &seen, (uint32_t)fd + 1))
		;
	return true;
}

static bool note(int fd, uint64_t entry)
{
	if (!reach(fd))
		return false;
	atomic_store(&fdtable[fd], entry);
	return true;
}

bool fdtable_set_object(int fd, uint32_t slot, uint32_t generation)
{
	note_objects();
	return note(fd, fdtable_object_entry(slot, generation));
}

bool fdtable_set_internal(int fd)
{
	return note(fd, ENTRY_INTERNAL);
}

static uint64_t epoll_entry(uint64_t id)
{
	return ENTRY_SET | (id << ENTRY_GENERATION_SHIFT & ~ENTRY_CLOSING);
}

bool fdtable_set_epoll(int fd, uint64_t id)
{
	return note(fd, epoll_entry(id));
}

bool fdtable_change_epoll(int fd, uint64_t from, uint64_t id)
{
	return reach(fd) && atomic_compare_exchange_strong(&fdtable[fd], &from, epoll_entry(id));
}

uint64_t fdtable_epoll_id(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	return fdtable_kind_of(entry) == FD_SET ? entry >> ENTRY_GENERATION_SHIFT : 0;
}

bool fdtable_set_info(int fd, uint32_t slot)
{
	return note(fd, ENTRY_INFO | (uint64_t)slot << ENTRY_GENERATION_SHIFT);
}

static bool is_passing(uint64_t entry)
{
	return (entry & (ENTRY_SLOT_FIELD | ENTRY_CLOSING)) == ENTRY_PASSING;
}

enum passing_step fdtable_begin_passing(int fd)
{
	static _Atomic uint64_t count;
	uint64_t tag = atomic_fetch_add(&count, 1) << ENTRY_GENERATION_SHIFT;
	uint64_t entry = fdtable_entry(fd), mark;

	if (!reach(fd))
		return PASSING_UNKNOWN;
	do {
		/* any other one is stale: the kernel has just given the number out */
		mark = entry & ENTRY_REPLACING ? entry | ENTRY_LEFT
					       : ENTRY_PASSING | (tag & ~ENTRY_REPLACING);
	} while (!atomic_compare_exchange_weak(&fdtable[fd], &entry, mark));
	return entry & ENTRY_REPLACING ? PASSING_TAKEN : PASSING_MARKED;
}

void fdtable_end_passing(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	if (is_passing(entry))
		raw_close(fd);
	if (is_passing(entry) || entry == ENTRY_OTHER) /* else a dup2 was faster */
		atomic_compare_exchange_strong(&fdtable[fd], &entry, 0);
}

bool fdtable_take_passing(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	return is_passing(entry) &&
	       atomic_compare_exchange_strong(&fdtable[fd], &entry, ENTRY_OTHER);
}

int fdtable_info_slot(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	return fdtable_kind_of(entry) == FD_INFO ? (int)(entry >> ENTRY_GENERATION_SHIFT) : -1;
}

/* An entry but for its pins, which come and go under a reader. */
static uint64_t without_pins(uint64_t entry)
{
	bool object = fdtable_kind_of(entry) == FD_OBJECT || fdtable_kind_of(entry) == FD_CLOSING;

	return object ? entry & ~ENTRY_PIN_FIELD : entry;
}

bool fdtable_drop_stale(int fd, uint64_t entry)
{
	uint64_t now = fdtable_entry(fd);

	do {
		if (!now || without_pins(now) != without_pins(entry) || process_borrows_memory())
			return false;
	} while (!atomic_compare_exchange_weak(&fdtable[fd], &now, 0));
	return true;
}

void fdtable_drop(int fd)
{
	if (fdtable_entry(fd) && !process_borrows_memory())
		atomic_store(&fdtable[fd], 0);
}

bool fdtable_pin(const struct fdref *ref)
{
	uint64_t entry = fdtable_entry(ref->fd);

	if (!ref->entry)
		return true;
	do {
		if (!entry || (entry & ~ENTRY_PIN_FIELD) != ref->entry ||
			(entry & ENTRY_PIN_FIELD) == ENTRY_PIN_FIELD)
			return false;
	} while (!atomic_compare_exchange_weak(&fdtable[ref->fd], &entry, entry + ENTRY_PIN_ONE));
	own_pins++;
	return true;
}

int fdtable_patience(void)
{
	return own_pins ? HANDLER_ROUNDS : REPLACE_ROUNDS;
}

enum pin_step fdtable_pin_within(const struct fdref *ref, int rounds)
{
	while (!fdtable_pin(ref)) {
		uint64_t entry = fdtable_entry(ref->fd);

		if ((entry & ~(ENTRY_PIN_FIELD | ENTRY_REPLACING)) != ref->entry)
			return PIN_CHANGED;
		if (!rounds--)
			return PIN_NEVER;
		sched_yield();
	}
	return PIN_HELD;
}

bool fdtable_unpin(const struct fdref *ref)
{
	const uint64_t marks = ENTRY_PIN_FIELD | ENTRY_CLOSING | ENTRY_REPLACING;
	uint64_t entry;

	if (!ref->entry)
		return false;
	own_pins--;
	entry = atomic_load(&fdtable[ref->fd]);
	do {
		/* a number that was replaced, or a forked child whose pins were forgotten */
		if ((entry & ~marks) != ref->entry || !(entry & ENTRY_PIN_FIELD))
			return false;
	} while (!atomic_compare_exchange_weak(&fdtable[ref->fd], &entry, entry - ENTRY_PIN_ONE));
	return (entry & ENTRY_CLOSING) && (entry & ENTRY_PIN_FIELD) == ENTRY_PIN_ONE;
}

enum close_step fdtable_begin_close(const struct fdref *ref)
{
	uint64_t entry = atomic_load(&fdtable[ref->fd]);

	do {
		if ((entry & ~ENTRY_PIN_FIELD) != ref->entry)
			return CLOSE_NOT_OURS;
	} while (!atomic_compare_exchange_weak(&fdtable[ref->fd], &entry, entry | ENTRY_CLOSING));
	return entry & ENTRY_PIN_FIELD ? CLOSE_LATER : CLOSE_NOW;
}

void fdtable_closed(const struct fdref *ref)
{
	uint64_t entry = ref->entry | ENTRY_CLOSING;

	atomic_compare_exchange_strong(&fdtable[ref->fd], &entry, 0);
}

void fdtable_await_close(const struct fdref *ref)
{
	uint64_t closing = ref->entry | ENTRY_CLOSING;

	for (int i = fdtable_patience();
		i && (fdtable_entry(ref->fd) & ~ENTRY_PIN_FIELD) == closing; i--)
		sched_yield();
}

/* Marks the object's entry, unless another thread has done so. */
static bool mark_replacing(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	do {
		if (fdtable_kind_of(entry) != FD_OBJECT || (entry & ENTRY_REPLACING))
			return false;
	} while (!atomic_compare_exchange_weak(&fdtable[fd], &entry, entry | ENTRY_REPLACING));
	return true;
}

bool fdtable_begin_replace_within(int fd, int rounds)
{
	bool marked = false;

	for (int i = rounds; i; i--) {
		marked = marked || mark_replacing(fd);
		uint64_t entry = fdtable_entry(fd);
		enum fd_kind kind = fdtable_kind_of(entry);

		if (kind != FD_OBJECT && kind != FD_CLOSING)
			break;
		if (marked && kind == FD_OBJECT && !(entry & ENTRY_PIN_FIELD))
			break;
		sched_yield();
	}
	own_pins++;
	return fdtable_kind(fd) == FD_OBJECT;
}

bool fdtable_begin_replace(int fd)
{
	return fdtable_begin_replace_within(fd, fdtable_patience());
}

void fdtable_replace_over(void)
{
	own_pins--;
}

bool fdtable_announce(int fd, uint64_t object, uint64_t *before)
{
	*before = fdtable_entry(fd);
	return fdtable_kind_of(*before) != FD_OBJECT && fdtable_kind_of(*before) != FD_CLOSING &&
	       reach(fd) &&
	       atomic_compare_exchange_strong(&fdtable[fd], before, object | ENTRY_REPLACING);
}

void fdtable_take_back(int fd, uint64_t object, uint64_t before)
{
	uint64_t entry = fdtable_entry(fd);

	do {
		if ((entry & ~ENTRY_PIN_FIELD) != (object | ENTRY_REPLACING))
			return;
	} while (!atomic_compare_exchange_weak(
		&fdtable[fd], &entry, entry & ENTRY_LEFT ? ENTRY_PASSING : before));
	if (entry & ENTRY_LEFT)
		fdtable_end_passing(fd);
}

void fdtable_end_replace(int fd)
{
	uint64_t entry = fdtable_entry(fd);

	while ((entry & ENTRY_REPLACING) && fdtable_kind_of(entry) == FD_OBJECT &&
		!atomic_compare_exchange_weak(&fdtable[fd], &entry, entry & ~ENTRY_REPLACING))
		;
}

static bool is_fifo(int fd)
{
	struct stat st;

	return !raw_syscall3(SYS_fstat, fd, (long)&st, 0) && S_ISFIFO(st.st_mode);
}

/* The thread that was closing the number is not here; it may have got as far as giving it back. */
static void finish_close(int fd)
{
	if (is_fifo(fd))
		raw_close(fd);
	atomic_store(&fdtable[fd], 0);
}

void fdtable_forked(void)
{
	uint32_t end = atomic_load(&top);

	atomic_store(&fdtable_makers, 0);
	for (uint32_t fd = 0; fd < end; fd++) {
		uint64_t entry = atomic_load(&fdtable[fd]);
		enum fd_kind kind = fdtable_kind_of(entry);

		if ((entry & ENTRY_SLOT_FIELD) == ENTRY_OTHER)
			atomic_store(&fdtable[fd], 0);
		if (kind == FD_OBJECT && (entry & ENTRY_REPLACING) && !is_fifo((int)fd))
			atomic_store(&fdtable[fd], 0); /* only announced, or replaced already */
		else if (kind == FD_OBJECT && (entry & (ENTRY_PIN_FIELD | ENTRY_REPLACING)))
			atomic_store(&fdtable[fd], entry & ~(ENTRY_PIN_FIELD | ENTRY_REPLACING));
		if (is_passing(entry))
			fdtable_end_passing((int)fd);
		else if (kind == FD_CLOSING)
			finish_close((int)fd);
	}
}
