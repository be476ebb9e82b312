#include "core/asyncring.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>

#include "core/config.h"
#include "core/fastwatch.h"
#include "core/local.h"
#include "core/mapping.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/ring.h"
#include "core/slotpool.h"
#include "core/spin.h"
#include "core/usermem.h"
#include "core/workers.h"
#include "sys/raw.h"
#include "sys/sparse.h"

/* What this process knows of a slot's ring. Whoever uses the ring is counted meanwhile, in one of
 * two counts by turns: whoever replaces it begins another turn, and waits for those of the last. */
struct entry {
	/* Of the object that the ring is of. Written by whoever has the lock, while there is no
	 * ring. */
	_Atomic uint32_t generation;
	/* Moved by whoever has the lock, after the ring. */
	_Atomic uint32_t turn;
	/* Who is at the ring, by the turn's last bit. A futex for whoever has the lock. */
	_Atomic uint32_t busy[2];
	/* Somebody waits for that. Written by whoever has the lock. */
	_Atomic uint32_t waiting;
	/* How often the process had been forked off when the ring was set, or met first: where
	 * `forks` says more it came with the memory of the parent. */
	_Atomic uint32_t forks;
	/* The number under which the ring was set last; a hint. */
	_Atomic int fd;
	/* The next slot that ever had a ring; 0: the last one. Constant once it is in the list. */
	_Atomic uint32_t next;
	_Atomic uint32_t listed;
	_Atomic(struct asyncfd_uring *) head;
} __attribute__((aligned(64)));

/* Published by the first asyncfd(), then constant. */
static _Atomic(struct entry *) entries;

/* The first of the slots that ever had a ring; pushed by whoever has the lock. */
static _Atomic uint32_t first_listed;

/* Moved in each forked child. */
static _Atomic uint32_t forks;

/* 0: free, 1: taken, 2: taken, and somebody waits. For whoever sets rings. */
static _Atomic uint32_t lock;

static void take_lock(void)
{
	uint32_t free = 0;

	if (atomic_compare_exchange_strong(&lock, &free, 1))
		return;
	while (atomic_exchange(&lock, 2))
		raw_futex(&lock, FUTEX_WAIT_PRIVATE, 2);
}

static void give_lock(void)
{
	if (atomic_exchange(&lock, 0) == 2)
		raw_futex(&lock, FUTEX_WAKE_PRIVATE, 1);
}

static int open_entries(void)
{
	size_t bytes = SLOTS_MAX * sizeof(struct entry);
	struct entry *none = NULL;
	long map;

	if (atomic_load(&entries))
		return 0;
	map = sparse_map(bytes, -1);
	if (map < 0)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&entries, &none, (struct entry *)map))
		raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return 0;
}

/* NULL where no ring was ever set. */
static struct entry *entry_of(uint32_t slot)
{
	struct entry *all = atomic_load_explicit(&entries, memory_order_acquire);

	return all ? all + slot : NULL;
}

/* A forked child has forgotten those that were there. */
static void go(struct entry *entry, uint32_t turn)
{
	_Atomic uint32_t *busy = &entry->busy[turn & 1];
	uint32_t before = atomic_load(busy);

	do {
		if (!before)
			return;
	} while (!atomic_compare_exchange_weak(busy, &before, before - 1));
	if (before == 1 && atomic_load(&entry->waiting))
		raw_futex(busy, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* The turn that go() is to be told. */
static uint32_t come(struct entry *entry)
{
	for (;;) {
		uint32_t turn = atomic_load(&entry->turn);

		atomic_fetch_add(&entry->busy[turn & 1], 1);
		if (atomic_load(&entry->turn) == turn)
			return turn;
		go(entry, turn);
	}
}

/* Until nobody is left who may have found the ring that was there before. */
static void wait_for_leavers(struct entry *entry)
{
	uint32_t turn = atomic_fetch_add(&entry->turn, 1), left;
	_Atomic uint32_t *busy = &entry->busy[turn & 1];

	atomic_store(&entry->waiting, 1);
	while ((left = atomic_load(busy)))
		raw_futex(busy, FUTEX_WAIT_PRIVATE, left);
	atomic_store(&entry->waiting, 0);
}

/* A child that has a copy of its parent's ring sees another one than the parent. */
static void meet_inherited(struct entry *entry, const struct asyncfd_uring *head)
{
	uint32_t slot = (uint32_t)(entry - entry_of(0));
	uint32_t now = atomic_load_explicit(&forks, memory_order_relaxed);

	if (atomic_load_explicit(&entry->forks, memory_order_relaxed) == now)
		return;
	if (head && !mapping_is_shared(head))
		atomic_fetch_or(&slotpool_slots[slot].flags, SLOT_DIFFERS);
	atomic_store(&entry->forks, now);
}

/* For whoever was counted. Before the ring of another object comes there is none. */
static struct asyncfd_uring *ring_of(struct entry *entry, uint32_t generation)
{
	struct asyncfd_uring *head = atomic_load(&entry->head);

	if (atomic_load(&entry->generation) != generation)
		return NULL;
	meet_inherited(entry, head);
	return head;
}

uint32_t asyncring_state(const struct slot *slot)
{
	struct entry *entry = entry_of((uint32_t)(slot - slotpool_slots));
	uint32_t generation = slot_generation(atomic_load(&slot->life));
	uint32_t events = EPOLLERR, turn;
	bool room = false;
	struct ring ring;

	if (!entry || atomic_load(&entry->generation) != generation)
		return events;
	turn = come(entry);
	if (!ring_look(ring_of(entry, generation), &ring) && ring_readable(&ring)) {
		events = ring_holds(&ring) ? EPOLLIN : 0;
		room = ring_has_room(&ring);
	}
	go(entry, turn);
	if (room)
		workers_room();
	return events;
}

void asyncring_linger(const struct slot *slot)
{
	struct spin spin;
	bool empty;

	if (!slot_is_ring(slot) || asyncring_state(slot))
		return;
	spin = spin_begin_short(&local_of((uint32_t)(slot - slotpool_slots))->pace);
	do
		empty = !asyncring_state(slot);
	while (empty && spin_again(&spin));
	spin_end(&spin, empty ? SPIN_ASLEEP : SPIN_FOUND);
}

static void list(uint32_t slot, struct entry *entry)
{
	if (atomic_exchange(&entry->listed, 1))
		return;
	atomic_store(&entry->next, atomic_load(&first_listed));
	atomic_store(&first_listed, slot);
}

/* Where there was one in another process, others may see that one. */
static void note_process(struct slot *slot)
{
	uint64_t nobody = 0, self = process_mark();

	if (!atomic_compare_exchange_strong(&slot->count, &nobody, self) && nobody != self)
		atomic_fetch_or(&slot->flags, SLOT_DIFFERS);
}

static void replace(const struct fdref *ref, struct entry *entry, struct asyncfd_uring *head)
{
	if (atomic_load(&entry->generation) != ref->generation) {
		atomic_store(&entry->head, NULL);
		wait_for_leavers(entry);
		atomic_store(&entry->generation, ref->generation);
	}
	atomic_store(&entry->fd, ref->fd);
	atomic_store(&entry->forks, atomic_load(&forks));
	list(ref->slot, entry);
	note_process(ref->object);
	if (atomic_load(&entry->head) == head) /* producers may be at it */
		return;
	ring_start(head);
	atomic_store(&entry->head, head);
	wait_for_leavers(entry);
}

/* Each addition is an edge of its own. */
static void tell(const struct fdref *ref, uint32_t before, uint32_t after)
{
	struct slot *slot = ref->object;
	uint32_t watched = atomic_load(&slot->watched);
	struct mask_pair pair;

	if (watched & WATCHED_FAST)
		watched = fastwatch_written(ref->slot, watched);
	if (!(watched & ~WATCHED_BY_FRONTS))
		return;
	pair = mask_guess(&slot->mask);
	do {
		if (!slot_lives_as(slot, ref->generation))
			return;
	} while (!mask_swap(&slot->mask, &pair, 0, 0));
	mirror_mask_written(ref, before, after);
}

static int set_ring(const struct fdref *ref, struct asyncfd_uring *head)
{
	take_lock();
	replace(ref, entry_of(ref->slot), head);
	give_lock();
	tell(ref, EPOLLIN | EPOLLERR, asyncring_state(ref->object));
	return 0;
}

int asyncring_set(const struct fdref *ref, struct asyncfd_uring *head)
{
	int err = ring_check(head);

	if (!err)
		err = open_entries();
	if (err)
		return err;
	if (!object_hold_living(ref))
		return EBADF;
	err = set_ring(ref, head);
	object_release(ref);
	return err;
}

struct outcome asyncring_create(struct asyncfd_uring *head)
{
	struct outcome made;
	struct fdref ref;
	int fd, err = ring_check(head);

	if (!err)
		err = open_entries();
	if (err)
		return outcome_err(err);
	made = object_create(KIND_ASYNC, 0, 0);
	fd = (int)made.value;
	if (!made.err && object_is(&fd, &ref))
		set_ring(&ref, head);
	return made;
}

static int check_results(const struct asyncfd_result *results, int n)
{
	size_t bytes = (size_t)n * sizeof(*results);

	if (n && !(config.strict ? usermem_ask(results, bytes, USERMEM_LOAD)
				 : usermem_loadable(results, bytes)))
		return EFAULT;
	for (int i = 0; i < n; i++) {
		if (!results[i].cookie)
			return EINVAL;
	}
	return 0;
}

static int store(const struct fdref *ref, const struct asyncfd_result *results, int n)
{
	struct entry *entry = entry_of(ref->slot);
	struct ring ring;
	uint32_t turn;
	int stored = -EFAULT;

	if (!entry)
		return stored;
	turn = come(entry);
	if (!ring_look(ring_of(entry, ref->generation), &ring))
		stored = ring_add(&ring, results, (uint32_t)n);
	go(entry, turn);
	return stored;
}

/* A file's reference has no number of its own. */
static struct fdref with_number(const struct fdref *ref)
{
	struct fdref numbered = *ref;
	const struct entry *entry = entry_of(ref->slot);

	numbered.entry = fdtable_object_entry(ref->slot, ref->generation);
	if (ref->fd < 0 && entry)
		numbered.fd = atomic_load(&entry->fd);
	return numbered;
}

int asyncring_add(const struct fdref *ref, const struct asyncfd_result *results, int n)
{
	struct fdref numbered;
	int err, stored;

	if (!object_still_open(ref->slot, ref->generation))
		return -EBADFD;
	if (n < 0 || !slot_is_ring(ref->object))
		return -EINVAL;
	err = check_results(results, n);
	if (err)
		return -err;
	stored = store(ref, results, n);
	if (stored > 0) {
		numbered = with_number(ref);
		tell(&numbered, 0, EPOLLIN);
	}
	return stored;
}

void asyncring_adopted(const struct fdref *ref)
{
	const struct entry *entry = entry_of(ref->slot);

	if (!entry || atomic_load(&entry->generation) != ref->generation)
		atomic_fetch_or(&ref->object->flags, SLOT_DIFFERS);
}

void asyncring_lower(void)
{
	uint32_t next;

	for (uint32_t i = atomic_load(&first_listed); i; i = next) {
		const struct entry *entry = entry_of(i);
		struct fdref ref = {
			.fd = atomic_load(&entry->fd),
			.object = slotpool_slots + i,
			.slot = i,
			.generation = atomic_load(&entry->generation),
		};

		next = atomic_load(&entry->next);
		ref.entry = fdtable_object_entry(i, ref.generation);
		if (slot_lives_as(ref.object, ref.generation) && slot_is_ring(ref.object))
			mirror_eagerly(&ref);
	}
}

/* Of a ring that is the child's own: whoever was at it is the parent's thread. */
static void leave_alone(struct entry *entry)
{
	struct asyncfd_uring *head = atomic_load(&entry->head);
	struct ring ring;

	atomic_store(&entry->busy[0], 0);
	atomic_store(&entry->busy[1], 0);
	if (head && !mapping_is_shared(head) && !ring_look(head, &ring))
		ring_abandon(&ring);
}

void asyncring_forked(void)
{
	uint32_t next;

	atomic_fetch_add(&forks, 1);
	atomic_store(&lock, 0);
	for (uint32_t i = atomic_load(&first_listed); i; i = next) {
		struct entry *entry = entry_of(i);

		next = atomic_load(&entry->next);
		if (atomic_load(&entry->waiting))
			atomic_store(&entry->waiting, 0);
		if (atomic_load(&entry->busy[0]) | atomic_load(&entry->busy[1]))
			leave_alone(entry);
	}
}
