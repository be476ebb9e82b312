#include "core/maskwatch.h"

#include <errno.h>

#include "core/classwatch.h"
#include "core/eager.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"

/* As the kernel has it of every watch. */
static uint32_t interest_of(uint32_t events, const struct slot *slot)
{
	return (events & slot_possible(slot)) | EPOLLERR | EPOLLHUP;
}

static bool is_edge_triggered(const struct watch *watch)
{
	return watch->events & EPOLLET;
}

/* What the kernel is asked for. A watch begins as the user made it; once the level was up while the
 * watch had nothing to report, its mode is kept up here, and the kernel tells edges only: else it
 * would wake the set for ever. EPOLLEXCLUSIVE is not handed on: the kernel might choose to wake
 * only a watch that has nothing to report. */
static uint32_t kernel_events(const struct watch *watch, uint64_t cookie)
{
	uint32_t flags = watch->events & EPOLLWAKEUP;

	if (!watch_by_edges(cookie))
		return EPOLLIN | flags | (watch->events & (EPOLLET | EPOLLONESHOT));
	if ((watch->events & EPOLLONESHOT) && watch_fired(cookie))
		return flags;
	return EPOLLIN | EPOLLET | flags;
}

/* Whether the number the watch was made under is still the object's here. */
static bool still_its_number(const struct watch *watch)
{
	struct fdref ref;
	int fd = watch->fd;

	return object_is(&fd, &ref) && ref.slot == watch->slot &&
	       ref.generation == watch->generation;
}

/* Registers the watch anew, as it is to be now. Where another thread has modified it meanwhile,
 * what the kernel has may be this call's: the new watch is put in its place. */
static void update(int epfd, const struct watch *watch, uint64_t cookie)
{
	struct watch now;

	if (!still_its_number(watch))
		return;
	classwatch_control(epfd, EPOLL_CTL_MOD, watch->fd, kernel_events(watch, cookie), cookie);
	if (watch_of(cookie, &now) == WATCH_LIVE)
		return;
	cookie = watch_find(slotpool_slot(watch->slot), watch->set, watch->fd, &now);
	if (cookie)
		classwatch_control(
			epfd, EPOLL_CTL_MOD, now.fd, kernel_events(&now, cookie), cookie);
}

static struct fdref ref_of(const struct watch *watch)
{
	return (struct fdref){
		.fd = watch->fd,
		.object = slotpool_slot(watch->slot),
		.slot = watch->slot,
		.generation = watch->generation,
		.entry = fdtable_object_entry(watch->slot, watch->generation),
	};
}

static bool of_closed_set(const struct watch *watch)
{
	return setid_closed(watch->set);
}

static void gone(const struct watch *watch)
{
	const struct fdref ref = ref_of(watch);

	mirror_unwant(&ref, interest_of(watch->events, ref.object));
}

static void drop(uint64_t cookie, const struct watch *watch)
{
	if (cookie && watch_remove(cookie))
		gone(watch);
}

/* A watch on its way into the kernel. */
struct addition {
	struct watch watch;
	uint64_t cookie;
};

/* Mirrors what it asks for and makes its record; 0 or ENOMEM. */
static int begin(struct addition *add, int epfd, const struct fdref *ref,
	const struct epoll_event *event, bool edge)
{
	uint32_t interest = interest_of(event->events, ref->object);

	add->watch = (struct watch){
		.set = setid_key(epfd),
		.data = event->data.u64,
		.slot = ref->slot,
		.generation = ref->generation,
		.events = event->events,
		.fd = ref->fd,
		.class_fd = -1,
	};
	if (watch_crowded(ref->object))
		watch_remove_all(ref->object, of_closed_set, gone);
	if (eager_set(epfd))
		mirror_eagerly(ref);
	if (mirror_want(ref, interest, edge || (event->events & EPOLLET)))
		return ENOMEM;
	if (!watch_add(ref->object, &add->watch, &add->cookie))
		return 0;
	mirror_unwant(ref, interest);
	return ENOMEM;
}

static int finish(const struct addition *add, int epfd)
{
	int err = classwatch_control(epfd, EPOLL_CTL_MOD, add->watch.fd,
		kernel_events(&add->watch, add->cookie), add->cookie);

	if (err)
		drop(add->cookie, &add->watch);
	return err;
}

/* The kernel is asked with an empty interest first: a call that fails leaves no trace. */
static int add(int epfd, const struct fdref *ref, const struct epoll_event *event, bool edge)
{
	struct addition addition;
	struct watch old;
	int err = classwatch_control(epfd, EPOLL_CTL_ADD, ref->fd, 0, 0);

	if (err)
		return err;
	/* one that the kernel has dropped */
	drop(watch_find(ref->object, setid_key(epfd), ref->fd, &old), &old);
	err = begin(&addition, epfd, ref, event, edge);
	if (!err)
		return finish(&addition, epfd);
	classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
	return err;
}

/* The old record dies before the kernel has the new one: whoever is about to register the old one
 * again finds it dead. */
static int modify(int epfd, const struct fdref *ref, const struct epoll_event *event, bool edge)
{
	struct addition addition;
	struct watch old;
	uint64_t cookie;
	int err = 0;

	if (fdtable_kind(epfd) != FD_SET) /* it may be no set at all */
		err = classwatch_control(epfd, EPOLL_CTL_MOD, ref->fd, 0, 0);
	if (err)
		return err;
	cookie = watch_find(ref->object, setid_key(epfd), ref->fd, &old);
	if (cookie && (old.events & EPOLLEXCLUSIVE))
		return EINVAL;
	err = begin(&addition, epfd, ref, event, edge);
	if (err)
		return err;
	cookie = cookie && watch_remove(cookie) ? cookie : 0;
	err = finish(&addition, epfd);
	if (cookie)
		gone(&old);
	return err;
}

static int delete (int epfd, const struct fdref *ref)
{
	struct watch watch;
	int err = classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);

	if (!err)
		drop(watch_find(ref->object, setid_key(epfd), ref->fd, &watch), &watch);
	return err;
}

int maskwatch_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, bool edge)
{
	switch (op) {
	case EPOLL_CTL_ADD:
		return add(epfd, ref, event, edge);
	case EPOLL_CTL_MOD:
		return modify(epfd, ref, event, edge);
	default:
		return delete (epfd, ref);
	}
}

/* The level is stale, or up for other watchers' sake. A one-shot watch has been disarmed for that.
 */
static void nothing_to_report(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct fdref ref = ref_of(watch);
	bool again = watch->events & EPOLLONESHOT;

	if (watch_by_edges(cookie) || (is_edge_triggered(watch) && !again))
		return;
	if (!slot_shows(ref.object, CLASS_IN)) {
		mirror_refresh(&ref, CLASS_IN);
	} else {
		mirror_want(&ref, 0, true);
		watch_set_by_edges(cookie);
		again = true;
	}
	if (again)
		update(epfd, watch, cookie);
}

uint32_t maskwatch_events(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct slot *slot = slotpool_slot(watch->slot);
	bool oneshot = watch->events & EPOLLONESHOT;
	uint64_t state;
	uint32_t events;

	if (!slot || !slot_lives_as(slot, watch->generation))
		return 0;
	state = atomic_load(&slot->mask.state);
	events = mask_events(state) & interest_of(watch->events, slot);
	if (!events) {
		nothing_to_report(epfd, watch, cookie);
		return 0;
	}
	if (oneshot ? watch_fire(cookie)
		    : is_edge_triggered(watch) && watch_tell(cookie, mask_version(state)))
		return 0;
	if (watch_by_edges(cookie) && (oneshot || !is_edge_triggered(watch)))
		update(epfd, watch, cookie);
	return events;
}
