#include "core/ringtable.h"

#include <limits.h>
#include <linux/futex.h>

#include "core/latch.h"
#include "core/local.h"
#include "core/mapping.h"
#include "core/ring.h"
#include "core/slotpool.h"
#include "sys/raw.h"
#include "sys/sparse.h"

/* Published by the first asyncfd(), then constant. */
static _Atomic(struct ring_entry *) entries;

_Atomic uint32_t ringtable_listed;

_Atomic uint32_t ringtable_forks;

/* For whoever sets rings, or unmaps one: a handler of a signal may unmap another. */
static struct latch latch;

void ringtable_lock(void)
{
	latch_lock(&latch);
}

void ringtable_unlock(void)
{
	latch_unlock(&latch);
}

int ringtable_open(void)
{
	size_t bytes = SLOTS_MAX * sizeof(struct ring_entry);
	struct ring_entry *none = NULL;
	long map;

	if (atomic_load(&entries))
		return 0;
	map = sparse_map(bytes, -1);
	if (map < 0)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&entries, &none, (struct ring_entry *)map))
		raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return 0;
}

/* NULL where no ring was ever set. */
struct ring_entry *ringtable_entry(uint32_t slot)
{
	struct ring_entry *all = atomic_load_explicit(&entries, memory_order_acquire);

	return all ? all + slot : NULL;
}

/* A forked child has forgotten those that were there. */
void ringtable_leave(struct ring_entry *entry, enum ring_user who, uint32_t turn)
{
	_Atomic uint32_t *busy = &entry->users[who].busy[turn & 1];
	uint32_t before = atomic_load(busy);

	do {
		if (!before)
			return;
	} while (!atomic_compare_exchange_weak(busy, &before, before - 1));
	if (before == 1 && atomic_load(&entry->waiting))
		raw_futex(busy, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* The turn that ringtable_leave() is to be told. */
uint32_t ringtable_enter(struct ring_entry *entry, enum ring_user who)
{
	for (;;) {
		uint32_t turn = atomic_load(&entry->turn);

		atomic_fetch_add(&entry->users[who].busy[turn & 1], 1);
		if (atomic_load(&entry->turn) == turn)
			return turn;
		ringtable_leave(entry, who, turn);
	}
}

/* Until nobody is left who may have found the ring that was there before. */
void ringtable_drain(struct ring_entry *entry)
{
	uint32_t turn = atomic_fetch_add(&entry->turn, 1), left;

	atomic_store(&entry->waiting, 1);
	for (int who = 0; who < RING_USERS; who++) {
		_Atomic uint32_t *busy = &entry->users[who].busy[turn & 1];

		while ((left = atomic_load(busy)))
			raw_futex(busy, FUTEX_WAIT_PRIVATE, left);
	}
	atomic_store(&entry->waiting, 0);
}

/* A child that has a copy of its parent's ring sees another one than the parent. */
static void meet_inherited(struct ring_entry *entry, const struct asyncfd_uring *head)
{
	uint32_t slot = (uint32_t)(entry - ringtable_entry(0));
	uint32_t now = atomic_load_explicit(&ringtable_forks, memory_order_relaxed);

	if (atomic_load_explicit(&entry->forks, memory_order_relaxed) == now)
		return;
	if (head && !mapping_is_shared(head))
		atomic_fetch_or(&slotpool_slots[slot].flags, SLOT_DIFFERS);
	atomic_store(&entry->forks, now);
}

/* For whoever was counted. Before the ring of another object comes there is none. */
struct asyncfd_uring *ringtable_ring(struct ring_entry *entry, uint32_t generation)
{
	struct asyncfd_uring *head = atomic_load(&entry->head);

	if (atomic_load(&entry->generation) != generation)
		return NULL;
	meet_inherited(entry, head);
	return head;
}

void ringtable_list(uint32_t slot, struct ring_entry *entry)
{
	if (atomic_exchange(&entry->listed, 1))
		return;
	atomic_store(&entry->next, atomic_load(&ringtable_listed));
	atomic_store(&ringtable_listed, slot);
}

static bool overlaps(uintptr_t at, size_t n, uintptr_t other, size_t bytes)
{
	return at < other + bytes && other < at + n;
}

static bool lies_in(struct asyncfd_uring *head, uintptr_t at, size_t n)
{
	struct ring ring;

	if (!head || overlaps(at, n, (uintptr_t)head, sizeof(*head)))
		return head != NULL;
	return !ring_look(head, &ring) &&
	       overlaps(at, n, (uintptr_t)ring.places, ring.size * sizeof(struct asyncfd_result));
}

bool ringtable_lies_in(struct ring_entry *entry, uintptr_t at, size_t n)
{
	uint32_t turn = ringtable_enter(entry, RING_LOOKER);
	bool lies = lies_in(atomic_load(&entry->head), at, n);

	ringtable_leave(entry, RING_LOOKER, turn);
	return lies;
}

static bool any_user(const struct ring_entry *entry)
{
	uint32_t users = 0;

	for (int who = 0; who < RING_USERS; who++)
		users |= atomic_load(&entry->users[who].busy[0]) |
			 atomic_load(&entry->users[who].busy[1]);
	return users != 0;
}

/* Of a ring that is the child's own: whoever was at it is the parent's thread. */
static void leave_alone(struct ring_entry *entry)
{
	struct asyncfd_uring *head = atomic_load(&entry->head);
	struct ring ring;

	for (int who = 0; who < RING_USERS; who++) {
		atomic_store(&entry->users[who].busy[0], 0);
		atomic_store(&entry->users[who].busy[1], 0);
	}
	if (head && !mapping_is_shared(head) && !ring_look(head, &ring))
		ring_abandon(&ring);
}

void ringtable_forked(void)
{
	uint32_t next;

	atomic_fetch_add(&ringtable_forks, 1);
	atomic_store(&latch.word, 0);
	for (uint32_t i = atomic_load(&ringtable_listed); i; i = next) {
		struct ring_entry *entry = ringtable_entry(i);

		next = atomic_load(&entry->next);
		if (atomic_load(&entry->waiting))
			atomic_store(&entry->waiting, 0);
		if (any_user(entry))
			leave_alone(entry);
	}
}
