/* epoll, edge-triggered: every write is an edge for IN, every read one for OUT. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_edge, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

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

Test(epoll_edge, add_reports_the_level_once)
{
	static const uint64_t counts[] = {0, 1, COUNT_LIMIT};
	static const uint32_t levels[] = {OUT, BOTH, IN}, interests[] = {IN, OUT, BOTH, EPOLLPRI};
	for (size_t c = 0; c < ARRAY_LEN(counts); c++)
		for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
			struct watched w = watch_edge(counts[c], 0, interests[i]);
			expect_event(w, levels[c] & interests[i]);
			expect_event(w, 0);
			unwatch_pair(w);
		}
}

Test(epoll_edge, every_write_is_an_edge_even_if_nobody_reads)
{
	struct watched w = watch_edge(0, 0, IN);
	for (int i = 0; i < 1000; i++) {
		pair_write(w.fd, 1);
		expect_event(w, IN);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_edge, every_write_is_an_edge_on_ten_thousand_unread)
{
	enum { WRITES = 10000 };
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN | EPOLLET, 1), seen = 0;
	for (int i = 0; i < WRITES; i++) {
		add_count(fd, 1);
		seen += set_event(set) == EPOLLIN;
	}
	cr_assert_eq(seen, WRITES);
	cr_assert_eq(take_count(fd), WRITES);
	close(set);
	close(fd);
}

/* Longer than any pipe buffer an implementation may keep the edges in. */
Test(epoll_edge, seventy_thousand_unseen_writes_are_one_event)
{
	enum { WRITES = 70000 };
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN | EPOLLET, 1);
	for (int i = 0; i < WRITES; i++) {
		uint64_t one = 1;
		if (write(fd, &one, sizeof(one)) != 8)
			cr_assert_fail("write %d", i);
	}
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(set_event(set), 0);
	add_count(fd, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(take_count(fd), WRITES + 1);
	close(set);
	close(fd);
}

Test(epoll_edge, two_writes_between_waits_are_one_event)
{
	struct watched w = watch_edge(0, 0, IN);
	pair_write(w.fd, 1);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge, edge_whose_level_is_gone_is_not_reported)
{
	struct watched w = watch_edge(0, 0, IN);
	pair_write(w.fd, 1);
	pair_read(w.fd, NULL);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_edge, write_read_write_between_waits_is_one_event)
{
	struct watched w = watch_edge(0, 0, IN);
	pair_write(w.fd, 1);
	pair_read(w.fd, NULL);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge, read_is_no_edge_for_in)
{
	struct watched w = watch_quiet(5, EFD_SEMAPHORE, IN);
	for (int i = 0; i < 4; i++) {
		pair_read(w.fd, NULL);
		expect_event(w, 0);
	}
	cr_assert_eq(pair_poll(w.fd, POLLIN), POLLIN);
	unwatch_pair(w);
}

Test(epoll_edge, write_is_no_edge_for_out)
{
	struct watched w = watch_quiet(0, 0, OUT);
	for (int i = 0; i < 50; i++) {
		pair_write(w.fd, 1);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_edge, every_read_is_an_edge_for_out)
{
	struct watched w = watch_quiet(0, 0, OUT);
	for (int i = 0; i < 50; i++) {
		pair_write(w.fd, 1);
		expect_event(w, 0);
		pair_read(w.fd, NULL);
		expect_event(w, OUT);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_edge, every_semaphore_read_is_an_edge_for_out)
{
	struct watched w = watch_quiet(20, EFD_SEMAPHORE, OUT);
	for (int i = 0; i < 20; i++) {
		pair_read(w.fd, NULL);
		expect_event(w, OUT);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_edge, read_at_the_limit_is_an_edge_for_out)
{
	struct watched w = watch_edge(COUNT_LIMIT, 0, OUT);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_edge, out_that_is_gone_again_is_not_reported)
{
	struct watched w = watch_edge(COUNT_LIMIT, 0, OUT);
	pair_read(w.fd, NULL);
	pair_write(w.fd, COUNT_LIMIT);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	unwatch_pair(w);
}

Test(epoll_edge, failed_write_is_no_edge)
{
	static const uint32_t interests[] = {IN, OUT, BOTH};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_quiet(COUNT_LIMIT, 0, interests[i]);
		cr_assert_eq(pair_write(w.fd, 1), -EAGAIN);
		cr_assert_eq(pair_write(w.fd, UINT64_MAX), -EINVAL);
		expect_event(w, 0);
		unwatch_pair(w);
	}
}

Test(epoll_edge, failed_read_is_no_edge)
{
	static const uint32_t interests[] = {IN, OUT, BOTH};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_quiet(0, 0, interests[i]);
		cr_assert_eq(pair_read(w.fd, NULL), -EAGAIN);
		expect_event(w, 0);
		unwatch_pair(w);
	}
}

Test(epoll_edge, write_of_zero_to_an_empty_one_shows_nothing_for_in)
{
	struct watched w = watch_edge(0, 0, IN);
	cr_assert_eq(pair_write(w.fd, 0), 8);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_edge, write_of_zero_to_a_counted_one_is_an_edge_for_in)
{
	static const uint64_t counts[] = {1, COUNT_LIMIT};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct watched w = watch_quiet(counts[i], 0, IN);
		cr_assert_eq(pair_write(w.fd, 0), 8);
		expect_event(w, IN);
		expect_event(w, 0);
		unwatch_pair(w);
	}
}

Test(epoll_edge, write_of_zero_is_no_edge_for_out)
{
	struct watched w = watch_quiet(0, 0, OUT);
	cr_assert_eq(pair_write(w.fd, 0), 8);
	expect_event(w, 0);
	unwatch_pair(w);
}
