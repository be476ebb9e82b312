/* posix_spawn: what its file actions and attributes make of eventfds in the child, and that they
 * leave the parent's alone. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(spawn, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(spawn_actions, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

extern char **environ;

typedef posix_spawn_file_actions_t actions_t;

static int fd, other, gone;

static void open_three(void)
{
	fd = new_eventfd(1, EFD_NONBLOCK);
	other = new_eventfd(2, EFD_NONBLOCK);
	gone = new_eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* The roles put back what they take. */
static void assert_three_and_close(void)
{
	assert_count(fd, 1);
	assert_count(other, 2);
	assert_count(gone, 3);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	cr_assert_eq(fcntl(gone, F_GETFD), FD_CLOEXEC);
	cr_assert(fresh_one_works());
	cr_assert_eq(close(fd) | close(other) | close(gone), 0);
}

static pid_t spawn_role(const actions_t *actions, const posix_spawnattr_t *attr, char **argv)
{
	pid_t child = -1;
	errno = ERRNO_CANARY;
	cr_assert_eq(posix_spawn(&child, role_path(), actions, attr, argv, environ), 0);
	/* without close_range libc's child, which has its parent's errno, goes through /proc */
	if (!tk_lacks(SYS_close_range))
		cr_assert_eq(errno, ERRNO_CANARY);
	return child;
}

/* Two numbers and the counts they have; a number that is closed. */
ROLE(has_two_counts)
{
	CHECK(takes(arg[0], (uint64_t)arg[1]) && adds(arg[0], (uint64_t)arg[1]));
	CHECK(takes(arg[2], (uint64_t)arg[3]) && adds(arg[2], (uint64_t)arg[3]));
	CHECK(polled(arg[0]) == (POLLIN | POLLOUT) && selected(arg[2]) == 3);
	CHECK(is_closed(arg[4]));
	CHECK(fresh_one_works());
}

Test(spawn, without_actions)
{
	open_three();
	end_child(
		spawn_role(NULL, NULL, role_argv("has_two_counts %d 1 %d 2 %d", fd, other, gone)));
	assert_three_and_close();
}

Test(spawn, by_posix_spawnp)
{
	char dir[PATH_MAX], name[PATH_MAX];
	pid_t child;
	open_three();
	char **argv = role_argv("has_two_counts %d 1 %d 2 %d", fd, other, gone);
	snprintf(dir, sizeof(dir), "%s", role_path());
	snprintf(name, sizeof(name), "%s", role_path());
	setenv("PATH", dirname(dir), 1);
	cr_assert_eq(posix_spawnp(&child, basename(name), NULL, NULL, argv, environ), 0);
	end_child(child);
	cr_assert_eq(posix_spawnp(&child, "no-such-program", NULL, NULL, argv, environ), ENOENT);
	assert_three_and_close();
}

ROLE(reads_then_answers)
{
	uint64_t value;
	CHECK(tell_read(arg[0], &value) == 8 && adds(arg[1], value + 1));
}

Test(spawn, child_and_parent_wake_each_other)
{
	int there = new_eventfd(0, 0), back = new_eventfd(0, 0);
	uint64_t value;
	pid_t child = spawn_role(NULL, NULL, role_argv("reads_then_answers %d %d", there, back));
	tk_wait_process_asleep(child);
	add(there, 41);
	cr_assert_eq(read(back, &value, 8), 8);
	cr_assert_eq(value, 42);
	end_child(child);
	cr_assert_eq(close(there) | close(back), 0);
}

ROLE(has_signals)
{
	sigset_t blocked;
	struct sigaction action;
	CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
	CHECK(sigismember(&blocked, SIGUSR1) == 1 && sigismember(&blocked, SIGUSR2) == 0);
	CHECK(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	CHECK(getpgrp() == getpid());
	CHECK(takes(arg[0], 1) && adds(arg[0], 1) && is_closed(arg[1]));
}

Test(spawn, with_attributes)
{
	posix_spawnattr_t attr;
	sigset_t mask, defaults;
	open_three();
	signal(SIGINT, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	cr_assert_eq(posix_spawnattr_init(&attr), 0);
	cr_assert_eq(
		posix_spawnattr_setflags(&attr,
			POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP),
		0);
	cr_assert_eq(posix_spawnattr_setsigmask(&attr, &mask), 0);
	cr_assert_eq(posix_spawnattr_setsigdefault(&attr, &defaults), 0);
	end_child(spawn_role(NULL, &attr, role_argv("has_signals %d %d", fd, gone)));
	cr_assert_eq(posix_spawnattr_destroy(&attr), 0);
	assert_three_and_close();
}

Test(spawn_actions, addclose_of_an_eventfd)
{
	actions_t actions;
	open_three();
	int copy = dup(fd);
	posix_spawn_file_actions_init(&actions);
	cr_assert_eq(posix_spawn_file_actions_addclose(&actions, fd), 0);
	end_child(spawn_role(
		&actions, NULL, role_argv("has_two_counts %d 1 %d 2 %d", copy, other, fd)));
	posix_spawn_file_actions_destroy(&actions);
	cr_assert_eq(close(copy), 0);
	assert_three_and_close();
}

Test(spawn_actions, adddup2_from_an_eventfd_to_a_free_number)
{
	actions_t actions;
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, gone, 150);
	posix_spawn_file_actions_adddup2(&actions, fd, 0);
	end_child(spawn_role(&actions, NULL, role_argv("has_two_counts 150 3 0 1 %d", gone)));
	posix_spawn_file_actions_destroy(&actions);
	assert_closed(150);
	assert_three_and_close();
}

Test(spawn_actions, adddup2_from_one_eventfd_to_another)
{
	actions_t actions;
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 150);
	posix_spawn_file_actions_adddup2(&actions, other, fd);
	posix_spawn_file_actions_adddup2(&actions, 150, other);
	posix_spawn_file_actions_addclose(&actions, 150);
	end_child(spawn_role(&actions, NULL, role_argv("has_two_counts %d 2 %d 1 150", fd, other)));
	posix_spawn_file_actions_destroy(&actions);
	assert_three_and_close();
}

/* In the parent it is closed by exec; dup2 to itself undoes that. */
Test(spawn_actions, adddup2_to_itself_keeps_it_open)
{
	actions_t actions;
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, gone, gone);
	posix_spawn_file_actions_addclose(&actions, other);
	end_child(spawn_role(
		&actions, NULL, role_argv("has_two_counts %d 1 %d 3 %d", fd, gone, other)));
	posix_spawn_file_actions_destroy(&actions);
	assert_three_and_close();
}

/* What was an eventfd is a pipe, what was a pipe is an eventfd with a count of 1. */
ROLE(has_traded_with_a_pipe)
{
	CHECK(write(arg[0], "hello", 5) == 5 && polled(arg[0]) == POLLOUT);
	CHECK(takes(arg[1], 1) && polled(arg[1]) == POLLOUT && adds(arg[1], 1));
}

Test(spawn_actions, adddup2_onto_and_from_a_pipe)
{
	actions_t actions;
	int ends[2];
	char text[16] = "";
	open_three();
	cr_assert_eq(pipe(ends), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 150);
	posix_spawn_file_actions_adddup2(&actions, ends[1], fd);
	posix_spawn_file_actions_adddup2(&actions, 150, ends[1]);
	end_child(
		spawn_role(&actions, NULL, role_argv("has_traded_with_a_pipe %d %d", fd, ends[1])));
	posix_spawn_file_actions_destroy(&actions);
	cr_assert_eq(read(ends[0], text, sizeof(text)), 5);
	cr_assert_str_eq(text, "hello");
	cr_assert_eq(write(ends[1], "abc", 3), 3);
	cr_assert_eq(read(ends[0], text, sizeof(text)), 3);
	cr_assert_eq(close(ends[0]) | close(ends[1]), 0);
	assert_three_and_close();
}

/* A number that is /dev/null now, and one that is still what it was. */
ROLE(has_a_file_there)
{
	uint64_t value = 9;
	CHECK(read(arg[0], &value, 8) == 0 && write(arg[0], "abc", 3) == 3);
	CHECK(takes(arg[1], 2) && adds(arg[1], 2));
}

Test(spawn_actions, addopen_onto_an_eventfd)
{
	actions_t actions;
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	end_child(spawn_role(&actions, NULL, role_argv("has_a_file_there %d %d", fd, other)));
	posix_spawn_file_actions_destroy(&actions);
	assert_three_and_close();
}

ROLE(has_nothing_from)
{
	for (int number = arg[0]; number < 400; number++)
		CHECK(is_closed(number));
	CHECK(takes(0, 1) && adds(0, 1) && fresh_one_works());
}

#ifdef __GLIBC__
Test(spawn_actions, addclosefrom_np)
{
	actions_t actions;
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	end_child(spawn_role(&actions, NULL, role_argv("has_nothing_from 3")));
	posix_spawn_file_actions_destroy(&actions);
	assert_three_and_close();
}
#endif

Test(spawn_actions, that_fail_leave_the_parent_alone)
{
	actions_t actions;
	pid_t child;
	char **argv = role_argv("has_nothing_from 3");
	open_three();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, fd);
	posix_spawn_file_actions_adddup2(&actions, other, gone);
	posix_spawn_file_actions_adddup2(&actions, fd, 150);
	cr_assert_eq(posix_spawn(&child, role_path(), &actions, NULL, argv, environ), EBADF);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, other, fd);
	posix_spawn_file_actions_addopen(&actions, other, "/nonexistent/file", O_RDWR, 0);
	cr_assert_eq(posix_spawn(&child, role_path(), &actions, NULL, argv, environ), ENOENT);
	posix_spawn_file_actions_destroy(&actions);
	assert_three_and_close();
}

struct user {
	int fd;
	atomic_bool stop;
	atomic_int rounds;
	int wrong;
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

Test(spawn_actions, while_threads_use_what_is_closed_and_covered)
{
	struct user users[2] = {0};
	pthread_t threads[2];
	actions_t actions;
	int null = open("/dev/null", O_RDWR);
	open_three();
	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 2; i++) {
		users[i].fd = new_eventfd(0, EFD_NONBLOCK);
		cr_assert_eq(pthread_create(&threads[i], NULL, uses, &users[i]), 0);
	}
	posix_spawn_file_actions_addclose(&actions, users[0].fd);
	posix_spawn_file_actions_adddup2(&actions, null, users[1].fd);
	for (int i = 0; i < 20; i++) {
		int seen[2] = {users[0].rounds, users[1].rounds};
		end_child(spawn_role(&actions, NULL,
			role_argv("has_two_counts %d 1 %d 2 %d", fd, other, users[0].fd)));
		while (users[0].rounds < seen[0] + 20 || users[1].rounds < seen[1] + 20)
			sched_yield();
	}
	for (int i = 0; i < 2; i++) {
		users[i].stop = true;
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
		cr_assert_eq(users[i].wrong, 0);
		assert_empty(users[i].fd);
		cr_assert_eq(close(users[i].fd), 0);
	}
	posix_spawn_file_actions_destroy(&actions);
	cr_assert_eq(close(null), 0);
	assert_three_and_close();
}
