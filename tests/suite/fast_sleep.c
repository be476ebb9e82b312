/* Sleeping in a set of fast watches: time limits, signals, masks, jumps out of it, cancellation. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

TestSuite(fast_sleep, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT };

static bool can_sleep(const struct flow *f)
{
	return !(f->watch[0].interest & OUT);
}

/* Every call that waits; the limit in ms, -1 for none. */
static long by_wait(int set, struct epoll_event *e, int ms, const sigset_t *mask)
{
	(void)mask;
	return answer_of(epoll_wait(set, e, 4, ms));
}

static long by_pwait(int set, struct epoll_event *e, int ms, const sigset_t *mask)
{
	return answer_of(epoll_pwait(set, e, 4, ms, mask));
}

static long by_pwait2(int set, struct epoll_event *e, int ms, const sigset_t *mask)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
	return answer_of(epoll_pwait2(set, e, 4, ms < 0 ? NULL : &t, mask));
}

static long (*const ways[])(int, struct epoll_event *, int, const sigset_t *) = {
	by_wait, by_pwait, by_pwait2};
static size_t way;

static long waits(struct flow *f, struct epoll_event *event, int ms, const sigset_t *mask)
{
	return ways[way](f->watch[0].set, event, ms, mask);
}

static void each_way(flow_run run)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(FLOW_FAST_KINDS, run), "way %zu", way);
}

/* It sleeps as long as it was asked to, not less. */
static bool in_vain(struct flow *f)
{
	struct epoll_event event;
	int64_t start = tk_now_ms();
	if (!can_sleep(f) || f->stage > FLOW_WRITTEN)
		return true;
	bool good = flow_ready_for_more(f, 0) && HOLDS(waits(f, &event, 0, NULL) == 0) &&
		    HOLDS(waits(f, &event, 1, NULL) == 0) &&
		    HOLDS(waits(f, &event, 20, NULL) == 0) && HOLDS(tk_now_ms() - start >= 20);
	return good && flow_runs(f, 0);
}

Test(fast_sleep, to_the_end_of_the_limit)
{
	each_way(in_vain);
}

/* An event ends the sleep at once, whatever the limit. */
struct timed {
	struct flow *flow;
	int ms;
	struct epoll_event event;
};

static long sleep_timed(void *arg)
{
	struct timed *t = arg;
	struct epoll_event events[4];
	long n = waits(t->flow, events, t->ms, NULL);
	t->event = events[0];
	return n;
}

static bool woken_before_the_limit(struct flow *f)
{
	static const int limits[] = {20000, -1};
	bool good = true;
	for (size_t i = 0; good && can_sleep(f) && i < ARRAY_LEN(limits); i++) {
		struct timed t = {.flow = f, .ms = limits[i]};
		struct waiter w;
		good = flow_ready_for_more(f, 0);
		waiter_start(&w, sleep_timed, &t);
		good = good && flow_write(f);
		good = HOLDS(waiter_result(&w) == 1) && good &&
		       flow_saw(f, 0, t.event.events, t.event.data.u64);
	}
	return good && flow_runs(f, 0);
}

Test(fast_sleep, an_event_ends_it)
{
	each_way(woken_before_the_limit);
}

static bool refused(struct flow *f)
{
	static void *volatile nowhere;
	volatile int none = 0, negative = -1, most = INT32_MAX;
	int set = f->watch[0].set;
	struct epoll_event event;
	bool good = HOLDS(answer_of(epoll_wait(set, &event, none, 0)) == -EINVAL) &&
		    HOLDS(answer_of(epoll_wait(set, &event, negative, 0)) == -EINVAL) &&
		    HOLDS(answer_of(epoll_wait(set, &event, most, 0)) == -EINVAL) &&
		    HOLDS(answer_of(epoll_wait(f->fd, &event, 1, 0)) == -EINVAL) &&
		    HOLDS(answer_of(epoll_wait(-1, &event, 1, 0)) == -EBADF);
	if (flow_due(f, 0))
		good = good && HOLDS(answer_of(epoll_wait(set, nowhere, 1, 0)) == -EFAULT) &&
		       HOLDS(answer_of(epoll_wait(set, page_of(PROT_READ), 1, -1)) == -EFAULT);
	return good && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_sleep, refused_calls_take_no_event)
{
	cr_assert(flow_each(FLOW_KINDS, refused));
}

Test(fast_sleep, more_events_than_the_buffer_takes)
{
	static const uint32_t kinds[] = {IN, IN | EPOLLET, IN | EPOLLONESHOT};
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		int set = epoll_create1(0), fd[3];
		struct epoll_event *events = bytes_before_hole(2 * sizeof(*events)), more[4];
		unsigned seen = 0;
		for (int i = 0; i < 3; i++) {
			fd[i] = eventfd_at(1);
			set_ctl(set, EPOLL_CTL_ADD, fd[i], kinds[k], (uint64_t)i);
		}
		cr_assert_eq(epoll_wait(set, events, 8, 0), 2);
		for (int i = 0; i < 2; i++)
			seen |= 1u << events[i].data.u64;
		int n = epoll_wait(set, more, 4, 0);
		cr_assert_eq(n, kinds[k] == IN ? 3 : 1);
		for (int i = 0; i < n; i++)
			seen |= 1u << more[i].data.u64;
		cr_assert_eq(seen, 7);
		for (int i = 0; i < 3; i++)
			close(fd[i]);
		close(set);
	}
}

/* A handler that does something to the set it interrupted. */
static struct flow *handled;
static void (*in_handler)(void);
static volatile sig_atomic_t handled_well;

static void handler(int sig)
{
	(void)sig;
	in_handler();
}

static void handle(struct flow *f, void (*what)(void))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	handled = f;
	in_handler = what;
	handled_well = 0;
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
}

static void write_in_handler(void)
{
	handled_well = flow_write(handled);
}

/* Asleep, a signal, EINTR. */
static bool interrupted(struct flow *f, void (*what)(void))
{
	struct timed t = {.flow = f, .ms = -1};
	struct waiter w;
	if (!can_sleep(f))
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	handle(f, what);
	waiter_start(&w, sleep_timed, &t);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	return HOLDS(waiter_result(&w) == -EINTR) && HOLDS(handled_well) && flow_tells(f, 0) &&
	       flow_runs(f, 0);
}

static bool interrupted_by_write(struct flow *f)
{
	return interrupted(f, write_in_handler);
}

Test(fast_sleep, a_handler_writes)
{
	each_way(interrupted_by_write);
}

static void wait_in_handler(void)
{
	handled_well = flow_tells(handled, 0) && flow_write(handled) && flow_tells(handled, 0) &&
		       flow_read(handled);
}

static bool interrupted_by_wait(struct flow *f)
{
	return interrupted(f, wait_in_handler);
}

Test(fast_sleep, a_handler_waits_on_the_set_itself)
{
	each_way(interrupted_by_wait);
}

/* One that closes and makes again what is watched, or adds and removes. */
static void change_in_handler(void)
{
	struct flow_watch w = handled->watch[0];
	struct epoll_event event = {.events = w.interest, .data.u64 = w.data};
	handled_well = epoll_ctl(w.set, EPOLL_CTL_DEL, handled->fd, NULL) == 0 &&
		       epoll_ctl(w.set, EPOLL_CTL_ADD, handled->fd, &event) == 0 &&
		       flow_write(handled);
}

static bool interrupted_by_change(struct flow *f)
{
	return interrupted(f, change_in_handler);
}

Test(fast_sleep, a_handler_removes_the_watch_and_adds_it)
{
	each_way(interrupted_by_change);
}

/* A jump out of the sleep leaves the set usable. */
static sigjmp_buf back;

static void jump(void)
{
	siglongjmp(back, 1);
}

static void tick_after(int us)
{
	struct itimerval soon = {.it_value.tv_usec = us};
	cr_assert_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
}

/* In the main thread, by a timer: whether it fires before the sleep or in it. */
static bool jumped_out(struct flow *f)
{
	struct epoll_event events[4];
	volatile bool jumped = false;
	if (!can_sleep(f))
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	handle(f, jump);
	if (sigsetjmp(back, 1) == 0) {
		tick_after(500);
		waits(f, events, -1, NULL);
	} else {
		jumped = true;
	}
	return HOLDS(jumped) && flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) &&
	       flow_runs(f, 0);
}

Test(fast_sleep, a_handler_jumps_out)
{
	each_way(jumped_out);
}

/* After the jump somebody else sleeps there, and is woken. */
static bool jumped_then_slept(struct flow *f)
{
	struct timed t = {.flow = f, .ms = -1};
	struct waiter w;
	if (!can_sleep(f))
		return true;
	bool good = jumped_out(f) && flow_ready_for_more(f, 0);
	waiter_start(&w, sleep_timed, &t);
	good = good && flow_write(f);
	return HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, t.event.events, t.event.data.u64) && flow_runs(f, 0);
}

Test(fast_sleep, another_thread_sleeps_after_the_jump)
{
	each_way(jumped_then_slept);
}

/* A sleeper is cancelled; the set goes on, here and in another thread. */
static bool cancelled(struct flow *f)
{
	struct timed t = {.flow = f, .ms = -1};
	struct waiter w;
	if (!can_sleep(f))
		return true;
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, sleep_timed, &t);
	good = HOLDS(waiter_cancel(&w)) && good && flow_tells(f, 0);
	waiter_start(&w, sleep_timed, &t);
	good = good && flow_write(f);
	return HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, t.event.events, t.event.data.u64) && flow_runs(f, 0);
}

Test(fast_sleep, a_cancelled_sleeper)
{
	each_way(cancelled);
}
