#include "core/fastwait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/fastset.h"
#include "core/fastwatch.h"
#include "core/stats.h"
#include "core/timeout.h"
#include "core/usermem.h"

enum { NSEC_PER_SEC = 1000000000 };

static const struct timespec now;

static bool shows(uint32_t index, struct fastwatch_view *view, uint64_t set, uint32_t *events)
{
	if (!fastwatch_view(fastwatch_at(index), view) || view->set != set)
		return false;
	*events = fastwatch_shown(index, view);
	return *events != 0;
}

/* Disarms a one-shot watch; false where somebody has changed it. */
static bool fire(uint32_t index, const struct fastwatch_view *view)
{
	uint64_t seen = view->pair.state;

	return !(fastwatch_events(view) & EPOLLONESHOT) ||
	       atomic_compare_exchange_strong(
		       &fastwatch_at(index)->cell.state, &seen, seen | FASTWATCH_FIRED);
}

/* The first of the list: what it has to report, 0 for nothing. A level-triggered one that shows
 * something stays listed, as the last. Any other is off the list first and looked at then, so that
 * whoever makes it ready in between lists it again. */
static uint32_t look_at_first(struct front *front, struct fastwatch_view *view)
{
	uint64_t set = atomic_load(&front->set);
	uint32_t index = fastwatch_take_first(front);
	uint32_t events = 0;
	bool lasting = shows(index, view, set, &events) &&
		       !(fastwatch_events(view) & (EPOLLET | EPOLLONESHOT));

	if (lasting) {
		fastwatch_put_last(front, index);
		return events;
	}
	fastwatch_unlisted(index);
	do {
		if (!shows(index, view, set, &events))
			return 0;
	} while (!fire(index, view));
	if (fastwatch_events(view) & (EPOLLET | EPOLLONESHOT))
		return events;
	if (!fastwatch_list_again(index, view))
		return 0;
	fastwatch_put_last(front, index);
	return events;
}

/* Each of the list once, as far as there is room behind the first `n` events. How many there are
 * then. EFAULT where not even one can be stored. */
static struct outcome collect(struct front *front, const struct epoll_call *call, long n)
{
	struct fastwatch_view view;

	fastwatch_gather(front);
	for (uint32_t left = front->length; left && n < call->max; left--) {
		struct epoll_event *to = &call->events[n];
		uint32_t events;

		if (!usermem_storable(to, sizeof(*to)))
			return n ? outcome_ok(n) : outcome_err(EFAULT);
		events = look_at_first(front, &view);
		if (!events)
			continue;
		to->events = events;
		to->data.u64 = view.pair.data;
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
	long kept = n;

	rest.events += n;
	rest.max -= (int)n;
	rest.timeout = timeout;
	stats_syscall();
	outcome = rest.attempt(&rest);
	if (outcome.err)
		return n ? outcome_ok(n) : outcome;
	outcome.value = epollset_translate(call->epfd, rest.events, outcome.value);
	for (long i = n; i < n + outcome.value; i++) {
		if (!front_is_bell(call->events[i].data.u64))
			call->events[kept++] = call->events[i];
	}
	return outcome_ok(kept);
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
	if (!foreign && outcome.value)
		stats_add(STATS_AVOIDED);
	if (!foreign || !outcome.value)
		return outcome;
	if (outcome.value < call->max)
		return ask_kernel(call, outcome.value, &now);
	front->kernel_first = true;
	return outcome;
}

/* Nothing is ready. The mark comes before the last look: a writer pushes before it looks at the
 * mark. */
static struct outcome sleep_and_look(struct front *front, const struct epoll_call *call)
{
	struct outcome outcome;

	atomic_store(&front->sleeping, 1);
	if (atomic_load(&front->pushed)) {
		atomic_store(&front->sleeping, 0);
		return collect(front, call, 0);
	}
	outcome = ask_kernel(call, 0, call->timeout);
	atomic_store(&front->sleeping, 0);
	if (outcome.err || atomic_load(&front->state) != FRONT_OPEN)
		return outcome;
	return collect(front, call, outcome.value);
}

static bool is_now(const struct timespec *timeout)
{
	return timeout && !timeout->tv_sec && !timeout->tv_nsec;
}

/* True with an outcome, or false where the front was banned meanwhile. */
static bool wait_here(struct front *front, struct epoll_call *call, struct timespec *left,
	struct outcome *outcome)
{
	struct timeout limit;

	*outcome = look(front, call);
	if (outcome->err || outcome->value)
		return true;
	if (is_now(call->timeout) && !atomic_load(&front->foreign))
		return true;
	limit = timeout_start(call->timeout);
	for (bool late = false; atomic_load(&front->state) == FRONT_OPEN; late = true) {
		if (late && timeout_over(&limit, left))
			return true;
		if (late && call->timeout)
			call->timeout = left;
		*outcome = sleep_and_look(front, call);
		if (outcome->err || outcome->value)
			return true;
	}
	if (timeout_over(&limit, left))
		*left = now;
	call->timeout = call->timeout ? left : NULL;
	return false;
}

/* What the kernel refuses, whether anything is ready or not. */
static bool is_bad(const struct epoll_call *call)
{
	const struct timespec *timeout = call->timeout;
	size_t most = INT_MAX / sizeof(*call->events);

	return call->max <= 0 || (size_t)call->max > most ||
	       !usermem_in_range(call->events, (size_t)call->max * sizeof(*call->events)) ||
	       (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
				   timeout->tv_nsec >= NSEC_PER_SEC));
}

bool fastwait(struct front *front, struct epoll_call *call, struct timespec *left,
	struct outcome *outcome)
{
	uint32_t nobody = 0;
	bool done;

	if (is_bad(call))
		return false;
	pthread_testcancel();
	if (!atomic_compare_exchange_strong(&front->waiter, &nobody, 1)) {
		fastset_ban(front);
		return false;
	}
	done = wait_here(front, call, left, outcome);
	/* the list is the next waiter's, as it is left here */
	atomic_store_explicit(&front->waiter, 0, memory_order_release);
	return done;
}
