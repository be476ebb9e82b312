#include "core/demote.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#include "core/classwatch.h"
#include "core/fastset.h"
#include "core/fastwatch.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/watch.h"
#include "sys/probe.h"

/* What says in slot.watched that the kernel watches the object for these events. */
static uint32_t marks_of(uint32_t events)
{
	uint32_t marks = 1u << CLASS_IN;

	if (!(events & EPOLLIN))
		return 0;
	if (events & EPOLLET)
		marks |= 1u << (CLASS_IN + WATCHED_EDGE);
	if (events & EPOLLOUT)
		marks |= WATCHED_OUT;
	return marks;
}

/* The kernel tells of a watch that it is given, if its FIFO shows the level. An edge that was told
 * already must not be told again: then the level stays down until the next write. */
static void show_level(const struct fdref *ref, uint32_t events, bool told)
{
	if (!(events & EPOLLIN))
		return;
	if (!(events & EPOLLET)) {
		mirror_watch(ref, CLASS_IN, false);
		return;
	}
	if (!told) {
		mirror_watch(ref, CLASS_IN, true);
		return;
	}
	probe_fifo_edges();
	probe_full_fifo_edges();
	atomic_fetch_or(&ref->object->watched, WATCHED_COUNTED);
}

static bool register_with_kernel(const struct fdref *ref, const struct fastwatch_view *view)
{
	struct front *front = front_of_set(view->set);
	uint32_t events = fastwatch_events(view) & FASTWATCH_EVENTS;
	bool fired = fastwatch_events(view) & FASTWATCH_FIRED;
	int epfd = front ? front_epfd(front) : -1;

	if (events & EPOLLET)
		events &= ~(uint32_t)EPOLLONESHOT;
	if (epfd < 0 || !fdtable_pin(ref))
		return false;
	atomic_store(&front->foreign, 1);
	classwatch_control(
		epfd, EPOLL_CTL_MOD, ref->fd, fired ? EPOLLONESHOT : events, view->pair.data);
	if ((events & EPOLLET) && watch_fired(view->pair.data)) /* meanwhile */
		classwatch_control(epfd, EPOLL_CTL_MOD, ref->fd, 0, view->pair.data);
	object_unpin(ref);
	return true;
}

static uint32_t moved_marks(const struct fastwatch_view *view)
{
	return (fastwatch_events(view) & (FASTWATCH_EVENTS | FASTWATCH_FIRED)) | FASTWATCH_MOVED;
}

/* The watch is the kernel's; false where it was modified meanwhile, and *view is what it is now. */
static bool settled(struct fastwatch *watch, struct fastwatch_view *view, uint32_t version)
{
	do {
		fastwatch_view(watch, view);
		if (!(fastwatch_events(view) & FASTWATCH_MOVING))
			return true;
		if (mask_version(view->pair.state) != version)
			return false;
	} while (!fastwatch_change(watch, view, moved_marks(view), view->pair.data));
	return true;
}

static void hand_over(struct fastwatch *watch, const struct fdref *ref, struct fastwatch_view *view)
{
	uint32_t version = mask_version(view->pair.state) + 1;
	uint64_t cookie = atomic_load(&watch->cookie);
	bool done = register_with_kernel(ref, view);

	while (!settled(watch, view, version)) {
		version = mask_version(view->pair.state);
		done = register_with_kernel(ref, view);
	}
	if (done && view->pair.data != cookie) /* the kernel has something else */
		watch_remove(cookie);
}

/* By its numbers, which may be others here: then it stays what it is. */
static bool is_reachable(const struct fastwatch *watch, const struct fastwatch_view *view)
{
	struct front *front = front_of_set(view->set);
	int epfd = front ? front_epfd(front) : -1;

	return !fdtable_doubtful() ||
	       (epfd >= 0 && front_is_here(front, epfd) &&
		       !fastset_anchor(epfd, EPOLL_CTL_MOD, view->fd, fastwatch_events(view),
			       atomic_load(&watch->cookie)));
}

/* The marks come first: a writer that does not find the watch live any more finds them. */
void demote_watch(uint32_t index)
{
	struct fastwatch *watch = fastwatch_at(index);
	struct fastwatch_view view;
	struct fdref ref;
	uint32_t marks;

	do {
		if (!fastwatch_view(watch, &view) || !is_reachable(watch, &view))
			return;
		ref = fastwatch_ref(index, &view);
		if (slot_lives_as(ref.object, view.generation))
			atomic_fetch_or(&ref.object->watched, marks_of(fastwatch_events(&view)));
		marks = fastwatch_events(&view) & (FASTWATCH_EVENTS | FASTWATCH_FIRED);
	} while (!fastwatch_change(watch, &view, marks | FASTWATCH_MOVING, view.pair.data));
	if (!slot_lives_as(ref.object, view.generation))
		return;
	show_level(&ref, marks, !(fastwatch_events(&view) & FASTWATCH_LISTED));
	hand_over(watch, &ref, &view);
}

static void demote_where(bool (*is_it)(const struct fastwatch_view *, uint64_t), uint64_t what)
{
	for (uint32_t index = 1; index < fastwatch_end(); index++) {
		struct fastwatch_view view;

		if (fastwatch_view(fastwatch_at(index), &view) && is_it(&view, what))
			demote_watch(index);
	}
}

static bool is_of_set(const struct fastwatch_view *view, uint64_t set)
{
	return view->set == set;
}

/* Those that are listed, in their order, which the kernel goes on with. Where a thread waits at the
 * front the list is that thread's. */
static void demote_listed(struct front *front)
{
	uint32_t nobody = 0;
	uint32_t index;

	if (!atomic_compare_exchange_strong(&front->waiter, &nobody, 1))
		return;
	fastwatch_gather(front);
	while ((index = fastwatch_take_first(front))) {
		demote_watch(index);
		fastwatch_take_off_for_good(index);
	}
	atomic_store(&front->waiter, 0);
}

/* A child of vfork that has closed the set must not take it from its parent. */
void demote_set(struct front *front)
{
	int epfd = front_epfd(front);

	if (fdtable_doubtful() && (epfd < 0 || !front_is_here(front, epfd)))
		return;
	if (atomic_exchange(&front->state, FRONT_BANNED) == FRONT_BANNED ||
		!atomic_load(&front->rings))
		return;
	demote_listed(front);
	demote_where(is_of_set, atomic_load(&front->set));
	if (epfd >= 0)
		front_take_bell(front, epfd);
}

void demote_set_of(int epfd)
{
	struct front *front = front_of(epfd);

	if (front)
		demote_set(front);
}

void demote_all_sets(void)
{
	front_each(demote_set);
}

static void demote_those_of(const struct fdref *ref, int fd)
{
	if (!(atomic_load(&ref->object->watched) & WATCHED_FAST))
		return;
	for (unsigned i = 0; i < FASTWATCH_ROOM && fastwatch_end() > 1; i++) {
		uint32_t index = fastwatch_index(ref->slot, i);
		struct fastwatch_view view;

		if (fastwatch_view(fastwatch_at(index), &view) &&
			view.generation == ref->generation && (fd < 0 || view.fd == fd))
			demote_watch(index);
	}
}

void demote_object(const struct fdref *ref)
{
	demote_those_of(ref, -1);
}

/* A watch lives as long as its object has any number; but only by this one can the kernel be told
 * anything of it. */
void demote_number(const struct fdref *ref)
{
	if (atomic_load(&local_of(ref->slot)->holds) > 1)
		demote_those_of(ref, ref->fd);
}

void demote_forking(void)
{
	setid_forking();
	demote_all_sets();
}

static bool is_any(const struct fastwatch_view *view, uint64_t unused)
{
	(void)unused;
	return view->set != 0;
}

/* A thread that is not here may have added some meanwhile. */
void demote_forked(void)
{
	demote_where(is_any, 0);
	front_forked();
}
