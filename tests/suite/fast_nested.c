/* A set is put into another one in the middle of traffic: the outer set shows what is in it, and
 * the inner one loses and invents nothing. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_nested, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, DEEP = 3 };

static bool shows(int outer, bool want)
{
	return HOLDS(set_event(outer) == (want ? IN : 0u));
}

static bool due(const struct flow *f)
{
	return flow_due(f, 0) != 0;
}

/* The outer set follows the level of the inner one through some traffic. */
static bool followed(struct flow *f, int outer)
{
	bool good = true;
	for (int i = 0; good && i < 3; i++) {
		good = shows(outer, due(f)) && flow_write(f) && shows(outer, due(f)) &&
		       flow_tells(f, 0) && shows(outer, due(f)) && flow_write(f) &&
		       shows(outer, due(f)) && flow_read(f) && shows(outer, due(f)) &&
		       flow_tells(f, 0) && shows(outer, due(f));
		if (good && f->watch[0].fired)
			good = flow_arm(f, 0) && shows(outer, due(f));
	}
	return good;
}

static bool nested_by_level(struct flow *f)
{
	int outer = set_watching(f->watch[0].set, IN, 1);
	bool good = followed(f, outer) && flow_runs(f, 0);
	set_ctl(outer, EPOLL_CTL_DEL, f->watch[0].set, 0, 0);
	good = good && flow_runs(f, 0) && shows(outer, false);
	close(outer);
	return good && flow_runs(f, 0);
}

Test(fast_nested, by_level)
{
	cr_assert(flow_each(FLOW_KINDS, nested_by_level));
}

/* Every write that the inner watch is interested in is an edge. */
static bool nested_by_edge(struct flow *f)
{
	int outer = set_watching(f->watch[0].set, IN | EPOLLET, 1);
	bool good = shows(outer, due(f)) && shows(outer, false) && flow_runs(f, 0);
	set_event(outer);
	for (int i = 0; good && i < 3; i++)
		good = flow_write(f) && shows(outer, due(f)) && shows(outer, false) &&
		       flow_write(f) && shows(outer, due(f) && (f->watch[0].interest & IN)) &&
		       flow_tells(f, 0) && shows(outer, false);
	close(outer);
	return good && flow_runs(f, 0);
}

Test(fast_nested, by_edge)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, nested_by_edge));
}

static bool nested_once(struct flow *f)
{
	int outer = set_watching(f->watch[0].set, IN | EPOLLONESHOT, 1);
	bool good = flow_tells(f, 0) && flow_read(f) && (!f->watch[0].fired || flow_arm(f, 0)) &&
		    flow_write(f);
	good = good && shows(outer, true) && shows(outer, false) && flow_write(f) &&
	       shows(outer, false);
	set_ctl(outer, EPOLL_CTL_MOD, f->watch[0].set, IN | EPOLLONESHOT, 1);
	good = good && shows(outer, due(f)) && shows(outer, false);
	close(outer);
	return good && flow_runs(f, 0);
}

Test(fast_nested, by_one_shots)
{
	cr_assert(flow_each_at(FLOW_QUIET, 4, nested_once));
	cr_assert(flow_each_at(FLOW_TOLD, 4, nested_once));
}

static bool nested_deep(struct flow *f)
{
	int outer[DEEP], in = f->watch[0].set;
	bool good = true;
	for (int i = 0; i < DEEP; i++)
		in = outer[i] = set_watching(in, IN, 1);
	for (int i = DEEP - 1; good && i >= 0; i--)
		good = followed(f, outer[i]);
	good = good && flow_runs(f, 0);
	for (int i = 0; i < DEEP; i++)
		close(outer[i]);
	return good && flow_runs(f, 0);
}

Test(fast_nested, three_deep)
{
	cr_assert(flow_each(FLOW_KINDS, nested_deep));
}

/* A thread sleeps in the outermost set. */
static bool sleeper_in_outer(struct flow *f, int depth)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	int outer[DEEP];
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	for (int i = 0; i < depth; i++)
		wait.set = outer[i] = set_watching(wait.set, IN, 1);
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, call_epoll_wait, &wait);
	good = good && flow_write(f);
	good = HOLDS(waiter_result(&w) == 1) && good && shows(wait.set, due(f));
	good = good && flow_runs(f, 0);
	for (int i = 0; i < depth; i++)
		close(outer[i]);
	return good && flow_runs(f, 0);
}

static bool sleeper_one_above(struct flow *f)
{
	return sleeper_in_outer(f, 1);
}

static bool sleeper_deep(struct flow *f)
{
	return sleeper_in_outer(f, DEEP);
}

Test(fast_nested, who_sleeps_outside_is_woken)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, sleeper_one_above));
	cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, sleeper_deep));
}

/* The loop of the inner set sleeps when the set is nested: both are told. */
static bool nested_under_sleeper(struct flow *f)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, call_epoll_wait, &wait);
	int outer = set_watching(f->watch[0].set, IN, 1);
	good = HOLDS(waiter_sleeps(&w)) && shows(outer, false) && good && flow_write(f);
	good = HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64) &&
	       shows(outer, due(f)) && followed(f, outer) && flow_runs(f, 0);
	close(outer);
	return good && flow_runs(f, 0);
}

Test(fast_nested, while_its_loop_sleeps)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, nested_under_sleeper));
}

/* Watches that come once the set is nested. */
static bool added_later(struct flow *f)
{
	int inner = epoll_create1(0), outer = set_watching(inner, IN, 1);
	struct flow_watch w = f->watch[0];
	bool good = shows(outer, false) && flow_add(f, 1, inner, w.interest, 5);
	good = good && shows(outer, flow_due(f, 1) != 0) && flow_tells(f, 1) &&
	       shows(outer, flow_due(f, 1) != 0) && flow_write(f) &&
	       shows(outer, flow_due(f, 1) != 0) && flow_tells(f, 1) && flow_runs(f, 1) &&
	       flow_tells(f, 0) && flow_arm(f, 1) && shows(outer, flow_due(f, 1) != 0);
	close(outer);
	return good && flow_runs(f, 0) && flow_runs(f, 1) && flow_runs(f, 0);
}

Test(fast_nested, watches_that_are_added_afterwards)
{
	cr_assert(flow_each(FLOW_KINDS, added_later));
}

/* The outer set has an eventfd of its own, and the inner one a pipe too. */
static bool mixed(struct flow *f)
{
	struct epoll_event events[4];
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	int own = eventfd_at(0), outer = set_watching(own, IN, 1), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	add_count(own, 1);
	cr_assert_eq(set_event(outer), IN);
	set_ctl(outer, EPOLL_CTL_ADD, f->watch[0].set, IN, 2);
	set_ctl(f->watch[0].set, EPOLL_CTL_ADD, pipefd[0], IN, 3);
	cr_assert_eq(epoll_wait(outer, events, 4, 0), 1);
	cr_assert(flow_write(f));
	cr_assert_eq(epoll_wait(outer, events, 4, 0), 2);
	cr_assert(flow_tells(f, 0) && flow_ready_for_more(f, 0));
	cr_assert_eq(epoll_wait(outer, events, 4, 0), 1);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	cr_assert_eq(epoll_wait(outer, events, 4, 0), 2);
	set_ctl(f->watch[0].set, EPOLL_CTL_DEL, pipefd[0], 0, 0);
	close(outer);
	close(own);
	close(pipefd[0]);
	close(pipefd[1]);
	return flow_runs(f, 0);
}

Test(fast_nested, with_an_eventfd_and_a_pipe_beside)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, mixed));
}

/* What cannot be nested leaves the set as it was. */
static bool refused(struct flow *f)
{
	int set = f->watch[0].set, outer = set_watching(set, IN, 1);
	struct epoll_event event = {.events = IN};
	bool good = HOLDS(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, set, &event)) == -EINVAL) &&
		    HOLDS(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, outer, &event)) == -ELOOP) &&
		    HOLDS(answer_of(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event)) == -EEXIST);
	good = good && followed(f, outer);
	close(outer);
	return good && HOLDS(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, set, &event)) == -EINVAL) &&
	       flow_runs(f, 0);
}

Test(fast_nested, in_itself_it_is_refused)
{
	cr_assert(flow_each(FLOW_KINDS, refused));
}
