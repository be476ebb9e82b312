/* An eventpoll tells what happens when it happens, and once what there is on ADD and MOD. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <efdshim/asyncfd.h>
#include <efdshim/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

TestSuite(eventpoll_edge, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { BOTH = POLLIN | POLLOUT };

Test(eventpoll_edge, the_state_once_on_add)
{
	static const struct {
		uint64_t count;
		unsigned events, told;
	} cases[] = {{0, POLLIN, 0}, {1, POLLIN, POLLIN}, {0, BOTH, POLLOUT}, {1, BOTH, BOTH},
		{COUNT_LIMIT, BOTH, POLLIN}, {COUNT_LIMIT, POLLOUT, 0}, {1, 0, 0}, {1, POLLPRI, 0}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = eventfd_at(cases[i].count), poller = poller_of(fd, cases[i].events);
		cr_assert_eq(poller_event(poller, fd), cases[i].told, "case %zu", i);
		cr_assert_eq(poller_event(poller, fd), 0);
		poller_mod(poller, fd, cases[i].events);
		cr_assert_eq(poller_event(poller, fd), cases[i].told, "case %zu", i);
		cr_assert_eq(poller_event(poller, fd), 0);
		close(poller);
		close(fd);
	}
}

Test(eventpoll_edge, every_write_is_one)
{
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	for (int i = 0; i < 5; i++) {
		add_count(fd, 1);
		cr_assert_eq(poller_event(poller, fd), POLLIN);
		cr_assert_eq(poller_event(poller, fd), 0);
	}
	cr_assert_eq(take_count(fd), 5);
	cr_assert_eq(poller_event(poller, fd), 0);
	close(poller);
	close(fd);
}

Test(eventpoll_edge, reads_are_those_of_POLLOUT)
{
	int fd = eventfd_at(COUNT_LIMIT), poller = poller_of(fd, POLLOUT);
	cr_assert_eq(poller_event(poller, fd), 0);
	for (int i = 0; i < 3; i++) {
		take_count(fd);
		cr_assert_eq(poller_event(poller, fd), POLLOUT);
		cr_assert_eq(poller_event(poller, fd), 0);
		add_count(fd, COUNT_LIMIT);
		cr_assert_eq(poller_event(poller, fd), 0);
	}
	close(poller);
	close(fd);
}

Test(eventpoll_edge, many_writes_are_one_entry)
{
	const struct pollfd *events;
	int fd = eventfd_at(0), poller = poller_of(fd, BOTH);
	cr_assert_eq(poller_event(poller, fd), POLLOUT);
	for (int i = 0; i < 100; i++)
		add_count(fd, 1);
	cr_assert_eq(poller_wait(poller, &events, 0), 1);
	cr_assert(events[0].fd == fd && events[0].revents == BOTH);
	cr_assert_eq(poller_event(poller, fd), 0);
	close(poller);
	close(fd);
}

/* A mask eventfd says what it is told to: bits that come one after the other are collected. */
Test(eventpoll_edge, revents_are_collected)
{
	int fd = mask_open(0), poller = poller_of(fd, POLLIN | POLLPRI | POLLOUT);
	mask_set(fd, POLLIN);
	mask_set(fd, POLLIN | POLLPRI);
	mask_set(fd, POLLIN | POLLPRI | POLLOUT);
	cr_assert_eq(poller_event(poller, fd), POLLIN | POLLPRI | POLLOUT);
	cr_assert_eq(poller_event(poller, fd), 0);
	mask_set(fd, POLLHUP);
	cr_assert_eq(poller_event(poller, fd) & POLLHUP, POLLHUP);
	poller_mod(poller, fd, 0);
	cr_assert_eq(poller_event(poller, fd), POLLHUP);
	close(poller);
	mask_close(fd);
}

Test(eventpoll_edge, eventfd_signal_and_its_error)
{
	int fd = eventfd_at(0), poller = poller_of(fd, 0), in = poller_of(fd, POLLIN);
	struct efd_file *file = eventfd_fget(fd);
	cr_assert(file);
	cr_assert_eq(eventfd_signal(file, 1), 1);
	cr_assert_eq(poller_event(poller, fd), 0);
	cr_assert_eq(poller_event(in, fd), POLLIN);
	take_count(fd);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(poller_event(in, fd), POLLIN);
	cr_assert_eq(eventfd_signal(file, 2), 1);
	cr_assert_eq(poller_event(poller, fd), POLLERR);
	cr_assert_eq(poller_event(in, fd), POLLIN | POLLERR);
	cr_assert_eq(poller_event(in, fd), 0);
	efd_fput(file);
	close(in);
	close(poller);
	close(fd);
}

Test(eventpoll_edge, an_asyncfd)
{
	static struct asyncfd_result array[8], one = {.cookie = 1};
	static struct asyncfd_uring ring = {.size = 8};
	ring.ptr = (uintptr_t)array;
	int fd = asyncfd(-1, &ring), poller = poller_of(fd, POLLIN);
	struct efd_file *file = asyncfd_fget(fd);
	cr_assert_eq(poller_event(poller, fd), 0);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(asyncfd_add_results(file, &one, 1), 1);
		cr_assert_eq(poller_event(poller, fd), POLLIN);
		cr_assert_eq(poller_event(poller, fd), 0);
	}
	efd_fput(file);
	close(poller);
	close(fd);
}

Test(eventpoll_edge, pipes_and_their_end)
{
	char byte;
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	int poller = poller_of(ends[0], POLLIN);
	cr_assert_eq(poller_event(poller, ends[0]), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(write(ends[1], "x", 1), 1);
		cr_assert_eq(poller_event(poller, ends[0]), POLLIN);
		cr_assert_eq(poller_event(poller, ends[0]), 0);
	}
	for (int i = 0; i < 3; i++)
		cr_assert_eq(read(ends[0], &byte, 1), 1);
	cr_assert_eq(poller_event(poller, ends[0]), 0);
	close(ends[1]);
	cr_assert_eq(poller_event(poller, ends[0]), POLLHUP);
	cr_assert_eq(poller_event(poller, ends[0]), 0);
	close(poller);
	close(ends[0]);
}

Test(eventpoll_edge, sockets)
{
	int socks[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	int poller = poller_of(socks[0], BOTH);
	cr_assert_eq(poller_event(poller, socks[0]), POLLOUT);
	cr_assert_eq(poller_event(poller, socks[0]), 0);
	cr_assert_eq(send(socks[1], "x", 1, 0), 1);
	cr_assert_eq(poller_event(poller, socks[0]), BOTH);
	cr_assert_eq(poller_event(poller, socks[0]), 0);
	poller_mod(poller, socks[0], POLLIN);
	cr_assert_eq(poller_event(poller, socks[0]), POLLIN);
	close(socks[1]);
	cr_assert_eq(poller_event(poller, socks[0]), POLLIN | POLLHUP);
	close(poller);
	close(socks[0]);
}

Test(eventpoll_edge, timers)
{
	const struct pollfd *events;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), poller = poller_of(fd, POLLIN);
	struct itimerspec soon = {.it_value = {0, 1000000}};
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(timerfd_settime(fd, 0, &soon, NULL), 0);
		cr_assert_eq(poller_wait(poller, &events, 10000), 1);
		cr_assert(events[0].fd == fd && events[0].revents == POLLIN);
		cr_assert_eq(poller_event(poller, fd), 0);
		cr_assert_eq(take_count(fd), 1);
	}
	close(poller);
	close(fd);
}

Test(eventpoll_edge, an_event_that_was_not_fetched_goes_with_its_fd)
{
	int fd = eventfd_at(0), ends[2], poller = poller_of(fd, POLLIN);
	cr_assert_eq(pipe(ends), 0);
	poller_add(poller, ends[0], POLLIN);
	add_count(fd, 1);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	poller_del(poller, fd);
	poller_del(poller, ends[0]);
	cr_assert_eq(poller_event(poller, -1), 0);
	poller_add(poller, fd, POLLIN);
	cr_assert_eq(poller_event(poller, fd), POLLIN);
	close(ends[0]);
	close(ends[1]);
	close(poller);
	close(fd);
}

/* MOD to an interest that is not there takes back what was not fetched. */
Test(eventpoll_edge, an_interest_that_is_taken_back)
{
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	add_count(fd, 1);
	poller_mod(poller, fd, POLLPRI);
	cr_assert_eq(poller_event(poller, fd), 0);
	add_count(fd, 1);
	cr_assert_eq(poller_event(poller, fd), 0);
	poller_mod(poller, fd, POLLIN);
	cr_assert_eq(poller_event(poller, fd), POLLIN);
	close(poller);
	close(fd);
}

Test(eventpoll_edge, sets_in_it)
{
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN, 1), inner = poller_of(fd, POLLIN);
	int poller = poller_of(set, POLLIN);
	poller_add(poller, inner, POLLIN);
	unsigned seen[512] = {0};
	cr_assert_eq(poller_collect(poller, seen, 512), 0);
	add_count(fd, 1);
	poller_collect(poller, seen, 512);
	cr_assert_eq(seen[set], POLLIN);
	cr_assert_eq(seen[inner], POLLIN);
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(poller_event(inner, fd), POLLIN);
	close(poller);
	close(inner);
	close(set);
	close(fd);
}
