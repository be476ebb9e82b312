/* More watches of an object in the middle of traffic: a second, third and fourth set, EXCLUSIVE
 * ones, two in one set. Each tells what it has to, whatever the others do. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_shared, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };
#define ET ((uint32_t)EPOLLET)
#define EXCLUSIVE ((uint32_t)EPOLLEXCLUSIVE)

/* All watches there are, one after the other, `first` first. */
static bool all_tell(struct flow *f, int first)
{
	bool good = true;
	for (int i = 0; good && i < FLOW_WATCHES; i++) {
		int which = (first + i) % FLOW_WATCHES;
		good = f->watch[which].set < 0 || flow_tells(f, which);
	}
	return good;
}

static bool all_armed(struct flow *f)
{
	bool good = true;
	for (int i = 0; good && i < FLOW_WATCHES; i++)
		good = f->watch[i].set < 0 || !f->watch[i].fired || flow_arm(f, i);
	return good;
}

static bool traffic(struct flow *f)
{
	bool good = all_tell(f, 0);
	for (int i = 0; good && i < FLOW_WATCHES; i++)
		good = flow_write(f) && all_tell(f, i) && all_tell(f, i + 1) && flow_write(f) &&
		       all_tell(f, i + 2) && flow_read(f) && all_armed(f) && all_tell(f, i) &&
		       flow_write(f) && flow_read(f) && all_tell(f, i) && all_armed(f);
	return good;
}

static bool add_in_new_set(struct flow *f, int i, uint32_t interest)
{
	return flow_add(f, i, epoll_create1(EPOLL_CLOEXEC), interest, 1000 + (uint64_t)i);
}

static void forget(struct flow *f, int i)
{
	close(f->watch[i].set);
	f->watch[i].set = -1;
}

/* Sets come and go. */
static bool come_and_go(struct flow *f)
{
	bool good = true;
	for (int kind = 0; good && kind < FLOW_KINDS; kind += 2) {
		uint32_t interest = flow_kinds[kind];
		good = add_in_new_set(f, 1, interest) && traffic(f) &&
		       add_in_new_set(f, 2, f->watch[0].interest) && traffic(f) &&
		       add_in_new_set(f, 3, interest ^ BOTH) && traffic(f) && flow_write(f);
		forget(f, 2);
		good = good && all_tell(f, 1) && traffic(f);
		forget(f, 1);
		forget(f, 3);
		good = good && flow_write(f) && traffic(f);
	}
	return good && flow_runs(f, 0);
}

Test(fast_shared, up_to_four_sets)
{
	cr_assert(flow_each(FLOW_KINDS, come_and_go));
}

/* The third watch comes while events of the first two are pending, and all of them stay. */
static bool third_finds_events_pending(struct flow *f)
{
	return add_in_new_set(f, 1, IN | ET) && traffic(f) && flow_write(f) &&
	       add_in_new_set(f, 2, IN) && all_tell(f, 0) && traffic(f) && flow_write(f) &&
	       all_tell(f, 0) && add_in_new_set(f, 3, IN | ET) && all_tell(f, 1) &&
	       all_tell(f, 2) && traffic(f);
}

Test(fast_shared, a_third_watch_while_events_are_pending)
{
	cr_assert(flow_each(FLOW_KINDS, third_finds_events_pending));
}

/* EXCLUSIVE in a set of its own leaves the other watches alone. */
static bool exclusive_beside(struct flow *f, uint32_t interest)
{
	bool good = add_in_new_set(f, 1, interest | EXCLUSIVE) && traffic(f) && flow_write(f) &&
		    all_tell(f, 1) && flow_read(f) && traffic(f);
	good = good && flow_write(f);
	forget(f, 1);
	return good && flow_tells(f, 0) && flow_read(f) && traffic(f);
}

static bool exclusive(struct flow *f)
{
	return exclusive_beside(f, IN) && exclusive_beside(f, BOTH) &&
	       exclusive_beside(f, IN | ET) && flow_runs(f, 0);
}

Test(fast_shared, an_exclusive_watch)
{
	cr_assert(flow_each(FLOW_KINDS, exclusive));
}

/* A sleeper in the first set is woken, whoever else comes. */
static bool sleeper_beside(struct flow *f, uint32_t other, bool thrice)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (f->watch[0].interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, call_epoll_wait, &wait);
	good = good && add_in_new_set(f, 1, other);
	if (thrice)
		good = good && add_in_new_set(f, 2, other) && add_in_new_set(f, 3, other);
	good = HOLDS(waiter_sleeps(&w)) && good && flow_write(f);
	good = HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	good = good && all_tell(f, 1) && traffic(f);
	for (int i = 1; i < FLOW_WATCHES; i++)
		if (f->watch[i].set >= 0)
			forget(f, i);
	return good && flow_runs(f, 0);
}

static bool sleeper(struct flow *f)
{
	return sleeper_beside(f, IN, false) && sleeper_beside(f, IN, true) &&
	       sleeper_beside(f, IN | ET, true) && sleeper_beside(f, OUT, false) &&
	       sleeper_beside(f, BOTH | EXCLUSIVE, false);
}

Test(fast_shared, a_loop_asleep_when_they_come)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, sleeper));
}

/* Two loops asleep in two sets: one write wakes both. */
static bool two_loops(struct flow *f)
{
	struct waited wait[3];
	struct waiter w[3];
	if (f->watch[0].interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0) && add_in_new_set(f, 1, IN | ET) &&
		    add_in_new_set(f, 2, IN) && flow_tells(f, 1);
	for (int sets = 2; good && sets <= 3; sets++) {
		for (int i = 0; i < sets; i++) {
			wait[i] = (struct waited){.set = f->watch[i].set};
			waiter_start(&w[i], call_epoll_wait, &wait[i]);
		}
		good = flow_write(f);
		for (int i = 0; i < sets; i++)
			good = HOLDS(waiter_result(&w[i]) == 1) && good &&
			       flow_saw(f, i, wait[i].events[0].events, wait[i].events[0].data.u64);
		good = good && all_tell(f, 0) && flow_read(f) && all_armed(f) && all_tell(f, 0);
	}
	return good && traffic(f);
}

Test(fast_shared, loops_asleep_in_all_sets)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, two_loops));
}

/* Twice in one set, under two numbers: each has its own event. */
static bool twice_in_one_set(struct flow *f)
{
	struct epoll_event events[4], second = {.events = IN | ET, .data.u64 = 2};
	int copy = dup(f->fd), set = f->watch[0].set;
	bool good = flow_ready_for_more(f, 0) && !(f->watch[0].interest & OUT);
	if (good) {
		cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, copy, &second), 0);
		cr_assert_eq(epoll_wait(set, events, 4, 0), 0);
		cr_assert(flow_write(f));
		cr_assert_eq(epoll_wait(set, events, 4, 0), 2);
		int other = events[0].data.u64 == 2;
		cr_assert(events[!other].data.u64 == 2 && events[!other].events == IN);
		cr_assert(flow_saw(f, 0, events[other].events, events[other].data.u64));
		cr_assert(flow_tells(f, 0) && flow_tells(f, 0));
		cr_assert_eq(epoll_ctl(set, EPOLL_CTL_DEL, copy, NULL), 0);
	}
	cr_assert_eq(close(copy), 0);
	return flow_runs(f, 0);
}

Test(fast_shared, twice_in_one_set)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, twice_in_one_set));
}
