#include "core/epollset.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>

#include "core/asyncring.h"
#include "core/classwatch.h"
#include "core/demote.h"
#include "core/eager.h"
#include "core/exclusive.h"
#include "core/fastset.h"
#include "core/fastwait.h"
#include "core/fastwatch.h"
#include "core/level.h"
#include "core/maskwatch.h"
#include "core/mirror.h"
#include "core/nested.h"
#include "core/object.h"
#include "core/plainset.h"
#include "core/setid.h"
#include "core/signalset.h"
#include "core/signalwatch.h"
#include "core/stats.h"
#include "core/timers.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "core/watch.h"
#include "sys/probe.h"
#include "sys/raw.h"

/* What passes to the kernel of a watch besides its interest. */
#define FLAG_BITS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

/* How often a wait whose time is over looks again because all it got was to be dropped; and because
 * a watch is being demoted: yielding first, then in pauses. */
enum { LATE_LOOKS = 100, YIELDS = 1000, MOVED_LOOKS = 1300, PAUSE_NS = 100000 };

/* One epoll_ctl on its way. */
struct change {
	int epfd;
	int op;
	const struct fdref *ref;
	struct epoll_event event; /* as the program asked */
	unsigned class;
};

static int change_own_watch(const struct change *change)
{
	const struct fdref *ref = change->ref;
	/* bits that an eventfd never shows, but a FIFO does, are left out */
	uint32_t events = change->event.events & (FLAG_BITS | slot_possible(ref->object));
	int err = classwatch_control(
		change->epfd, change->op, ref->fd, events, change->event.data.u64);

	if (!err && change->op != EPOLL_CTL_ADD && atomic_load(&ref->object->watches))
		classwatch_drop(change->epfd, ref);
	return err;
}

static void edges_for(const struct fdref *ref)
{
	uint32_t watched = atomic_load(&ref->object->watched);

	atomic_fetch_or(&ref->object->watched, (watched & CLASSES_MASK) << WATCHED_EDGE);
	if (watched & WATCHED_OUT)
		mirror_watch_out_edges(ref);
}

/* Which objects are in the set is not known: all get edges. */
void epollset_nested(int outer, int inner, uint32_t events)
{
	eager_all();
	plainset_end(outer);
	demote_set_of(inner);
	if (!nested_note(setid_of(outer), setid_of(inner), events & EPOLLET))
		return;
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		struct fdref ref;
		int number = (int)fd;

		if (object_is(&number, &ref))
			edges_for(&ref);
	}
}

/* Whether every operation on the object must reach the watch as an edge: an exclusive one wakes one
 * more waiter each time. */
static bool edge_triggered(const struct change *change)
{
	return (change->event.events & (EPOLLET | EPOLLEXCLUSIVE)) ||
	       signalwatch_needs_edges(change->ref->object, change->event.events) ||
	       nested_needs_edges(fdtable_epoll_id(change->epfd));
}

/* The marks that the object bears once the watch is mirrored. */
static uint32_t wanted_marks(const struct change *change)
{
	bool edges = edge_triggered(change);
	uint32_t marks = 1u << change->class;

	if (edges)
		marks |= 1u << (change->class + WATCHED_EDGE);
	if (change->class == CLASS_IN && (change->event.events & EPOLLOUT))
		marks |= edges ? WATCHED_OUT | WATCHED_OUT_EDGE : WATCHED_OUT;
	return marks;
}

/* A level that rests is to be shown to whoever registers now. */
static bool mirrored(const struct change *change)
{
	const struct slot *slot = change->ref->object;
	uint32_t marks = wanted_marks(change);
	uint32_t watched = atomic_load(&slot->watched);

	if ((watched & WATCHED_COUNTED) && slot_shows(slot, CLASS_IN) &&
		!level_landed(slot, CLASS_IN))
		return false;
	return (watched & marks) == marks;
}

static int start_mirror(const struct change *change)
{
	atomic_fetch_or(&change->ref->object->watched, wanted_marks(change));
	return mirror_watch(change->ref, change->class, edge_triggered(change)) ? ENOMEM : 0;
}

/* The first watch of its kind: the kernel must not look before the FIFO shows the level, and a call
 * that fails must leave no trace. So it is asked with an empty interest first. */
static int start_watch(struct change *change)
{
	int err = classwatch_control(change->epfd, change->op, change->ref->fd, 0, 0);

	if (err)
		return err;
	err = start_mirror(change);
	if (change->op == EPOLL_CTL_ADD)
		classwatch_control(change->epfd, EPOLL_CTL_DEL, change->ref->fd, 0, 0);
	return err;
}

/* Who takes the first reference marks the object before he looks at its watches. */
static int make_plain_watch(const struct change *change)
{
	int err = change_own_watch(change);

	if (!err && slot_signalled(change->ref->object))
		signalwatch_change_in(change->epfd, change->ref);
	return err;
}

static int make_watch(const struct change *change)
{
	if (change->class > CLASS_IN)
		return classwatch_set(
			change->epfd, change->op, change->ref, &change->event, change->class);
	if (slot_signalled(change->ref->object))
		return signalwatch_set(change->epfd, change->op, change->ref, &change->event);
	return make_plain_watch(change);
}

static struct outcome outcome_of(int err)
{
	return err ? outcome_err(err) : outcome_ok(0);
}

static bool may_be_fast(const struct fdref *ref)
{
	return !slot_is_mask(ref->object) || slot_is_ring(ref->object);
}

/* What the kernel says, where it knows the flag. */
static int refuse_exclusive(const struct change *change)
{
	if (!probe_exclusive())
		return raw_fcntl(change->epfd, F_GETFD, 0) < 0 ? EBADF : EINVAL;
	return classwatch_control(change->epfd, change->op, change->ref->fd, change->event.events,
		change->event.data.u64);
}

struct outcome epollset_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event)
{
	struct change change = {.epfd = epfd, .op = op, .ref = ref};
	int err;

	plainset_end(epfd);
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return outcome_raw(raw_epoll_ctl(epfd, op, ref->fd, (void *)(uintptr_t)event));
	if (op == EPOLL_CTL_DEL && slot_is_signal(ref->object))
		return outcome_of(signalset_ctl(epfd, op, ref, NULL));
	if (op == EPOLL_CTL_DEL && may_be_fast(ref) && fastset_ctl(epfd, op, ref, NULL, &err))
		return outcome_of(err);
	if (op == EPOLL_CTL_DEL)
		return outcome_of(slot_is_mask(ref->object)
					  ? maskwatch_ctl(epfd, op, ref, NULL, false)
					  : change_own_watch(&change));
	if (!usermem_loadable(event, sizeof(*event)))
		return outcome_err(EFAULT);
	change.event = *event;
	timers_look();
	if (exclusive_forbids(op, event->events, false)) {
		err = refuse_exclusive(&change);
		return outcome_err(err ? err : EINVAL);
	}
	if (op == EPOLL_CTL_MOD && atomic_load(&exclusive_kept) && exclusive_is(epfd, ref->fd))
		return outcome_err(EINVAL);
	if (slot_is_signal(ref->object)) {
		err = signalset_ctl(epfd, op, ref, &change.event);
		if (!err)
			exclusive_done(epfd, op, ref->fd, change.event.events);
		return outcome_of(err);
	}
	if (slot_is_timer(ref->object)) /* the FIFO shows OUT, a timer never does */
		change.event.events &= FLAG_BITS | slot_possible(ref->object);
	if (may_be_fast(ref) && fastset_ctl(epfd, op, ref, &change.event, &err))
		return outcome_of(err);
	if (slot_is_mask(ref->object)) {
		demote_set_of(epfd);
		return outcome_of(maskwatch_ctl(
			epfd, op, ref, &change.event, nested_needs_edges(fdtable_epoll_id(epfd))));
	}
	change.class = classwatch_class(epfd, ref, change.event.events);
	err = mirrored(&change) ? 0 : start_watch(&change);
	if (err)
		return outcome_err(err);
	if (change.event.events & EPOLLEXCLUSIVE)
		exclusive_done(epfd, op, ref->fd, change.event.events);
	return outcome_of(make_watch(&change));
}

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
	struct fdref ref = {
		.fd = watch->fd,
		.object = slot,
		.slot = watch->slot,
		.generation = watch->generation,
	};
	uint32_t state = slot_state(slot) & (watch->events | EPOLLERR | EPOLLHUP);

	if (!state)
		mirror_refresh(&ref, class_of(watch, slot));
	return state;
}

static bool report_mask(int epfd, struct epoll_event *event, const struct watch *watch)
{
	event->events = maskwatch_events(epfd, watch, event->data.u64);
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

/* A bell rings for the first cookie there ever was before that one is made. */
static bool any_of_ours(void)
{
	return front_any_bell() || any_cookie();
}

long epollset_translate(struct epoll_call *call, struct epoll_event *events, long n)
{
	long kept = 0;
	bool cookies, idle;

	if (n <= 0 || !any_of_ours())
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

struct outcome epollset_wait_in_kernel(struct epoll_call *call)
{
	bool watched = any_of_ours() || fdtable_used();
	struct timeout timeout = timeout_start(watched ? call->timeout : NULL);

	call->rung = false;
	for (int late = 0;;) {
		struct outcome outcome = call->attempt(call);
		bool over;

		if (outcome.err || outcome.value <= 0 || !any_of_ours())
			return outcome;
		outcome.value = epollset_translate(call, call->events, outcome.value);
		if (outcome.value)
			return outcome;
		if (!watched) { /* the first cookie came while we slept */
			watched = true;
			timeout = timeout_start(call->timeout);
		}
		/* what was dropped may have kept others out: look again, even when the time is over
		 */
		over = timeout_over(&timeout, &call->left);
		if (over && ++late > LATE_LOOKS)
			return outcome;
		call->timeout = call->timeout ? &call->left : NULL;
		if (call->rung)
			return outcome;
	}
}

static struct outcome wait_at(struct front *front, struct epoll_call *call)
{
	struct outcome outcome;

	if (!front || atomic_load(&front->state) != FRONT_OPEN || !fastwait(front, call, &outcome))
		return epollset_wait_in_kernel(call);
	call->rung = false; /* that was heard */
	return outcome;
}

/* The time is over, but a watch that was being demoted may have been overlooked: one more look,
 * which does not last. */
static bool look_again(struct front *front, uint64_t moves, struct epoll_call *call, int *looks)
{
	if (!front || front_unmoved(front, moves) || ++*looks > MOVED_LOOKS)
		return false;
	if (*looks > YIELDS) /* whoever moves it has lost its processor */
		raw_syscall3(SYS_nanosleep, (long)&(struct timespec){.tv_nsec = PAUSE_NS}, 0, 0);
	else if (*looks > 1)
		sched_yield();
	call->left = (struct timespec){0, 0};
	call->timeout = &call->left;
	return true;
}

/* The time is over, and so is a timer's of which the library's thread could not tell in time. */
static bool fired_late(struct epoll_call *call)
{
	if (!timers_look())
		return false;
	call->left = (struct timespec){0, 0};
	call->timeout = &call->left;
	return true;
}

struct outcome epollset_wait(struct epoll_call *call)
{
	struct outcome outcome;
	struct front *front;
	uint64_t moves;
	int looks = 0;

	eager_waiting();
	timers_look();
	if (signalset_has(call->epfd))
		return signalset_wait(call);
	do {
		front = front_of_set(fdtable_epoll_id(call->epfd));
		moves = front ? atomic_load(&front->moves) : 0;
		outcome = wait_at(front, call);
	} while (!outcome.err && !outcome.value &&
		 (call->rung || look_again(front, moves, call, &looks) || fired_late(call)));
	return outcome;
}
