#include "core/timers.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <time.h>

#include "core/latch.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/process.h"
#include "core/slotpool.h"
#include "core/timerset.h"
#include "sys/raw.h"
#include "sys/thread.h"

enum { ROUNDS = 1000 };

/* NEVER: nothing is pending. CLOCK_NS: for how long a clock that can be set is trusted. IDLE_NS:
 * how long the thread stays with nothing to do, and sleeps at most: it is to see that the program's
 * threads have all ended, as the process waits for this one to end. */
#define NEVER UINT64_MAX
#define SECOND_NS 1000000000ull
#define CLOCK_NS SECOND_NS
#define IDLE_NS SECOND_NS

_Atomic bool timers_any;

/* When, on CLOCK_MONOTONIC, the first one is due, or earlier. Stored by who has looked at all,
 * lowered by who sets one; `changes` moves with each, so that who has looked notices. */
static _Atomic uint64_t next;
static _Atomic uint32_t changes;

/* Until when the thread sleeps; 0 while it is awake. */
static _Atomic uint64_t asleep_until;

/* Whose thread there is, or is about to begin; 0 for none. Moved under the latch only. */
static _Atomic int running;
static struct latch latch;

/* Others have, or may have, some of the timers: they may set them and go away, so that the thread
 * stays. Set by who gives one away, gets one, or forks; never cleared. */
static _Atomic bool shared;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = {0, 0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static clockid_t clock_of(const struct slot *slot, struct timer timer)
{
	return timer.first & TIMER_RELATIVE ? CLOCK_MONOTONIC : slot_clock(slot);
}

uint64_t timers_now(const struct slot *slot, struct timer timer)
{
	return clock_ns(clock_of(slot, timer));
}

static void tell(const struct fdref *ref)
{
	mirror_written(ref, (struct counter_step){0, 0, 1});
}

/* True where it is done by us: everybody who waits hears of it, once. */
static bool fire(const struct fdref *ref, struct timer timer)
{
	const struct timer fired = {timer.first, timer.second | TIMER_FIRED};
	_Atomic uint32_t *telling = slot_telling(ref->object);
	uint32_t seen;
	bool ours;

	atomic_fetch_add(telling, 1);
	ours = timer_swap(&ref->object->mask, &timer, fired);
	if (ours)
		tell(ref);
	seen = atomic_load(telling);
	while (seen && !atomic_compare_exchange_weak(telling, &seen, seen - 1))
		;
	return ours;
}

/* Who fired it may not have told everybody yet, or have been killed, or interrupted by us: whoever
 * looks now is to see what the clock says. */
static void await_telling(const struct fdref *ref)
{
	_Atomic uint32_t *telling = slot_telling(ref->object);

	for (int i = 0; i < ROUNDS && atomic_load(telling); i++)
		sched_yield();
	if (atomic_exchange(telling, 0))
		tell(ref);
}

/* One look at all of them. */
struct look {
	uint64_t now; /* on CLOCK_MONOTONIC */
	uint64_t next;
	unsigned fired;
	bool any;
};

/* In how long it is due; 0 where it is. */
static uint64_t due_in(const struct slot *slot, struct timer timer, uint64_t monotonic)
{
	clockid_t clock = clock_of(slot, timer);
	uint64_t expiry = timer_expiry(timer);
	uint64_t now = clock == CLOCK_MONOTONIC ? monotonic : clock_ns(clock);
	uint64_t left = expiry > now ? expiry - now : 0;

	return clock == CLOCK_MONOTONIC || left < CLOCK_NS ? left : CLOCK_NS;
}

static void look_at(const struct fdref *ref, void *arg)
{
	struct timer timer = timer_guess(&ref->object->mask);
	struct look *look = arg;
	uint64_t left;

	look->any = true;
	while (timer_pending(timer)) {
		left = due_in(ref->object, timer, look->now);
		if (left) {
			left += look->now;
			look->next = left < look->next ? left : look->next;
			return;
		}
		look->fired += fire(ref, timer);
		timer = timer_guess(&ref->object->mask);
	}
	if (timer_fired(timer) && atomic_load(slot_telling(ref->object)))
		await_telling(ref);
}

/* One may be noted meanwhile. */
static void forget_any(void)
{
	atomic_store(&timers_any, false);
	if (timerset_any())
		atomic_store(&timers_any, true);
}

/* Fires what is due, and stores when the next one is; how many. */
static unsigned look_at_all(void)
{
	struct look look = {.fired = 0};
	uint32_t seen;

	do {
		seen = atomic_load(&changes);
		look.now = clock_ns(CLOCK_MONOTONIC);
		look.next = NEVER;
		look.any = false;
		timerset_each(look_at, &look);
		atomic_store(&next, look.next);
	} while (atomic_load(&changes) != seen);
	if (!look.any)
		forget_any();
	return look.fired;
}

static struct timers_bell *own_bell(void)
{
	return slotpool_bells() + (uint32_t)process_pid() % TIMERS_BELLS;
}

/* A thread of another process may have to get up earlier. Each counts itself among the sleepers
 * before it sleeps on what it knew of the bell before its last look. */
static void ring_all(void)
{
	for (unsigned i = 0; i < TIMERS_BELLS; i++) {
		struct timers_bell *bell = slotpool_bells() + i;

		atomic_fetch_add(&bell->rung, 1);
		if (atomic_load(&bell->sleepers))
			raw_futex(&bell->rung, FUTEX_WAKE, INT_MAX);
	}
}

static void sleep_until(struct timers_bell *bell, uint32_t rung, uint64_t until)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct timespec left;

	if (until <= now)
		return;
	left.tv_sec = (time_t)((until - now) / SECOND_NS);
	left.tv_nsec = (long)((until - now) % SECOND_NS);
	atomic_fetch_add(&bell->sleepers, 1);
	raw_syscall6(SYS_futex, (long)&bell->rung, FUTEX_WAIT, rung, (long)&left, 0, 0);
	atomic_fetch_sub(&bell->sleepers, 1);
}

static bool is_needed(void)
{
	return atomic_load(&next) != NEVER || (atomic_load(&shared) && atomic_load(&timers_any));
}

/* Whoever sets a timer after the last look finds that there is no thread. */
static bool may_leave(void)
{
	bool needed;

	latch_lock(&latch);
	atomic_store(&running, 0);
	look_at_all();
	needed = is_needed();
	if (needed)
		atomic_store(&running, process_pid());
	latch_unlock(&latch);
	return !needed;
}

static void run(void)
{
	struct timers_bell *bell = own_bell();
	uint64_t idle_since = 0, seen = 0;

	raw_syscall3(SYS_prctl, PR_SET_TIMERSLACK, 1, 0);
	for (;;) {
		uint32_t rung = atomic_load(&bell->rung);
		uint64_t until, now;

		look_at_all();
		until = atomic_load(&next);
		now = clock_ns(CLOCK_MONOTONIC);
		if (is_needed())
			idle_since = 0;
		else if (!idle_since)
			idle_since = now;
		else if (now - idle_since >= IDLE_NS && may_leave())
			return;
		if (now - seen >= IDLE_NS) {
			seen = now;
			if (thread_is_last())
				break;
		}
		if (until > now + IDLE_NS)
			until = now + IDLE_NS;
		atomic_store(&asleep_until, until);
		sleep_until(bell, rung, until);
		atomic_store(&asleep_until, 0);
	}
	atomic_store(&running, 0); /* what runs at the exit may have timers */
}

/* A vfork child has its parent's threads. */
static void need_thread(void)
{
	if (process_borrows_memory() || atomic_load(&running) == process_pid())
		return;
	latch_lock(&latch);
	if (atomic_load(&running) != process_pid()) {
		atomic_store(&running, process_pid());
		if (thread_start(run))
			atomic_store(&running, 0);
	}
	latch_unlock(&latch);
}

unsigned timers_attend(void)
{
	uint64_t due = atomic_load(&next);
	unsigned fired = 0;

	if (due != NEVER && clock_ns(CLOCK_MONOTONIC) >= due)
		fired = look_at_all();
	if (is_needed())
		need_thread();
	return fired;
}

static void lower_next(uint64_t due)
{
	uint64_t seen = atomic_load(&next);

	while (due < seen && !atomic_compare_exchange_weak(&next, &seen, due))
		;
	atomic_fetch_add(&changes, 1);
}

void timers_note(const struct fdref *ref)
{
	timerset_note(ref);
	atomic_store(&timers_any, true);
}

void timers_armed(const struct fdref *ref)
{
	struct timer timer = timer_load(&ref->object->mask);
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct timers_bell *bell = own_bell();
	uint64_t due;

	if (!timer_pending(timer))
		return;
	if (!timerset_has(ref->slot) || !atomic_load(&timers_any))
		timers_note(ref);
	due = now + due_in(ref->object, timer, now);
	lower_next(due);
	if (due <= now) {
		timers_attend();
		return;
	}
	need_thread();
	if (atomic_load(&ref->object->flags) & SLOT_SHARED) {
		ring_all();
		return;
	}
	atomic_fetch_add(&bell->rung, 1);
	if (due < atomic_load(&asleep_until))
		raw_futex(&bell->rung, FUTEX_WAKE, INT_MAX);
}

static void share(const struct fdref *ref, void *arg)
{
	(void)arg;
	atomic_fetch_or(&ref->object->flags, SLOT_SHARED);
	atomic_store(&shared, true);
}

void timers_given(const struct fdref *ref)
{
	share(ref, NULL);
}

void timers_forking(void)
{
	if (atomic_load(&timers_any))
		timerset_each(share, NULL);
}

void timers_adopted(const struct fdref *ref)
{
	share(ref, NULL);
	timers_note(ref);
	atomic_store(&next, 0);
	atomic_fetch_add(&changes, 1);
}

void timers_forked(void)
{
	atomic_store(&running, 0);
	atomic_store(&asleep_until, 0);
	atomic_store(&latch.word, 0);
	if (!atomic_load(&timers_any))
		return;
	atomic_store(&next, 0);
	timerset_each(
		share, NULL); /* those that a thread which is not here has made meanwhile, too */
}
