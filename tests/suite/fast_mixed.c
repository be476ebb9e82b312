/* Sets that hold eventfds and other fds: each wakes the sleeper, alone and together, whichever came
 * first; and sets so large that it matters. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_mixed, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, PIPE_DATA = 99 };

static int ends[2];

static void fill_pipe(void)
{
	cr_assert_eq(write(ends[1], "x", 1), 1);
}

static void drain_pipe(void)
{
	char byte;
	cr_assert_eq(read(ends[0], &byte, 1), 1);
}

static void pipe_in(const struct flow *f)
{
	cr_assert_eq(pipe(ends), 0);
	set_ctl(f->watch[0].set, EPOLL_CTL_ADD, ends[0], IN, PIPE_DATA);
}

static void pipe_out(const struct flow *f)
{
	set_ctl(f->watch[0].set, EPOLL_CTL_DEL, ends[0], 0, 0);
	close(ends[0]);
	close(ends[1]);
}

/* All that the set tells is the pipe's event (or not), and what is due. */
static bool both_tell(struct flow *f, bool pipe_ready)
{
	struct epoll_event events[4];
	bool due = flow_due(f, 0) != 0, seen = false;
	int n = epoll_wait(f->watch[0].set, events, 4, pipe_ready || due ? 10000 : 0);
	bool good = HOLDS(n == pipe_ready + due);
	for (int i = 0; good && i < n; i++) {
		if (events[i].data.u64 == PIPE_DATA)
			good = HOLDS(pipe_ready && events[i].events == IN);
		else
			good = seen = flow_saw(f, 0, events[i].events, events[i].data.u64);
	}
	return good && HOLDS(seen == due) && (due || flow_saw(f, 0, 0, 0));
}

static bool beside_a_pipe(struct flow *f)
{
	bool good = true;
	pipe_in(f);
	for (int i = 0; good && i < 3; i++) {
		good = both_tell(f, false) && flow_write(f) && both_tell(f, false);
		fill_pipe();
		good = good && both_tell(f, true) && flow_write(f) && both_tell(f, true) &&
		       flow_read(f) && both_tell(f, true) &&
		       (!f->watch[0].fired || flow_arm(f, 0)) && both_tell(f, true);
		drain_pipe();
		good = good && both_tell(f, false);
	}
	pipe_out(f);
	return good && flow_runs(f, 0);
}

Test(fast_mixed, beside_a_pipe)
{
	cr_assert(flow_each(FLOW_KINDS, beside_a_pipe));
}

static bool child_beside_a_pipe(struct flow *f)
{
	int status = -1;
	pipe_in(f);
	fill_pipe();
	pid_t pid = fork();
	if (!pid)
		_exit(!(both_tell(f, true) && flow_write(f) && both_tell(f, true)));
	bool good = HOLDS(waitpid(pid, &status, 0) == pid && status == 0) && both_tell(f, true);
	drain_pipe();
	good = good && both_tell(f, false) && flow_write(f) && both_tell(f, false);
	pipe_out(f);
	return good && flow_runs(f, 0);
}

Test(fast_mixed, a_fork_with_a_pipe_beside)
{
	cr_assert(flow_each(FLOW_KINDS, child_beside_a_pipe));
}

/* A sleeper is woken by either; the other one may come to the set, or go, while it sleeps. */
enum { BEFORE = 1, WHILE_ASLEEP = 2, BY_PIPE = 4 };

static bool woken(struct flow *f, int how)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (how & BEFORE)
		pipe_in(f);
	waiter_start(&w, call_epoll_wait, &wait);
	if (how & WHILE_ASLEEP)
		pipe_in(f);
	bool good = HOLDS(waiter_sleeps(&w)), by_pipe = how & BY_PIPE;
	if (by_pipe)
		fill_pipe();
	else
		good = flow_write(f) && good;
	good = HOLDS(waiter_result(&w) == 1) && good;
	if (by_pipe)
		good = good && HOLDS(wait.events[0].data.u64 == PIPE_DATA) && both_tell(f, true);
	else
		good = good && flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	if (by_pipe)
		drain_pipe();
	pipe_out(f);
	return good && flow_ready_for_more(f, 0);
}

static bool sleeper(struct flow *f)
{
	if (f->watch[0].interest & OUT)
		return true;
	return flow_ready_for_more(f, 0) && woken(f, BEFORE) && woken(f, BEFORE | BY_PIPE) &&
	       woken(f, WHILE_ASLEEP) && woken(f, WHILE_ASLEEP | BY_PIPE) && flow_runs(f, 0);
}

Test(fast_mixed, who_sleeps_is_woken_by_either)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, sleeper));
}

/* The set has a pipe alone when somebody sleeps in it; the eventfd comes, and goes. */
static bool eventfd_comes_and_goes(struct flow *f)
{
	struct waited wait = {.set = f->watch[0].set};
	struct flow_watch watch = f->watch[0];
	struct waiter w;
	if (watch.interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	cr_assert_eq(epoll_ctl(wait.set, EPOLL_CTL_DEL, f->fd, NULL), 0);
	pipe_in(f);
	for (int written = 0; good && written < 2; written++) {
		waiter_start(&w, call_epoll_wait, &wait);
		good = flow_add(f, 0, wait.set, watch.interest, watch.data);
		if (written)
			good = flow_write(f) && good;
		else
			cr_assert_eq(epoll_ctl(wait.set, EPOLL_CTL_DEL, f->fd, NULL), 0);
		if (!written && HOLDS(write(f->fd, &(uint64_t){1}, 8) == 8))
			fill_pipe();
		good = HOLDS(waiter_result(&w) == 1) && good;
		good = good &&
		       (written ? flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64)
				: HOLDS(wait.events[0].data.u64 == PIPE_DATA));
		if (!written) {
			drain_pipe();
			take_count(f->fd);
		}
	}
	pipe_out(f);
	return good && flow_runs(f, 0);
}

Test(fast_mixed, an_eventfd_comes_while_somebody_sleeps_for_a_pipe)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, eventfd_comes_and_goes));
}

/* A timer beside: it fires though events never cease, and while nothing else happens. */
static bool timer_beside(struct flow *f)
{
	struct itimerspec soon = {.it_value.tv_nsec = 1000000};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), set = f->watch[0].set;
	struct epoll_event events[4];
	bool fired = false, good = true;
	set_ctl(set, EPOLL_CTL_ADD, timer, IN, PIPE_DATA);
	cr_assert_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
	while (good && !fired) {
		good = flow_write(f) && (!f->watch[0].fired || flow_arm(f, 0));
		int n = epoll_wait(set, events, 4, -1);
		for (int i = 0; i < n; i++)
			fired |= events[i].data.u64 == PIPE_DATA;
		for (int i = 0; good && i < n; i++)
			if (events[i].data.u64 != PIPE_DATA)
				good = flow_saw(f, 0, events[i].events, events[i].data.u64);
		good = good && HOLDS(n == 1 + fired);
	}
	set_ctl(set, EPOLL_CTL_DEL, timer, 0, 0);
	close(timer);
	return good && flow_runs(f, 0);
}

Test(fast_mixed, a_timer_fires_in_a_flood)
{
	cr_assert(flow_each_at(FLOW_READ, FLOW_FAST_KINDS, timer_beside));
}

/* Hundreds of eventfds in one set, some of them written in each round. */
enum { HUNDREDS = 400, ROUNDS = 30 };

static void large_set(uint32_t interest, int room)
{
	static struct epoll_event events[HUNDREDS];
	static int fd[HUNDREDS], want[HUNDREDS];
	int set = epoll_create1(0);
	for (int i = 0; i < HUNDREDS; i++) {
		fd[i] = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fd[i], interest, (uint64_t)i);
	}
	for (unsigned round = 1; round <= ROUNDS; round++) {
		int due = 0, n;
		for (int i = 0; i < HUNDREDS; i++) {
			want[i] = (unsigned)i * 7 % round == 0;
			due += want[i];
			if (want[i])
				add_count(fd[i], 1);
		}
		while (due && (n = epoll_wait(set, events, room, 0)) > 0) {
			for (int i = 0; i < n; i++) {
				int which = (int)events[i].data.u64;
				if (!want[which]--)
					cr_assert_fail("%d was not written, or told", which);
				take_count(fd[which]);
				if (interest & EPOLLONESHOT)
					set_ctl(set, EPOLL_CTL_MOD, fd[which], interest,
						(uint64_t)which);
			}
			due -= n;
		}
		cr_assert_eq(due, 0);
		cr_assert_eq(epoll_wait(set, events, room, 0), 0);
	}
	close(set);
	for (int i = 0; i < HUNDREDS; i++)
		close(fd[i]);
}

Test(fast_mixed, hundreds_in_one_set)
{
	static const uint32_t interests[] = {IN, IN | EPOLLET, IN | EPOLLONESHOT};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		large_set(interests[i], HUNDREDS);
		large_set(interests[i], 3);
	}
}
