/* eventpoll: sets that forked relatives change, handlers that fork or wait, and threads that add to
 * a set that is full. */
#define _GNU_SOURCE
#include "eventpoll_steps.h"
#include "testkit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

TestSuite(eventpoll_relatives, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static int set;
static volatile int in_child, handler_err;

static void expect_success(pid_t child)
{
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "status %#x", status);
}

/* What the child knows of the fd is older than what its parent has made of it. */
Test(eventpoll_relatives, child_modifies_what_its_parent_has_added_again)
{
	int ends[2], go[2];
	char byte = 0;

	cr_assert_eq(pipe(ends) | pipe(go), 0);
	set = create(4);
	add(set, ends[0], POLLIN);
	pid_t child = fork();
	if (!child)
		_exit(read(go[0], &byte, 1) != 1 ||
			eventpoll_ctl(set, EPOLL_CTL_MOD, ends[0], POLLIN));
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, ends[0], 0), 0);
		add(set, ends[0], POLLIN);
	}
	cr_assert_eq(write(go[1], &byte, 1), 1);
	expect_success(child);
	cr_assert_eq(write(ends[1], &byte, 1), 1);
	expect_one(set, ends[0], POLLIN);
	close_all(set, ends[0], ends[1]);
	close_all(go[0], go[1], -1);
}

static void handle(void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval soon = {.it_value.tv_usec = 20000};

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
}

static pid_t forked;

static void fork_there(int signal)
{
	(void)signal;
	forked = fork();
	in_child = !forked;
}

Test(eventpoll_relatives, handler_forks)
{
	set = create(4);
	handle(fork_there, 0);
	int err = wait_errno(set, -1);
	if (in_child)
		_exit(err != EINTR || wait_errno(set, 0));
	cr_assert_eq(err, EINTR);
	expect_success(forked);
	expect_none(set);
	close_all(set, -1, -1);
}

static void wait_there(int signal)
{
	const struct pollfd *events;

	(void)signal;
	handler_err = eventpoll_wait(set, &events, 0) < 0 ? errno : 0;
}

/* That lies above the frame which the handler interrupts. */
Test(eventpoll_relatives, handler_waits_on_a_stack_of_its_own)
{
	static _Alignas(16) char room[1 << 16];
	char above[1 << 16];

	set = create(4);
	for (int i = 0; i < 2; i++) {
		stack_t stack = {.ss_sp = i ? room : above, .ss_size = sizeof(room)};
		cr_assert_eq(sigaltstack(&stack, NULL), 0);
		handle(wait_there, SA_ONSTACK);
		cr_assert_eq(wait_errno(set, -1), EINTR);
		cr_assert_eq(handler_err, EBUSY, "errno %d", handler_err);
	}
	sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
	close_all(set, -1, -1);
}

enum { TURNS = 100000 };

/* An ADD looks which of the others have left. */
static void *come_and_go(void *arg)
{
	for (long i = 0; i < TURNS; i++) {
		int ends[2];

		if (pipe(ends))
			return "no pipe";
		if (eventpoll_ctl(set, EPOLL_CTL_ADD, ends[0], POLLIN))
			return "not added";
		if (eventpoll_ctl(set, EPOLL_CTL_MOD, ends[0], POLLIN))
			return "not there";
		close(ends[0]);
		close(ends[1]);
	}
	return arg;
}

Test(eventpoll_relatives, threads_add_where_others_have_left)
{
	pthread_t other;
	void *complaint;

	set = create(2);
	cr_assert_eq(pthread_create(&other, NULL, come_and_go, NULL), 0);
	cr_expect_null(come_and_go(NULL));
	pthread_join(other, &complaint);
	cr_assert_null(complaint, "%s", complaint ? (char *)complaint : "");
	close_all(set, -1, -1);
}
