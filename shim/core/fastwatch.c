#include "core/fastwatch.h"

#include <stddef.h>

#include "core/local.h"
#include "core/slotpool.h"
#include "core/watch.h"
#include "sys/raw.h"
#include "sys/sparse.h"

/* Published by fastwatch_init, then constant. */
static _Atomic(struct fastwatch *) watches;

/* One above the highest slot that ever had one. */
static _Atomic uint32_t slots;

int fastwatch_init(void)
{
	size_t bytes = (size_t)SLOTS_MAX * FASTWATCH_ROOM * sizeof(struct fastwatch);
	struct fastwatch *none = NULL;
	long map;

	if (atomic_load(&watches))
		return 0;
	map = sparse_map(bytes, -1);
	if (map < 0)
		return (int)-map;
	if (!atomic_compare_exchange_strong(&watches, &none, (struct fastwatch *)map))
		raw_syscall3(SYS_munmap, map, (long)bytes, 0);
	return 0;
}

struct fastwatch *fastwatch_at(uint32_t index)
{
	return atomic_load_explicit(&watches, memory_order_acquire) + index - 1;
}

uint32_t fastwatch_slot(uint32_t index)
{
	return (index - 1) / FASTWATCH_ROOM;
}

uint32_t fastwatch_index(uint32_t slot, unsigned which)
{
	return slot * FASTWATCH_ROOM + which + 1;
}

uint32_t fastwatch_end(void)
{
	return atomic_load(&slots) * FASTWATCH_ROOM + 1;
}

static void raise_end(uint32_t slot)
{
	uint32_t seen = atomic_load(&slots);

	while (seen <= slot && !atomic_compare_exchange_weak(&slots, &seen, slot + 1))
		;
}

bool fastwatch_view(const struct fastwatch *watch, struct fastwatch_view *view)
{
	do {
		view->pair = mask_guess(&watch->cell);
		view->set = atomic_load(&watch->set);
		view->fd = atomic_load(&watch->fd);
		view->generation = atomic_load(&watch->generation);
	} while (atomic_load(&watch->cell.state) != view->pair.state);
	return (fastwatch_events(view) & FASTWATCH_LIVE) != 0;
}

uint32_t fastwatch_shown(uint32_t index, const struct fastwatch_view *view)
{
	const struct slot *slot = slotpool_slots + fastwatch_slot(index);

	if (!slot_lives_as(slot, view->generation))
		return 0;
	return slot_state(slot) & (fastwatch_events(view) | EPOLLERR | EPOLLHUP);
}

struct fdref fastwatch_ref(uint32_t index, const struct fastwatch_view *view)
{
	uint32_t slot = fastwatch_slot(index);

	return (struct fdref){
		.fd = view->fd,
		.object = slotpool_slots + slot,
		.slot = slot,
		.generation = view->generation,
		.entry = fdtable_object_entry(slot, view->generation),
	};
}

uint32_t fastwatch_find(const struct fdref *ref, uint64_t set)
{
	if (!(atomic_load(&ref->object->watched) & WATCHED_FAST) || !atomic_load(&watches))
		return 0;
	for (unsigned i = 0; i < FASTWATCH_ROOM; i++) {
		uint32_t index = fastwatch_index(ref->slot, i);
		struct fastwatch_view view;

		fastwatch_view(fastwatch_at(index), &view);
		if ((fastwatch_events(&view) & (FASTWATCH_LIVE | FASTWATCH_MOVING)) &&
			view.set == set && view.fd == ref->fd && view.generation == ref->generation)
			return index;
	}
	return 0;
}

bool fastwatch_change(
	struct fastwatch *watch, struct fastwatch_view *view, uint32_t marks, uint64_t data)
{
	marks |= fastwatch_events(view) & FASTWATCH_LISTED;
	return mask_swap(&watch->cell, &view->pair, marks, data);
}

/* One that is dead, or of an object or a set that is. While it is on its front's list it can only
 * be of that front again. */
static bool claim(struct fastwatch *watch, const struct fdref *ref, uint64_t set)
{
	const uint32_t busy = FASTWATCH_LIVE | FASTWATCH_MOVING | FASTWATCH_CLAIMED;
	struct fastwatch_view view;
	uint32_t state;

	fastwatch_view(watch, &view);
	state = fastwatch_events(&view);
	if ((state & FASTWATCH_CLAIMED) || ((state & FASTWATCH_LISTED) && view.set != set))
		return false;
	if ((state & busy) && view.generation == ref->generation && front_of_set(view.set))
		return false;
	if (!fastwatch_change(watch, &view, FASTWATCH_CLAIMED, 0))
		return false;
	if (state & busy)
		watch_remove(atomic_load(&watch->cookie));
	if ((state & busy) && (state & EPOLLET))
		watch_remove(view.pair.data);
	return true;
}

static void publish(struct fastwatch *watch, const struct fdref *ref, uint64_t set,
	const struct epoll_event *event, uint64_t cookie)
{
	uint64_t data = event->events & EPOLLET ? cookie : event->data.u64;
	struct fastwatch_view view;

	atomic_store(&watch->set, set);
	atomic_store(&watch->fd, ref->fd);
	atomic_store(&watch->generation, ref->generation);
	atomic_store(&watch->cookie, cookie);
	do {
		fastwatch_view(watch, &view);
	} while (!fastwatch_change(
		watch, &view, (event->events & FASTWATCH_EVENTS) | FASTWATCH_LIVE, data));
}

/* The kernel takes a watch off its list when it is removed: one that is added again goes to the
 * end. */
static void take_off_dead(uint64_t set)
{
	struct front *front = front_of_set(set);
	uint32_t nobody = 0;

	if (!front || !atomic_compare_exchange_strong(&front->waiter, &nobody, 1))
		return;
	fastwatch_gather(front);
	for (uint32_t left = front->length; left; left--) {
		uint32_t index = fastwatch_take_first(front);
		struct fastwatch_view view;
		bool lives;

		do { /* another thread may add it again */
			lives = fastwatch_view(fastwatch_at(index), &view);
		} while (!lives && !fastwatch_take_off(index, &view, 0));
		if (lives)
			fastwatch_put_last(front, index);
	}
	atomic_store(&front->waiter, 0);
}

static bool is_listed_dead(uint32_t index)
{
	uint32_t marks = mask_events(atomic_load(&fastwatch_at(index)->cell.state));

	return (marks & FASTWATCH_LISTED) && !(marks & FASTWATCH_LIVE);
}

uint32_t fastwatch_add(
	const struct fdref *ref, uint64_t set, const struct epoll_event *event, uint64_t cookie)
{
	for (unsigned i = 0; i < FASTWATCH_ROOM; i++) {
		uint32_t index = fastwatch_index(ref->slot, i);

		if (is_listed_dead(index))
			take_off_dead(atomic_load(&fastwatch_at(index)->set));
		if (!claim(fastwatch_at(index), ref, set))
			continue;
		raise_end(ref->slot);
		publish(fastwatch_at(index), ref, set, event, cookie);
		atomic_fetch_or(
			&ref->object->watched, i ? WATCHED_FAST | WATCHED_TWICE : WATCHED_FAST);
		return index;
	}
	return 0;
}

static void link_pushed(struct front *front, struct fastwatch *watch, uint32_t index)
{
	uint32_t head = atomic_load(&front->pushed);

	do {
		atomic_store_explicit(&watch->next, head, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(&front->pushed, &head, index));
}

/* Where it is listed already, whoever listed it pushes it and looks for a sleeper after that, or
 * the waiter looks at the object after it has cleared the mark. */
uint32_t fastwatch_push(uint32_t index)
{
	struct fastwatch *watch = fastwatch_at(index);
	uint64_t state = atomic_load(&watch->cell.state);
	struct front *front;

	do {
		uint32_t marks = mask_events(state);

		if (!(marks & FASTWATCH_LIVE) || (marks & (FASTWATCH_LISTED | FASTWATCH_FIRED)))
			return marks;
		front = front_of_set(atomic_load(&watch->set));
		if (!front)
			return marks;
	} while (!atomic_compare_exchange_weak(
		&watch->cell.state, &state, state | FASTWATCH_LISTED));
	link_pushed(front, watch, index);
	front_ring(front);
	return mask_events(state);
}

/* Each write is one edge, whichever ways the watches hear of it. A watch that was told of the write
 * passes that on when it is demoted: the marks that this sets meanwhile are not for this write. One
 * that was not told had them set before. */
uint32_t fastwatch_written(uint32_t slot, uint32_t watched)
{
	unsigned room = watched & WATCHED_TWICE ? FASTWATCH_ROOM : 1;
	uint32_t marks = 0;

	if (watched & WATCHED_COUNTED)
		atomic_fetch_add(&slotpool_slots[slot].edges, 1);
	for (unsigned i = 0; i < room && atomic_load(&watches); i++)
		marks |= fastwatch_push(fastwatch_index(slot, i));
	if (marks & (FASTWATCH_MOVING | FASTWATCH_MOVED))
		return atomic_load(&slotpool_slots[slot].watched);
	return watched;
}

enum fastwatch_part fastwatch_told_by_kernel(uint32_t slot, uint64_t cookie)
{
	for (unsigned i = 0; i < FASTWATCH_ROOM && atomic_load(&watches); i++) {
		uint32_t index = fastwatch_index(slot, i);
		struct fastwatch *watch = fastwatch_at(index);
		uint32_t marks;

		if (atomic_load(&watch->cookie) != cookie)
			continue;
		marks = fastwatch_push(index);
		if (marks & FASTWATCH_LIVE)
			return FASTWATCH_FRONTS;
		if (!(marks & (FASTWATCH_MOVING | FASTWATCH_MOVED)))
			break;
		return atomic_load(&watch->cell.data) == cookie ? FASTWATCH_ANCHORS
								: FASTWATCH_FRONTS;
	}
	return FASTWATCH_NOBODYS;
}

void fastwatch_forget(const struct fdref *ref)
{
	const uint32_t busy = FASTWATCH_LIVE | FASTWATCH_MOVING;

	for (unsigned i = 0; i < FASTWATCH_ROOM && atomic_load(&watches); i++) {
		struct fastwatch *watch = fastwatch_at(fastwatch_index(ref->slot, i));
		struct fastwatch_view view;

		do {
			fastwatch_view(watch, &view);
		} while ((fastwatch_events(&view) & busy) && view.generation == ref->generation &&
			 !fastwatch_change(watch, &view, 0, 0));
	}
}

static bool mark(uint32_t index, struct fastwatch_view *view, uint64_t marked)
{
	uint64_t seen = view->pair.state;

	if (!atomic_compare_exchange_strong(&fastwatch_at(index)->cell.state, &seen, marked))
		return false;
	view->pair.state = marked;
	return true;
}

bool fastwatch_take_off(uint32_t index, struct fastwatch_view *view, uint32_t marks)
{
	return mark(index, view, (view->pair.state & ~(uint64_t)FASTWATCH_LISTED) | marks);
}

bool fastwatch_mark_fired(uint32_t index, struct fastwatch_view *view)
{
	return mark(index, view, view->pair.state | FASTWATCH_FIRED);
}

bool fastwatch_list_again(uint32_t index, struct fastwatch_view *view)
{
	return !(fastwatch_events(view) & FASTWATCH_LISTED) &&
	       mark(index, view, view->pair.state | FASTWATCH_LISTED);
}

void fastwatch_put_last(struct front *front, uint32_t index)
{
	atomic_store_explicit(&fastwatch_at(index)->next, 0, memory_order_relaxed);
	if (front->length++)
		atomic_store_explicit(
			&fastwatch_at(front->last)->next, index, memory_order_relaxed);
	else
		front->first = index;
	front->last = index;
}

uint32_t fastwatch_take_first(struct front *front)
{
	uint32_t index = front->first;

	if (!front->length)
		return 0;
	front->length--;
	front->first = atomic_load_explicit(&fastwatch_at(index)->next, memory_order_relaxed);
	return index;
}

void fastwatch_gather(struct front *front)
{
	uint32_t pushed = atomic_load(&front->pushed) ? atomic_exchange(&front->pushed, 0) : 0;
	uint32_t turned = 0;

	while (pushed) {
		_Atomic uint32_t *next = &fastwatch_at(pushed)->next;
		uint32_t rest = atomic_load_explicit(next, memory_order_relaxed);

		atomic_store_explicit(next, turned, memory_order_relaxed);
		turned = pushed;
		pushed = rest;
	}
	while (turned) {
		uint32_t rest =
			atomic_load_explicit(&fastwatch_at(turned)->next, memory_order_relaxed);

		fastwatch_put_last(front, turned);
		turned = rest;
	}
}

void fastwatch_take_off_for_good(uint32_t index)
{
	struct fastwatch_view view;

	do {
		fastwatch_view(fastwatch_at(index), &view);
	} while ((fastwatch_events(&view) & FASTWATCH_LISTED) &&
		 !fastwatch_take_off(index, &view, 0));
}

void fastwatch_unlist(struct front *front)
{
	uint32_t index;

	fastwatch_gather(front);
	while ((index = fastwatch_take_first(front)))
		fastwatch_take_off_for_good(index);
}
