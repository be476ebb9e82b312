/* How a process made by fork, vfork or clone may end or go on without harm to its parent's fds. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(forked_end, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(vforked, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(spawned, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

extern char **environ;

static int fd;

static uint64_t blocking_take(int from)
{
	uint64_t value = 0;
	cr_assert_eq(read(from, &value, 8), 8, "%s", strerror(errno));
	return value;
}

static void child_add(int to, uint64_t value)
{
	CHECK(write(to, &value, 8) == 8);
}

static void assert_usable(int number)
{
	add(number, 3);
	assert_count(number, 3);
	assert_empty(number);
	cr_assert_eq(fcntl(number, F_GETFL), O_RDWR);
}

static void assert_fresh_ones_work(void)
{
	int a = new_eventfd(2, 0), b = new_eventfd(4, 0);
	assert_count(a, 2);
	assert_count(b, 4);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

static void adds_and_sleeps(void *ready)
{
	uint64_t value;
	child_add(fd, 1);
	child_add(*(int *)ready, 1);
	CHECK(read(fd, &value, 8) == 8);
	CHECK(read(fd, &value, 8) == 8);
}

Test(forked_end, a_child_killed_in_read_harms_nobody)
{
	int status, ready = new_eventfd(0, 0);
	fd = new_eventfd(0, 0);
	pid_t child = start_child(adds_and_sleeps, &ready);
	cr_assert_eq(blocking_take(ready), 1);
	tk_wait_process_asleep(child);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	assert_usable(fd);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(ready), 0);
}

static void leaves_some_open(void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 10; i++)
		CHECK(eventfd(i, 0) >= 0);
	child_add(fd, 1);
}

Test(forked_end, what_dead_children_left_open_harms_nobody)
{
	fd = new_eventfd(0, 0);
	for (int i = 0; i < 20; i++)
		in_child(leaves_some_open, NULL);
	assert_count(fd, 20);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
}

struct writer {
	pthread_t thread;
	bool stop;
	uint64_t written;
};

static void *writes_until_told(void *arg)
{
	struct writer *w = arg;
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		add(fd, 1);
		w->written++;
	}
	return NULL;
}

static void adds_once(void *unused)
{
	(void)unused;
	int own = eventfd(1, EFD_NONBLOCK);
	uint64_t value;
	CHECK(own >= 0 && read(own, &value, 8) == 8 && value == 1);
	child_add(fd, 1);
	CHECK(close(own) == 0);
}

Test(forked_end, fork_among_writing_threads_loses_nothing)
{
	struct writer writers[3] = {0};
	uint64_t sum = 40;
	fd = new_eventfd(0, 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&writers[i].thread, NULL, writes_until_told, &writers[i]);
	for (int i = 0; i < 40; i++)
		in_child(adds_once, NULL);
	for (int i = 0; i < 3; i++) {
		__atomic_store_n(&writers[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(writers[i].thread, NULL);
		sum += writers[i].written;
	}
	assert_count(fd, sum);
	cr_assert_eq(close(fd), 0);
}

static void *opens_and_closes(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
		close(eventfd(0, 0));
	return NULL;
}

Test(forked_end, fork_while_a_thread_opens_and_closes)
{
	pthread_t thread;
	bool stop = false;
	fd = new_eventfd(0, 0);
	pthread_create(&thread, NULL, opens_and_closes, &stop);
	for (int i = 0; i < 40; i++)
		in_child(adds_once, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_count(fd, 40);
	cr_assert_eq(close(fd), 0);
}

static void reap(pid_t child)
{
	int status;
	cr_assert_gt(child, 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

Test(forked_end, _Fork_is_a_fork)
{
	fd = new_eventfd(0, 0);
	pid_t child = _Fork();
	if (!child) {
		adds_once(NULL);
		_exit(0);
	}
	reap(child);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

static int clone_body(void *unused)
{
	adds_once(unused);
	CHECK(close(fd) == 0);
	return 0;
}

Test(forked_end, clone_without_CLONE_FILES_is_a_fork)
{
	static char stack[256 * 1024] __attribute__((aligned(16)));
	fd = new_eventfd(0, 0);
	reap(clone(clone_body, stack + sizeof(stack), SIGCHLD, NULL));
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

Test(forked_end, clone_by_syscall_is_a_fork)
{
	fd = new_eventfd(0, 0);
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!child) {
		adds_once(NULL);
		CHECK(close(fd) == 0);
		_exit(0);
	}
	reap(child);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

Test(vforked, child_that_exits_at_once)
{
	fd = new_eventfd(0, 0);
	pid_t child = vfork();
	if (!child)
		_exit(0);
	reap(child);
	assert_usable(fd);
	cr_assert_eq(close(fd), 0);
}

Test(vforked, child_that_closes_leaves_the_parents_number)
{
	fd = new_eventfd(0, 0);
	pid_t child = vfork();
	if (!child)
		_exit(close(fd) ? 1 : 0);
	reap(child);
	assert_usable(fd);
	cr_assert_eq(close(fd), 0);
	assert_closed(fd);
}

Test(vforked, child_that_closes_everything_leaves_the_parents_numbers)
{
	fd = new_eventfd(0, 0);
	int other = new_eventfd(6, 0);
	pid_t child = vfork();
	if (!child)
		_exit(close_range(3, ~0U, 0) ? 1 : 0);
	reap(child);
	assert_usable(fd);
	assert_count(other, 6);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(other), 0);
}

Test(vforked, child_that_dups_over_leaves_the_parents_numbers)
{
	fd = new_eventfd(0, 0);
	int other = new_eventfd(8, 0), null = open("/dev/null", O_RDWR);
	pid_t child = vfork();
	if (!child)
		_exit(dup2(fd, other) != other || dup2(null, fd) != fd || dup2(fd, null) != null);
	reap(child);
	assert_usable(fd);
	assert_count(other, 8);
	cr_assert_eq(write(null, "abc", 3), 3);
	cr_assert_eq(close(null), 0);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(other), 0);
}

Test(vforked, child_that_clears_close_on_exec_leaves_the_parents_flag)
{
	fd = new_eventfd(0, EFD_CLOEXEC);
	pid_t child = vfork();
	if (!child)
		_exit(fcntl(fd, F_SETFD, 0) || fcntl(fd, F_GETFD) ? 1 : 0);
	reap(child);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(close(fd), 0);
}

Test(vforked, child_that_writes_is_heard)
{
	static const uint64_t five = 5;
	fd = new_eventfd(0, 0);
	pid_t child = vfork();
	if (!child)
		_exit(write(fd, &five, 8) == 8 ? 0 : 1);
	reap(child);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(vforked, child_that_execs_leaves_the_parents_number)
{
	fd = new_eventfd(0, EFD_CLOEXEC);
	pid_t child = vfork();
	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	reap(child);
	assert_usable(fd);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
}

Test(spawned, system_leaves_the_fds_usable)
{
	fd = new_eventfd(0, 0);
	int kept = new_eventfd(11, EFD_CLOEXEC);
	cr_assert_eq(system("exit 3") >> 8, 3);
	assert_usable(fd);
	assert_count(kept, 11);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(kept), 0);
}

Test(spawned, popen_leaves_the_fds_usable)
{
	char line[16] = "";
	fd = new_eventfd(0, 0);
	FILE *pipe = popen("echo hello", "r");
	cr_assert(pipe);
	cr_assert(fgets(line, sizeof(line), pipe));
	cr_assert_str_eq(line, "hello\n");
	assert_usable(fd);
	cr_assert_eq(pclose(pipe), 0);
	assert_usable(fd);
	cr_assert_eq(close(fd), 0);
}

static void spawn_true(posix_spawn_file_actions_t *actions)
{
	char *argv[] = {"true", NULL};
	pid_t child;
	cr_assert_eq(posix_spawn(&child, "/bin/true", actions, NULL, argv, environ), 0);
	reap(child);
}

Test(spawned, posix_spawn_leaves_the_fds_usable)
{
	fd = new_eventfd(0, 0);
	spawn_true(NULL);
	assert_usable(fd);
	assert_fresh_ones_work();
	cr_assert_eq(close(fd), 0);
}

Test(spawned, file_actions_happen_in_the_child_only)
{
	fd = new_eventfd(0, EFD_CLOEXEC);
	int other = new_eventfd(4, 0), last = new_eventfd(5, 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, other);
	posix_spawn_file_actions_adddup2(&actions, fd, last);
	posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	spawn_true(&actions);
	posix_spawn_file_actions_destroy(&actions);
	assert_usable(fd);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_count(other, 4);
	assert_count(last, 5);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(other), 0);
	cr_assert_eq(close(last), 0);
}

Test(spawned, a_failed_spawn_leaves_the_fds_usable)
{
	char *argv[] = {"none", NULL};
	pid_t child;
	fd = new_eventfd(0, 0);
	cr_assert_eq(posix_spawn(&child, "/nonexistent/none", NULL, NULL, argv, environ), ENOENT);
	assert_usable(fd);
	cr_assert_eq(close(fd), 0);
}
