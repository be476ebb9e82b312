#include "core/epolltell.h"

#include <stdatomic.h>

#include "core/asyncring.h"
#include "core/classwatch.h"
#include "core/fastwatch.h"
#include "core/front.h"
#include "core/masktell.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/signalwatch.h"
#include "core/watch.h"

/* Of a watch that was fast: on a FIFO of its own. */
static bool is_resting(const struct watch *watch)
{
	return watch->own && watch->class_fd >= 0;
}

/* Of the FIFO that it is on. */
static unsigned class_of(const struct watch *watch, const struct slot *slot)
{
	if (is_resting(watch))
		return CLASS_RESTING;
	return watch->own ? CLASS_IN : slot_class(slot, watch->events);
}

/* Refreshes the level that woke us, so that a stale one does not wake us again. */
static uint32_t current_events(const struct watch *watch, struct slot *slot)
{
	struct fdref ref = watch_ref(watch);
	uint32_t state = slot_state(slot) & (watch->events | EPOLLERR | EPOLLHUP);

	if (!state)
		mirror_refresh(&ref, class_of(watch, slot));
	return state;
}

static bool report_mask(int epfd, struct epoll_event *event, const struct watch *watch)
{
	event->events = masktell_events(epfd, watch, event->data.u64);
	event->data.u64 = watch->data;
	return event->events != 0;
}

static bool report_signalled(int epfd, struct epoll_event *event, const struct watch *watch)
{
	event->events = signalwatch_events(epfd, watch, event->data.u64);
	event->data.u64 = watch->data;
	return event->events != 0;
}

/* Of a watch that was fast: the kernel does not know that it is one-shot, as it may have to tell of
 * an edge that was told. */
static bool tell_own(int epfd, uint64_t cookie, const struct watch *watch, uint32_t edges)
{
	if (!(watch->events & EPOLLET))
		return !(watch->events & EPOLLONESHOT) || !watch_fire(cookie);
	if (!watch_tell_edge(cookie, watch, edges))
		return false;
	if (watch->events & EPOLLONESHOT)
		classwatch_control(epfd, EPOLL_CTL_MOD,
			is_resting(watch) ? watch->class_fd : watch->fd, 0, cookie);
	return true;
}

/* Of a level-triggered watch that is not fast any more the kernel has no cookie, or not for long:
 * it is for whoever moves the watch to have it told, as it may be one-shot. */
static bool is_to_be_told(uint64_t cookie, const struct watch *watch)
{
	enum fastwatch_part part = fastwatch_told_by_kernel(watch->slot, cookie);

	return part == FASTWATCH_ANCHORS ||
	       (part == FASTWATCH_NOBODYS && (watch->events & EPOLLET));
}

/* What the program gets for an event of the kernel's; false where there is nothing to report after
 * all. `idle`: then the call sleeps. */
static bool translate(int epfd, struct epoll_event *event, bool idle)
{
	struct watch watch;
	struct slot *slot;
	uint32_t edges;

	switch (watch_of(event->data.u64, &watch)) {
	case WATCH_NONE:
		return true;
	case WATCH_DEAD:
		return false;
	default:
		break;
	}
	slot = slotpool_slot(watch.slot);
	/* an own FIFO is in the set as long as it is open */
	if (!slot || ((!watch.own || is_resting(&watch)) &&
			     !object_still_open(watch.slot, watch.generation))) {
		classwatch_end(epfd, &watch, event->data.u64);
		return false;
	}
	if (idle)
		asyncring_linger(slot);
	if (slot_is_mask(slot) && !watch.anchor)
		return report_mask(epfd, event, &watch);
	if (watch.signalled)
		return report_signalled(epfd, event, &watch);
	if (watch.own && !is_to_be_told(event->data.u64, &watch))
		return false;
	edges = atomic_load(&slot->edges);
	event->events = current_events(&watch, slot);
	if (!event->events) {
		if (!watch.own && (watch.events & EPOLLONESHOT)) /* disarmed for nothing */
			classwatch_rearm(epfd, &watch, event->data.u64);
		return false;
	}
	if (watch.own && !tell_own(epfd, event->data.u64, &watch, edges))
		return false;
	if (!watch.own && (watch.events & EPOLLONESHOT))
		watch_fire(event->data.u64);
	event->data.u64 = watch.data;
	return true;
}

/* Whether an event may be a cookie. A relative's may be in a set that was shared before this
 * process had any eventfd. */
static bool any_cookie(void)
{
	return watch_any() || (setid_any_cookie() && !object_prepare() && watch_any());
}

bool epolltell_any(void)
{
	return front_any_bell() || any_cookie();
}

long epolltell_translate(struct epoll_call *call, struct epoll_event *events, long n)
{
	long kept = 0;
	bool cookies, idle;

	if (n <= 0 || !epolltell_any())
		return n;
	cookies = any_cookie();
	idle = n == 1 && !(call->timeout && !call->timeout->tv_sec && !call->timeout->tv_nsec);
	for (long i = 0; i < n; i++) {
		struct epoll_event event = events[i];

		if (front_is_bell(event.data.u64))
			call->rung = true;
		else if (!cookies || translate(call->epfd, &event, idle))
			events[kept++] = event;
	}
	return kept;
}
