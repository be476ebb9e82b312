#include "core/maskwatch.h"

#include <errno.h>
#include <stddef.h>

#include "core/classfd.h"
#include "core/classwatch.h"
#include "core/eager.h"
#include "core/masktell.h"
#include "core/mirror.h"
#include "core/process.h"
#include "core/setid.h"
#include "core/setinfo.h"

/* Of the others that this process was forked with, each has sets of its own. */
static bool of_closed_set(const struct watch *watch)
{
	return watch->maker == process_mark() && setid_closed(watch->set);
}

static void gone(const struct watch *watch)
{
	const struct fdref ref = watch_ref(watch);

	if (watch->own)
		mirror_unwant(&ref, masktell_interest(watch->events, ref.object));
}

static void drop(int epfd, uint64_t cookie, const struct watch *watch)
{
	if (!cookie)
		return;
	if (!watch->own)
		classwatch_leave(epfd, cookie, watch);
	else if (watch_remove(cookie))
		gone(watch);
}

/* One epoll_ctl on its way. */
struct change {
	int epfd;
	const struct fdref *ref;
	const struct epoll_event *event;
	uint32_t interest;
	bool edge; /* every write that shows something wanted is to reach the watch */
	struct watch watch;
	uint64_t cookie;
};

static void tidy(const struct change *change)
{
	if (watch_crowded(change->ref->object))
		watch_remove_all(change->ref->object, of_closed_set, gone);
	if (eager_set(change->epfd))
		mirror_eagerly(change->ref);
}

/* A watch on the own FIFO: mirrors what it asks for and makes its record; 0 or ENOMEM. */
static int begin(struct change *change)
{
	const struct fdref *ref = change->ref;

	change->watch = (struct watch){
		.set = setid_key(change->epfd),
		.data = change->event->data.u64,
		.slot = ref->slot,
		.generation = ref->generation,
		.events = change->event->events,
		.fd = ref->fd,
		.own = true,
		.class_fd = -1,
	};
	tidy(change);
	setid_note_cookie();
	if (mirror_want(
		    ref, change->interest, change->edge || (change->event->events & EPOLLONESHOT)))
		return ENOMEM;
	if (watch_add(ref->object, &change->watch, &change->cookie)) {
		mirror_unwant(ref, change->interest);
		return ENOMEM;
	}
	/* the kernel may not spend the one event on nothing */
	if (change->event->events & EPOLLONESHOT)
		watch_set_by_edges(change->cookie);
	return 0;
}

/* It has told its one event. */
static void disarm(uint64_t cookie)
{
	watch_fire(cookie);
	watch_set_by_edges(cookie);
}

/* The number is in the set already. */
static int finish(const struct change *change)
{
	int err = classwatch_control(change->epfd, EPOLL_CTL_MOD, change->ref->fd,
		masktell_asks(&change->watch, change->cookie), change->cookie);

	if (err)
		drop(change->epfd, change->cookie, &change->watch);
	return err;
}

/* Whether the own FIFO's level may be up where this watch has nothing to report: for others, or as
 * it has told its one event. `old` is what the watch has been, or NULL. */
static bool own_is_inexact(const struct change *change, const struct watch *old)
{
	const struct slot *slot = change->ref->object;
	const uint32_t always = EPOLLERR | EPOLLHUP;
	uint64_t counts = atomic_load(&slot->watchers);
	uint32_t others;

	if (old && old->own)
		counts -= want_one(old->events);
	others = (atomic_load(&slot->wanted) | want_bits(counts)) & ~always;
	return change->interest == always || (change->event->events & EPOLLONESHOT) ||
	       (others && others != (change->interest & ~always));
}

/* {IN} is the own FIFO, for want of a better one. */
static unsigned class_of(const struct change *change, const struct watch *old)
{
	const struct fdref *ref = change->ref;
	unsigned class = slot_class(ref->object, change->event->events);

	if (!own_is_inexact(change, old) || classwatch_must_share(change->epfd, ref) ||
		classfd_get(ref->slot, ref->generation, class) < 0)
		return CLASS_IN;
	return class;
}

/* Puts the number in the set anew with an empty interest. With EPOLLEXCLUSIVE it is the kernel that
 * refuses to modify it, whoever asks. */
static void anchor(const struct change *change, uint32_t flags)
{
	classwatch_control(change->epfd, EPOLL_CTL_DEL, change->ref->fd, 0, 0);
	classwatch_control(change->epfd, EPOLL_CTL_ADD, change->ref->fd, flags, 0);
}

/* The own FIFO is in the set with an empty interest: adds the watch proper, on a class's FIFO where
 * that is possible. */
static int join(struct change *change, unsigned class)
{
	int err = 0;

	if (class != CLASS_IN) {
		tidy(change);
		if (change->event->events & EPOLLEXCLUSIVE)
			anchor(change, EPOLLEXCLUSIVE);
		if (!mirror_watch(change->ref, class, change->edge) &&
			!classwatch_join(change->epfd, change->ref, change->event, class))
			return 0;
		anchor(change, 0);
	}
	err = begin(change);
	return err ? err : finish(change);
}

/* By what the kernel has for the number. */
static uint64_t find_in_kernel(const struct change *change, struct watch *watch)
{
	const struct fdref *ref = change->ref;
	uint64_t inode = atomic_load(&ref->object->inode);
	struct epoll_event event;

	if (setinfo_find(change->epfd, ref->fd, inode, &event) &&
		watch_of(event.data.u64, watch) == WATCH_LIVE && watch->slot == ref->slot &&
		!watch->anchor)
		return event.data.u64;
	return 0;
}

/* What stands for a fast watch is none. */
static bool is_proper(const struct watch *watch, int epfd)
{
	return !watch->anchor && watch->set == setid_key(epfd);
}

static uint64_t find_proper(const struct change *change, struct watch *watch)
{
	const struct fdref *ref = change->ref;
	uint64_t cookie = watch_find_where(ref->object, ref->fd, is_proper, change->epfd);

	return cookie && watch_of(cookie, watch) == WATCH_LIVE ? cookie : 0;
}

/* The watch that the number has in the set; its cookie, or 0. To others a set has another key. */
static uint64_t find(const struct change *change, struct watch *watch)
{
	bool strange = setid_strange(change->epfd);
	uint64_t cookie = strange ? find_in_kernel(change, watch) : 0;

	if (!cookie)
		cookie = find_proper(change, watch);
	if (!cookie && !strange && setid_shared(change->epfd))
		cookie = find_in_kernel(change, watch);
	return cookie;
}

/* A call that fails leaves no trace. */
static int add(struct change *change)
{
	int err = classwatch_control(change->epfd, EPOLL_CTL_ADD, change->ref->fd, 0, 0);
	struct watch old;

	if (err)
		return err;
	drop(change->epfd, find(change, &old), &old); /* one that the kernel has dropped */
	err = join(change, class_of(change, NULL));
	if (err)
		classwatch_control(change->epfd, EPOLL_CTL_DEL, change->ref->fd, 0, 0);
	return err;
}

/* The old record dies before the kernel has the new one: whoever is about to register the old one
 * again finds it dead, and the kernel, which looks at the level then, finds it right. */
static int modify_own(struct change *change, uint64_t cookie, const struct watch *old)
{
	int err = begin(change);

	if (err)
		return err;
	drop(change->epfd, cookie, old);
	return finish(change);
}

static int modify(struct change *change)
{
	struct watch old;
	uint64_t cookie;
	unsigned class;
	int err = 0;

	if (fdtable_kind(change->epfd) != FD_SET) /* it may be no set at all */
		err = classwatch_control(change->epfd, EPOLL_CTL_MOD, change->ref->fd, 0, 0);
	if (err)
		return err;
	cookie = find(change, &old);
	if (cookie && (old.events & EPOLLEXCLUSIVE))
		return EINVAL;
	class = class_of(change, cookie ? &old : NULL);
	if (class == CLASS_IN)
		return modify_own(change, cookie, &old);
	err = classwatch_control(change->epfd, EPOLL_CTL_MOD, change->ref->fd, 0, 0);
	if (err)
		return err;
	if (cookie && !old.own && class == slot_class(change->ref->object, old.events) &&
		!mirror_watch(change->ref, class, change->edge) &&
		!classwatch_change(change->epfd, change->ref, change->event, &old, cookie))
		return 0;
	drop(change->epfd, cookie, &old);
	return join(change, class);
}

static int remove_watch(struct change *change)
{
	struct watch watch;
	/* of a set that came from elsewhere the kernel tells, as long as it has the watch */
	bool strange = setid_strange(change->epfd);
	uint64_t cookie = strange ? find(change, &watch) : 0;
	int err = classwatch_control(change->epfd, EPOLL_CTL_DEL, change->ref->fd, 0, 0);

	if (err)
		return err;
	drop(change->epfd, strange ? cookie : find(change, &watch), &watch);
	return 0;
}

int maskwatch_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event, bool edge)
{
	struct change change = {.epfd = epfd, .ref = ref, .event = event};

	if (op == EPOLL_CTL_DEL)
		return remove_watch(&change);
	change.interest = masktell_interest(event->events, ref->object);
	change.edge = edge || (event->events & (EPOLLET | EPOLLEXCLUSIVE));
	return op == EPOLL_CTL_ADD ? add(&change) : modify(&change);
}

int maskwatch_take_over(int epfd, const struct fdref *ref, const struct epoll_event *event,
	const struct maskwatch_past *past)
{
	struct change change = {.epfd = epfd, .ref = ref, .event = event};
	struct watch old;
	uint64_t before = find(&change, &old);
	int err;

	change.interest = masktell_interest(event->events, ref->object);
	change.edge = event->events & EPOLLET;
	err = begin(&change);
	if (err)
		return err;
	drop(epfd, before, &old);
	if (past->fired)
		disarm(change.cookie);
	else if (past->told)
		watch_tell(change.cookie, past->version);
	return finish(&change);
}

void maskwatch_share(int epfd, const struct fdref *ref, const struct watch *watch, uint64_t cookie)
{
	struct epoll_event event = {.events = watch->events, .data.u64 = watch->data};
	struct change change = {.epfd = epfd, .ref = ref, .event = &event, .edge = true};
	bool fired = watch_fired(cookie);

	change.interest = masktell_interest(event.events, ref->object);
	if (watch->own || begin(&change))
		return;
	drop(epfd, cookie, watch);
	if (watch->events & EPOLLEXCLUSIVE)
		anchor(&change, 0);
	if (fired)
		disarm(change.cookie);
	finish(&change);
}
