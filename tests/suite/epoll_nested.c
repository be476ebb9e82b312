/* epoll sets in epoll sets, in poll and in select. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

TestSuite(epoll_nested, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

/* A watched pair whose sets are watched by outer sets. */
struct nested {
	struct watched in;
	struct pair outer;
};

static struct nested nest(uint64_t count, uint32_t inner_events, uint32_t outer_events)
{
	struct nested n = {watch_pair(count, 0, inner_events), pair_epoll()};
	cr_assert_eq(pair_ctl(n.outer, EPOLL_CTL_ADD, n.in.set, outer_events, 1), 0);
	return n;
}

static void unnest(struct nested n)
{
	pair_close(n.outer);
	unwatch_pair(n.in);
}

static void expect_outer(struct nested n, uint32_t events)
{
	uint32_t got = pair_event(n.outer);
	if (got != events)
		cr_assert_fail("outer set: %#x instead of %#x", got, events);
}

Test(epoll_nested, outer_set_follows_the_level)
{
	static const uint32_t interests[] = {IN, OUT, BOTH, IN | EPOLLPRI, EPOLLPRI, 0};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct nested n = nest(0, interests[i], IN);
		for (int round = 0; round < 10; round++) {
			expect_outer(n, interests[i] & OUT ? IN : 0);
			pair_write(n.in.fd, COUNT_LIMIT);
			expect_outer(n, interests[i] & IN ? IN : 0);
			pair_read(n.in.fd, NULL);
		}
		unnest(n);
	}
}

Test(epoll_nested, asking_the_outer_set_leaves_the_inner_event)
{
	struct nested n = nest(1, IN, IN);
	for (int i = 0; i < 3; i++) {
		expect_outer(n, IN);
		expect_event(n.in, IN);
	}
	unnest(n);
}

Test(epoll_nested, a_set_is_readable_never_writable)
{
	struct nested n = nest(1, BOTH, 0);
	static const uint32_t asked[] = {IN, OUT, BOTH, IN | EPOLLRDNORM, EPOLLRDNORM, EPOLLPRI};
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		pair_ctl(n.outer, EPOLL_CTL_MOD, n.in.set, asked[i], i);
		expect_outer(n, asked[i] & (IN | EPOLLRDNORM));
	}
	unnest(n);
}

Test(epoll_nested, inner_edge_is_over_once_it_was_fetched)
{
	struct nested n = nest(0, IN | EPOLLET, IN);
	for (int i = 0; i < 5; i++) {
		expect_outer(n, 0);
		pair_write(n.in.fd, 1);
		expect_outer(n, IN);
		expect_outer(n, IN);
		expect_event(n.in, IN);
	}
	expect_outer(n, 0);
	unnest(n);
}

Test(epoll_nested, inner_edge_whose_level_is_gone_does_not_show)
{
	struct nested n = nest(0, IN | EPOLLET, IN);
	pair_write(n.in.fd, 1);
	pair_read(n.in.fd, NULL);
	expect_outer(n, 0);
	expect_event(n.in, 0);
	unnest(n);
}

Test(epoll_nested, every_write_is_an_edge_for_the_outer_set)
{
	static const uint32_t inner[] = {IN, IN | EPOLLET, BOTH, BOTH | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		struct nested n = nest(0, inner[i], IN | EPOLLET);
		pair_event(n.outer);
		for (int round = 0; round < 10; round++) {
			pair_write(n.in.fd, 1);
			expect_outer(n, IN);
			expect_outer(n, 0);
		}
		unnest(n);
	}
}

Test(epoll_nested, every_read_is_an_edge_for_the_outer_set_of_an_out_watch)
{
	static const uint32_t inner[] = {OUT, OUT | EPOLLET, BOTH, BOTH | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		struct nested n = nest(0, inner[i], IN | EPOLLET);
		pair_event(n.outer);
		for (int round = 0; round < 10; round++) {
			pair_write(n.in.fd, 1);
			pair_event(n.outer);
			pair_read(n.in.fd, NULL);
			expect_outer(n, IN);
			expect_outer(n, 0);
		}
		unnest(n);
	}
}

Test(epoll_nested, one_shot_inside_goes_silent_outside)
{
	struct nested n = nest(1, IN | EPOLLONESHOT, IN);
	expect_outer(n, IN);
	expect_event(n.in, IN);
	expect_outer(n, 0);
	pair_ctl(n.in.set, EPOLL_CTL_MOD, n.in.fd, IN | EPOLLONESHOT, 1);
	expect_outer(n, IN);
	unnest(n);
}

Test(epoll_nested, one_shot_outside)
{
	struct nested n = nest(1, IN, IN | EPOLLONESHOT);
	expect_outer(n, IN);
	expect_outer(n, 0);
	pair_ctl(n.outer, EPOLL_CTL_MOD, n.in.set, IN | EPOLLONESHOT, 1);
	expect_outer(n, IN);
	unnest(n);
}

Test(epoll_nested, closing_the_eventfd_quiets_the_outer_set)
{
	static const uint32_t inner[] = {IN, OUT, BOTH | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		struct nested n = nest(1, inner[i], IN);
		expect_outer(n, IN);
		pair_close(n.in.fd);
		expect_outer(n, 0);
		pair_close(n.in.set);
		pair_close(n.outer);
	}
}

Test(epoll_nested, closing_the_inner_set_removes_it)
{
	struct nested n = nest(1, BOTH, IN);
	pair_close(n.in.set);
	expect_outer(n, 0);
	pair_write(n.in.fd, 1);
	expect_outer(n, 0);
	pair_close(n.outer);
	pair_close(n.in.fd);
}

Test(epoll_nested, watches_added_later_show_outside)
{
	struct nested n = nest(0, 0, IN);
	struct pair other = pair_eventfd(1, EFD_NONBLOCK);
	expect_outer(n, 0);
	pair_ctl(n.in.set, EPOLL_CTL_ADD, other, OUT, 2);
	expect_outer(n, IN);
	pair_ctl(n.in.set, EPOLL_CTL_MOD, other, EPOLLPRI, 2);
	expect_outer(n, 0);
	pair_ctl(n.in.set, EPOLL_CTL_MOD, n.in.fd, OUT, 2);
	expect_outer(n, IN);
	pair_close(other);
	unnest(n);
}

Test(epoll_nested, the_eventfd_in_both_levels_at_once)
{
	struct nested n = nest(0, IN, IN);
	struct epoll_event events[4];
	pair_ctl(n.outer, EPOLL_CTL_ADD, n.in.fd, BOTH, 2);
	cr_assert_eq(pair_wait(n.outer, events, 4), 1);
	pair_write(n.in.fd, 1);
	cr_assert_eq(pair_wait(n.outer, events, 4), 2);
	pair_read(n.in.fd, NULL);
	cr_assert_eq(pair_wait(n.outer, events, 4), 1);
	unnest(n);
}

Test(epoll_nested, three_levels)
{
	struct nested n = nest(0, IN, IN);
	struct pair top = pair_epoll();
	pair_ctl(top, EPOLL_CTL_ADD, n.outer, IN, 3);
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(pair_event(top), 0);
		pair_write(n.in.fd, 1);
		cr_assert_eq(pair_event(top), IN);
		expect_outer(n, IN);
		pair_read(n.in.fd, NULL);
	}
	pair_close(top);
	unnest(n);
}

Test(epoll_nested, three_levels_of_edges)
{
	struct nested n = nest(0, IN | EPOLLET, IN | EPOLLET);
	struct pair top = pair_epoll();
	pair_ctl(top, EPOLL_CTL_ADD, n.outer, IN | EPOLLET, 3);
	for (int i = 0; i < 5; i++) {
		pair_write(n.in.fd, 1);
		cr_assert_eq(pair_event(top), IN);
		cr_assert_eq(pair_event(top), 0);
	}
	expect_outer(n, IN);
	expect_event(n.in, IN);
	cr_assert_eq(pair_event(top), 0);
	pair_close(top);
	unnest(n);
}

Test(epoll_nested, loops_are_refused)
{
	struct pair a = pair_epoll(), b = pair_epoll(), c = pair_epoll();
	cr_assert_eq(pair_ctl(a, EPOLL_CTL_ADD, a, IN, 1), -EINVAL);
	cr_assert_eq(pair_ctl(a, EPOLL_CTL_ADD, b, IN, 1), 0);
	cr_assert_eq(pair_ctl(b, EPOLL_CTL_ADD, a, IN, 1), -ELOOP);
	cr_assert_eq(pair_ctl(b, EPOLL_CTL_ADD, c, IN, 1), 0);
	cr_assert_eq(pair_ctl(c, EPOLL_CTL_ADD, a, IN, 1), -ELOOP);
	pair_close(a);
	pair_close(b);
	pair_close(c);
}

Test(epoll_nested, more_than_five_levels_are_refused)
{
	enum { LEVELS = 7 };
	struct pair set[LEVELS], fd = pair_eventfd(1, EFD_NONBLOCK);
	for (int i = 0; i < LEVELS; i++)
		set[i] = pair_epoll();
	cr_assert_eq(pair_ctl(set[0], EPOLL_CTL_ADD, fd, IN, 1), 0);
	for (int i = 1; i < LEVELS; i++) {
		long ret = pair_ctl(set[i], EPOLL_CTL_ADD, set[i - 1], IN, 1);
		cr_assert_eq(ret, i < 5 ? 0 : i == 5 ? -ELOOP : 0, "level %d: %ld", i, ret);
	}
	cr_assert_eq(pair_event(set[4]), IN);
	for (int i = 0; i < LEVELS; i++)
		pair_close(set[i]);
	pair_close(fd);
}

Test(epoll_nested, poll_of_a_set)
{
	static const short asked[] = {POLLIN, POLLOUT, POLLIN | POLLRDNORM | POLLPRI, 0};
	struct watched w = watch_pair(0, 0, IN);
	for (int round = 0; round < 5; round++)
		for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
			cr_assert_eq(pair_poll(w.set, asked[i]), 0);
			pair_write(w.fd, 1);
			unsigned want = (unsigned)asked[i] & (POLLIN | POLLRDNORM);
			cr_assert_eq(pair_poll(w.set, asked[i]), want);
			pair_read(w.fd, NULL);
		}
	unwatch_pair(w);
}

Test(epoll_nested, poll_of_a_set_that_waits_for_out)
{
	struct watched w = watch_pair(0, 0, OUT);
	for (int round = 0; round < 5; round++) {
		cr_assert_eq(pair_poll(w.set, POLLIN), POLLIN);
		pair_write(w.fd, COUNT_LIMIT);
		cr_assert_eq(pair_poll(w.set, POLLIN), 0);
		pair_read(w.fd, NULL);
	}
	unwatch_pair(w);
}

Test(epoll_nested, select_of_a_set)
{
	struct watched w = watch_pair(0, 0, BOTH);
	cr_assert_eq(pair_select(w.set, 7), 1);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1);
	cr_assert_eq(pair_select(w.set, 7), 0);
	pair_write(w.fd, 1);
	cr_assert_eq(pair_select(w.set, 7), 1);
	cr_assert_eq(pair_select(w.set, 6), 0);
	unwatch_pair(w);
}

Test(epoll_nested, blocked_poll_of_a_set_is_woken)
{
	static const uint32_t interests[] = {IN, IN | EPOLLET, IN | EPOLLPRI};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, interests[i], 1);
		struct pollfd p = {set, POLLIN, 0};
		struct waiter w;
		waiter_start(&w, call_poll, &p);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(p.revents, POLLIN);
		close(set);
		close(fd);
	}
}

Test(epoll_nested, blocked_poll_of_a_set_is_woken_for_out)
{
	int fd = eventfd_at(COUNT_LIMIT), set = set_watching(fd, OUT, 1);
	struct pollfd p = {set, POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	take_count(fd);
	cr_assert_eq(waiter_result(&w), 1);
	close(set);
	close(fd);
}

Test(epoll_nested, blocked_wait_on_the_outer_set_is_woken)
{
	static const uint32_t interests[] = {IN, BOTH | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(COUNT_LIMIT), inner = set_watching(fd, OUT, 1);
		int middle = set_watching(inner, interests[i], 2),
		    outer = set_watching(middle, IN, 3);
		struct waited wait = {.set = outer};
		struct waiter w;
		waiter_start(&w, call_epoll_wait, &wait);
		take_count(fd);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(wait.events[0].data.u64, 3);
		close(outer);
		close(middle);
		close(inner);
		close(fd);
	}
}
