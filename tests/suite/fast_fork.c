/* A set and its eventfd in the middle of traffic, and a fork: no event is lost, told twice or made
 * up, on either side. */
#define _GNU_SOURCE
#include "askboth.h"
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_fork, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN };

/* A child that runs this; true where it ended well. */
static bool child(bool (*run)(struct flow *), struct flow *f)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid)
		_exit(!run(f));
	return pid > 0 && waitpid(pid, &status, 0) == pid && HOLDS(status == 0);
}

static bool runs(struct flow *f)
{
	return flow_runs(f, 0);
}

static bool tells(struct flow *f)
{
	return flow_tells(f, 0);
}

static bool nothing(struct flow *f)
{
	(void)f;
	return true;
}

static bool parent_alone(struct flow *f)
{
	return child(nothing, f) && runs(f);
}

Test(fast_fork, the_parent_goes_on)
{
	cr_assert(flow_each(FLOW_KINDS, parent_alone));
}

static bool child_alone(struct flow *f)
{
	return child(runs, f);
}

Test(fast_fork, the_child_goes_on)
{
	cr_assert(flow_each(FLOW_KINDS, child_alone));
}

static bool one_after_the_other(struct flow *f)
{
	return child(tells, f) && tells(f) && child(runs, f) && runs(f) && child(tells, f) &&
	       flow_write(f) && child(tells, f) && tells(f);
}

Test(fast_fork, child_and_parent_share_what_is_told)
{
	cr_assert(flow_each(FLOW_KINDS, one_after_the_other));
}

static bool parent_first(struct flow *f)
{
	return tells(f) && child(tells, f) && runs(f) && child(runs, f) && tells(f);
}

Test(fast_fork, so_they_do_where_the_parent_asks_first)
{
	cr_assert(flow_each(FLOW_KINDS, parent_first));
}

static bool two_generations(struct flow *f)
{
	return child(one_after_the_other, f) && runs(f);
}

Test(fast_fork, a_child_of_the_child_shares_it_too)
{
	cr_assert(flow_each(FLOW_KINDS, two_generations));
}

/* What each side does while the other lives, told by bytes in a pipe. */
static int turn[2][2];

static bool pass(int to)
{
	return HOLDS(write(turn[to][1], "x", 1) == 1);
}

static bool await(int who)
{
	char byte;
	return HOLDS(read(turn[who][0], &byte, 1) == 1);
}

enum { PARENT, CHILD, TURNS = 4 };

static bool takes_turns(struct flow *f, int me)
{
	bool good = true;
	for (int i = 0; good && i < TURNS; i++)
		good = await(me) && tells(f) && flow_write(f) && tells(f) &&
		       (!f->watch[0].fired || i % 2 || flow_arm(f, 0)) &&
		       (i != 2 || flow_read(f)) && pass(!me);
	return good;
}

static bool both_alive(struct flow *f)
{
	int status = -1;
	cr_assert(pipe(turn[0]) == 0 && pipe(turn[1]) == 0);
	pid_t pid = fork();
	if (!pid)
		_exit(!takes_turns(f, CHILD));
	bool good = pass(CHILD) && takes_turns(f, PARENT);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 4; i++)
		close(turn[i / 2][i % 2]);
	return good && status == 0 && runs(f);
}

Test(fast_fork, both_take_turns)
{
	cr_assert(flow_each(FLOW_KINDS, both_alive));
}

/* The numbers are closed on one side; the other goes on. */
static bool closes(struct flow *f)
{
	return HOLDS(close(f->fd) == 0) && HOLDS(close(f->watch[0].set) == 0);
}

static bool child_closes(struct flow *f)
{
	return child(closes, f) && runs(f);
}

Test(fast_fork, what_the_child_closes_is_still_there)
{
	cr_assert(flow_each(FLOW_KINDS, child_closes));
}

static bool goes_on_alone(struct flow *f)
{
	return await(CHILD) && runs(f);
}

static bool parent_closes(struct flow *f)
{
	int status = -1;
	cr_assert_eq(pipe(turn[CHILD]), 0);
	pid_t pid = fork();
	if (!pid)
		_exit(!goes_on_alone(f));
	bool good = closes(f) && pass(CHILD);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	f->fd = f->watch[0].set = -1;
	close(turn[CHILD][0]);
	close(turn[CHILD][1]);
	return good && HOLDS(status == 0);
}

Test(fast_fork, what_the_parent_closes_too)
{
	cr_assert(flow_each(FLOW_KINDS, parent_closes));
}

/* The watch is changed on one side. */
static bool arms(struct flow *f)
{
	return flow_arm(f, 0);
}

static bool adds_it_again(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	return HOLDS(epoll_ctl(w.set, EPOLL_CTL_DEL, f->fd, NULL) == 0) &&
	       flow_add(f, 0, w.set, w.interest, w.data + 1);
}

static bool child_changes(struct flow *f)
{
	return child(arms, f) && tells(f) && child(adds_it_again, f) && runs(f) &&
	       adds_it_again(f) && child(runs, f);
}

Test(fast_fork, the_child_changes_the_watch)
{
	cr_assert(flow_each(FLOW_KINDS, child_changes));
}

/* Several in one set, a pipe too: each has its own event pending. */
enum { MANY = 8 };

static struct flow *many[MANY];

static bool all_tell(struct flow *unused)
{
	struct epoll_event events[MANY + 2];
	bool seen[MANY] = {false}, good = true;
	int n = epoll_wait(many[0]->watch[1].set, events, MANY + 2, 0);
	(void)unused;
	for (int i = 0; i < n; i++) {
		uint64_t k = events[i].data.u64;
		good &= HOLDS(k < MANY && !seen[k]) && flow_saw(many[k], 1, events[i].events, k);
		seen[k % MANY] = true;
	}
	for (int k = 0; good && k < MANY; k++)
		good = seen[k] || flow_saw(many[k], 1, 0, 0);
	return good;
}

Test(fast_fork, many_in_one_set)
{
	int set = epoll_create1(0);
	for (int k = 0; k < MANY; k++) {
		many[k] = flow_open(IN);
		cr_assert(flow_add(many[k], 1, set, flow_kinds[k], (uint64_t)k));
	}
	for (int round = 0; round < 20; round++) {
		for (int k = 0; k < MANY; k++) {
			cr_assert((k + round) % 3 || flow_write(many[k]));
			cr_assert((k + round) % 5 || flow_read(many[k]));
			cr_assert((k + round) % 7 || flow_arm(many[k], 1));
		}
		cr_assert(round % 2 ? child(all_tell, NULL) && all_tell(NULL)
				    : all_tell(NULL) && child(all_tell, NULL));
	}
	for (int k = 0; k < MANY; k++) {
		many[k]->watch[1].set = -1;
		flow_close(many[k]);
	}
	close(set);
}
