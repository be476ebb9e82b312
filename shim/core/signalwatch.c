#include "core/signalwatch.h"

#include <errno.h>

#include "core/classwatch.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/setinfo.h"

#define INTEREST ((uint32_t)(EPOLLIN | EPOLLOUT))
#define ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define FLAG_BITS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

/* An overflow is an edge of IN, too. To ask for its level would be to wake whenever there is
 * something to read. */
static uint32_t kernel_events(uint32_t events)
{
	if (events & INTEREST)
		return events & (INTEREST | FLAG_BITS);
	return EPOLLIN | EPOLLET | (events & (EPOLLEXCLUSIVE | EPOLLWAKEUP));
}

bool signalwatch_needs_edges(const struct slot *slot, uint32_t events)
{
	return slot_signalled(slot) && !(events & INTEREST);
}

static void drop_old(int epfd, uint64_t cookie, const struct watch *watch)
{
	if (watch->class_fd >= 0)
		classwatch_leave(epfd, cookie, watch);
	else
		watch_remove(cookie);
}

int signalwatch_set(int epfd, int op, const struct fdref *ref, const struct epoll_event *event)
{
	const struct watch watch = {
		.set = setid_key(epfd),
		.data = event->data.u64,
		.slot = ref->slot,
		.generation = ref->generation,
		.events = event->events,
		.fd = ref->fd,
		.own = true,
		.signalled = true,
		.class_fd = -1,
	};
	struct watch old;
	uint64_t before = watch_find(ref->object, watch.set, ref->fd, &old), cookie;
	int err;

	setid_note_cookie();
	if (watch_add(ref->object, &watch, &cookie))
		return ENOMEM;
	if (!(event->events & INTEREST))
		mirror_watch(ref, CLASS_IN, true);
	err = classwatch_control(epfd, op, ref->fd, kernel_events(event->events), cookie);
	if (err)
		watch_remove(cookie);
	else if (before && op == EPOLL_CTL_MOD)
		drop_old(epfd, before, &old);
	return err;
}

/* Where the number is another file's by now the kernel cannot be told anything of the watch. */
static void tell_kernel(int epfd, const struct watch *watch, uint64_t cookie, uint32_t events)
{
	struct fdref ref;
	int fd = watch->fd;

	if (!object_is(&fd, &ref) || ref.slot != watch->slot || ref.generation != watch->generation)
		return;
	if (events & EPOLLEXCLUSIVE) { /* cannot be modified */
		classwatch_control(epfd, EPOLL_CTL_DEL, fd, 0, 0);
		classwatch_control(epfd, EPOLL_CTL_ADD, fd, events, cookie);
	} else {
		classwatch_control(epfd, EPOLL_CTL_MOD, fd, events, cookie);
	}
}

/* The kernel tells again of what is modified, if it is ready. Where another thread has modified the
 * watch meanwhile, what the kernel has may be this call's: its own is put there again. */
static void rearm(int epfd, const struct watch *watch, uint64_t cookie)
{
	struct watch now;

	tell_kernel(epfd, watch, cookie, kernel_events(watch->events));
	if (watch_of(cookie, &now) == WATCH_LIVE)
		return;
	cookie = watch_find(slotpool_slot(watch->slot), watch->set, watch->fd, &now);
	if (cookie && now.signalled)
		tell_kernel(epfd, &now, cookie, kernel_events(now.events));
}

static void refresh(const struct watch *watch, struct slot *slot)
{
	const struct fdref ref = {
		.fd = watch->fd,
		.object = slot,
		.slot = watch->slot,
		.generation = watch->generation,
	};

	mirror_refresh(&ref, CLASS_IN);
}

uint32_t signalwatch_events(int epfd, const struct watch *watch, uint64_t cookie)
{
	struct slot *slot = slotpool_slot(watch->slot);
	uint32_t state = slot_state(slot) & (watch->events | ALWAYS);
	bool by_level = watch->events & INTEREST;
	bool oneshot = watch->events & EPOLLONESHOT;

	if (!state) {
		refresh(watch, slot);
		if (by_level && oneshot) /* disarmed for nothing */
			rearm(epfd, watch, cookie);
		return 0;
	}
	if (oneshot && watch_fire(cookie))
		return 0;
	if (!by_level && oneshot)
		tell_kernel(epfd, watch, cookie, 0);
	else if (!by_level && !(watch->events & EPOLLET))
		rearm(epfd, watch, cookie);
	return state;
}

/* Not one under a cookie, nor what else is in the set by which the kernel knows such a one. A
 * one-shot watch that has fired has not even the two that are always asked for. */
static bool is_plain(int epfd, const struct fdref *ref, const struct epoll_event *event)
{
	struct watch watch;

	return (event->events & ALWAYS) && watch_of(event->data.u64, &watch) == WATCH_NONE &&
	       !watch_find(ref->object, setid_key(epfd), ref->fd, &watch);
}

static void change(int epfd, const struct fdref *ref, const struct epoll_event *event)
{
	unsigned class = classwatch_class(epfd, ref, event->events);
	int op = EPOLL_CTL_MOD;

	if (event->events & EPOLLEXCLUSIVE) {
		classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
		op = EPOLL_CTL_ADD;
	}
	mirror_watch(ref, class, event->events & (EPOLLET | EPOLLEXCLUSIVE));
	if (class > CLASS_IN)
		classwatch_set(epfd, op, ref, event, class);
	else
		signalwatch_set(epfd, op, ref, event);
}

void signalwatch_change_in(int epfd, const struct fdref *ref)
{
	uint64_t inode = atomic_load(&ref->object->inode);

	for (uint32_t i = 0; i < fdtable_top(); i++) {
		struct epoll_event event;
		struct fdref number;
		int fd = (int)i;

		if (object_is(&fd, &number) && number.slot == ref->slot &&
			setinfo_find(epfd, fd, inode, &event) && is_plain(epfd, &number, &event))
			change(epfd, &number, &event);
	}
}

void signalwatch_begin(const struct fdref *ref)
{
	struct slot *slot = ref->object;

	if (atomic_fetch_or(&slot->flags, SLOT_SIGNALLED) & SLOT_SIGNALLED)
		return;
	if (!(atomic_load(&slot->watched) & (CLASSES_MASK | 1u << CLASS_NONE | WATCHED_FAST)))
		return;
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (fdtable_kind((int)fd) == FD_SET)
			signalwatch_change_in((int)fd, ref);
	}
}
