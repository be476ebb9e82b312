#include "core/demote.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#include "core/classfd.h"
#include "core/classwatch.h"
#include "core/fastset.h"
#include "core/fastwatch.h"
#include "core/local.h"
#include "core/maskwatch.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/signalwatch.h"
#include "core/timers.h"
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
 * already must not be told again. */
static void show_level(const struct fdref *ref, uint32_t events, bool told)
{
	if (!(events & EPOLLIN) || slot_is_ring(ref->object)) /* see maskwatch_take_over */
		return;
	if (!told) {
		atomic_fetch_or(&ref->object->watched, marks_of(events));
		mirror_watch(ref, CLASS_IN, events & EPOLLET);
		return;
	}
	probe_fifo_edges();
	probe_full_fifo_edges();
}

/* A watch on its way to the kernel. */
struct handover {
	const struct fdref *ref;
	struct front *front;
	int epfd;
	uint32_t events;
	uint64_t data;		    /* of an edge-triggered watch its cookie */
	int resting;		    /* the class FIFO it is on, or -1 */
	struct maskwatch_past past; /* of a ring */
};

/* The last edge: whether it was told, and of a ring which version of its state was there before
 * that was asked. */
struct edge {
	bool told;
	uint32_t version;
};

/* Puts it on a FIFO of its own, of which the level is down until the next write. Who has written
 * meanwhile may not have known that. */
static bool rest(struct handover *h)
{
	const uint32_t marks = 1u << CLASS_RESTING | 1u << (CLASS_RESTING + WATCHED_EDGE);
	const struct fdref *ref = h->ref;
	int fd = classfd_get(ref->slot, ref->generation, CLASS_RESTING);
	int err;

	if (fd < 0)
		return false;
	atomic_fetch_or(&ref->object->watched, marks);
	classwatch_control(h->epfd, EPOLL_CTL_MOD, ref->fd, 0, h->data);
	err = classwatch_control(h->epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, h->data);
	if (err)
		return false;
	h->resting = fd;
	watch_set_class(h->data, fd);
	if (!watch_told_edge(h->data, atomic_load(&ref->object->edges)))
		mirror_raise(ref, CLASS_RESTING);
	return true;
}

/* Those by edges of IN are looked up anyway. */
static bool is_signalled(const struct handover *h)
{
	bool by_edges = (h->events & EPOLLIN) && (h->events & EPOLLET);

	return slot_signalled(h->ref->object) && !(h->events & FASTWATCH_FIRED) && !by_edges;
}

/* As the user made it. */
static struct epoll_event event_of(const struct handover *h)
{
	struct epoll_event event = {
		.events = h->events & FASTWATCH_EVENTS,
		.data.u64 = h->data,
	};
	struct watch watch;

	if ((h->events & EPOLLET) && watch_of(h->data, &watch) == WATCH_LIVE)
		event.data.u64 = watch.data;
	return event;
}

static bool hand_over_signalled(const struct handover *h)
{
	const struct epoll_event event = event_of(h);

	return !signalwatch_set(h->epfd, EPOLL_CTL_MOD, h->ref, &event);
}

static void hand_over_ring(struct handover *h, bool told)
{
	const struct epoll_event event = event_of(h);

	h->past.told = told;
	h->past.fired =
		(h->events & FASTWATCH_FIRED) || ((h->events & EPOLLET) && watch_fired(h->data));
	maskwatch_take_over(h->epfd, h->ref, &event, &h->past);
	if (h->events & EPOLLET)
		watch_remove(h->data);
}

/* The kernel does not know that an edge-triggered watch is one-shot: see epollset.c. */
static void register_own(const struct handover *h)
{
	uint32_t events = h->events & FASTWATCH_EVENTS;

	if (is_signalled(h) && hand_over_signalled(h))
		return;
	if (h->events & FASTWATCH_FIRED)
		events = EPOLLONESHOT;
	else if (events & EPOLLET)
		events &= ~(uint32_t)EPOLLONESHOT;
	classwatch_control(h->epfd, EPOLL_CTL_MOD, h->ref->fd, events, h->data);
	if ((events & EPOLLET) && watch_fired(h->data)) /* meanwhile */
		classwatch_control(h->epfd, EPOLL_CTL_MOD, h->ref->fd, 0, h->data);
	if (is_signalled(h)) /* meanwhile, too: who marked it has found the anchor */
		hand_over_signalled(h);
}

/* False where it cannot be. */
static bool register_with_kernel(struct handover *h, const struct fastwatch_view *view, bool told)
{
	h->events = fastwatch_events(view);
	h->data = view->pair.data;
	h->epfd = h->front ? front_epfd(h->front) : -1;
	if (h->epfd < 0 || !fdtable_pin(h->ref))
		return false;
	if (h->resting >= 0)
		classwatch_control(h->epfd, EPOLL_CTL_DEL, h->resting, 0, 0);
	h->resting = -1;
	atomic_store(&h->front->foreign, 1);
	if (slot_is_ring(h->ref->object))
		hand_over_ring(h, told);
	else if (!told || (h->events & FASTWATCH_FIRED) || classwatch_must_share(h->epfd, h->ref) ||
		 !rest(h))
		register_own(h);
	object_unpin(h->ref);
	return true;
}

static uint32_t moved_marks(const struct fastwatch_view *view)
{
	return (fastwatch_events(view) & (FASTWATCH_EVENTS | FASTWATCH_FIRED)) | FASTWATCH_MOVED;
}

/* The watch is the kernel's, which has `data` for it; false where it was modified meanwhile, and
 * *view is what it is now. */
static bool settled(
	struct fastwatch *watch, struct fastwatch_view *view, uint32_t version, uint64_t data)
{
	do {
		fastwatch_view(watch, view);
		if (!(fastwatch_events(view) & FASTWATCH_MOVING))
			return true;
		if (mask_version(view->pair.state) != version)
			return false;
	} while (!fastwatch_change(watch, view, moved_marks(view), data));
	return true;
}

/* Where it is modified meanwhile it is registered again, and the kernel tells of it if it is ready.
 * Where its number is no longer the object's the anchor stays, and tells edges. */
static void hand_over(struct fastwatch *watch, const struct fdref *ref, struct fastwatch_view *view,
	const struct edge *edge)
{
	bool told = edge->told;
	struct handover h = {
		.ref = ref,
		.front = front_of_set(view->set),
		.resting = -1,
		.past.version = edge->version,
	};
	uint32_t version = mask_version(view->pair.state) + 1;
	uint64_t cookie = atomic_load(&watch->cookie);
	bool done = register_with_kernel(&h, view, told);

	while (!settled(watch, view, version, done ? view->pair.data : cookie)) {
		version = mask_version(view->pair.state);
		atomic_fetch_or(&ref->object->watched, marks_of(fastwatch_events(view)));
		show_level(ref, fastwatch_events(view), false);
		done = register_with_kernel(&h, view, false);
	}
	if (!done)
		mirror_raise(ref, CLASS_IN);
	else if (view->pair.data != cookie) /* the kernel has something else */
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
static void move(uint32_t index)
{
	struct fastwatch *watch = fastwatch_at(index);
	struct fastwatch_view view;
	struct fdref ref;
	uint32_t marks;
	struct edge edge;

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
	edge.version = mask_version(atomic_load(&ref.object->mask.state));
	edge.told = (marks & EPOLLIN) && (marks & EPOLLET) &&
		    !(fastwatch_events(&view) & FASTWATCH_LISTED) &&
		    watch_told_edge(view.pair.data, atomic_load(&ref.object->edges));
	show_level(&ref, marks, edge.told);
	hand_over(watch, &ref, &view, &edge);
}

void demote_watch(uint32_t index)
{
	struct fastwatch_view view;
	struct front *front;

	if (!fastwatch_view(fastwatch_at(index), &view))
		return;
	front = front_of_set(view.set);
	front_begin_move(front);
	move(index);
	front_end_move(front);
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

/* A child of vfork that has closed the set must not take its watches from its parent. Where there
 * are none it may be the parent, to whom the set is not known to be here without a bell. */
void demote_set(struct front *front)
{
	int epfd = front_epfd(front);

	if (atomic_load(&front->state) == FRONT_BANNED)
		return;
	if (fdtable_doubtful() && atomic_load(&front->rings) &&
		(epfd < 0 || !front_is_here(front, epfd)))
		return;
	front_begin_move(front);
	if (atomic_exchange(&front->state, FRONT_BANNED) != FRONT_BANNED &&
		atomic_load(&front->rings)) {
		demote_listed(front);
		demote_where(is_of_set, atomic_load(&front->set));
		if (epfd >= 0)
			front_take_bell(front, epfd);
	}
	front_end_move(front);
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
	timers_forking();
	demote_all_sets();
}

static bool is_any(const struct fastwatch_view *view, uint64_t unused)
{
	(void)unused;
	return view->set != 0;
}

/* A thread that is not here may have added some meanwhile; and it may have been in the middle of a
 * list, so that these are given up as they are. */
void demote_forked(void)
{
	demote_where(is_any, 0);
	front_forked();
	for (uint32_t index = 1; index < fastwatch_end(); index++)
		fastwatch_take_off_for_good(index);
}
