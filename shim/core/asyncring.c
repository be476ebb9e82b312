#include "core/asyncring.h"

#include <errno.h>
#include <stddef.h>
#include <sys/auxv.h>

#include "core/config.h"
#include "core/fastwatch.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/ring.h"
#include "core/ringtable.h"
#include "core/slotpool.h"
#include "core/spin.h"
#include "core/usermem.h"
#include "core/workers.h"

uint32_t asyncring_state(const struct slot *slot)
{
	struct ring_entry *entry = ringtable_entry((uint32_t)(slot - slotpool_slots));
	uint32_t generation = slot_generation(atomic_load(&slot->life));
	uint32_t events = EPOLLERR, turn;
	bool room = false;
	struct ring ring;

	if (!entry || atomic_load(&entry->generation) != generation)
		return events;
	turn = ringtable_enter(entry, RING_LOOKER);
	if (!ring_look(ringtable_ring(entry, generation), &ring) && ring_readable(&ring)) {
		events = ring_holds(&ring) ? EPOLLIN : 0;
		room = ring_has_room(&ring);
	}
	ringtable_leave(entry, RING_LOOKER, turn);
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

/* Where there was one in another process, others may see that one. */
static void note_process(struct slot *slot)
{
	uint64_t nobody = 0, self = process_mark();

	if (!atomic_compare_exchange_strong(&slot->count, &nobody, self) && nobody != self)
		atomic_fetch_or(&slot->flags, SLOT_DIFFERS);
}

static void replace(const struct fdref *ref, struct ring_entry *entry, struct asyncfd_uring *head)
{
	if (atomic_load(&entry->generation) != ref->generation) {
		atomic_store(&entry->head, NULL);
		ringtable_drain(entry);
		atomic_store(&entry->generation, ref->generation);
	}
	atomic_store(&entry->fd, ref->fd);
	atomic_store(&entry->forks, atomic_load(&ringtable_forks));
	ringtable_list(ref->slot, entry);
	note_process(ref->object);
	if (atomic_load(&entry->head) == head) {
		if (entry->size == head->size) /* producers may be at it */
			return;
		atomic_store(&entry->head, NULL);
		ringtable_drain(entry);
	}
	entry->size = head->size;
	ring_start(head);
	atomic_store(&entry->head, head);
	ringtable_drain(entry);
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
	ringtable_lock();
	replace(ref, ringtable_entry(ref->slot), head);
	ringtable_unlock();
	tell(ref, EPOLLIN | EPOLLERR, asyncring_state(ref->object));
	return 0;
}

int asyncring_set(const struct fdref *ref, struct asyncfd_uring *head)
{
	int err = ring_check(head);

	if (!err)
		err = ringtable_open();
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
		err = ringtable_open();
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
	struct ring_entry *entry = ringtable_entry(ref->slot);
	struct ring ring;
	uint32_t turn;
	int stored = -EFAULT;

	if (!entry)
		return stored;
	turn = ringtable_enter(entry, RING_PRODUCER);
	if (!ring_look(ringtable_ring(entry, ref->generation), &ring))
		stored = ring_add(&ring, results, (uint32_t)n);
	ringtable_leave(entry, RING_PRODUCER, turn);
	return stored;
}

/* A file's reference has no number of its own. */
static struct fdref with_number(const struct fdref *ref)
{
	struct fdref numbered = *ref;
	const struct ring_entry *entry = ringtable_entry(ref->slot);

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
	const struct ring_entry *entry = ringtable_entry(ref->slot);

	if (!entry || atomic_load(&entry->generation) != ref->generation)
		atomic_fetch_or(&ref->object->flags, SLOT_DIFFERS);
}

/* As a producer names it. */
static struct fdref ref_of(uint32_t index, const struct ring_entry *entry)
{
	struct fdref ref = {
		.fd = atomic_load(&entry->fd),
		.object = slotpool_slots + index,
		.slot = index,
		.generation = atomic_load(&entry->generation),
	};

	ref.entry = fdtable_object_entry(index, ref.generation);
	return ref;
}

void asyncring_lower(void)
{
	uint32_t next;

	for (uint32_t i = atomic_load(&ringtable_listed); i; i = next) {
		const struct ring_entry *entry = ringtable_entry(i);
		struct fdref ref = ref_of(i, entry);

		next = atomic_load(&entry->next);
		if (slot_lives_as(ref.object, ref.generation) && slot_is_ring(ref.object))
			mirror_eagerly(&ref);
	}
}

/* What the kernel refuses. */
static bool is_bad_range(uintptr_t at, size_t n, size_t page)
{
	return !n || at % page || n > UINTPTR_MAX - page || at > UINTPTR_MAX - page - n;
}

static void take_away(uint32_t index, struct ring_entry *entry, uintptr_t at, size_t n)
{
	struct fdref ref;

	ringtable_lock();
	if (ringtable_lies_in(entry, at, n)) {
		atomic_store(&entry->head, NULL);
		ringtable_drain(entry);
	}
	ref = ref_of(index, entry);
	ringtable_unlock();
	if (!object_hold_living(&ref))
		return;
	if (slot_is_ring(ref.object))
		tell(&ref, 0, EPOLLERR);
	object_release(&ref);
}

void asyncring_unmapping_slow(const void *at, size_t n)
{
	size_t page = getauxval(AT_PAGESZ);
	uint32_t next;

	if (is_bad_range((uintptr_t)at, n, page))
		return;
	n = (n + page - 1) / page * page;
	for (uint32_t i = atomic_load(&ringtable_listed); i; i = next) {
		struct ring_entry *entry = ringtable_entry(i);

		next = atomic_load(&entry->next);
		if (ringtable_lies_in(entry, (uintptr_t)at, n))
			take_away(i, entry, (uintptr_t)at, n);
	}
}
