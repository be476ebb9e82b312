/* A second thread that waits on a set in the middle of traffic: level-triggered events are for all,
 * each edge and each shot for exactly one. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_waiters, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, THREADS = 4 };

struct sleeper {
	struct waited wait;
	struct waiter thread;
};

static void put_to_sleep(struct sleeper *s, int set)
{
	s->wait = (struct waited){.set = set};
	waiter_start(&s->thread, call_epoll_wait, &s->wait);
}

/* It was woken for what is due. */
static bool woken(struct sleeper *s, struct flow *f)
{
	return HOLDS(waiter_result(&s->thread) == 1) &&
	       flow_saw(f, 0, s->wait.events[0].events, s->wait.events[0].data.u64);
}

static bool for_all(const struct flow *f)
{
	return !(f->watch[0].interest & (EPOLLET | EPOLLONESHOT));
}

static bool can_sleep(const struct flow *f)
{
	return !(f->watch[0].interest & EPOLLOUT);
}

static int done(struct sleeper *s, int threads)
{
	int n = 0;
	for (int i = 0; i < threads; i++)
		n += s[i].thread.done;
	return n;
}

/* Once `count` are done the others sleep. */
static bool wakes_only(int count, struct sleeper *s, int threads)
{
	while (done(s, threads) < count)
		sched_yield();
	for (int i = 0; i < threads; i++)
		if (!s[i].thread.done && !HOLDS(waiter_sleeps(&s[i].thread)))
			return false;
	return HOLDS(done(s, threads) == count);
}

/* One write for each sleeper: all wake at once, or one by one. */
static bool wake_all(struct flow *f, struct sleeper *s, int threads)
{
	bool level = for_all(f), good = true, joined[THREADS] = {false};
	for (int left = threads; good && left; left--) {
		good = flow_write(f);
		for (int i = 0; level && i < threads; i++)
			good = good && woken(&s[i], f);
		if (level)
			return good;
		good = good && wakes_only(threads - left + 1, s, threads);
		for (int i = 0; i < threads; i++) {
			if (joined[i] || !s[i].thread.done)
				continue;
			good = woken(&s[i], f) && good;
			joined[i] = true;
		}
		good = good && (!f->watch[0].fired || (flow_read(f) && flow_arm(f, 0)));
	}
	return good;
}

static bool sleepers(struct flow *f, int threads)
{
	struct sleeper s[THREADS];
	if (!can_sleep(f))
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	for (int i = 0; i < threads; i++)
		put_to_sleep(&s[i], f->watch[0].set);
	return wake_all(f, s, threads) && flow_runs(f, 0);
}

static bool two_sleepers(struct flow *f)
{
	return sleepers(f, 2) && sleepers(f, 1) && sleepers(f, 2);
}

static bool many_sleepers(struct flow *f)
{
	return sleepers(f, 3) && sleepers(f, THREADS);
}

Test(fast_waiters, two_sleep)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, two_sleepers));
}

Test(fast_waiters, four_sleep)
{
	cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, many_sleepers));
}

/* Another thread asks without sleeping, while one sleeps. */
static bool asked_meanwhile(struct flow *f)
{
	struct sleeper s;
	if (!can_sleep(f))
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	put_to_sleep(&s, f->watch[0].set);
	bool good = flow_tells(f, 0) && flow_tells(f, 0);
	good = HOLDS(waiter_sleeps(&s.thread)) && good && flow_write(f);
	good = woken(&s, f) && good;
	if (!good || !flow_ready_for_more(f, 0))
		return false;
	put_to_sleep(&s, f->watch[0].set);
	good = flow_write(f);
	return woken(&s, f) && good && flow_runs(f, 0);
}

Test(fast_waiters, one_asks_while_the_other_sleeps)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, asked_meanwhile));
}

/* The event is pending when a second thread comes; the loop thread does not look. */
static void *ask_once(void *flow)
{
	return flow_tells(flow, 0) ? NULL : flow;
}

static bool in_thread(void *(*call)(void *), void *flow)
{
	pthread_t thread;
	void *failed = flow;
	cr_assert_eq(pthread_create(&thread, NULL, call, flow), 0);
	cr_assert_eq(pthread_join(thread, &failed), 0);
	return !failed;
}

static bool asked_by_another(struct flow *f)
{
	return in_thread(ask_once, f) && flow_tells(f, 0) && flow_write(f) &&
	       in_thread(ask_once, f) && flow_tells(f, 0) && flow_runs(f, 0) && flow_write(f) &&
	       flow_tells(f, 0) && in_thread(ask_once, f) && flow_runs(f, 0);
}

Test(fast_waiters, another_thread_takes_what_is_pending)
{
	cr_assert(flow_each(FLOW_KINDS, asked_by_another));
}

static void *run_traffic(void *flow)
{
	return flow_runs(flow, 0) ? NULL : flow;
}

/* The loop moves from thread to thread, and the first one ends. */
static bool handed_on(struct flow *f)
{
	return in_thread(run_traffic, f) && in_thread(run_traffic, f) && flow_runs(f, 0) &&
	       in_thread(ask_once, f) && flow_runs(f, 0);
}

Test(fast_waiters, the_loop_moves_to_another_thread)
{
	cr_assert(flow_each(FLOW_KINDS, handed_on));
}

/* What the main thread does to the set wakes the thread that sleeps in it. */
static bool changed_under_sleeper(struct flow *f)
{
	struct sleeper s;
	struct flow_watch w = f->watch[0];
	if (!can_sleep(f))
		return true;
	if (!flow_ready_for_more(f, 0) || !flow_write(f) || !flow_tells(f, 0))
		return false;
	bool good = HOLDS(epoll_ctl(w.set, EPOLL_CTL_DEL, f->fd, NULL) == 0);
	put_to_sleep(&s, w.set);
	good = good && flow_add(f, 0, w.set, w.interest, w.data);
	good = woken(&s, f) && good;
	if (!good || for_all(f))
		return good && flow_runs(f, 0);
	put_to_sleep(&s, w.set);
	good = flow_arm(f, 0);
	return woken(&s, f) && good && flow_runs(f, 0);
}

Test(fast_waiters, add_and_mod_wake_the_sleeper)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, changed_under_sleeper));
}

/* Threads that take events for good; each write is one event. */
struct crew {
	int set, fd;
	bool arm;
	atomic_int taken, wrong;
	atomic_bool over;
};

static long take_events(void *arg)
{
	struct crew *c = arg;
	uint32_t once = IN | EPOLLONESHOT;
	for (;;) {
		struct epoll_event event = {0};
		int n = epoll_wait(c->set, &event, 1, -1);
		if (c->over)
			return 0;
		c->wrong += n != 1 || event.events != IN || event.data.u64 != 7;
		event = (struct epoll_event){.events = once, .data.u64 = 7};
		if (c->arm) {
			eventfd_t value;
			eventfd_read(c->fd, &value);
			c->wrong += epoll_ctl(c->set, EPOLL_CTL_MOD, c->fd, &event) != 0;
		}
		c->taken++;
	}
}

/* Wakes the crew for the last time: a level that stays. */
static void dismiss(struct crew *c, struct waiter *w, int threads)
{
	int last = eventfd_at(1);
	c->over = true;
	set_ctl(c->set, EPOLL_CTL_ADD, last, IN, 0);
	for (int i = 0; i < threads; i++)
		waiter_result(&w[i]);
	close(last);
}

static void crew_takes(uint32_t interest, int threads, int writes)
{
	struct crew c = {.fd = eventfd_at(0), .arm = interest & EPOLLONESHOT};
	struct waiter w[THREADS];
	c.set = set_watching(c.fd, interest, 7);
	for (int i = 0; i < 10; i++) {
		add_count(c.fd, 1);
		cr_assert_eq(set_event(c.set), IN);
		take_count(c.fd);
		if (c.arm)
			set_ctl(c.set, EPOLL_CTL_MOD, c.fd, interest, 7);
	}
	for (int i = 0; i < threads; i++)
		waiter_start(&w[i], take_events, &c);
	for (int i = 1; i <= writes; i++) {
		add_count(c.fd, 1);
		while (c.taken < i)
			sched_yield();
	}
	for (int i = 0; i < threads; i++)
		cr_assert(waiter_sleeps(&w[i]));
	cr_assert_eq(c.taken, writes, "%d events of %d writes", c.taken, writes);
	dismiss(&c, w, threads);
	cr_assert_eq(c.wrong, 0);
	close(c.set);
	close(c.fd);
}

Test(fast_waiters, each_edge_is_taken_once)
{
	for (int threads = 1; threads <= THREADS; threads++)
		crew_takes(IN | EPOLLET, threads, 2000);
}

Test(fast_waiters, each_shot_is_taken_once)
{
	for (int threads = 1; threads <= THREADS; threads++) {
		crew_takes(IN | EPOLLONESHOT, threads, 2000);
		crew_takes(IN | EPOLLET | EPOLLONESHOT, threads, 2000);
	}
}

/* Several edges at once are taken by as many threads as there are, each once. */
static void burst(uint32_t interest)
{
	struct sleeper s[THREADS];
	int fd[THREADS], set = epoll_create1(0);
	uint64_t seen = 0;
	for (int i = 0; i < THREADS; i++) {
		fd[i] = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fd[i], interest, 1ull << i);
		add_count(fd[i], 1);
		cr_assert_eq(set_event(set), IN);
		take_count(fd[i]);
		set_ctl(set, EPOLL_CTL_MOD, fd[i], interest, 1ull << i);
	}
	for (int i = 0; i < THREADS; i++)
		put_to_sleep(&s[i], set);

	for (int i = 0; i < THREADS; i++) {
		add_count(fd[i], 1);
		cr_assert(wakes_only(i + 1, s, THREADS));
	}
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(waiter_result(&s[i].thread), 1);
		seen ^= s[i].wait.events[0].data.u64;
	}
	cr_assert_eq(seen, (1ull << THREADS) - 1);
	cr_assert_eq(set_event(set), 0);
	for (int i = 0; i < THREADS; i++)
		close(fd[i]);
	close(set);
}

Test(fast_waiters, as_many_events_as_threads)
{
	burst(IN | EPOLLET);
	burst(IN | EPOLLONESHOT);
}
