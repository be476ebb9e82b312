/* Every way to execute a program, and programs that could not be executed. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(exec_ways, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_fails, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_chain, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

extern char **environ;

/* An eventfd with 7, one that is closed by exec, whether the variable is set. */
ROLE(is_executed)
{
	CHECK(is_closed(arg[1]));
	CHECK(takes(arg[0], 7) && adds(arg[0], 9));
	CHECK(fcntl(arg[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(!arg[2] == !getenv("EXEC_WAYS"));
}

/* The environment, and one variable more. */
static char **more_environment(void)
{
	static char *env[1024];
	int n = 0;
	while (environ[n] && n < 1000) {
		env[n] = environ[n];
		n++;
	}
	env[n] = (char *)"EXEC_WAYS=1";
	return env;
}

static const char *name_in_path(void)
{
	static char dir[PATH_MAX], name[PATH_MAX];
	snprintf(dir, sizeof(dir), "%s", role_path());
	snprintf(name, sizeof(name), "%s", role_path());
	setenv("PATH", dirname(dir), 1);
	return basename(name);
}

static void by_execve(char **argv)
{
	execve(role_path(), argv, more_environment());
}

static void by_execv(char **argv)
{
	execv(role_path(), argv);
}

static void by_execvp(char **argv)
{
	execvp(name_in_path(), argv);
}

static void by_execvpe(char **argv)
{
	const char *name = name_in_path();
	execvpe(name, argv, more_environment());
}

static void by_execl(char **argv)
{
	execl(role_path(), argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL);
}

static void by_execlp(char **argv)
{
	execlp(name_in_path(), argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL);
}

static void by_execle(char **argv)
{
	execle(role_path(), argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL,
		more_environment());
}

static void by_fexecve(char **argv)
{
	int file = open(role_path(), O_RDONLY | O_CLOEXEC);
	fexecve(file, argv, more_environment());
}

static void by_execveat(char **argv)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s", role_path());
	int dir = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tk_lacks(SYS_execveat))
		by_fexecve(argv);
	execveat(dir, strrchr(role_path(), '/') + 1, argv, more_environment(), 0);
}

static void by_execveat_of_a_file(char **argv)
{
	int file = open(role_path(), O_PATH | O_CLOEXEC);
	if (tk_lacks(SYS_execveat))
		by_fexecve(argv);
	execveat(file, "", argv, more_environment(), AT_EMPTY_PATH);
}

static void by_syscall_execve(char **argv)
{
	syscall(SYS_execve, role_path(), argv, more_environment());
}

static void by_syscall_execveat(char **argv)
{
	if (tk_lacks(SYS_execveat))
		by_fexecve(argv);
	syscall(SYS_execveat, AT_FDCWD, role_path(), argv, more_environment(), 0);
}

static void by_raw_execve(char **argv)
{
	tk_raw_syscall(SYS_execve, addr(role_path()), addr(argv), addr(environ), 0, 0, 0);
}

static const struct way {
	const char *name;
	void (*exec)(char **argv);
	int variable;
} ways[] = {
	{"execve", by_execve, 1},
	{"execv", by_execv, 0},
	{"execvp", by_execvp, 0},
	{"execvpe", by_execvpe, 1},
	{"execl", by_execl, 0},
	{"execlp", by_execlp, 0},
	{"execle", by_execle, 1},
	{"fexecve", by_fexecve, 1},
	{"execveat", by_execveat, 1},
	{"execveat of a file", by_execveat_of_a_file, 1},
	{"syscall(SYS_execve)", by_syscall_execve, 1},
	{"syscall(SYS_execveat)", by_syscall_execveat, 1},
	{"a raw execve", by_raw_execve, 0},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int fd, gone;

static void goes_this_way(void *arg)
{
	const struct way *way = arg;
	way->exec(role_argv("is_executed %d %d %d", fd, gone, way->variable));
	dprintf(2, "%s\n", way->name);
	CHECK(!"exec");
}

Test(exec_ways, after_a_fork)
{
	fd = new_eventfd(0, EFD_NONBLOCK);
	gone = new_eventfd(3, EFD_CLOEXEC);
	for (int i = 0; i < WAYS; i++) {
		add(fd, 7);
		in_child(goes_this_way, (void *)&ways[i]);
		assert_count(fd, 9);
	}
	assert_count(gone, 3);
	cr_assert_eq(close(fd) | close(gone), 0);
}

static void makes_them_and_goes_this_way(void *arg)
{
	fd = eventfd(7, EFD_NONBLOCK);
	gone = eventfd(3, EFD_CLOEXEC);
	goes_this_way(arg);
}

Test(exec_ways, with_eventfds_nobody_else_has)
{
	for (int i = 0; i < WAYS; i++)
		in_child(makes_them_and_goes_this_way, (void *)&ways[i]);
}

static void *goes_over(void *unused)
{
	goes_this_way((void *)&ways[1]);
	return unused;
}

static void *blocks_in_read(void *unused)
{
	uint64_t value;
	CHECK(read(gone, &value, 8) == -1);
	return unused;
}

/* The eventfds of is_executed(), and one others were blocked on. */
ROLE(is_executed_by_a_thread)
{
	CHECK(adds(arg[2], 2) && takes(arg[2], 2) && polled(arg[2]) == 4);
	role_is_executed((const int[]){arg[0], arg[1], 0});
}

static void *goes_over_from_readers(void *unused)
{
	become("is_executed_by_a_thread %d 250 %d", fd, gone);
	return unused;
}

static void runs_threads(void *body)
{
	pthread_t thread;
	fd = eventfd(7, EFD_NONBLOCK);
	gone = eventfd(0, body == (void *)goes_over ? EFD_CLOEXEC : 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, blocks_in_read, NULL);
	pthread_create(&thread, NULL, (void *(*)(void *))body, NULL);
	pthread_join(thread, NULL);
}

Test(exec_ways, by_a_thread_while_others_are_blocked)
{
	in_child(runs_threads, (void *)goes_over);
}

Test(exec_ways, what_dead_threads_were_blocked_on_works)
{
	in_child(runs_threads, (void *)goes_over_from_readers);
}

static void leaves_all_alone(const char *what, long ret, int err)
{
	int set = epoll_create1(0);
	assert_errno(what, ret, err);
	assert_count(fd, 7);
	add(fd, 7);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	assert_count(gone, 3);
	add(gone, 3);
	cr_assert_eq(fcntl(gone, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(controls(set, EPOLL_CTL_ADD, gone, EPOLLIN | EPOLLOUT, 1), 0);
	cr_assert_eq(shown(set), EPOLLIN | EPOLLOUT);
	cr_assert_eq(close(set), 0);
}
#define LEAVES_ALL_ALONE(call, err)                                                                \
	leaves_all_alone(#call, (errno = ERRNO_CANARY, (long)(call)), err)

Test(exec_fails, and_leaves_counts_and_flags_as_they_were)
{
	char *argv[] = {(char *)"none", NULL};
	fd = new_eventfd(7, 0);
	gone = new_eventfd(3, EFD_CLOEXEC);
	LEAVES_ALL_ALONE(execve("/nonexistent", argv, environ), ENOENT);
	LEAVES_ALL_ALONE(execv("/nonexistent/none", argv), ENOENT);
	LEAVES_ALL_ALONE(execvp("no-such-program", argv), ENOENT);
	LEAVES_ALL_ALONE(execvpe("no-such-program", argv, environ), ENOENT);
	LEAVES_ALL_ALONE(execl("/", "none", (char *)NULL), EACCES);
	LEAVES_ALL_ALONE(execlp("no-such-program", "none", (char *)NULL), ENOENT);
	LEAVES_ALL_ALONE(execle("/dev/null", "none", (char *)NULL, environ), EACCES);
	if (!tk_lacks(SYS_execveat))
		LEAVES_ALL_ALONE(execveat(AT_FDCWD, "/nonexistent", argv, environ, 0), ENOENT);
	LEAVES_ALL_ALONE(syscall(SYS_execve, "/nonexistent", argv, environ), ENOENT);
	LEAVES_ALL_ALONE(execve("/proc/self/exe/x", argv, environ), ENOTDIR);
	cr_assert_eq(close(fd) | close(gone), 0);
}

Test(exec_fails, of_an_eventfd_itself)
{
	char *argv[] = {(char *)"none", NULL};
	char path[64];
	fd = new_eventfd(7, 0);
	gone = new_eventfd(3, EFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	LEAVES_ALL_ALONE(fexecve(fd, argv, environ), EACCES);
	if (!tk_lacks(SYS_execveat)) {
		LEAVES_ALL_ALONE(execveat(fd, "", argv, environ, AT_EMPTY_PATH), EACCES);
		LEAVES_ALL_ALONE(execveat(fd, "none", argv, environ, 0), ENOTDIR);
	}
	LEAVES_ALL_ALONE(execv(path, argv), EACCES);
	cr_assert_eq(close(fd) | close(gone), 0);
}

static void fails_and_goes_over(void *unused)
{
	(void)unused;
	char *argv[] = {(char *)"none", NULL};
	int set = epoll_create1(0);
	uint32_t edges = EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET;
	fd = eventfd(7, EFD_NONBLOCK);
	gone = eventfd(3, EFD_CLOEXEC);
	CHECK(controls(set, EPOLL_CTL_ADD, fd, edges, 1) == 0);
	CHECK(shown(set) == (EPOLLIN | EPOLLOUT));
	for (int i = 0; i < 10; i++)
		CHECK(execv("/nonexistent", argv) == -1 && errno == ENOENT);
	CHECK(shown(set) == 0 && adds(fd, 1) && shown(set) == (EPOLLIN | EPOLLOUT));
	CHECK(takes(fd, 8) && shown(set) == EPOLLOUT && adds(fd, 7));
	CHECK(takes(gone, 3) && fresh_one_works());
	become("is_executed %d %d 0", fd, gone);
}

Test(exec_fails, ten_times_and_then_succeeds)
{
	in_child(fails_and_goes_over, NULL);
}

/* Each adds its turn, makes an eventfd of its own, and goes over to the next; the last takes all.
 */
ROLE(is_one_of_a_chain)
{
	int own = eventfd((unsigned int)arg[1], EFD_NONBLOCK | (arg[1] % 2 ? 0 : EFD_CLOEXEC));
	CHECK(own >= 0 && adds(arg[0], (uint64_t)arg[1]));
	if (arg[2] >= 0)
		CHECK(arg[1] % 2 ? is_closed(arg[2]) || own == arg[2] : takes(arg[2], arg[1] + 1));
	if (arg[1] > 1)
		become("is_one_of_a_chain %d %d %d", arg[0], arg[1] - 1, own);
	CHECK(takes(arg[0], 55) && fresh_one_works());
}

Test(exec_chain, of_ten_programs)
{
	int first = new_eventfd(0, EFD_NONBLOCK);
	in_role("is_one_of_a_chain %d 10 -1", first);
	assert_empty(first);
	cr_assert_eq(close(first), 0);
}

/* Waits for the next one, which has an eventfd more; each adds one to its parent's. */
ROLE(starts_another_and_goes_on)
{
	uint64_t value = 0;
	int status, own = eventfd(0, 0);
	pid_t child = arg[1] ? fork() : -1;
	if (!child)
		become("starts_another_and_goes_on %d %d", own, arg[1] - 1);
	if (arg[1]) {
		CHECK(tell_read(own, &value) == 8 && value == (uint64_t)arg[1]);
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
	CHECK(adds(arg[0], value + 1));
}

Test(exec_chain, of_fork_and_exec_each_waking_its_parent)
{
	int last = new_eventfd(0, 0);
	uint64_t value;
	pid_t child = start_role("starts_another_and_goes_on %d 6", last);
	cr_assert_eq(read(last, &value, 8), 8);
	cr_assert_eq(value, 7);
	end_child(child);
	cr_assert_eq(close(last), 0);
}
