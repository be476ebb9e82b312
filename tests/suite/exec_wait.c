/* poll, select and epoll in a program on the eventfds its predecessor left open. */
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
#include <sys/select.h>
#include <unistd.h>

TestSuite(exec_poll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_new_set, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, ADD = EPOLL_CTL_ADD };

/* An empty one, a half full one, a full one. */
ROLE(asks_poll_and_select)
{
	CHECK(polled(arg[0]) == POLLOUT && selected(arg[0]) == 2);
	CHECK(polled(arg[1]) == (POLLIN | POLLOUT) && selected(arg[1]) == 3);
	CHECK(polled(arg[2]) == POLLIN && selected(arg[2]) == 1);
	struct pollfd all[3] = {{arg[0], POLLIN, 0}, {arg[1], POLLIN, 0}, {arg[2], POLLOUT, 0}};
	CHECK(poll(all, 3, 0) == 1 && all[1].revents == POLLIN);
	CHECK(adds(arg[0], 1) && takes(arg[1], 1) && takes(arg[2], UINT64_MAX - 1));
	CHECK(poll(all, 3, 0) == 2 && all[0].revents == POLLIN && all[2].revents == POLLOUT);
}

Test(exec_poll, every_state_is_seen)
{
	int empty = new_eventfd(0, EFD_NONBLOCK), some = new_eventfd(1, EFD_NONBLOCK);
	int full = new_eventfd(0, EFD_NONBLOCK);
	add(full, UINT64_MAX - 1);
	in_role("asks_poll_and_select %d %d %d", empty, some, full);
	assert_count(empty, 1);
	assert_empty(some);
	assert_empty(full);
	cr_assert_eq(close(empty) | close(some) | close(full), 0);
}

/* The fd, and the events that must end the poll. */
ROLE(sleeps_in_poll)
{
	struct pollfd p = {.fd = arg[0], .events = (short)arg[1]};
	CHECK(poll(&p, 1, -1) == 1 && p.revents == arg[1]);
}

Test(exec_poll, asleep_over_there_is_woken_by_a_write_here)
{
	int fd = new_eventfd(0, 0);
	pid_t child = start_role("sleeps_in_poll %d %d", fd, POLLIN);
	tk_wait_process_asleep(child);
	add(fd, 2);
	end_child(child);
	assert_count(fd, 2);
	cr_assert_eq(close(fd), 0);
}

Test(exec_poll, asleep_over_there_is_woken_by_a_read_here)
{
	int fd = new_eventfd(0, 0);
	add(fd, UINT64_MAX - 1);
	pid_t child = start_role("sleeps_in_poll %d %d", fd, POLLOUT);
	tk_wait_process_asleep(child);
	cr_assert_eq(take(fd), UINT64_MAX - 1);
	end_child(child);
	cr_assert_eq(close(fd), 0);
}

/* The fd and the set: 1 read, 2 write. */
ROLE(sleeps_in_select)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(arg[0], &set);
	int in = arg[1] == 1;
	CHECK(select(arg[0] + 1, in ? &set : NULL, in ? NULL : &set, NULL, NULL) == 1);
	CHECK(FD_ISSET(arg[0], &set));
}

Test(exec_poll, select_over_there_is_woken_from_here)
{
	int fd = new_eventfd(0, 0);
	pid_t child = start_role("sleeps_in_select %d 1", fd);
	tk_wait_process_asleep(child);
	add(fd, UINT64_MAX - 1);
	end_child(child);
	child = start_role("sleeps_in_select %d 2", fd);
	tk_wait_process_asleep(child);
	cr_assert_eq(take(fd), UINT64_MAX - 1);
	end_child(child);
	cr_assert_eq(close(fd), 0);
}

ROLE(writes_to_a_sleeper)
{
	CHECK(falls_asleep(getppid()));
	CHECK(adds(arg[0], 4));
}

ROLE(reads_under_a_sleeper)
{
	CHECK(falls_asleep(getppid()));
	CHECK(takes(arg[0], UINT64_MAX - 1));
}

Test(exec_poll, asleep_here_is_woken_by_a_write_over_there)
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	pid_t child = start_role("writes_to_a_sleeper %d", fd);
	cr_assert_eq(poll(&p, 1, -1), 1);
	cr_assert_eq(p.revents, POLLIN);
	end_child(child);
	assert_count(fd, 4);
	cr_assert_eq(close(fd), 0);
}

Test(exec_poll, asleep_here_is_woken_by_a_read_over_there)
{
	int fd = new_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	add(fd, UINT64_MAX - 1);
	pid_t child = start_role("reads_under_a_sleeper %d", fd);
	cr_assert_eq(poll(&p, 1, -1), 1);
	cr_assert_eq(p.revents, POLLOUT);
	end_child(child);
	cr_assert_eq(close(fd), 0);
}

ROLE(watches_level)
{
	int set = epoll_create1(0);
	CHECK(controls(set, ADD, arg[0], BOTH, 5) == 0);
	CHECK(controls(set, ADD, arg[0], BOTH, 5) == -EEXIST);
	CHECK(shown(set) == BOTH && shown(set) == BOTH);
	CHECK(takes(arg[0], 1) && shown(set) == OUT);
	CHECK(adds(arg[0], UINT64_MAX - 1) && shown(set) == IN);
	CHECK(controls(set, EPOLL_CTL_MOD, arg[0], OUT, 6) == 0 && shown(set) == 0);
	CHECK(takes(arg[0], UINT64_MAX - 1) && shown(set) == OUT);
	CHECK(controls(set, EPOLL_CTL_DEL, arg[0], 0, 0) == 0 && shown(set) == 0);
	CHECK(controls(set, EPOLL_CTL_DEL, arg[0], 0, 0) == -ENOENT);
}

ROLE(watches_edges)
{
	int set = epoll_create1(0);
	CHECK(controls(set, ADD, arg[0], BOTH | EPOLLET, 5) == 0);
	CHECK(shown(set) == BOTH && shown(set) == 0);
	CHECK(adds(arg[0], 1) && shown(set) == BOTH && shown(set) == 0);
	CHECK(adds(arg[0], 1) && shown(set) == BOTH && shown(set) == 0);
	CHECK(takes(arg[0], 3) && shown(set) == OUT && shown(set) == 0);
}

ROLE(watches_once)
{
	int set = epoll_create1(0);
	CHECK(controls(set, ADD, arg[0], IN | EPOLLONESHOT, 5) == 0);
	CHECK(shown(set) == IN && shown(set) == 0);
	CHECK(adds(arg[0], 1) && shown(set) == 0);
	CHECK(controls(set, EPOLL_CTL_MOD, arg[0], OUT | EPOLLONESHOT, 5) == 0);
	CHECK(shown(set) == OUT && shown(set) == 0);
	CHECK(takes(arg[0], 2) && shown(set) == 0);
}

static void set_in_role(const char *role)
{
	int fd = new_eventfd(1, EFD_NONBLOCK);
	in_role("%s %d", role, fd);
	assert_empty(fd);
	cr_assert_eq(close(fd), 0);
}

Test(exec_new_set, by_level)
{
	set_in_role("watches_level");
}

Test(exec_new_set, by_edge)
{
	set_in_role("watches_edges");
}

Test(exec_new_set, one_shot)
{
	set_in_role("watches_once");
}

/* fd, interest, what must be reported, the eventfd that says 'the watch is there' */
ROLE(sleeps_in_a_set)
{
	uint64_t data = 0;
	int set = epoll_create1(EPOLL_CLOEXEC);
	CHECK(controls(set, ADD, arg[0], (uint32_t)arg[1], UINT64_MAX - 2) == 0);
	shown(set);
	CHECK(adds(arg[3], 1));
	CHECK(waited(set, &data) == (uint32_t)arg[2] && data == UINT64_MAX - 2);
}

static void woken_by_a_write(uint32_t interest, uint32_t want)
{
	int fd = new_eventfd(0, EFD_NONBLOCK), ready = new_eventfd(0, 0);
	uint64_t one;
	pid_t child =
		start_role("sleeps_in_a_set %d %d %d %d", fd, (int)interest, (int)want, ready);
	cr_assert_eq(read(ready, &one, 8), 8);
	tk_wait_process_asleep(child);
	add(fd, 1);
	end_child(child);
	cr_assert_eq(close(fd) | close(ready), 0);
}

Test(exec_new_set, asleep_by_level_is_woken_by_a_write_here)
{
	woken_by_a_write(IN, IN);
}

Test(exec_new_set, asleep_by_edge_is_woken_by_a_write_here)
{
	woken_by_a_write(IN | (uint32_t)EPOLLONESHOT, IN);
	woken_by_a_write(IN | (uint32_t)EPOLLET, IN);
	woken_by_a_write(BOTH | (uint32_t)EPOLLET, BOTH);
}

Test(exec_new_set, asleep_for_OUT_is_woken_by_a_read_here)
{
	int fd = new_eventfd(0, EFD_NONBLOCK), ready = new_eventfd(0, 0);
	uint64_t one;
	add(fd, UINT64_MAX - 1);
	pid_t child = start_role("sleeps_in_a_set %d %d %d %d", fd, OUT, OUT, ready);
	cr_assert_eq(read(ready, &one, 8), 8);
	tk_wait_process_asleep(child);
	cr_assert_eq(take(fd), UINT64_MAX - 1);
	end_child(child);
	cr_assert_eq(close(fd) | close(ready), 0);
}

ROLE(adds_three_times)
{
	for (int i = 0; i < 3; i++) {
		uint64_t value;
		CHECK(tell_read(arg[1], &value) == 8);
		CHECK(adds(arg[0], 1));
	}
}

/* The set here was made before; each write over there is an edge of its own. */
static void edges_from_over_there(uint32_t interest, uint32_t want)
{
	int fd = new_eventfd(0, EFD_NONBLOCK), go = new_eventfd(0, 0),
	    set = epoll_create1(EPOLL_CLOEXEC);
	uint64_t data = 0;
	cr_assert_eq(controls(set, ADD, fd, interest, 42), 0);
	shown(set);
	pid_t child = start_role("adds_three_times %d %d", fd, go);
	for (int i = 0; i < 3; i++) {
		add(go, 1);
		cr_assert_eq(waited(set, &data), want);
		cr_assert_eq(data, 42);
		cr_assert_eq(shown(set), interest & EPOLLET ? 0 : want);
		if (!(interest & EPOLLET))
			cr_assert_eq(take(fd), 1);
	}
	end_child(child);
	cr_assert_eq(close(fd) | close(go) | close(set), 0);
}

Test(exec_new_set, of_the_parent_shows_each_write_over_there)
{
	edges_from_over_there(IN, IN);
	edges_from_over_there(IN | (uint32_t)EPOLLET, IN);
	edges_from_over_there(BOTH | (uint32_t)EPOLLET, BOTH);
}

/* Two copies of one eventfd and a stranger. */
ROLE(watches_two_copies)
{
	struct epoll_event events[8];
	int set = epoll_create1(EPOLL_CLOEXEC);
	CHECK(controls(set, ADD, arg[0], IN, 1) == 0 && controls(set, ADD, arg[1], OUT, 2) == 0);
	CHECK(controls(set, ADD, arg[2], BOTH, 4) == 0);
	CHECK(epoll_wait(set, events, 8, 0) == 2);
	CHECK((events[0].data.u64 | events[1].data.u64) == 6);
	CHECK(adds(arg[1], 1) && epoll_wait(set, events, 8, 0) == 3);
	CHECK(tell_close(arg[0]) == 0 && epoll_wait(set, events, 8, 0) == 3);
	CHECK(tell_close(arg[2]) == 0 && takes(arg[1], 1));
}

Test(exec_new_set, copies_of_one_are_watched_each)
{
	int fd = new_eventfd(0, EFD_NONBLOCK), copy = dup(fd), other = new_eventfd(0, EFD_NONBLOCK);
	in_role("watches_two_copies %d %d %d", fd, copy, other);
	assert_empty(fd);
	cr_assert_eq(close(fd) | close(copy) | close(other), 0);
}

ROLE(watches_a_nested_set)
{
	int inner = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC);
	CHECK(controls(inner, ADD, arg[0], IN, 1) == 0 && controls(outer, ADD, inner, IN, 2) == 0);
	CHECK(shown(outer) == 0 && polled(inner) == 0);
	CHECK(adds(arg[0], 1) && shown(outer) == IN && polled(inner) == POLLIN);
	CHECK(takes(arg[0], 1) && shown(outer) == 0);
}

Test(exec_new_set, in_another_set)
{
	int fd = new_eventfd(0, EFD_NONBLOCK);
	in_role("watches_a_nested_set %d", fd);
	cr_assert_eq(close(fd), 0);
}
