/* vfork children that wait, watch, die, vfork again or execute all kinds of programs. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(vfork_more, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(vfork_epoll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };
enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };
#define DATA 0xfeedface87654321

static int fd, other;
static int told[2];

static void open_two(void)
{
	fd = new_eventfd(1, EFD_NONBLOCK);
	other = new_eventfd(2, EFD_NONBLOCK);
}

static void close_two(void)
{
	cr_assert_eq(close(fd) | close(other), 0);
}

static void assert_as_before(void)
{
	assert_count(fd, 1);
	assert_count(other, 2);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert(fresh_one_works());
}

static pid_t a_vfork_child(void (*run)(void))
{
	pid_t child = vfork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run();
	_exit(0);
}

static void swaps_the_two(void)
{
	int spare = dup(fd);
	CHECK(dup2(other, fd) == fd && dup2(spare, other) == other && tell_close(spare) == 0);
	CHECK(takes(fd, 2) && takes(other, 1) && adds(fd, 2) && adds(other, 1));
}

Test(vfork_more, that_swap_two_eventfds)
{
	open_two();
	end_child(a_vfork_child(swaps_the_two));
	assert_as_before();
	close_two();
}

static void closes_and_dies(void)
{
	close(fd);
	dup2(STDERR_FILENO, other);
	raise(SIGKILL);
}

Test(vfork_more, that_die_of_a_signal)
{
	int status;
	open_two();
	for (int i = 0; i < 10; i++) {
		pid_t child = a_vfork_child(closes_and_dies);
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	assert_as_before();
	close_two();
}

static void closes_and_covers(void)
{
	CHECK(tell_close(fd) == 0 && dup2(STDERR_FILENO, other) == other);
}

static void vforks_again(void)
{
	int status;
	CHECK(tell_close(fd) == 0 && dup2(other, fd) == fd);
	pid_t grandchild = a_vfork_child(closes_and_covers);
	CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
	CHECK(takes(fd, 2) && adds(other, 2) && polled(fd) == (POLLIN | POLLOUT));
}

Test(vfork_more, that_vfork_themselves)
{
	open_two();
	end_child(a_vfork_child(vforks_again));
	assert_as_before();
	close_two();
}

static void forks_again(void)
{
	int status;
	CHECK(tell_close(fd) == 0 && dup2(other, fd) == fd);
	pid_t grandchild = fork();
	if (!grandchild) {
		CHECK(takes(fd, 2) && adds(other, 2) && fresh_one_works());
		closes_and_covers();
		_exit(0);
	}
	CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
	CHECK(takes(fd, 2) && adds(other, 2));
}

Test(vfork_more, that_fork)
{
	open_two();
	end_child(a_vfork_child(forks_again));
	assert_as_before();
	close_two();
}

static void clears_O_NONBLOCK_and_sets_CLOEXEC(void)
{
	CHECK(fcntl(fd, F_SETFL, 0) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	CHECK(fcntl(fd, F_GETFL) == O_RDWR && fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

Test(vfork_more, status_flags_are_shared_and_fd_flags_are_not)
{
	open_two();
	end_child(a_vfork_child(clears_O_NONBLOCK_and_sets_CLOEXEC));
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_as_before();
	close_two();
}

static void tell_pid(void)
{
	pid_t self = getpid();
	CHECK(write(told[1], &self, sizeof(self)) == sizeof(self));
}

static void waits_in_read(void)
{
	uint64_t value;
	CHECK(tell_close(other) == 0 && fcntl(fd, F_SETFL, 0) == 0);
	CHECK(tell_read(fd, &value) == 8 && value == 1);
	tell_pid();
	CHECK(tell_read(fd, &value) == 8 && value == 5);
	CHECK(is_closed(other) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && adds(fd, 1));
}

static void waits_in_poll(void)
{
	struct pollfd p[2] = {{fd, POLLIN, 0}, {other, POLLIN, 0}};
	CHECK(tell_close(other) == 0 && takes(fd, 1));
	CHECK(poll(p, 2, 0) == 1 && p[1].revents == POLLNVAL);
	tell_pid();
	CHECK(poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
	CHECK(takes(fd, 5) && adds(fd, 1));
}

/* The thread that vforks. */
struct parent {
	void (*run)(void);
	int status;
	pthread_t thread;
};

static void *vforks_and_waits(void *arg)
{
	struct parent *p = arg;
	pid_t child = a_vfork_child(p->run);
	if (waitpid(child, &p->status, 0) != child)
		p->status = -1;
	return NULL;
}

static void woken_by_a_thread(void (*run)(void))
{
	struct parent p = {.run = run};
	pid_t child;
	open_two();
	cr_assert_eq(pipe(told), 0);
	cr_assert_eq(pthread_create(&p.thread, NULL, vforks_and_waits, &p), 0);
	cr_assert_eq(read(told[0], &child, sizeof(child)), (ssize_t)sizeof(child));
	tk_wait_process_asleep(child);
	add(fd, 5);
	cr_assert_eq(pthread_join(p.thread, NULL), 0);
	cr_assert_eq(p.status, 0);
	assert_as_before();
	close_two();
	cr_assert_eq(close(told[0]) | close(told[1]), 0);
}

Test(vfork_more, that_wait_in_read_are_woken_by_a_thread)
{
	woken_by_a_thread(waits_in_read);
}

Test(vfork_more, that_wait_in_poll_are_woken_by_a_thread)
{
	woken_by_a_thread(waits_in_poll);
}

static void clears_the_standard_files(void)
{
	CHECK(dup2(fd, 0) == 0 && takes(0, 1) && adds(0, 1));
	CHECK(dup2(other, 1) == 1 && takes(1, 2) && adds(1, 2));
	CHECK(close_range(3, ~0U, 0) == 0 && is_closed(fd) && is_closed(other));
	CHECK(takes(0, 1) && takes(1, 2) && fresh_one_works());
	CHECK(adds(0, 1) && adds(1, 2));
}

Test(vfork_more, that_put_them_on_the_standard_files_and_close_the_rest)
{
	open_two();
	end_child(a_vfork_child(clears_the_standard_files));
	assert_as_before();
	cr_assert_neq(fcntl(1, F_GETFD), -1);
	close_two();
}

ROLE(has_them_on_0_and_1)
{
	CHECK(arg[0] == -1 && takes(0, 1) && takes(1, 2) && adds(0, 1) && adds(1, 2));
	for (int i = 3; i < 100; i++)
		CHECK(is_closed(i));
	CHECK(fresh_one_works());
}

static char **role;

static void executes_with_them_on_0_and_1(void)
{
	CHECK(dup2(fd, 0) == 0 && dup2(other, 1) == 1);
	CHECK(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(0, F_GETFD) == 0);
	execv(role_path(), role);
	CHECK(!"execv");
}

Test(vfork_more, that_execute_with_them_on_the_standard_files)
{
	open_two();
	role = role_argv("has_them_on_0_and_1");
	end_child(a_vfork_child(executes_with_them_on_0_and_1));
	assert_as_before();
	close_two();
}

static void fails_to_execute(void)
{
	char *argv[] = {(char *)"none", NULL};
	CHECK(tell_close(fd) == 0);
	CHECK(execv("/nonexistent", argv) == -1 && errno == ENOENT);
	CHECK(is_closed(fd) && takes(other, 2) && adds(other, 2) && fresh_one_works());
}

Test(vfork_more, that_fail_to_execute)
{
	open_two();
	end_child(a_vfork_child(fails_to_execute));
	assert_as_before();
	close_two();
}

static int set;

static void open_watched(uint32_t interest)
{
	open_two();
	set = epoll_create1(0);
	cr_assert_eq(controls(set, ADD, fd, interest, DATA), 0);
}

static void close_watched(void)
{
	cr_assert_eq(close(set), 0);
	close_two();
}

static bool tells(uint32_t want)
{
	uint64_t data = 0;
	return waited(set, &data) == want && data == DATA;
}

static const uint32_t interests[] = {IN, OUT, BOTH, BOTH | (uint32_t)EPOLLET};
enum { INTERESTS = sizeof(interests) / sizeof(interests[0]) };

static void closes_what_is_watched(void)
{
	CHECK(tell_close(fd) == 0 && tells(BOTH) && controls(set, DEL, fd, 0, 0) == -EBADF);
	CHECK(dup2(other, fd) == fd && controls(set, MOD, fd, IN, 1) == -ENOENT);
	CHECK(tell_close(set) == 0 && shown(set) == UINT32_MAX);
}

Test(vfork_epoll, child_that_closes_what_is_watched_and_the_set)
{
	open_watched(BOTH);
	end_child(a_vfork_child(closes_what_is_watched));
	cr_assert(tells(BOTH));
	cr_assert_eq(controls(set, MOD, fd, IN, DATA), 0);
	assert_as_before();
	cr_assert_eq(shown(set), 0);
	close_watched();
}

static void removes_the_watch(void)
{
	CHECK(controls(set, DEL, fd, 0, 0) == 0 && shown(set) == BOTH);
}

static void changes_the_watch(void)
{
	CHECK(controls(set, MOD, fd, OUT, DATA - 1) == 0);
}

static void adds_a_watch(void)
{
	CHECK(controls(set, ADD, other, BOTH, DATA - 2) == 0);
}

Test(vfork_epoll, changes_of_the_set_by_the_child_are_seen)
{
	struct epoll_event events[4];
	for (int i = 0; i < INTERESTS; i++) {
		open_watched(interests[i]);
		end_child(a_vfork_child(changes_the_watch));
		cr_assert_eq(epoll_wait(set, events, 4, 0), 1);
		cr_assert(events[0].events == OUT && events[0].data.u64 == DATA - 1);
		end_child(a_vfork_child(adds_a_watch));
		cr_assert_eq(epoll_wait(set, events, 4, 0), 2);
		end_child(a_vfork_child(removes_the_watch));
		cr_assert_eq(epoll_wait(set, events, 4, 0), 1);
		cr_assert(events[0].events == BOTH && events[0].data.u64 == DATA - 2);
		cr_assert_eq(controls(set, DEL, fd, 0, 0), -ENOENT);
		assert_as_before();
		close_watched();
	}
}

static void watches_by_a_set_of_its_own(void)
{
	int own = epoll_create1(0), mine = eventfd(1, EFD_NONBLOCK);
	CHECK(controls(own, ADD, fd, BOTH | (uint32_t)EPOLLET, 1) == 0 && shown(own) == BOTH);
	CHECK(controls(own, ADD, mine, IN, 1) == 0 && shown(own) == IN && takes(mine, 1));
	CHECK(shown(own) == 0 && adds(fd, 1) && shown(own) == BOTH && takes(fd, 2));
	CHECK(shown(own) == OUT && adds(fd, 1));
}

Test(vfork_epoll, child_with_a_set_and_an_eventfd_of_its_own)
{
	for (int i = 0; i < INTERESTS; i++) {
		open_watched(interests[i]);
		end_child(a_vfork_child(watches_by_a_set_of_its_own));
		cr_assert(tells(interests[i] & BOTH));
		assert_as_before();
		cr_assert_eq(shown(set), interests[i] & OUT);
		close_watched();
	}
}
