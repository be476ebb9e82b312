#include "core/fastset.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/classwatch.h"
#include "core/config.h"
#include "core/fastwatch.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/setid.h"
#include "core/watch.h"
#include "sys/probe.h"

/* What the front can tell and the kernel can take over exactly: an edge of OUT could not be. A
 * watch of a fake fd that cannot be fast makes the whole set the kernel's, so that all have their
 * turns in its order. */
static bool fits(uint32_t events)
{
	if (events & (EPOLLEXCLUSIVE | EPOLLWAKEUP))
		return false;
	if ((events & EPOLLET) && (events & EPOLLOUT))
		return false;
	return (events & EPOLLIN) || !(events & EPOLLOUT);
}

/* Nobody else has the set or the object, and no FIFO is to be settled for it anyway. */
static bool eligible(int epfd, const struct fdref *ref)
{
	return !setid_shared(epfd) && !classwatch_others_have(ref) &&
	       !(atomic_load(&ref->object->watched) & CLASSES_MASK);
}

static bool enabled(void)
{
	return !config.slow && !config.mirror_always && !fdtable_doubtful();
}

static struct fdref ref_of(uint32_t index, const struct fastwatch_view *view)
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

static void push_if_ready(uint32_t index)
{
	struct fastwatch_view view;
	struct fdref ref;

	if (!fastwatch_view(fastwatch_at(index), &view) || !fastwatch_shown(index, &view))
		return;
	if (fastwatch_push(index) & FASTWATCH_LIVE)
		return;
	ref = ref_of(index, &view); /* demoted meanwhile, by who knows no edge to tell */
	mirror_raise(&ref);
}

/* The kernel watches for what others put in the FIFO that do not know the front, and has a cookie
 * for the user's data. Of an edge-triggered watch the front has it too: by it both know what has
 * been told. */
static int make_cookie(
	int epfd, const struct fdref *ref, const struct epoll_event *event, uint64_t *cookie)
{
	const struct watch watch = {
		.set = setid_key(epfd),
		.data = event->data.u64,
		.slot = ref->slot,
		.generation = ref->generation,
		.events = event->events,
		.fd = ref->fd,
		.own = true,
		.class_fd = -1,
	};

	setid_note_cookie();
	if (event->events & EPOLLET)
		atomic_fetch_or(&ref->object->watched, WATCHED_COUNTED);
	return watch_add(ref->object, &watch, cookie);
}

static int anchor(int epfd, int op, int fd, uint64_t cookie)
{
	return classwatch_control(epfd, op, fd, EPOLLIN | EPOLLET, cookie);
}

/* The kernel first: it refuses what is not to be added. */
static bool add_with(struct front *front, int epfd, const struct fdref *ref,
	const struct epoll_event *event, uint64_t cookie, int *err)
{
	uint32_t index;

	*err = anchor(epfd, EPOLL_CTL_ADD, ref->fd, cookie);
	index = *err ? 0 : fastwatch_add(ref, atomic_load(&front->set), event, cookie);
	if (!index) {
		if (!*err)
			classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
		watch_remove(cookie);
		return *err != 0;
	}
	push_if_ready(index);
	if (atomic_load(&front->state) != FRONT_OPEN || !eligible(epfd, ref))
		fastset_demote(index);
	return true;
}

static bool add(int epfd, const struct fdref *ref, const struct epoll_event *event, int *err)
{
	struct front *front = front_of(epfd);
	uint64_t cookie;

	if (!front)
		return false;
	if (enabled() && fits(event->events) && eligible(epfd, ref) && !fastwatch_init() &&
		!front_hang_bell(front, epfd) && !make_cookie(epfd, ref, event, &cookie) &&
		add_with(front, epfd, ref, event, cookie, err))
		return true;
	fastset_ban(front);
	return false;
}

/* What else than the anchor an edge-triggered watch has. */
static void drop_edge(const struct fastwatch *watch, const struct fastwatch_view *view)
{
	if ((fastwatch_events(view) & EPOLLET) && view->pair.data != atomic_load(&watch->cookie))
		watch_remove(view->pair.data);
}

static bool replace(struct fastwatch *watch, const struct epoll_event *event, uint64_t data)
{
	struct fastwatch_view view;
	uint32_t marks;

	do {
		fastwatch_view(watch, &view);
		marks = fastwatch_events(&view) & (FASTWATCH_LIVE | FASTWATCH_MOVING);
		if (!marks)
			return false;
		marks |= event->events & FASTWATCH_EVENTS;
	} while (!fastwatch_change(watch, &view, marks, data));
	drop_edge(watch, &view);
	return true;
}

/* The kernel, too, tells of a watch that is modified, if it is ready, though the edge be an old
 * one. Where it is just being handed over, whoever does that registers it anew. */
static bool modify(int epfd, const struct fdref *ref, uint32_t index,
	const struct epoll_event *event, int *err)
{
	bool edge = event->events & EPOLLET;
	uint64_t data = event->data.u64;

	if (!fits(event->events) || (edge && make_cookie(epfd, ref, event, &data))) {
		fastset_ban_fd(epfd);
		return false;
	}
	if (!replace(fastwatch_at(index), event, data)) {
		if (edge)
			watch_remove(data);
		return false;
	}
	push_if_ready(index);
	*err = 0;
	return true;
}

static bool take_out(int epfd, const struct fdref *ref, uint32_t index, int *err)
{
	struct fastwatch *watch = fastwatch_at(index);
	struct fastwatch_view view;

	*err = classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
	if (*err)
		return true;
	do {
		fastwatch_view(watch, &view);
		if (!(fastwatch_events(&view) & (FASTWATCH_LIVE | FASTWATCH_MOVING)))
			return true;
	} while (!fastwatch_change(watch, &view, 0, 0));
	drop_edge(watch, &view);
	watch_remove(atomic_load(&watch->cookie));
	return true;
}

/* In a child of vfork the number may be another set's than the table says, and the memory is the
 * parent's. */
static bool is_here(int epfd)
{
	struct front *front = front_of(epfd);

	if (!fdtable_doubtful() || !front)
		return true;
	atomic_store(&front->foreign, 1);
	return front_is_here(front, epfd);
}

bool fastset_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, int *err)
{
	uint32_t index;

	if (!is_here(epfd))
		return false;
	if (op == EPOLL_CTL_ADD)
		return add(epfd, ref, event, err);
	index = fastwatch_find(ref, fdtable_epoll_id(epfd));
	if (!index)
		return false;
	if (op == EPOLL_CTL_DEL)
		return take_out(epfd, ref, index, err);
	return modify(epfd, ref, index, event, err);
}

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
		       !anchor(epfd, EPOLL_CTL_MOD, view->fd, atomic_load(&watch->cookie)));
}

/* The marks come first: a writer that does not find the watch live any more finds them. */
void fastset_demote(uint32_t index)
{
	struct fastwatch *watch = fastwatch_at(index);
	struct fastwatch_view view;
	struct fdref ref;
	uint32_t marks;

	do {
		if (!fastwatch_view(watch, &view) || !is_reachable(watch, &view))
			return;
		ref = ref_of(index, &view);
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
			fastset_demote(index);
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
		fastset_demote(index);
		fastwatch_take_off_for_good(index);
	}
	atomic_store(&front->waiter, 0);
}

/* A child of vfork that has closed the set must not take it from its parent. */
void fastset_ban(struct front *front)
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

void fastset_ban_fd(int epfd)
{
	struct front *front = front_of(epfd);

	if (front)
		fastset_ban(front);
}

void fastset_ban_all(void)
{
	front_each(fastset_ban);
}

static void demote_object(const struct fdref *ref, int fd)
{
	if (!(atomic_load(&ref->object->watched) & WATCHED_FAST))
		return;
	for (unsigned i = 0; i < FASTWATCH_ROOM && fastwatch_end() > 1; i++) {
		uint32_t index = fastwatch_index(ref->slot, i);
		struct fastwatch_view view;

		if (fastwatch_view(fastwatch_at(index), &view) &&
			view.generation == ref->generation && (fd < 0 || view.fd == fd))
			fastset_demote(index);
	}
}

void fastset_share(const struct fdref *ref)
{
	demote_object(ref, -1);
}

/* A watch lives as long as its object has any number; but only by this one can the kernel be told
 * anything of it. */
void fastset_number_closing(const struct fdref *ref)
{
	if (atomic_load(&local_of(ref->slot)->holds) > 1)
		demote_object(ref, ref->fd);
}

void fastset_forking(void)
{
	setid_forking();
	fastset_ban_all();
}

static bool is_any(const struct fastwatch_view *view, uint64_t unused)
{
	(void)unused;
	return view->set != 0;
}

/* A thread that is not here may have added some meanwhile. */
void fastset_forked(void)
{
	demote_where(is_any, 0);
	front_forked();
}
