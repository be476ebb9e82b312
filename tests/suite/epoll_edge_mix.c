/* epoll, edge-triggered: watches of IN and OUT together, MOD, several watches of one object. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_edge_mix, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

/* The event of the ADD itself, if any, stays in the set. */
static struct watched watch_edge(uint64_t count, int flags, uint32_t events)
{
	return watch_pair(count, flags, events | EPOLLET);
}

static struct watched watch_quiet(uint64_t count, int flags, uint32_t events)
{
	struct watched w = watch_edge(count, flags, events);
	pair_event(w.set);
	return w;
}

Test(epoll_edge_mix, write_of_zero_reports_the_level_to_a_watch_of_both)
{
	struct watched w = watch_quiet(0, 0, BOTH);
	cr_assert_eq(pair_write(w.fd, 0), 8);
	expect_event(w, OUT);
	expect_event(w, 0);
	pair_write(w.fd, COUNT_LIMIT);
	expect_event(w, IN);
	cr_assert_eq(pair_write(w.fd, 0), 8);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge_mix, watch_of_both_gets_the_whole_level_at_each_edge)
{
	struct watched w = watch_quiet(0, 0, BOTH);
	pair_write(w.fd, 1);
	expect_event(w, BOTH);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, BOTH);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	expect_event(w, 0);
	pair_write(w.fd, COUNT_LIMIT);
	expect_event(w, IN);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	unwatch_pair(w);
}

Test(epoll_edge_mix, watch_of_both_on_a_semaphore_gets_in_by_a_read)
{
	struct watched w = watch_quiet(3, EFD_SEMAPHORE, BOTH);
	pair_read(w.fd, NULL);
	expect_event(w, BOTH);
	pair_read(w.fd, NULL);
	expect_event(w, BOTH);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge_mix, bits_that_never_come_have_no_edges)
{
	struct watched w = watch_edge(1, 0, EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLWRNORM);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge_mix, mod_reports_the_level_again)
{
	struct watched w = watch_quiet(1, 0, IN);
	expect_event(w, 0);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | EPOLLET, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, OUT | EPOLLET, 1);
	expect_event(w, OUT);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	unwatch_pair(w);
}

Test(epoll_edge_mix, mod_between_edge_and_level)
{
	struct watched w = watch_quiet(1, 0, IN);
	expect_event(w, 0);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1);
	expect_event(w, IN);
	expect_event(w, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | EPOLLET, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge_mix, level_and_edge_watches_of_one_object_live_apart)
{
	struct watched edge = watch_edge(0, 0, IN);
	struct pair level = pair_epoll();
	pair_ctl(level, EPOLL_CTL_ADD, edge.fd, IN, 5);
	for (int i = 0; i < 20; i++) {
		pair_write(edge.fd, 1);
		cr_assert_eq(pair_event(level), IN);
		expect_event(edge, IN);
		cr_assert_eq(pair_event(level), IN);
		expect_event(edge, 0);
	}
	pair_read(edge.fd, NULL);
	cr_assert_eq(pair_event(level), 0);
	expect_event(edge, 0);
	pair_close(level);
	unwatch_pair(edge);
}

Test(epoll_edge_mix, edge_watches_in_two_sets_both_see_every_write)
{
	struct watched one = watch_edge(0, 0, IN);
	struct pair two = pair_epoll();
	pair_ctl(two, EPOLL_CTL_ADD, one.fd, BOTH | EPOLLET, 5);
	cr_assert_eq(pair_event(two), OUT);
	for (int i = 0; i < 20; i++) {
		pair_write(one.fd, 1);
		expect_event(one, IN);
		cr_assert_eq(pair_event(two), BOTH);
		expect_event(one, 0);
		cr_assert_eq(pair_event(two), 0);
	}
	pair_close(two);
	unwatch_pair(one);
}

Test(epoll_edge_mix, add_of_a_later_watch_is_no_edge_for_the_first)
{
	struct watched w = watch_quiet(1, 0, BOTH);
	struct pair later = pair_epoll();
	pair_ctl(later, EPOLL_CTL_ADD, w.fd, IN, 1);
	cr_assert_eq(pair_event(later), IN);
	expect_event(w, 0);
	cr_assert_eq(pair_poll(w.fd, POLLIN), POLLIN);
	expect_event(w, 0);
	pair_ctl(later, EPOLL_CTL_DEL, w.fd, 0, 0);
	expect_event(w, 0);
	pair_close(later);
	unwatch_pair(w);
}

static int child_writes_twice(void *fd)
{
	uint64_t one = 1;
	for (int i = 0; i < 2; i++)
		if (write(*(int *)fd, &one, sizeof(one)) != 8)
			return 1;
	return 0;
}

Test(epoll_edge_mix, writes_of_children_are_edges)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN | EPOLLET, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(child_reap(child_start(child_writes_twice, &fd)), 0);
		cr_assert_eq(set_event(set), EPOLLIN);
		cr_assert_eq(set_event(set), 0);
	}
	close(set);
	close(fd);
}

/* The same walk for both, from a fixed seed: writes, reads, waits in any order. */
Test(epoll_edge_mix, random_walk_agrees_with_the_kernel)
{
	static const uint32_t interests[] = {IN, OUT, BOTH};
	static const uint64_t values[] = {0, 1, 2, COUNT_LIMIT, COUNT_LIMIT - 1};
	unsigned seed = 7;
	for (int walk = 0; walk < 60; walk++) {
		struct watched w = watch_edge(0, walk % 2 ? EFD_SEMAPHORE : 0, interests[walk % 3]);
		for (int step = 0; step < 100; step++) {
			unsigned what = (unsigned)rand_r(&seed) / 8;
			if (what % 8 < 3)
				pair_write(w.fd, values[what / 8 % ARRAY_LEN(values)]);
			else if (what % 8 < 5)
				pair_read(w.fd, NULL);
			else
				pair_event(w.set);
		}
		unwatch_pair(w);
	}
}

/* Beside many others, whose kernel-side room is small. */
Test(epoll_edge_mix, room_left_at_the_limit_is_shown_to_a_watch_that_comes_later)
{
	enum { OTHERS = 80 };
	int others[OTHERS];
	for (int i = 0; i < OTHERS; i++)
		others[i] = eventfd(0, EFD_CLOEXEC);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
	int set = set_watching(fd, IN | EPOLLET, 1);
	uint64_t most = COUNT_LIMIT, zero = 0, one;
	cr_assert_eq(write(fd, &most, 8), 8);
	cr_assert_eq(read(fd, &one, 8), 8);
	cr_assert_eq(write(fd, &zero, 8), 8);
	set_ctl(set, EPOLL_CTL_MOD, fd, OUT, 2);
	struct epoll_event event;
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
	cr_assert(event.events == OUT && event.data.u64 == 2);
	cr_assert_eq(close(set), 0);
	cr_assert_eq(close(fd), 0);
	for (int i = 0; i < OTHERS; i++)
		close(others[i]);
}
