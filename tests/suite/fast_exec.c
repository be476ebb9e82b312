/* A set and its eventfd in the middle of traffic, and another program: executed, spawned, started
 * by vfork. Here and there the same is told. */
#define _GNU_SOURCE
#include "askboth.h"
#include "flow.h"
#include "pair.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_exec, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT };
enum { TELLS, RUNS, WRITES, WRITES_TWICE, SLEEPS };

extern char **environ;

/* The flow's memory, what to do with it. */
ROLE(joins_in)
{
	struct flow *f = flow_map(arg[0]);
	CHECK(f);
	switch (arg[1]) {
	case TELLS:
		CHECK(flow_tells(f, 0));
		break;
	case RUNS:
		CHECK(flow_tells(f, 0));
		CHECK(flow_runs(f, 0));
		break;
	case WRITES_TWICE:
		CHECK(flow_write(f));
		CHECK(flow_tells(f, 0));
		/* fallthrough */
	case WRITES:
		CHECK(flow_write(f));
		break;
	default: {
		struct epoll_event event;
		CHECK(epoll_wait(f->watch[0].set, &event, 1, -1) == 1);
		CHECK(flow_saw(f, 0, event.events, event.data.u64));
	}
	}
}

static void keep_over_exec(const struct flow *f)
{
	cr_assert_eq(fcntl(f->memory, F_SETFD, 0), 0);
}

static bool reaped(pid_t pid)
{
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && HOLDS(status == 0);
}

/* Every way to start it. */
static pid_t by_fork(const struct flow *f, int what)
{
	return start_role("joins_in %d %d", f->memory, what);
}

static pid_t by_spawn(const struct flow *f, int what)
{
	char **argv = role_argv("joins_in %d %d", f->memory, what);
	pid_t pid = -1;
	int err = posix_spawn(&pid, role_path(), NULL, NULL, argv, environ);
	return HOLDS(err == 0) ? pid : -1;
}

static pid_t by_vfork(const struct flow *f, int what)
{
	char **argv = role_argv("joins_in %d %d", f->memory, what);
	const char *path = role_path();
	pid_t pid = vfork();
	if (pid)
		return pid;
	execv(path, argv);
	_exit(1);
}

static pid_t (*const ways[])(const struct flow *f, int what) = {by_fork, by_spawn, by_vfork};
static size_t way;

static bool in_other(const struct flow *f, int what)
{
	return reaped(ways[way](f, what));
}

static void each_way(enum flow_stage stage, flow_run run)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each_at(stage, FLOW_FAST_KINDS, run), "way %zu", way);
}

static bool traffic_there(struct flow *f)
{
	keep_over_exec(f);
	return in_other(f, RUNS) && flow_runs(f, 0);
}

Test(fast_exec, it_goes_on_there)
{
	way = 0;
	cr_assert(flow_each(FLOW_FAST_KINDS, traffic_there));
}

static bool traffic_by_turns(struct flow *f)
{
	keep_over_exec(f);
	return in_other(f, TELLS) && flow_tells(f, 0) && in_other(f, WRITES) && flow_tells(f, 0) &&
	       in_other(f, TELLS) && flow_write(f) && in_other(f, TELLS) && flow_tells(f, 0) &&
	       flow_runs(f, 0) && in_other(f, WRITES_TWICE) && flow_tells(f, 0);
}

Test(fast_exec, they_take_turns)
{
	each_way(FLOW_WRITTEN, traffic_by_turns);
}

Test(fast_exec, they_take_turns_after_an_event_was_told)
{
	each_way(FLOW_TOLD, traffic_by_turns);
}

Test(fast_exec, they_take_turns_after_it_was_armed)
{
	each_way(FLOW_ARMED, traffic_by_turns);
}

/* A loop asleep here is woken from there; one asleep there is woken from here. */
static bool woken_here(struct flow *f)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (f->watch[0].interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	keep_over_exec(f);
	waiter_start(&w, call_epoll_wait, &wait);
	good = in_other(f, WRITES) && good;
	return HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64) && flow_runs(f, 0);
}

Test(fast_exec, a_loop_asleep_here_is_woken_from_there)
{
	each_way(FLOW_TOLD, woken_here);
	each_way(FLOW_QUIET, woken_here);
}

static bool woken_there(struct flow *f)
{
	if (f->watch[0].interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	keep_over_exec(f);
	pid_t pid = by_fork(f, SLEEPS);
	tk_wait_process_asleep(pid);
	good = good && flow_write(f);
	return reaped(pid) && good && flow_runs(f, 0);
}

Test(fast_exec, a_loop_asleep_there_is_woken_from_here)
{
	cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, woken_there));
}

/* This very process becomes the other program. */
static bool replaces_itself(struct flow *f)
{
	keep_over_exec(f);
	pid_t pid = fork();
	if (!pid) {
		if (!flow_runs(f, 0) || !flow_bring(f, (enum flow_stage)f->stage))
			_exit(1);
		become("joins_in %d %d", f->memory, RUNS);
	}
	return reaped(pid) && flow_runs(f, 0);
}

Test(fast_exec, the_process_itself_becomes_it)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, replaces_itself));
}

/* In a process that never shared the set before: made after the fork, no other process has it. */
static void makes_and_becomes(void *kind)
{
	struct flow *f = flow_open(*(const uint32_t *)kind);
	CHECK(f && flow_runs(f, 0) && flow_write(f) && flow_tells(f, 0) && flow_write(f));
	CHECK(fcntl(f->memory, F_SETFD, 0) == 0);
	become("joins_in %d %d", f->memory, RUNS);
}

Test(fast_exec, alone)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++)
		in_child(makes_and_becomes, (void *)&flow_kinds[kind]);
}

/* A vfork child writes and reads in the memory of its parent. */
static bool vfork_writes(struct flow *f)
{
	uint64_t one = 1;
	int fd = f->fd, status = -1;
	pid_t pid = vfork();
	if (!pid)
		_exit(write(fd, &one, sizeof(one)) != 8);
	flow_wrote(f);
	return HOLDS(waitpid(pid, &status, 0) == pid && status == 0) && flow_tells(f, 0) &&
	       flow_runs(f, 0);
}

Test(fast_exec, a_vfork_child_writes)
{
	cr_assert(flow_each(FLOW_KINDS, vfork_writes));
}

/* The set and the eventfd are closed by exec: here all goes on. */
static bool not_inherited(struct flow *f)
{
	cr_assert_eq(fcntl(f->fd, F_SETFD, FD_CLOEXEC), 0);
	cr_assert_eq(fcntl(f->watch[0].set, F_SETFD, FD_CLOEXEC), 0);
	char *argv[] = {"true", NULL};
	pid_t pid = -1;
	bool good = HOLDS(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0) &&
		    reaped(pid) && flow_tells(f, 0) && flow_runs(f, 0);
	return good;
}

Test(fast_exec, nothing_is_inherited)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, not_inherited));
}

/* system() in the middle of a loop that sleeps and wakes. */
static bool with_system(struct flow *f)
{
	bool good = true;
	for (int i = 0; good && i < 3; i++)
		good = flow_write(f) && HOLDS(system("true") == 0) && flow_tells(f, 0) &&
		       flow_read(f) && flow_tells(f, 0) && (!f->watch[0].fired || flow_arm(f, 0));
	return good && flow_runs(f, 0);
}

Test(fast_exec, a_shell_in_between)
{
	cr_assert(flow_each_at(FLOW_TOLD, FLOW_FAST_KINDS, with_system));
}
