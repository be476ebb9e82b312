/* Signals that are pending or blocked when a set of fast watches is waited on. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

TestSuite(fast_masks, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static sigset_t none;

static long pwait(struct flow *f, struct epoll_event *event, int ms)
{
	return answer_of(epoll_pwait(f->watch[0].set, event, 1, ms, &none));
}

static long pwait2(struct flow *f, struct epoll_event *event, int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
	return answer_of(epoll_pwait2(f->watch[0].set, event, 1, ms < 0 ? NULL : &t, &none));
}

static long (*const ways[])(struct flow *, struct epoll_event *, int) = {pwait, pwait2};
static size_t way;

static void each_way(flow_run run)
{
	sigemptyset(&none);
	count_signals(SA_RESTART);
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(FLOW_FAST_KINDS, run), "way %zu", way);
}

/* An event comes before the signal: it is told, and the signal stays pending or is handled, as the
 * kernel does it. Without one, EINTR. */
static bool pending_signal(struct flow *f)
{
	struct epoll_event event = {0};
	bool due = flow_due(f, 0);
	signals_seen = 0;
	make_signal_pending();
	long ret = ways[way](f, &event, -1);
	bool good = due ? HOLDS(ret == 1) && flow_saw(f, 0, event.events, event.data.u64)
			: HOLDS(ret == -EINTR) && HOLDS(signals_seen == 1);
	if (!signals_seen)
		good = good && HOLDS(signal_is_pending());
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return good && HOLDS(signals_seen == 1) && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_masks, a_signal_that_is_pending)
{
	each_way(pending_signal);
}

/* The kernel's own answer to the same: which of the two comes first. */
Test(fast_masks, a_signal_and_an_event_as_for_the_kernel)
{
	static const int limits[] = {0, 20, -1};
	sigemptyset(&none);
	count_signals(0);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int seen[2], ready[2];
		struct watched w = watch_pair(1, 0, EPOLLIN);
		struct epoll_event event;
		for (int kernel = 0; kernel < 2; kernel++) {
			signals_seen = 0;
			make_signal_pending();
			ready[kernel] = kernel ? (int)tk_raw_syscall(SYS_epoll_pwait, w.set.kernel,
							 (long)&event, 1, limits[i], (long)&none, 8)
					       : (int)answer_of(epoll_pwait(
							 w.set.libc, &event, 1, limits[i], &none));
			seen[kernel] = signals_seen;
			sigset_t old;
			pthread_sigmask(SIG_SETMASK, &none, &old);
		}
		cr_assert_eq(ready[0], ready[1], "limit %d", limits[i]);
		cr_assert_eq(seen[0], seen[1], "limit %d", limits[i]);
		unwatch_pair(w);
	}
}

/* Signals come all the time while the loop runs: each wait ends with the event or EINTR. */
static bool signal_storm(struct flow *f)
{
	struct sigevent notify = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec often = {{0, 30000}, {0, 30000}}, stop = {{0, 0}, {0, 0}};
	timer_t timer;
	bool good = true;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, &notify, &timer), 0);
	cr_assert_eq(timer_settime(timer, 0, &often, NULL), 0);
	for (int i = 0; good && i < 200; i++) {
		struct epoll_event event;
		long ret;
		good = flow_write(f) && (!f->watch[0].fired || flow_arm(f, 0));
		do
			ret = ways[way](f, &event, -1);
		while (ret == -EINTR);
		good = good && HOLDS(ret == 1) && flow_saw(f, 0, event.events, event.data.u64) &&
		       flow_read(f);
		ret = ways[way](f, &event, 0);
		while (good && ret == -EINTR)
			ret = ways[way](f, &event, 0);
		good = good && flow_saw(f, 0, ret == 1 ? event.events : 0, event.data.u64);
	}
	cr_assert_eq(timer_settime(timer, 0, &stop, NULL), 0);
	timer_delete(timer);
	return good && flow_runs(f, 0);
}

Test(fast_masks, signals_all_the_time)
{
	sigemptyset(&none);
	count_signals(SA_RESTART);
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, signal_storm));
}

/* A thread asleep with a mask; the signal that it lets through ends the sleep, no other does. */
static long sleep_masked(void *flow)
{
	struct epoll_event event;
	return ways[way](flow, &event, -1);
}

static bool let_through(struct flow *f)
{
	struct waiter w;
	sigset_t block, before;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaddset(&block, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	signals_seen = 0;
	waiter_start(&w, sleep_masked, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_kill(w.thread, SIGUSR2);
	good = HOLDS(waiter_sleeps(&w)) && good;
	pthread_kill(w.thread, SIGUSR1);
	good = HOLDS(waiter_result(&w) == -EINTR) && good && HOLDS(signals_seen == 1);
	sigemptyset(&none);
	return good && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_masks, the_signal_that_is_let_through)
{
	each_way(let_through);
}
