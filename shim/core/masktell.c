#include "core/masktell.h"

#include <stddef.h>

#include "core/classfd.h"
#include "core/classwatch.h"
#include "core/mirror.h"
#include "core/object.h"

uint32_t masktell_interest(uint32_t events, const struct slot *slot)
{
	return (events & slot_possible(slot)) | EPOLLERR | EPOLLHUP;
}

static bool is_edge_triggered(const struct watch *watch)
{
	return watch->events & EPOLLET;
}

uint32_t masktell_asks(const struct watch *watch, uint64_t cookie)
{
	uint32_t flags = watch->events & EPOLLWAKEUP;

	if (!watch->own)
		return 0;
	if (!watch_by_edges(cookie))
		return EPOLLIN | flags | (watch->events & EPOLLET);
	if ((watch->events & EPOLLONESHOT) && watch_fired(cookie))
		return flags;
	return EPOLLIN | EPOLLET | flags;
}

/* Registers the watch anew, as it is to be now, where the number it was made under is still the
 * object's here. Where another thread has modified it meanwhile, what the kernel has may be this
 * call's: the new watch is put in its place. False where the number is not the object's. */
static bool update(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct fdref ref = watch_ref(watch);
	struct watch now;

	if (!fdtable_pin(&ref))
		return false;
	classwatch_control(epfd, EPOLL_CTL_MOD, watch->fd, masktell_asks(watch, cookie), cookie);
	if (watch_of(cookie, &now) != WATCH_LIVE) {
		cookie = watch_find(slotpool_slot(watch->slot), watch->set, watch->fd, &now);
		if (cookie)
			classwatch_control(
				epfd, EPOLL_CTL_MOD, now.fd, masktell_asks(&now, cookie), cookie);
	}
	object_unpin(&ref);
	return true;
}

/* The kernel is to tell of the level again, to whoever waits next. Here the number may be closed:
 * then another edge does it, and watches of edges that have told of the last write leave it out. */
static void repeat_level(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct fdref ref = watch_ref(watch);

	if (!update(epfd, watch, cookie))
		mirror_raise(&ref, CLASS_IN);
}

/* The level is stale, or up for other watchers' sake. */
static void nothing_to_report(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct fdref ref = watch_ref(watch);

	if (watch_by_edges(cookie) || is_edge_triggered(watch))
		return;
	if (!slot_shows(ref.object, CLASS_IN)) {
		mirror_refresh(&ref, CLASS_IN);
		return;
	}
	mirror_want(&ref, 0, true);
	watch_set_by_edges(cookie);
	update(epfd, watch, cookie);
}

static void nothing_in_class(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct fdref ref = watch_ref(watch);

	mirror_refresh(&ref, slot_class(ref.object, watch->events));
	if (watch->events & EPOLLONESHOT)
		classwatch_rearm(epfd, watch, cookie);
}

uint32_t masktell_events(int epfd, const struct watch *watch, uint64_t cookie)
{
	const struct slot *slot = slotpool_slot(watch->slot);
	bool oneshot = watch->events & EPOLLONESHOT;
	uint64_t state;
	uint32_t events;

	if (!slot || !slot_lives_as(slot, watch->generation))
		return 0;
	/* before what it shows, as a ring keeps that elsewhere */
	state = atomic_load(&slot->mask.state);
	events = (slot_is_ring(slot) ? slot_state(slot) : mask_events(state)) &
		 masktell_interest(watch->events, slot);
	if (!events && watch->own)
		nothing_to_report(epfd, watch, cookie);
	else if (!events)
		nothing_in_class(epfd, watch, cookie);
	if (!events)
		return 0;
	if (oneshot ? watch_fire(cookie)
		    : is_edge_triggered(watch) && watch_tell(cookie, mask_version(state)))
		return 0;
	if (watch->own && oneshot)
		update(epfd, watch, cookie);
	else if (watch->own && watch_by_edges(cookie) && !is_edge_triggered(watch))
		repeat_level(epfd, watch, cookie);
	return events;
}
