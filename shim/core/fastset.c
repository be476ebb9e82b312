#include "core/fastset.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/classwatch.h"
#include "core/config.h"
#include "core/demote.h"
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

/* A watch that was demoted meanwhile knows no edge to tell. Where nothing is to be told the writes
 * so far are as good as told: one that is under way counts from here on. */
static void push_if_ready(uint32_t index)
{
	const uint32_t there = FASTWATCH_LIVE | FASTWATCH_MOVING | FASTWATCH_MOVED;
	uint32_t edges = atomic_load(&slotpool_slots[fastwatch_slot(index)].edges);
	struct fastwatch_view view;
	struct fdref ref;

	fastwatch_view(fastwatch_at(index), &view);
	if (!(fastwatch_events(&view) & there))
		return;
	if (!fastwatch_shown(index, &view)) {
		if (fastwatch_events(&view) & EPOLLET)
			watch_tell(view.pair.data, edges);
		return;
	}
	if (fastwatch_push(index) & FASTWATCH_LIVE)
		return;
	ref = fastwatch_ref(index, &view);
	mirror_raise(&ref, CLASS_IN);
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
		.anchor = true,
		.class_fd = -1,
	};

	setid_note_cookie();
	if (event->events & EPOLLOUT)
		atomic_fetch_or(&ref->object->watched, WATCHED_FAST_OUT);
	if (event->events & EPOLLET)
		atomic_fetch_or(&ref->object->watched, WATCHED_COUNTED);
	return watch_add(ref->object, &watch, cookie);
}

int fastset_anchor(int epfd, int op, int fd, uint32_t events, uint64_t cookie)
{
	return classwatch_control(epfd, op, fd, events & EPOLLIN ? EPOLLIN | EPOLLET : 0, cookie);
}

/* The kernel first: it refuses what is not to be added. */
static bool add_with(struct front *front, int epfd, const struct fdref *ref,
	const struct epoll_event *event, uint64_t cookie, int *err)
{
	uint32_t index;

	*err = fastset_anchor(epfd, EPOLL_CTL_ADD, ref->fd, event->events, cookie);
	index = *err ? 0 : fastwatch_add(ref, atomic_load(&front->set), event, cookie);
	if (!index) {
		if (!*err)
			classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
		watch_remove(cookie);
		return *err != 0;
	}
	push_if_ready(index);
	if (atomic_load(&front->state) != FRONT_OPEN || !eligible(epfd, ref))
		demote_watch(index);
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
	demote_set(front);
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
	struct fastwatch *watch = fastwatch_at(index);
	bool edge = event->events & EPOLLET;
	uint64_t data = event->data.u64;
	struct fastwatch_view view;

	if (!fits(event->events) || (edge && make_cookie(epfd, ref, event, &data))) {
		demote_set_of(epfd);
		return false;
	}
	if (fastwatch_view(watch, &view) && !(fastwatch_events(&view) & EPOLLIN))
		fastset_anchor(
			epfd, EPOLL_CTL_MOD, ref->fd, event->events, atomic_load(&watch->cookie));
	if (!replace(watch, event, data)) {
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
