#include "core/fastwait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/demote.h"
#include "core/epolltell.h"
#include "core/fastwatch.h"
#include "core/slotpool.h"
#include "core/spin.h"
#include "core/stats.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "core/watch.h"

enum { NSEC_PER_SEC = 1000000000, OWN_EVENTS = 16, LEAST_LINGERED = 1000000 };

static const struct timespec now;

/* What a watch is to its front now, and what it shows. */
struct sight {
	struct fastwatch_view view;
	bool armed;   /* it lives, is of this set, and has not fired */
	bool lasting; /* level-triggered, for more than once */
	uint32_t events;
	uint64_t data;
};

static void see(uint32_t index, uint64_t set, struct sight *sight)
{
	uint32_t marks;

	sight->armed = fastwatch_view(fastwatch_at(index), &sight->view) && sight->view.set == set;
	marks = fastwatch_events(&sight->view);
	sight->armed = sight->armed && !(marks & FASTWATCH_FIRED);
	sight->lasting = sight->armed && !(marks & (EPOLLET | EPOLLONESHOT));
	sight->events = sight->armed ? fastwatch_shown(index, &sight->view) : 0;
	sight->data = sight->view.pair.data;
}

/* Writers need not list it any more. */
static void mark_fired(uint32_t index, struct fastwatch_view *view)
{
	uint32_t version = mask_version(view->pair.state);

	while (!fastwatch_mark_fired(index, view)) {
		if (!fastwatch_view(fastwatch_at(index), view) ||
			mask_version(view->pair.state) != version)
			return;
	}
}

/* An edge that was taken off the list is this thread's to tell, even where the watch has been
 * demoted since; unless it has been told from there. */
static uint32_t tell_edge(uint32_t index, struct sight *sight)
{
	uint64_t cookie = sight->view.pair.data;
	uint32_t edges = atomic_load(&slotpool_slots[fastwatch_slot(index)].edges);
	struct watch watch;

	sight->events = fastwatch_shown(index, &sight->view);
	if (!sight->events || watch_of(cookie, &watch) != WATCH_LIVE ||
		!watch_tell_edge(cookie, &watch, edges))
		return 0;
	if (watch.events & EPOLLONESHOT)
		mark_fired(index, &sight->view);
	sight->data = watch.data;
	return sight->events;
}

/* Where the watch has another mode now, whoever gave it that lists it again. */
static uint32_t tell_level_once(uint32_t index, uint64_t set, struct sight *sight)
{
	for (;;) {
		see(index, set, sight);
		if (!sight->events || sight->lasting || (fastwatch_events(&sight->view) & EPOLLET))
			return 0;
		if (fastwatch_mark_fired(index, &sight->view))
			return sight->events;
	}
}

static uint32_t tell_level(struct front *front, uint32_t index, uint64_t set, struct sight *sight)
{
	see(index, set, sight);
	if (!sight->events || !sight->lasting || !fastwatch_list_again(index, &sight->view))
		return 0;
	fastwatch_put_last(front, index);
	return sight->events;
}

/* The first of the list: what it has to report, 0 for nothing. A level-triggered one that shows
 * something stays listed, as the last. Any other is taken off first and looked at then, so that
 * whoever makes it ready in between lists it again. */
static uint32_t look_at_first(struct front *front, struct sight *sight)
{
	uint64_t set = atomic_load(&front->set);
	uint32_t index = fastwatch_take_first(front);
	uint32_t marks;

	do {
		see(index, set, sight);
		if (sight->lasting && sight->events) {
			fastwatch_put_last(front, index);
			return sight->events;
		}
		marks = fastwatch_events(&sight->view) & (EPOLLET | EPOLLONESHOT);
	} while (!fastwatch_take_off(index, &sight->view, 0));
	if (!sight->armed)
		return 0;
	if (marks & EPOLLET)
		return tell_edge(index, sight);
	if (marks & EPOLLONESHOT)
		return tell_level_once(index, set, sight);
	return tell_level(front, index, set, sight);
}

static bool has_to_tell(uint32_t index, const struct sight *sight)
{
	uint32_t edges = atomic_load(&slotpool_slots[fastwatch_slot(index)].edges);

	return sight->events && (!(fastwatch_events(&sight->view) & EPOLLET) ||
					!watch_told_edge(sight->view.pair.data, edges));
}

/* Where an event could not be stored: the first of the list stays if it has one. */
static bool drop_first(struct front *front)
{
	uint64_t set = atomic_load(&front->set);
	uint32_t index = front->first;
	struct sight sight;

	see(index, set, &sight);
	if (has_to_tell(index, &sight))
		return false;
	fastwatch_take_first(front);
	if (!fastwatch_take_off(index, &sight.view, 0)) { /* it has changed */
		fastwatch_put_last(front, index);
		return true;
	}
	see(index, set, &sight);
	if (has_to_tell(index, &sight) && fastwatch_list_again(index, &sight.view))
		fastwatch_put_last(front, index);
	return true;
}

/* Each of the list once, as far as there is room behind the first `n` events. How many there are
 * then. EFAULT where not even one can be stored. */
static struct outcome collect(struct front *front, const struct epoll_call *call, long n)
{
	struct sight sight;

	fastwatch_gather(front);
	for (uint32_t left = front->length; left && n < call->max; left--) {
		struct epoll_event *to = &call->events[n];
		uint32_t events;

		if (!usermem_storable(to, sizeof(*to))) {
			if (drop_first(front))
				continue;
			return n ? outcome_ok(n) : outcome_err(EFAULT);
		}
		events = look_at_first(front, &sight);
		if (!events)
			continue;
		to->events = events;
		to->data.u64 = sight.data;
		n++;
	}
	return outcome_ok(n);
}

/* What the kernel has, behind the first `n` events. How many there are then. */
static struct outcome ask_kernel(
	const struct epoll_call *call, long n, const struct timespec *timeout)
{
	struct epoll_call rest = *call;
	struct outcome outcome;

	rest.events += n;
	rest.max -= (int)n;
	rest.timeout = timeout;
	stats_syscall();
	outcome = rest.attempt(&rest);
	if (outcome.err)
		return n ? outcome_ok(n) : outcome;
	return outcome_ok(n + epolltell_translate(&rest, rest.events, outcome.value));
}

/* The same of a set that has nothing but fast watches: what the kernel tells is for their front,
 * but for what another thread has just added. The program's memory need not be there. */
static struct outcome ask_kernel_for_front(
	const struct epoll_call *call, const struct timespec *timeout)
{
	struct epoll_event events[OWN_EVENTS];
	struct epoll_call own = *call;
	struct outcome outcome;

	own.events = events;
	own.max = call->max < OWN_EVENTS ? call->max : OWN_EVENTS;
	outcome = ask_kernel(&own, 0, timeout);
	if (outcome.err || !outcome.value)
		return outcome;
	if (!usermem_store(call->events, events, (size_t)outcome.value * sizeof(*events)))
		return outcome_err(EFAULT);
	return outcome;
}

/* Without sleeping. Where what is ready here leaves the kernel's no room, theirs is the next turn.
 */
static struct outcome look(struct front *front, const struct epoll_call *call)
{
	bool foreign = atomic_load(&front->foreign);
	struct outcome outcome;

	if (foreign && front->kernel_first) {
		front->kernel_first = false;
		outcome = ask_kernel(call, 0, &now);
		return outcome.err ? outcome : collect(front, call, outcome.value);
	}
	outcome = collect(front, call, 0);
	if (outcome.err || !outcome.value)
		return outcome;
	if (!foreign) {
		stats_add(STATS_AVOIDED);
		return outcome;
	}
	if (outcome.value < call->max)
		return ask_kernel(call, outcome.value, &now);
	front->kernel_first = true;
	return outcome;
}

static bool is_now(const struct timespec *timeout)
{
	return timeout && !timeout->tv_sec && !timeout->tv_nsec;
}

/* Whoever makes things ready may be at it: a moment is less than what it costs to sleep. */
static bool linger(struct front *front, const struct epoll_call *call)
{
	struct spin spin;
	bool pushed;

	if (atomic_load(&front->foreign) || (call->timeout && !call->timeout->tv_sec &&
						    call->timeout->tv_nsec < LEAST_LINGERED))
		return false;
	spin = spin_begin_short(&front->pace);
	do
		pushed = atomic_load(&front->pushed);
	while (!pushed && spin_again(&spin));
	spin_end(&spin, pushed ? SPIN_FOUND : SPIN_ASLEEP);
	return pushed;
}

/* Nothing is ready. The mark comes before the last look: a writer pushes before it looks at the
 * mark. */
static struct outcome sleep_and_look(struct front *front, const struct epoll_call *call)
{
	struct outcome outcome;

	if (!is_now(call->timeout))
		atomic_store(&front->sleeping, 1);
	if (atomic_load(&front->pushed)) {
		atomic_store(&front->sleeping, 0);
		return collect(front, call, 0);
	}
	outcome = atomic_load(&front->foreign) ? ask_kernel(call, 0, call->timeout)
					       : ask_kernel_for_front(call, call->timeout);
	atomic_store(&front->sleeping, 0);
	if (outcome.err || atomic_load(&front->state) != FRONT_OPEN)
		return outcome;
	return collect(front, call, outcome.value);
}

/* True with an outcome, or false where the front was banned meanwhile. */
static bool wait_here(struct front *front, struct epoll_call *call, struct outcome *outcome)
{
	struct timeout limit;

	*outcome = look(front, call);
	if (outcome->err || outcome->value)
		return true;
	if (linger(front, call)) {
		*outcome = collect(front, call, 0);
		if (outcome->err || outcome->value)
			return true;
	}
	limit = timeout_start(call->timeout);
	for (bool late = false; atomic_load(&front->state) == FRONT_OPEN; late = true) {
		if (late && timeout_over(&limit, &call->left))
			return true;
		if (late && call->timeout)
			call->timeout = &call->left;
		*outcome = sleep_and_look(front, call);
		if (outcome->err || outcome->value)
			return true;
	}
	timeout_over(&limit, &call->left);
	call->timeout = call->timeout ? &call->left : NULL;
	return false;
}

/* What the kernel refuses, whether anything is ready or not. */
static bool is_bad(const struct epoll_call *call)
{
	const struct timespec *timeout = call->timeout;
	size_t most = INT_MAX / sizeof(*call->events);

	return call->max <= 0 || (size_t)call->max > most ||
	       !usermem_in_range(call->events, (size_t)call->max * sizeof(*call->events)) ||
	       (call->mask && !usermem_loadable(call->mask, _NSIG / 8)) ||
	       (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
				   timeout->tv_nsec >= NSEC_PER_SEC));
}

/* The set has no fast watch yet. The one who adds the first rings for whoever sleeps here. */
static bool wait_for_the_first(
	struct front *front, struct epoll_call *call, struct outcome *outcome)
{
	*outcome = epollset_wait_in_kernel(call);
	if (outcome->err || outcome->value || !call->rung)
		return true;
	return wait_here(front, call, outcome);
}

static void leave(struct front *front)
{
	/* the list is the next waiter's, as it is left here */
	atomic_store_explicit(&front->waiter, 0, memory_order_release);
}

bool fastwait(struct front *front, struct epoll_call *call, struct outcome *outcome)
{
	uint32_t nobody = 0;
	bool done;

	if (is_bad(call) || (!atomic_load(&front->rings) && is_now(call->timeout)))
		return false;
	if (atomic_load(&front->rings))
		pthread_testcancel();
	/* who sleeps in the kernel without having said so hears of no fast watch */
	if ((fdtable_doubtful() && !front_is_here(front, call->epfd)) ||
		!atomic_compare_exchange_strong(&front->waiter, &nobody, 1)) {
		demote_set(front);
		return false;
	}
	if (atomic_load(&front->rings)) {
		done = wait_here(front, call, outcome);
	} else {
		done = wait_for_the_first(front, call, outcome);
	}
	leave(front);
	return done;
}
