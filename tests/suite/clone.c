/* Children made by clone, and by fork and clone by number: each with memory and fds its own or the
 * parent's. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(clone, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(clone_vm, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(clone_files, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { STACK = 256 * 1024 };

static char stack[STACK] __attribute__((aligned(64)));
static int closed, covered, source, pipe_in, pipe_out;
static char **role;

static void open_numbers(void)
{
	int ends[2];
	closed = new_eventfd(1, EFD_NONBLOCK);
	covered = new_eventfd(2, EFD_NONBLOCK);
	source = new_eventfd(3, EFD_NONBLOCK);
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	pipe_in = ends[0];
	pipe_out = ends[1];
	role = role_argv("has_what_the_clone_has %d %d %d", closed, covered, pipe_out);
}

/* `times`: of changes_numbers() in a child. */
static void assert_numbers(uint64_t times)
{
	char text[64] = "";
	assert_count(closed, 1);
	assert_count(covered, 2);
	assert_count(source, 3 + 100 * times);
	cr_assert_eq(read(pipe_in, text, sizeof(text)), (ssize_t)(5 * times));
	cr_assert_eq(write(pipe_out, "abc", 3), 3);
	cr_assert_eq(read(pipe_in, text, sizeof(text)), 3);
	cr_assert(fresh_one_works());
}

static void close_numbers(void)
{
	cr_assert_eq(close(closed) | close(covered) | close(source), 0);
	cr_assert_eq(close(pipe_in) | close(pipe_out), 0);
}

static void changes_numbers(void)
{
	CHECK(tell_close(closed) == 0 && is_closed(closed));
	CHECK(dup2(pipe_out, covered) == covered && write(covered, "hello", 5) == 5);
	CHECK(dup2(source, pipe_out) == pipe_out && adds(pipe_out, 100));
	int own = eventfd(50, EFD_NONBLOCK);
	CHECK(own == closed && takes(own, 50) && tell_close(own) == 0);
	CHECK(fresh_one_works());
}

ROLE(has_what_the_clone_has)
{
	CHECK(is_closed(arg[0]));
	CHECK(polled(arg[1]) == POLLOUT && polled(arg[2]) == (POLLIN | POLLOUT));
	CHECK(fresh_one_works());
}

static int changes_and_ends(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	changes_numbers();
	return 0;
}

static int changes_and_executes(void *unused)
{
	(void)unused;
	changes_numbers();
	execv(role_path(), role);
	CHECK(!"execv");
	return 1;
}

static pid_t clone_child(int (*run)(void *), int flags)
{
	return clone(run, stack + STACK, flags | SIGCHLD, NULL);
}

static void ends_like(int flags)
{
	open_numbers();
	end_child(clone_child(changes_and_ends, flags));
	assert_numbers(1);
	close_numbers();
}

static void executes_like(int flags)
{
	open_numbers();
	end_child(clone_child(changes_and_executes, flags));
	assert_numbers(1);
	close_numbers();
}

Test(clone, like_fork_that_ends)
{
	ends_like(0);
}

Test(clone, like_fork_that_executes)
{
	executes_like(0);
}

Test(clone_vm, like_vfork_that_ends)
{
	ends_like(CLONE_VM | CLONE_VFORK);
}

Test(clone_vm, like_vfork_that_executes)
{
	executes_like(CLONE_VM | CLONE_VFORK);
}

static void by_number(pid_t child)
{
	if (!child) {
		changes_and_ends(NULL);
		_exit(0);
	}
	cr_assert_gt(child, 0);
	end_child(child);
	assert_numbers(1);
	close_numbers();
}

#ifdef SYS_fork
Test(clone, by_syscall_SYS_fork)
{
	open_numbers();
	by_number((pid_t)syscall(SYS_fork));
}

Test(clone, by_a_raw_SYS_fork)
{
	open_numbers();
	by_number((pid_t)tk_raw_syscall(SYS_fork, 0, 0, 0, 0, 0, 0));
}
#endif

Test(clone, by_syscall_SYS_clone)
{
	open_numbers();
	by_number((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

Test(clone, by_a_raw_SYS_clone)
{
	open_numbers();
	by_number((pid_t)tk_raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0));
}

#ifdef SYS_clone3
/* The first eight fields of struct clone_args: the fifth is the signal. */
Test(clone, by_syscall_SYS_clone3)
{
	uint64_t args[8] = {0, 0, 0, 0, SIGCHLD};
	if (tk_lacks(SYS_clone3))
		return;
	open_numbers();
	by_number((pid_t)syscall(SYS_clone3, args, sizeof(args)));
}
#endif

static int waits_then_answers(void *unused)
{
	uint64_t value;
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(fcntl(closed, F_SETFL, 0) == 0 && takes(closed, 1));
	CHECK(tell_read(closed, &value) == 8 && value == 8);
	CHECK(fcntl(closed, F_SETFL, O_NONBLOCK) == 0 && adds(closed, 1));
	return 0;
}

Test(clone, child_asleep_in_read_is_woken)
{
	open_numbers();
	pid_t child = clone_child(waits_then_answers, 0);
	while (polled(closed) & POLLIN)
		sched_yield();
	tk_wait_process_asleep(child);
	add(closed, 8);
	end_child(child);
	assert_count(closed, 1);
	close_numbers();
}

/* A thread of the parent, which the child cannot stop. */
struct user {
	int fd, wrong;
	atomic_bool stop;
	atomic_int rounds;
	pthread_t thread;
};

static void *uses(void *arg)
{
	struct user *u = arg;
	for (; !u->stop; u->rounds++) {
		u->wrong += !adds(u->fd, 7) || polled(u->fd) != (POLLIN | POLLOUT);
		u->wrong += !takes(u->fd, 7) || polled(u->fd) != POLLOUT;
	}
	return NULL;
}

static void among_threads(int flags)
{
	enum { TIMES = 12 };
	struct user users[2] = {0};
	open_numbers();
	users[0].fd = closed;
	users[1].fd = covered;
	for (int i = 0; i < 2; i++) {
		take(users[i].fd);
		cr_assert_eq(pthread_create(&users[i].thread, NULL, uses, &users[i]), 0);
	}
	for (int i = 0; i < TIMES; i++) {
		int seen[2] = {users[0].rounds, users[1].rounds};
		end_child(clone_child(changes_and_ends, flags));
		while (users[0].rounds < seen[0] + 20 || users[1].rounds < seen[1] + 20)
			sched_yield();
	}
	for (int i = 0; i < 2; i++) {
		users[i].stop = true;
		cr_assert_eq(pthread_join(users[i].thread, NULL), 0);
		cr_assert_eq(users[i].wrong, 0);
	}
	add(closed, 1);
	add(covered, 2);
	assert_numbers(TIMES);
	close_numbers();
}

Test(clone, among_threads_that_use_what_it_closes)
{
	among_threads(0);
}

Test(clone_vm, among_threads_that_use_what_it_closes)
{
	among_threads(CLONE_VM | CLONE_VFORK);
}

static int told[2], go[2];

/* It runs beside the parent in the same memory: only one of the two is awake at a time. */
static int changes_and_waits(void *unused)
{
	char c;
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	changes_numbers();
	if (write(told[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
		return 1;
	CHECK(is_closed(closed) && adds(pipe_out, 100) && write(covered, "again", 5) == 5);
	return 0;
}

Test(clone_vm, beside_the_parent_with_fds_of_its_own)
{
	char c;
	open_numbers();
	cr_assert(pipe(told) == 0 && pipe(go) == 0);
	pid_t child = clone_child(changes_and_waits, CLONE_VM);
	cr_assert_eq(read(told[0], &c, 1), 1);
	tk_wait_process_asleep(child);
	assert_numbers(1);
	add(closed, 1);
	add(covered, 2);
	add(source, 3);
	cr_assert_eq(write(go[1], "x", 1), 1);
	end_child(child);
	assert_numbers(1);
	close_numbers();
	cr_assert_eq(close(told[0]) | close(told[1]) | close(go[0]) | close(go[1]), 0);
}

/* Here the child's numbers are the parent's. */
static int closes_for_both(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(tell_close(closed) == 0 && dup2(source, covered) == covered);
	CHECK(dup2(source, 150) == 150 && adds(150, 10));
	return 0;
}

static void shares_fds(int flags)
{
	open_numbers();
	end_child(clone_child(closes_for_both, flags | CLONE_FILES));
	assert_closed(closed);
	cr_assert_eq(tell_close(closed), -EBADF);
	assert_count(covered, 13);
	assert_empty(source);
	add(source, 1);
	assert_count(150, 1);
	cr_assert_eq(close(150) | close(covered) | close(source), 0);
	cr_assert_eq(close(pipe_in) | close(pipe_out), 0);
}

Test(clone_files, with_the_parents_memory_changes_the_parents_numbers)
{
	shares_fds(CLONE_VM);
}

Test(clone_files, with_its_own_memory_changes_the_parents_numbers)
{
	shares_fds(0);
}
