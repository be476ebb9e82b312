/* Programs started by system, popen and a shell, and daemons: what they do with the eventfds they
 * inherit, and that the parent's stay as they are. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(shells_system, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(shells_popen, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(shells_daemon, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { COMMAND = 20000 };

static int fd, gone;

static void open_two(void)
{
	fd = new_eventfd(0, EFD_NONBLOCK);
	gone = new_eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void close_two(void)
{
	assert_empty(fd);
	assert_count(gone, 3);
	cr_assert_eq(fcntl(gone, F_GETFD), FD_CLOEXEC);
	cr_assert(fresh_one_works());
	cr_assert_eq(close(fd) | close(gone), 0);
}

/* A number, what to add to it; a number that is closed. */
ROLE(adds_by_shell)
{
	CHECK(adds(arg[0], (uint64_t)arg[1]));
	CHECK(arg[2] < 0 || is_closed(arg[2]));
}

ROLE(takes_by_shell)
{
	CHECK(takes(arg[0], (uint64_t)arg[1]));
}

/* Waits by poll. */
ROLE(waits_by_shell)
{
	struct pollfd p = {.fd = arg[0], .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1 && takes(arg[0], (uint64_t)arg[1]));
}

/* A shell script in which @ is the command of this role. */
static int shell(const char *script, const char *role)
{
	static char text[COMMAND];
	const char *command = role_command("%s", role);
	size_t used = 0;
	for (; *script && used < COMMAND - 1; script++) {
		if (*script == '@')
			used += (size_t)snprintf(text + used, COMMAND - used, "%s", command);
		else
			text[used++] = *script;
	}
	text[used] = 0;
	int status = system(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(shells_system, hands_an_eventfd_to_a_program)
{
	char role[64];
	open_two();
	snprintf(role, sizeof(role), "adds_by_shell %d 6 %d", fd, gone);
	cr_assert_eq(shell("@", role), 0);
	assert_count(fd, 6);
	cr_assert_eq(shell("exec @", role), 0);
	assert_count(fd, 6);
	close_two();
}

Test(shells_system, subshells_and_lists)
{
	char role[64];
	open_two();
	snprintf(role, sizeof(role), "adds_by_shell %d 1", fd);
	cr_assert_eq(shell("@; (@; (@ && @)); { @; } || false", role), 0);
	assert_count(fd, 5);
	cr_assert_eq(shell("x=$(@ && echo yes); test \"$x\" = yes && @", role), 0);
	assert_count(fd, 2);
	cr_assert_eq(shell("for i in 1 2 3 4 5; do @ || exit 1; done", role), 0);
	assert_count(fd, 5);
	close_two();
}

Test(shells_system, pipelines_and_background_jobs)
{
	char role[64];
	open_two();
	snprintf(role, sizeof(role), "adds_by_shell %d 1", fd);
	cr_assert_eq(shell("@ | @ | @", role), 0);
	assert_count(fd, 3);
	cr_assert_eq(shell("@ & @ & @ & (@ & wait) & wait", role), 0);
	assert_count(fd, 4);
	cr_assert_eq(shell("echo x | (read y && test $y = x && @)", role), 0);
	assert_count(fd, 1);
	close_two();
}

/* A shell knows numbers of one digit only, and some of those are the test framework's. */
static void redirects(void *unused)
{
	(void)unused;
	CHECK(dup2(fd, 7) == 7);
	CHECK(shell("@ 5>&7 7>&-", "adds_by_shell 5 4 7") == 0 && takes(fd, 4));
	CHECK(shell("@ <&7", "adds_by_shell 0 4") == 0 && takes(fd, 4));
	CHECK(shell("exec 6>&7 7</dev/null; @ <&6", "adds_by_shell 0 4") == 0 && takes(fd, 4));
	CHECK(shell("exec 7>&-; exec 2>&-; @ <&7 || exit 9", "adds_by_shell 0 4") != 0);
	CHECK(shell("{ echo text; @ <&7; } | cat >/dev/null 7>&-", "adds_by_shell 0 4") == 0);
	CHECK(takes(fd, 4) && takes(gone, 3) && adds(gone, 3));
}

Test(shells_system, redirections)
{
	open_two();
	in_child(redirects, NULL);
	close_two();
}

Test(shells_system, a_background_job_is_woken_by_the_next_program)
{
	char script[COMMAND];
	open_two();
	int length =
		snprintf(script, sizeof(script), "%s & ", role_command("waits_by_shell %d 8", fd));
	snprintf(script + length, sizeof(script) - (size_t)length, "%s && wait $!",
		role_command("adds_by_shell %d 8", fd));
	int status = system(script);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned int)status);
	close_two();
}

Test(shells_system, an_epoll_set_of_the_parent_hears_it)
{
	char role[64];
	uint64_t data = 0;
	open_two();
	int set = epoll_create1(EPOLL_CLOEXEC);
	uint32_t edges = EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET;
	cr_assert_eq(controls(set, EPOLL_CTL_ADD, fd, edges, 11), 0);
	cr_assert_eq(shown(set), EPOLLOUT);
	snprintf(role, sizeof(role), "adds_by_shell %d 1", fd);
	for (uint64_t i = 1; i < 4; i++) {
		cr_assert_eq(shell("@", role), 0);
		cr_assert_eq(waited(set, &data), EPOLLIN | EPOLLOUT);
		cr_assert_eq(data, 11);
		cr_assert_eq(shown(set), 0);
	}
	assert_count(fd, 3);
	cr_assert_eq(close(set), 0);
	close_two();
}

/* Takes a count, and says it on standard output. */
ROLE(prints_its_count)
{
	uint64_t value = 0;
	CHECK(tell_read(arg[0], &value) == 8 && is_closed(arg[1]));
	dprintf(1, "%d\n", (int)value);
}

/* Adds what it is told on standard input. */
ROLE(adds_what_it_reads)
{
	char text[32] = "";
	CHECK(read(0, text, sizeof(text) - 1) > 0);
	CHECK(adds(arg[0], (uint64_t)atoi(text)));
}

Test(shells_popen, for_reading)
{
	char line[32] = "";
	open_two();
	add(fd, 1234);
	FILE *stream = popen(role_command("prints_its_count %d %d", fd, gone), "r");
	cr_assert(stream && fgets(line, sizeof(line), stream));
	cr_assert_str_eq(line, "1234\n");
	add(fd, 4);
	assert_count(fd, 4);
	cr_assert_eq(pclose(stream), 0);
	close_two();
}

Test(shells_popen, for_writing)
{
	open_two();
	FILE *stream = popen(role_command("adds_what_it_reads %d", fd), "we");
	cr_assert(stream);
	assert_empty(fd);
	cr_assert_gt(fprintf(stream, "77\n"), 0);
	cr_assert_eq(pclose(stream), 0);
	assert_count(fd, 77);
	close_two();
}

Test(shells_popen, several_at_once)
{
	enum { ALL = 5 };
	FILE *streams[ALL];
	open_two();
	for (int i = 0; i < ALL; i++)
		cr_assert(streams[i] = popen(role_command("adds_what_it_reads %d", fd), "w"));
	for (int i = 0; i < ALL; i++)
		cr_assert_gt(fprintf(streams[i], "%d\n", i + 1), 0);
	for (int i = 0; i < ALL; i++)
		cr_assert_eq(pclose(streams[i]), 0);
	assert_count(fd, 15);
	close_two();
}

/* An eventfd made between popen and pclose may have a number the stream had, and the reverse. */
Test(shells_popen, numbers_go_from_stream_to_eventfd)
{
	open_two();
	for (int i = 0; i < 10; i++) {
		FILE *stream = popen("cat >/dev/null", "w");
		cr_assert(stream);
		int number = fileno(stream), own = new_eventfd(1, EFD_NONBLOCK);
		cr_assert_eq(pclose(stream), 0);
		int again = new_eventfd(2, EFD_NONBLOCK);
		cr_assert_eq(again, number);
		assert_count(own, 1);
		assert_count(again, 2);
		cr_assert_eq(close(own) | close(again), 0);
	}
	close_two();
}

static int alive[2], back;

/* The test waits for the count, and for the end of the daemon by the pipe. */
static void is_a_daemon(int no_close)
{
	CHECK(daemon(0, no_close) == 0);
	alarm(15);
	close(alive[0]);
	CHECK(fresh_one_works());
	CHECK(takes(fd, 5) && takes(gone, 3) && adds(gone, 3));
	int own = eventfd(6, EFD_NONBLOCK);
	CHECK(own >= 0 && takes(own, 6));
	CHECK(getsid(0) != 0 && adds(back, no_close ? 1 : 2));
}

static void is_a_daemon_with_dev_null(void *unused)
{
	(void)unused;
	is_a_daemon(0);
}

static void is_a_daemon_with_its_files(void *unused)
{
	(void)unused;
	is_a_daemon(1);
}

static void is_a_daemon_and_executes(void *unused)
{
	(void)unused;
	CHECK(daemon(1, 1) == 0);
	become("adds_by_shell %d 4 %d", back, gone);
}

static void wait_for_the_end(uint64_t count)
{
	char c;
	struct pollfd p = {.fd = alive[0], .events = POLLIN};
	cr_assert_eq(close(alive[1]), 0);
	cr_assert_eq(poll(&p, 1, 10000), 1);
	cr_assert_eq(read(alive[0], &c, 1), 0);
	assert_count(back, count);
	cr_assert_eq(close(alive[0]) | close(back), 0);
}

static void run_daemon(void (*run)(void *), uint64_t count)
{
	open_two();
	back = new_eventfd(0, EFD_NONBLOCK);
	cr_assert_eq(pipe(alive), 0);
	add(fd, 5);
	in_child(run, NULL);
	wait_for_the_end(count);
}

Test(shells_daemon, with_standard_files_from_dev_null)
{
	run_daemon(is_a_daemon_with_dev_null, 2);
	close_two();
}

Test(shells_daemon, with_standard_files_kept)
{
	run_daemon(is_a_daemon_with_its_files, 1);
	close_two();
}

Test(shells_daemon, that_executes_a_program)
{
	run_daemon(is_a_daemon_and_executes, 4);
	assert_count(fd, 5);
	close_two();
}

static void is_a_daemon_with_eventfds_for_standard_files(void *unused)
{
	(void)unused;
	CHECK(dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && daemon(1, 0) == 0);
	uint64_t value;
	CHECK(read(0, &value, 8) == 0 && write(1, "abc", 3) == 3);
	CHECK(takes(fd, 5) && adds(back, 9) && fresh_one_works());
}

Test(shells_daemon, that_had_eventfds_for_standard_files)
{
	run_daemon(is_a_daemon_with_eventfds_for_standard_files, 9);
	close_two();
}
