#include "core/classwatch.h"

#include <errno.h>
#include <fcntl.h>

#include "core/classfd.h"
#include "core/eager.h"
#include "core/local.h"
#include "core/maskwatch.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/stats.h"
#include "sys/raw.h"

/* What passes to the kernel of a watch besides its interest. */
#define FLAG_BITS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

int classwatch_control(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	stats_syscall();
	return -raw_epoll_ctl(epfd, op, fd, &event);
}

bool classwatch_others_have(const struct fdref *ref)
{
	return local_of(ref->slot)->forks != setid_forks();
}

bool classwatch_must_share(int epfd, const struct fdref *ref)
{
	return setid_shared(epfd) || classwatch_others_have(ref);
}

unsigned classwatch_class(int epfd, const struct fdref *ref, uint32_t events)
{
	unsigned class = slot_class(ref->object, events);

	if (class > CLASS_IN && (classwatch_must_share(epfd, ref) ||
					classfd_get(ref->slot, ref->generation, class) < 0))
		return CLASS_IN;
	return class;
}

void classwatch_leave(int epfd, uint64_t cookie, const struct watch *watch)
{
	classwatch_control(epfd, EPOLL_CTL_DEL, watch->class_fd, 0, 0);
	watch_remove(cookie);
}

/* Only the kernel knows what is in a set that came from another image. */
static bool dropped(const struct watch *watch, int epfd)
{
	return !classwatch_control(epfd, EPOLL_CTL_DEL, watch->class_fd, 0, 0);
}

void classwatch_drop(int epfd, const struct fdref *ref)
{
	struct watch watch;
	uint64_t cookie = watch_find(ref->object, setid_key(epfd), ref->fd, &watch);

	if (cookie) {
		classwatch_leave(epfd, cookie, &watch);
		return;
	}
	if (!setid_strange(epfd))
		return;
	cookie = watch_find_where(ref->object, ref->fd, dropped, epfd);
	if (cookie)
		watch_remove(cookie);
}

/* Where another thread has modified the watch meanwhile, what the kernel has may be this call's:
 * the new watch is put in its place. */
void classwatch_rearm(int epfd, const struct watch *watch, uint64_t cookie)
{
	struct watch now;

	classwatch_control(epfd, EPOLL_CTL_MOD, watch->class_fd,
		(watch->events & FLAG_BITS) | EPOLLIN, cookie);
	if (watch_of(cookie, &now) == WATCH_LIVE)
		return;
	cookie = watch_find(slotpool_slot(watch->slot), watch->set, watch->fd, &now);
	if (cookie && now.class_fd == watch->class_fd)
		classwatch_control(epfd, EPOLL_CTL_MOD, now.class_fd,
			(now.events & FLAG_BITS) | EPOLLIN, cookie);
}

void classwatch_end(int epfd, const struct watch *watch, uint64_t cookie)
{
	if (watch->class_fd >= 0 && classfd_is(watch->slot, watch->generation, watch->class_fd))
		classwatch_control(epfd, EPOLL_CTL_DEL, watch->class_fd, 0, 0);
	watch_remove(cookie);
	classfd_forget(watch->slot, watch->generation);
	slotpool_reclaim(watch->slot);
}

/* Registers the class FIFO under the cookie; a number that the set already has for another watch is
 * doubled. */
static int register_class(int epfd, const struct fdref *ref, unsigned class, struct watch *watch)
{
	uint32_t events = (watch->events & FLAG_BITS) | EPOLLIN;
	uint64_t cookie;
	int err;

	watch->class_fd = classfd_get(ref->slot, ref->generation, class);
	for (int tries = 0; tries < 2; tries++) {
		if (watch->class_fd < 0)
			return ENOMEM;
		err = watch_add(ref->object, watch, &cookie);
		if (err)
			return ENOMEM;
		err = classwatch_control(epfd, EPOLL_CTL_ADD, watch->class_fd, events, cookie);
		if (err != EEXIST)
			break;
		watch_remove(cookie);
		watch->class_fd = classfd_extra(ref->slot, ref->generation, class);
	}
	if (err)
		watch_remove(cookie);
	return err;
}

int classwatch_join(
	int epfd, const struct fdref *ref, const struct epoll_event *event, unsigned class)
{
	struct watch watch = {
		.set = setid_key(epfd),
		.data = event->data.u64,
		.slot = ref->slot,
		.generation = ref->generation,
		.events = event->events,
		.fd = ref->fd,
	};

	return register_class(epfd, ref, class, &watch);
}

/* The kernel keeps what it has on its list of ready ones: nobody is told anew. */
int classwatch_change(int epfd, const struct fdref *ref, const struct epoll_event *event,
	const struct watch *old, uint64_t cookie)
{
	struct watch watch = *old;
	uint64_t fresh;
	int err;

	watch.events = event->events;
	watch.data = event->data.u64;
	if (old->class_fd < 0 || watch_add(ref->object, &watch, &fresh))
		return ENOMEM;
	watch_remove(cookie);
	err = classwatch_control(
		epfd, EPOLL_CTL_MOD, watch.class_fd, (watch.events & FLAG_BITS) | EPOLLIN, fresh);
	if (err)
		watch_remove(fresh);
	return err;
}

static uint32_t kernel_events(const struct fdref *ref, uint32_t events)
{
	return events & (FLAG_BITS | slot_possible(ref->object));
}

/* The object's own FIFO stays in the set with an empty interest: by it the kernel knows the watch,
 * refuses doubles, and drops it with the last fd. */
int classwatch_set(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, unsigned class)
{
	uint32_t anchor = event->events & EPOLLEXCLUSIVE;
	int err = classwatch_control(epfd, op, ref->fd, anchor, 0);

	if (err)
		return err;
	classwatch_drop(epfd, ref);
	if (!classwatch_join(epfd, ref, event, class))
		return 0;
	/* no fd or no record is left: the own FIFO serves, all but exactly */
	mirror_watch_out_edges(ref);
	classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
	return classwatch_control(
		epfd, EPOLL_CTL_ADD, ref->fd, kernel_events(ref, event->events), event->data.u64);
}

/* The own FIFO takes over, with the edges it can show. */
static void demote(int epfd, const struct fdref *ref, const struct watch *watch, uint64_t cookie)
{
	uint32_t events = watch_fired(cookie) ? 0 : kernel_events(ref, watch->events);

	mirror_watch_out_edges(ref);
	if (watch->events & EPOLLEXCLUSIVE) { /* cannot be modified */
		classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
		classwatch_control(epfd, EPOLL_CTL_ADD, ref->fd, events, watch->data);
	} else {
		classwatch_control(epfd, EPOLL_CTL_MOD, ref->fd, events, watch->data);
	}
	classwatch_leave(epfd, cookie, watch);
}

void classwatch_share(int epfd)
{
	uint64_t set = setid_key(epfd);

	setid_share(epfd);
	eager_all();
	for (uint32_t i = 0; i < fdtable_top() && watch_any(); i++) {
		struct watch watch;
		struct fdref ref;
		int fd = (int)i;
		uint64_t cookie;

		if (!object_is(&fd, &ref) || !atomic_load(&ref.object->watches))
			continue;
		cookie = watch_find(ref.object, set, fd, &watch);
		if (cookie && slot_is_mask(ref.object))
			maskwatch_share(epfd, &ref, &watch, cookie);
		else if (cookie && (!watch.own || watch.signalled))
			demote(epfd, &ref, &watch, cookie);
	}
}

/* Of a set that came from the image before, every watch may be one. */
static bool kept(const struct watch *watch, int epfd)
{
	if (watch->class_fd >= 0 && (setid_strange(epfd) || watch->set == setid_key(epfd)))
		raw_fcntl(watch->class_fd, F_SETFD, 0);
	return false;
}

void classwatch_keep(int epfd)
{
	setid_passing();
	for (uint32_t i = 0; i < fdtable_top() && watch_any(); i++) {
		struct fdref ref;
		int fd = (int)i;

		if (object_is(&fd, &ref) && atomic_load(&ref.object->watches))
			watch_find_where(ref.object, fd, kept, epfd);
	}
}
