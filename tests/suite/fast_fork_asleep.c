/* A fork while somebody sleeps in a set in the middle of traffic, or is interrupted in it. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_fork_asleep, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

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

static bool nothing(struct flow *f)
{
	(void)f;
	return true;
}

static bool sleeps_for_it(struct flow *f)
{
	struct epoll_event event;
	return HOLDS(epoll_wait(f->watch[0].set, &event, 1, -1) == 1) &&
	       flow_saw(f, 0, event.events, event.data.u64);
}

/* Sleeps until the other side writes. */
static bool child_is_woken(struct flow *f)
{
	int status = -1;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	pid_t pid = fork();
	if (!pid)
		_exit(!sleeps_for_it(f));
	tk_wait_process_asleep(pid);
	bool good = flow_write(f);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return good && HOLDS(status == 0) && runs(f);
}

Test(fast_fork_asleep, the_child_asleep_is_woken)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, child_is_woken));
}

static bool writes(struct flow *f)
{
	return flow_write(f);
}

static long sleep_in_set(void *flow)
{
	return sleeps_for_it(flow);
}

/* The loop sleeps already when another thread forks: the child's write wakes it. */
static bool loop_asleep(
	struct flow *f, bool (*in_child)(struct flow *), bool (*here)(struct flow *))
{
	struct waiter w;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	waiter_start(&w, sleep_in_set, f);
	bool good = child(in_child, f);
	good = good && here(f);
	return waiter_result(&w) && good && runs(f) && child(runs, f) && runs(f);
}

static bool woken_by_child(struct flow *f)
{
	return loop_asleep(f, writes, nothing);
}

static bool woken_after_fork(struct flow *f)
{
	return loop_asleep(f, nothing, writes);
}

Test(fast_fork_asleep, a_loop_asleep_is_woken_by_a_child_forked_meanwhile)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, woken_by_child));
}

Test(fast_fork_asleep, a_loop_asleep_is_woken_after_a_fork)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, woken_after_fork));
}

/* Both asleep in the set: a level wakes both, an edge or a shot one of them. */
static bool wake_thread(struct flow *f, struct waiter *w)
{
	bool good = (!f->watch[0].fired || (flow_read(f) && flow_arm(f, 0))) && flow_write(f);
	return waiter_result(w) == 1 && good;
}

static bool wake_child(struct flow *f, pid_t pid)
{
	int status = -1;
	bool good = (!f->watch[0].fired || (flow_read(f) && flow_arm(f, 0))) && flow_write(f);
	return waitpid(pid, &status, 0) == pid && HOLDS(status == 0) && good;
}

static bool two_asleep(struct flow *f)
{
	struct waiter w;
	int status = -1;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, sleep_in_set, f);
	pid_t pid = fork();
	if (!pid)
		_exit(!sleeps_for_it(f));
	tk_wait_process_asleep(pid);
	good = good && flow_write(f);
	if (!(f->watch[0].interest & (EPOLLET | EPOLLONESHOT))) {
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		return HOLDS(waiter_result(&w) == 1) && HOLDS(status == 0) && good && runs(f);
	}
	pid_t gone;
	while (!(gone = waitpid(pid, &status, WNOHANG)) && !w.done)
		sched_yield();
	if (gone)
		good = HOLDS(status == 0) && HOLDS(waiter_sleeps(&w)) && wake_thread(f, &w) && good;
	else
		good = HOLDS(waiter_result(&w) == 1) && wake_child(f, pid) && good;
	return good && runs(f);
}

Test(fast_fork_asleep, both_asleep)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, two_asleep));
}

/* In a handler that interrupts the loop. */
static struct flow *handled;

static void fork_in_handler(int sig)
{
	(void)sig;
	pid_t pid = fork();
	if (!pid)
		_exit(!flow_write(handled));
	int status;
	waitpid(pid, &status, 0);
}

static bool forks_in_handler(struct flow *f)
{
	struct epoll_event event;
	struct sigaction action = {.sa_handler = fork_in_handler}, old;
	sigset_t blocked, before;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	handled = f;
	sigaction(SIGUSR2, &action, &old);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	raise(SIGUSR2);
	long ret = answer_of(epoll_pwait(f->watch[0].set, &event, 1, -1, &before));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGUSR2, &old, NULL);
	return HOLDS(ret == -EINTR) && flow_tells(f, 0) && runs(f);
}

Test(fast_fork_asleep, a_handler_that_interrupts_the_loop_forks)
{
	cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, forks_in_handler));
}
