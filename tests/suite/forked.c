/* fork: parent and children share the counter and its flags, but not their tables of numbers. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(forked, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { CHILDREN = 8, ROUNDS = 200 };

static int fd, back;

static void child_add(int to, uint64_t value)
{
	CHECK(write(to, &value, 8) == 8);
}

static uint64_t child_take(int from)
{
	uint64_t value = 0;
	CHECK(read(from, &value, 8) == 8);
	return value;
}

static uint64_t blocking_take(int from)
{
	uint64_t value = 0;
	cr_assert_eq(read(from, &value, 8), 8, "%s", strerror(errno));
	return value;
}

static void open_both(void)
{
	fd = new_eventfd(0, 0);
	back = new_eventfd(0, 0);
}

static void close_both(void)
{
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(back), 0);
}

static void adds_five(void *unused)
{
	(void)unused;
	child_add(fd, 5);
}

Test(forked, parent_sees_what_the_child_wrote)
{
	open_both();
	add(fd, 1);
	in_child(adds_five, NULL);
	assert_count(fd, 6);
	close_both();
}

static void takes_seven(void *unused)
{
	(void)unused;
	CHECK(child_take(fd) == 7);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	CHECK(poll(&p, 1, 0) == 0);
}

Test(forked, child_takes_what_the_parent_wrote)
{
	open_both();
	add(fd, 7);
	in_child(takes_seven, NULL);
	assert_empty(fd);
	close_both();
}

static void answers_each_round(void *unused)
{
	(void)unused;
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		CHECK(child_take(fd) == i);
		child_add(back, i);
	}
}

Test(forked, blocked_readers_on_both_sides_wake_each_other)
{
	open_both();
	pid_t child = start_child(answers_each_round, NULL);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		add(fd, i);
		cr_assert_eq(blocking_take(back), i);
	}
	end_child(child);
	close_both();
}

static void takes_nine_blocking(void *unused)
{
	(void)unused;
	CHECK(child_take(fd) == 9);
}

Test(forked, a_child_asleep_in_read_is_woken_by_the_parents_write)
{
	open_both();
	pid_t child = start_child(takes_nine_blocking, NULL);
	tk_wait_process_asleep(child);
	add(fd, 9);
	end_child(child);
	close_both();
}

static void polls_for_input(void *unused)
{
	(void)unused;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	CHECK(child_take(fd) == 3);
}

Test(forked, a_child_asleep_in_poll_is_woken_by_the_parents_write)
{
	open_both();
	pid_t child = start_child(polls_for_input, NULL);
	tk_wait_process_asleep(child);
	add(fd, 3);
	end_child(child);
	close_both();
}

static void writes_the_maximum_again(void *unused)
{
	(void)unused;
	child_add(fd, UINT64_MAX - 1);
}

Test(forked, a_child_asleep_in_write_is_woken_by_the_parents_read)
{
	open_both();
	add(fd, 1);
	pid_t child = start_child(writes_the_maximum_again, NULL);
	tk_wait_process_asleep(child);
	assert_count(fd, 1);
	end_child(child);
	assert_count(fd, UINT64_MAX - 1);
	close_both();
}

static void sets_nonblock(void *unused)
{
	(void)unused;
	uint64_t value;
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(ioctl(back, FIONBIO, &(int){1}) == 0);
	CHECK(read(fd, &value, 8) == -1 && errno == EAGAIN);
}

Test(forked, O_NONBLOCK_set_in_the_child_holds_in_the_parent)
{
	uint64_t value;
	open_both();
	in_child(sets_nonblock, NULL);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	FAILS(read(fd, &value, 8), EAGAIN);
	FAILS(read(back, &value, 8), EAGAIN);
	close_both();
}

static void finds_nonblock(void *unused)
{
	(void)unused;
	uint64_t value;
	CHECK(child_take(back) == 1);
	CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(read(fd, &value, 8) == -1 && errno == EAGAIN);
}

Test(forked, O_NONBLOCK_set_in_the_parent_holds_in_the_child)
{
	open_both();
	pid_t child = start_child(finds_nonblock, NULL);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	add(back, 1);
	end_child(child);
	close_both();
}

static void sets_close_on_exec(void *unused)
{
	(void)unused;
	CHECK(fcntl(fd, F_GETFD) == 0);
	CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
}

Test(forked, close_on_exec_is_each_processs_own)
{
	open_both();
	in_child(sets_close_on_exec, NULL);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	close_both();
}

static void closes_and_opens_a_file(void *unused)
{
	(void)unused;
	CHECK(close(fd) == 0);
	CHECK(open("/dev/null", O_RDWR) == fd);
	CHECK(write(fd, "abc", 3) == 3);
}

Test(forked, a_childs_close_leaves_the_parents_number)
{
	open_both();
	in_child(closes_and_opens_a_file, NULL);
	add(fd, 2);
	assert_count(fd, 2);
	close_both();
}

static void outlives_the_parents_number(void *unused)
{
	(void)unused;
	CHECK(child_take(back) == 1);
	CHECK(child_take(fd) == 4);
	child_add(fd, 6);
	CHECK(child_take(fd) == 6);
	child_add(back, 2);
}

Test(forked, a_child_keeps_what_the_parent_closed)
{
	open_both();
	pid_t child = start_child(outlives_the_parents_number, NULL);
	add(fd, 4);
	cr_assert_eq(close(fd), 0);
	int fresh = new_eventfd(50, 0);
	cr_assert_eq(fresh, fd);
	add(back, 1);
	end_child(child);
	assert_count(back, 2);
	assert_count(fresh, 50);
	close_both();
}

static void makes_its_own(void *unused)
{
	(void)unused;
	int lowest = tk_lowest_free();
	int own = eventfd(1000, 0);
	CHECK(own == lowest);
	child_add(back, 1);
	CHECK(child_take(fd) == 1);
	CHECK(child_take(own) == 1000);
	child_add(own, 3);
	child_add(back, 1);
	CHECK(child_take(fd) == 2);
	CHECK(child_take(own) == 3);
}

Test(forked, eventfds_made_after_the_fork_are_strangers_under_one_number)
{
	open_both();
	pid_t child = start_child(makes_its_own, NULL);
	cr_assert_eq(blocking_take(back), 1);
	int lowest = tk_lowest_free();
	int own = new_eventfd(20, 0);
	cr_assert_eq(own, lowest);
	add(fd, 1);
	cr_assert_eq(blocking_take(back), 1);
	assert_count(own, 20);
	add(own, 7);
	add(fd, 2);
	end_child(child);
	assert_count(own, 7);
	cr_assert_eq(close(own), 0);
	close_both();
}

static void adds_many(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++)
		child_add(fd, 1);
}

Test(forked, many_children_lose_no_count)
{
	pid_t children[CHILDREN];
	uint64_t sum = 0;
	open_both();
	for (int i = 0; i < CHILDREN; i++)
		children[i] = start_child(adds_many, NULL);
	while (sum < CHILDREN * ROUNDS)
		sum += blocking_take(fd);
	for (int i = 0; i < CHILDREN; i++)
		end_child(children[i]);
	cr_assert_eq(sum, CHILDREN * ROUNDS);
	assert_empty(fd);
	close_both();
}

static void takes_many(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++)
		CHECK(child_take(fd) == 1);
}

Test(forked, many_children_share_a_semaphore)
{
	pid_t children[CHILDREN];
	open_both();
	cr_assert_eq(close(fd), 0);
	fd = new_eventfd(0, EFD_SEMAPHORE);
	for (int i = 0; i < CHILDREN; i++)
		children[i] = start_child(takes_many, NULL);
	for (int i = 0; i < ROUNDS; i++)
		add(fd, CHILDREN);
	for (int i = 0; i < CHILDREN; i++)
		end_child(children[i]);
	assert_empty(fd);
	close_both();
}

static void forks_again(void *depth)
{
	int left = *(int *)depth - 1;
	child_add(fd, 1);
	if (!left)
		return;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		forks_again(&left);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

Test(forked, grandchildren_share_it_too)
{
	int depth = 6;
	open_both();
	in_child(forks_again, &depth);
	assert_count(fd, 6);
	close_both();
}
