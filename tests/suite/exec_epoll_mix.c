/* Epoll sets that go over an exec with some of their eventfds, with copies, pipes and other sets.
 */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(exec_epoll_gone, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_epoll_mix, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };
enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };
#define DATA 0xfeedface87654321

static const uint32_t interests[] = {IN, OUT, BOTH, BOTH | (uint32_t)EPOLLET};
enum { INTERESTS = sizeof(interests) / sizeof(interests[0]) };

static bool tells(int from, uint32_t want)
{
	uint64_t data = 0;
	return waited(from, &data) == want && data == DATA;
}

/* The set, the number of its eventfd that is gone, the interest. */
ROLE(finds_an_empty_set)
{
	CHECK(shown(arg[0]) == 0 && is_closed(arg[1]));
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == -EBADF);
	int fd = eventfd(1, EFD_NONBLOCK);
	CHECK(fd == arg[1] || dup2(fd, arg[1]) == arg[1]);
	CHECK(shown(arg[0]) == 0);
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == -ENOENT);
	CHECK(controls(arg[0], ADD, arg[1], (uint32_t)arg[2], DATA) == 0);
	CHECK(tells(arg[0], (uint32_t)arg[2] & BOTH));
}

static void loses_its_eventfd(void *interest)
{
	uint32_t events = *(uint32_t *)interest;
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), set = epoll_create1(0);
	CHECK(controls(set, ADD, fd, events, 1) == 0);
	become("finds_an_empty_set %d %d %d", set, fd, (int)events);
}

Test(exec_epoll_gone, the_last_number_closed_by_exec_takes_the_watch_along)
{
	for (int i = 0; i < INTERESTS; i++)
		in_child(loses_its_eventfd, (void *)&interests[i]);
}

/* The parent has it open still: the watch is there, out of reach. */
ROLE(finds_a_watch_out_of_reach)
{
	CHECK(is_closed(arg[1]));
	CHECK(tells(arg[0], (uint32_t)arg[2] & BOTH));
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == -EBADF);
	int fd = eventfd(1, EFD_NONBLOCK);
	CHECK(fd == arg[1] || (dup2(fd, arg[1]) == arg[1] && tell_close(fd) == 0));
	CHECK(controls(arg[0], MOD, arg[1], IN, 1) == -ENOENT);
	CHECK(tell_close(arg[1]) == 0);
	shown(arg[0]);
	if (!(arg[2] & EPOLLET))
		CHECK(tells(arg[0], (uint32_t)arg[2] & BOTH));
}

Test(exec_epoll_gone, a_watch_of_what_the_parent_has_open_still_reports)
{
	for (int i = 0; i < INTERESTS; i++) {
		int fd = new_eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), set = epoll_create1(0);
		cr_assert_eq(controls(set, ADD, fd, interests[i], DATA), 0);
		in_role("finds_a_watch_out_of_reach %d %d %d", set, fd, (int)interests[i]);
		add(fd, 1);
		if (interests[i] & IN)
			cr_assert(tells(set, interests[i] & BOTH));
		cr_assert_eq(controls(set, DEL, fd, 0, 0), 0);
		cr_assert_eq(close(fd) | close(set), 0);
	}
}

/* The set, an eventfd that was never in it. */
ROLE(finds_no_set)
{
	CHECK(fcntl(arg[0], F_GETFD) == -1 && errno == EBADF);
	CHECK(controls(arg[0], ADD, arg[1], IN, 1) == -EBADF);
	CHECK(takes(arg[1], 1));
	int null = open("/dev/null", O_RDWR);
	CHECK(fcntl(null, F_DUPFD, arg[0]) == arg[0]);
	CHECK(controls(arg[0], ADD, arg[1], IN, 1) == -EINVAL);
	CHECK(fresh_one_works());
}

Test(exec_epoll_gone, a_set_with_CLOEXEC_is_gone_and_its_number_free)
{
	int fd = new_eventfd(1, EFD_NONBLOCK), set = epoll_create1(EPOLL_CLOEXEC);
	cr_assert_eq(controls(set, ADD, fd, BOTH, DATA), 0);
	in_role("finds_no_set %d %d", set, fd);
	cr_assert(tells(set, OUT));
	add(fd, 1);
	cr_assert(tells(set, BOTH));
	cr_assert_eq(close(fd) | close(set), 0);
}

/* The set, a copy that went over, the number that was watched, the interest. */
ROLE(has_a_copy_of_the_watched)
{
	CHECK(is_closed(arg[2]));
	CHECK(tells(arg[0], (uint32_t)arg[3] & BOTH));
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == -ENOENT);
	CHECK(controls(arg[0], DEL, arg[2], 0, 0) == -EBADF);
	CHECK(takes(arg[1], 1));
	if (!(arg[3] & EPOLLET))
		CHECK(shown(arg[0]) == ((uint32_t)arg[3] & OUT));
	CHECK(dup2(arg[1], arg[2]) == arg[2]);
	CHECK(controls(arg[0], DEL, arg[2], 0, 0) == 0);
	CHECK(shown(arg[0]) == 0);
}

static void leaves_a_copy(void *interest)
{
	uint32_t events = *(uint32_t *)interest;
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), set = epoll_create1(0), copy = dup(fd);
	CHECK(controls(set, ADD, fd, events, DATA) == 0);
	become("has_a_copy_of_the_watched %d %d %d %d", set, copy, fd, (int)events);
}

Test(exec_epoll_gone, a_copy_keeps_the_watch_of_the_number_that_is_gone)
{
	for (int i = 0; i < INTERESTS; i++)
		in_child(leaves_a_copy, (void *)&interests[i]);
}

enum { MANY = 30 };

/* The set; the eventfds are the numbers from arg[1]; each has its number for data. */
ROLE(finds_many_in_the_set)
{
	struct epoll_event events[MANY + 8];
	uint64_t sum = 0;
	int n = epoll_wait(arg[0], events, MANY + 8, 0);
	CHECK(n == MANY);
	for (int i = 0; i < n; i++) {
		CHECK(events[i].events == BOTH && events[i].data.u64 < DATA + MANY);
		sum += events[i].data.u64 - DATA;
	}
	CHECK(sum == MANY * (MANY - 1) / 2);
	for (int i = 0; i < MANY; i += 2)
		CHECK(takes(arg[1] + i, 1));
	CHECK(epoll_wait(arg[0], events, MANY + 8, 0) == MANY);
	for (int i = 0; i < MANY; i++)
		CHECK(events[i].events == ((events[i].data.u64 - DATA) % 2 ? BOTH : OUT));
	for (int i = 0; i < MANY; i += 2)
		CHECK(controls(arg[0], DEL, arg[1] + i, 0, 0) == 0);
	CHECK(epoll_wait(arg[0], events, MANY + 8, 0) == MANY / 2);
}

static void goes_over_with_many(void *unused)
{
	(void)unused;
	int set = epoll_create1(0), first = 300;
	for (int i = 0; i < MANY; i++) {
		int fd = eventfd(1, EFD_NONBLOCK);
		CHECK(dup2(fd, first + i) == first + i && close(fd) == 0);
		CHECK(controls(set, ADD, first + i, BOTH, DATA + (uint64_t)i) == 0);
	}
	become("finds_many_in_the_set %d %d", set, first);
}

Test(exec_epoll_mix, many_in_one_set_keep_their_data)
{
	in_child(goes_over_with_many, NULL);
}

/* The set, an eventfd for OUT (1), one for IN (2), a pipe's ends: the read end for IN (4). */
ROLE(finds_a_pipe_beside_them)
{
	struct epoll_event events[8];
	CHECK(epoll_wait(arg[0], events, 8, 0) == 1 && events[0].data.u64 == 1);
	CHECK(write(arg[4], "x", 1) == 1);
	CHECK(epoll_wait(arg[0], events, 8, 0) == 2);
	CHECK((events[0].data.u64 | events[1].data.u64) == 5);
	CHECK(adds(arg[2], 1) && epoll_wait(arg[0], events, 8, 0) == 3);
	CHECK((events[0].data.u64 | events[1].data.u64 | events[2].data.u64) == 7);
	CHECK(takes(arg[2], 1) && adds(arg[1], UINT64_MAX - 1));
	CHECK(epoll_wait(arg[0], events, 8, 0) == 1 && events[0].data.u64 == 4);
}

Test(exec_epoll_mix, a_pipe_beside_them_reports_too)
{
	int out = new_eventfd(0, EFD_NONBLOCK), in = new_eventfd(0, EFD_NONBLOCK);
	int ends[2], set = epoll_create1(0);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(controls(set, ADD, out, OUT, 1), 0);
	cr_assert_eq(controls(set, ADD, in, IN, 2), 0);
	cr_assert_eq(controls(set, ADD, ends[0], IN, 4), 0);
	in_role("finds_a_pipe_beside_them %d %d %d %d %d", set, out, in, ends[0], ends[1]);
	cr_assert_eq(close(out) | close(in) | close(set) | close(ends[0]) | close(ends[1]), 0);
}

/* The outer set, the inner set, the eventfd. */
ROLE(finds_nested_sets)
{
	CHECK(shown(arg[0]) == 0 && polled(arg[0]) == 0);
	CHECK(adds(arg[2], 1) && tells(arg[0], IN) && polled(arg[1]) == POLLIN);
	CHECK(polled(arg[0]) == POLLIN && tells(arg[1], IN));
	CHECK(takes(arg[2], 1) && shown(arg[0]) == 0);
	CHECK(controls(arg[1], MOD, arg[2], OUT, DATA) == 0 && tells(arg[0], IN));
	CHECK(tells(arg[1], OUT));
}

Test(exec_epoll_mix, a_set_in_a_set)
{
	int fd = new_eventfd(0, EFD_NONBLOCK), inner = epoll_create1(0), outer = epoll_create1(0);
	cr_assert_eq(controls(inner, ADD, fd, IN, DATA), 0);
	cr_assert_eq(controls(outer, ADD, inner, IN, DATA), 0);
	in_role("finds_nested_sets %d %d %d", outer, inner, fd);
	cr_assert_eq(shown(outer), IN);
	cr_assert_eq(close(fd) | close(inner) | close(outer), 0);
}

/* Two copies of one set, the eventfd. */
ROLE(finds_copies_of_a_set)
{
	CHECK(tells(arg[0], BOTH) && shown(arg[0]) == 0 && shown(arg[1]) == 0);
	CHECK(adds(arg[2], 1) && tells(arg[1], BOTH) && shown(arg[0]) == 0);
	CHECK(tell_close(arg[0]) == 0 && adds(arg[2], 1) && tells(arg[1], BOTH));
}

Test(exec_epoll_mix, a_set_under_two_numbers)
{
	int fd = new_eventfd(1, EFD_NONBLOCK), set = epoll_create1(0), copy = dup(set);
	cr_assert_eq(controls(set, ADD, fd, BOTH | (uint32_t)EPOLLET, DATA), 0);
	in_role("finds_copies_of_a_set %d %d %d", set, copy, fd);
	add(fd, 1);
	cr_assert(tells(copy, BOTH));
	cr_assert_eq(close(fd) | close(set) | close(copy), 0);
}

/* The set, the eventfd, how many more programs shall come. */
ROLE(hands_the_set_on)
{
	CHECK(tells(arg[0], BOTH) && shown(arg[0]) == 0);
	CHECK(adds(arg[1], 1));
	if (arg[2])
		become("hands_the_set_on %d %d %d", arg[0], arg[1], arg[2] - 1);
}

Test(exec_epoll_mix, a_set_goes_through_a_chain_of_programs)
{
	int fd = new_eventfd(1, EFD_NONBLOCK), set = epoll_create1(0);
	cr_assert_eq(controls(set, ADD, fd, BOTH | (uint32_t)EPOLLET, DATA), 0);
	in_role("hands_the_set_on %d %d 4", set, fd);
	cr_assert(tells(set, BOTH));
	assert_count(fd, 6);
	cr_assert_eq(close(fd) | close(set), 0);
}

/* Makes a set and an eventfd of its own, and hands both on. */
ROLE(makes_a_set_and_goes_over)
{
	int fd = eventfd(1, EFD_NONBLOCK), set = epoll_create1(0);
	CHECK(fd >= 0 && set >= 0 && controls(set, ADD, fd, BOTH | (uint32_t)EPOLLET, DATA) == 0);
	CHECK(controls(set, ADD, arg[0], IN, 5) == 0);
	become("hands_the_set_on %d %d 1", set, fd);
}

Test(exec_epoll_mix, a_set_made_over_there_goes_on)
{
	int fd = new_eventfd(0, EFD_NONBLOCK);
	in_role("makes_a_set_and_goes_over %d", fd);
	cr_assert_eq(close(fd), 0);
}
