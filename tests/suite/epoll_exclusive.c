/* epoll, exclusive: what may go with it, and who is woken. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_exclusive, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, EXCL = EPOLLEXCLUSIVE };

Test(epoll_exclusive, every_combination_of_bits)
{
	static const uint32_t bits[] = {EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP,
		EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, EPOLLRDHUP, EPOLLET,
		(uint32_t)EPOLLONESHOT};
	const uint32_t good = BOTH | EPOLLERR | EPOLLHUP | EPOLLET;
	struct watched w = watch_pair(1, 0, 0);
	pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0);
	for (uint32_t n = 0; n < 1u << ARRAY_LEN(bits); n++) {
		uint32_t events = 0;
		for (size_t i = 0; i < ARRAY_LEN(bits); i++)
			events |= n & 1u << i ? bits[i] : 0;
		long ret = pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, events | EXCL, n);
		if (ret != (events & ~good ? -EINVAL : 0))
			cr_assert_fail("%#x: %ld", events, ret);
		expect_event(w, ret ? 0 : events & BOTH);
		if (!ret)
			pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0);
	}
	unwatch_pair(w);
}

Test(epoll_exclusive, wakeup_bit_is_allowed)
{
	struct watched w = watch_pair(1, 0, IN | EXCL | EPOLLWAKEUP);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_exclusive, mod_cannot_make_a_watch_exclusive)
{
	struct watched w = watch_pair(1, 0, IN);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, OUT | EXCL, 2), -EINVAL);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_exclusive, mod_cannot_change_an_exclusive_watch)
{
	struct watched w = watch_pair(1, 0, IN | EXCL);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, OUT, 2), -EINVAL);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | EXCL, 2), -EINVAL);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_exclusive, mod_of_nothing)
{
	struct watched w = watch_pair(1, 0, IN);
	pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | EXCL, 2), -EINVAL);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 2), -ENOENT);
	unwatch_pair(w);
}

Test(epoll_exclusive, del_and_add_again)
{
	struct watched w = watch_pair(1, 0, IN | EXCL);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, IN | EXCL, 2), -EEXIST);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, EXCL, 0), 0);
	expect_event(w, 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, OUT, 2), 0);
	expect_event(w, OUT);
	unwatch_pair(w);
}

Test(epoll_exclusive, a_set_cannot_be_watched_exclusively)
{
	struct pair inner = pair_epoll(), outer = pair_epoll();
	cr_assert_eq(pair_ctl(outer, EPOLL_CTL_ADD, inner, IN | EXCL, 1), -EINVAL);
	cr_assert_eq(pair_ctl(outer, EPOLL_CTL_ADD, inner, IN, 1), 0);
	pair_close(inner);
	pair_close(outer);
}

Test(epoll_exclusive, level_triggered_unless_told_otherwise)
{
	struct watched w = watch_pair(0, 0, BOTH | EXCL);
	expect_event(w, OUT);
	pair_write(w.fd, 1);
	expect_event(w, BOTH);
	expect_event(w, BOTH);
	pair_write(w.fd, COUNT_LIMIT - 1);
	expect_event(w, IN);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	unwatch_pair(w);
}

Test(epoll_exclusive, edge_triggered_on_demand)
{
	struct watched w = watch_pair(0, 0, IN | EXCL | EPOLLET);
	for (int i = 0; i < 20; i++) {
		pair_write(w.fd, 1);
		expect_event(w, IN);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_exclusive, edge_for_out_comes_by_reads)
{
	struct watched w = watch_pair(2, EFD_SEMAPHORE, OUT | EXCL | EPOLLET);
	expect_event(w, OUT);
	pair_write(w.fd, 1);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	expect_event(w, 0);
	unwatch_pair(w);
}

enum { SETS = 4 };

static void start_all(struct waited waited[SETS], struct waiter w[SETS], int fd, uint32_t events)
{
	for (int i = 0; i < SETS; i++) {
		waited[i].set = set_watching(fd, events, 1);
		waiter_start(&w[i], call_epoll_wait, &waited[i]);
	}
}

static int count_done(struct waiter w[SETS])
{
	int done = 0;
	for (int i = 0; i < SETS; i++)
		done += w[i].done;
	return done;
}

/* How many are woken is the kernel's business; at least one is. */
static void wake_all_by_turns(uint32_t events, int fd, void (*poke)(int fd))
{
	struct waited waited[SETS];
	struct waiter w[SETS];
	start_all(waited, w, fd, events);
	for (int woken = 0; woken < SETS; woken = count_done(w)) {
		poke(fd);
		while (count_done(w) == woken)
			sched_yield();
	}
	for (int i = 0; i < SETS; i++) {
		cr_assert_eq(waiter_result(&w[i]), 1);
		cr_assert_eq(waited[i].events[0].events, events & BOTH);
		close(waited[i].set);
	}
}

static void write_one(int fd)
{
	add_count(fd, 1);
}

static void read_one(int fd)
{
	take_count(fd);
}

Test(epoll_exclusive, each_write_wakes_a_waiter_in_some_set)
{
	int fd = eventfd_at(0);
	wake_all_by_turns(IN | EXCL, fd, write_one);
	close(fd);
}

Test(epoll_exclusive, each_write_wakes_an_edge_triggered_waiter_in_some_set)
{
	int fd = eventfd_at(0);
	wake_all_by_turns(IN | EXCL | EPOLLET, fd, write_one);
	close(fd);
}

Test(epoll_exclusive, each_read_wakes_a_waiter_for_out_in_some_set)
{
	struct pair p = pair_eventfd(COUNT_LIMIT, EFD_SEMAPHORE);
	wake_all_by_turns(OUT | EXCL, p.libc, read_one);
	pair_close(p);
}

Test(epoll_exclusive, other_watchers_are_woken_besides)
{
	int fd = eventfd_at(0), plain = set_watching(fd, IN, 2);
	struct waited excl_wait = {.set = set_watching(fd, IN | EXCL, 1)}, wait = {.set = plain};
	struct pollfd p = {fd, POLLIN, 0};
	struct waiter excl, normal, poller;
	waiter_start(&excl, call_epoll_wait, &excl_wait);
	waiter_start(&normal, call_epoll_wait, &wait);
	waiter_start(&poller, call_poll, &p);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&excl), 1);
	cr_assert_eq(waiter_result(&normal), 1);
	cr_assert_eq(waiter_result(&poller), 1);
	close(excl_wait.set);
	close(plain);
	close(fd);
}
