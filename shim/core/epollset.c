#include "core/epollset.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>

#include "core/classwatch.h"
#include "core/demote.h"
#include "core/eager.h"
#include "core/epolltell.h"
#include "core/exclusive.h"
#include "core/fastset.h"
#include "core/fastwait.h"
#include "core/level.h"
#include "core/maskwatch.h"
#include "core/mirror.h"
#include "core/nested.h"
#include "core/object.h"
#include "core/plainset.h"
#include "core/setid.h"
#include "core/signalset.h"
#include "core/signalwatch.h"
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

static int remove_watch(const struct change *change)
{
	const struct fdref *ref = change->ref;
	int err;

	if (slot_is_signal(ref->object))
		return signalset_ctl(change->epfd, change->op, ref, NULL);
	if (may_be_fast(ref) && fastset_ctl(change->epfd, change->op, ref, NULL, &err))
		return err;
	return slot_is_mask(ref->object) ? maskwatch_ctl(change->epfd, change->op, ref, NULL, false)
					 : change_own_watch(change);
}

/* Where the kernel ignores EPOLLEXCLUSIVE, its rules are kept here. */
static int check_exclusive(const struct change *change)
{
	int err;

	if (exclusive_forbids(change->op, change->event.events, false)) {
		err = refuse_exclusive(change);
		return err ? err : EINVAL;
	}
	if (change->op == EPOLL_CTL_MOD && atomic_load(&exclusive_kept) &&
		exclusive_is(change->epfd, change->ref->fd))
		return EINVAL;
	return 0;
}

static int put_mask(const struct change *change)
{
	demote_set_of(change->epfd);
	return maskwatch_ctl(change->epfd, change->op, change->ref, &change->event,
		nested_needs_edges(fdtable_epoll_id(change->epfd)));
}

static int put_in_kernel(struct change *change)
{
	int err;

	change->class = classwatch_class(change->epfd, change->ref, change->event.events);
	err = mirrored(change) ? 0 : start_watch(change);
	if (err)
		return err;
	if (change->event.events & EPOLLEXCLUSIVE)
		exclusive_done(change->epfd, change->op, change->ref->fd, change->event.events);
	return make_watch(change);
}

/* Adds or modifies it. */
static int put_watch(struct change *change)
{
	const struct fdref *ref = change->ref;
	int err = check_exclusive(change);

	if (err)
		return err;
	if (slot_is_signal(ref->object)) {
		err = signalset_ctl(change->epfd, change->op, ref, &change->event);
		if (!err)
			exclusive_done(change->epfd, change->op, ref->fd, change->event.events);
		return err;
	}
	if (slot_is_timer(ref->object)) /* the FIFO shows OUT, a timer never does */
		change->event.events &= FLAG_BITS | slot_possible(ref->object);
	if (may_be_fast(ref) && fastset_ctl(change->epfd, change->op, ref, &change->event, &err))
		return err;
	return slot_is_mask(ref->object) ? put_mask(change) : put_in_kernel(change);
}

struct outcome epollset_ctl(
	int epfd, int op, const struct fdref *ref, const struct epoll_event *event)
{
	struct change change = {.epfd = epfd, .op = op, .ref = ref};

	plainset_end(epfd);
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return outcome_raw(raw_epoll_ctl(epfd, op, ref->fd, (void *)(uintptr_t)event));
	if (op == EPOLL_CTL_DEL)
		return outcome_of(remove_watch(&change));
	if (!usermem_loadable(event, sizeof(*event)))
		return outcome_err(EFAULT);
	change.event = *event;
	timers_look();
	return outcome_of(put_watch(&change));
}

struct outcome epollset_wait_in_kernel(struct epoll_call *call)
{
	bool watched = epolltell_any() || fdtable_used();
	struct timeout timeout = timeout_start(watched ? call->timeout : NULL);

	call->rung = false;
	for (int late = 0;;) {
		struct outcome outcome = call->attempt(call);
		bool over;

		if (outcome.err || outcome.value <= 0 || !epolltell_any())
			return outcome;
		outcome.value = epolltell_translate(call, call->events, outcome.value);
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
