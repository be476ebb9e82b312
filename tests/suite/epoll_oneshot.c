/* epoll, one-shot: a watch that reports once is silent until MOD. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sched.h>
#include <unistd.h>

TestSuite(epoll_oneshot, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, ONCE = EPOLLONESHOT };

static const uint32_t interests[] = {IN, OUT, BOTH, IN | EPOLLET, OUT | EPOLLET, BOTH | EPOLLET};

Test(epoll_oneshot, reports_once)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(1, 0, interests[i] | ONCE);
		expect_event(w, interests[i] & BOTH);
		expect_event(w, 0);
		pair_write(w.fd, 1);
		pair_read(w.fd, NULL);
		expect_event(w, 0);
		pair_write(w.fd, 1);
		expect_event(w, 0);
		unwatch_pair(w);
	}
}

Test(epoll_oneshot, waits_for_its_first_event)
{
	struct watched w = watch_pair(0, 0, IN | ONCE);
	for (int i = 0; i < 3; i++)
		expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_oneshot, event_that_vanished_unseen_does_not_use_it_up)
{
	struct watched w = watch_pair(0, 0, IN | ONCE);
	pair_write(w.fd, 1);
	pair_read(w.fd, NULL);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_oneshot, mod_arms_it_again)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(1, 0, interests[i] | ONCE);
		for (int round = 0; round < 10; round++) {
			expect_event(w, interests[i] & BOTH);
			expect_event(w, 0);
			pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, interests[i] | ONCE, 1);
		}
		unwatch_pair(w);
	}
}

Test(epoll_oneshot, armed_again_while_nothing_is_there)
{
	struct watched w = watch_pair(1, 0, IN | ONCE);
	expect_event(w, IN);
	pair_read(w.fd, NULL);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | ONCE, 1);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_oneshot, armed_again_for_another_event)
{
	struct watched w = watch_pair(1, 0, IN | ONCE);
	expect_event(w, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, OUT | ONCE, 1);
	expect_event(w, OUT);
	expect_event(w, 0);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, BOTH | ONCE, 1);
	expect_event(w, BOTH);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_oneshot, mod_without_the_bit_makes_it_lasting)
{
	struct watched w = watch_pair(1, 0, IN | ONCE);
	expect_event(w, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1);
	for (int i = 0; i < 3; i++)
		expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_oneshot, mod_with_the_bit_makes_it_once)
{
	struct watched w = watch_pair(1, 0, IN);
	expect_event(w, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN | ONCE, 1);
	expect_event(w, IN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_oneshot, used_up_watch_still_is_one)
{
	struct watched w = watch_pair(1, 0, IN | ONCE);
	expect_event(w, IN);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, IN, 1), -EEXIST);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0), 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1), -ENOENT);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, IN, 1), 0);
	expect_event(w, IN);
	unwatch_pair(w);
}

Test(epoll_oneshot, event_without_room_is_not_used_up)
{
	int one = eventfd_at(1), two = eventfd_at(1), set = set_watching(one, IN | ONCE, 1);
	struct epoll_event event;
	uint64_t sum = 0;
	set_ctl(set, EPOLL_CTL_ADD, two, OUT | ONCE, 2);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
		sum += event.data.u64;
	}
	cr_assert_eq(sum, 3);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 0);
	close(set);
	close(one);
	close(two);
}

Test(epoll_oneshot, event_that_could_not_be_stored_is_not_used_up)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(1), set = set_watching(fd, interests[i] | ONCE, 1);
		cr_assert_eq(answer_of(epoll_wait(set, page_of(PROT_READ), 1, 0)), -EFAULT);
		cr_assert_eq(answer_of(epoll_wait(set, page_unmapped(), 1, -1)), -EFAULT);
		cr_assert_eq(set_event(set), interests[i] & BOTH);
		cr_assert_eq(set_event(set), 0);
		close(set);
		close(fd);
	}
}

Test(epoll_oneshot, other_watches_of_the_object_go_on)
{
	struct watched once = watch_pair(1, 0, IN | ONCE);
	struct pair lasting = pair_epoll();
	pair_ctl(lasting, EPOLL_CTL_ADD, once.fd, IN, 1);
	for (int i = 0; i < 3; i++) {
		expect_event(once, i ? 0 : IN);
		cr_assert_eq(pair_event(lasting), IN);
	}
	pair_close(lasting);
	unwatch_pair(once);
}

Test(epoll_oneshot, one_of_two_threads_gets_it)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN | ONCE, 1);
	struct waited a = {.set = set}, b = {.set = set};
	struct waiter first, second;
	waiter_start(&first, call_epoll_wait, &a);
	waiter_start(&second, call_epoll_wait, &b);
	add_count(fd, 1);
	while (!first.done && !second.done)
		sched_yield();
	struct waiter *got = first.done ? &first : &second;
	struct waiter *other = first.done ? &second : &first;
	cr_assert_eq(waiter_result(got), 1);
	cr_assert(waiter_sleeps(other));
	set_ctl(set, EPOLL_CTL_MOD, fd, IN | ONCE, 1);
	cr_assert_eq(waiter_result(other), 1);
	cr_assert_eq(set_event(set), 0);
	close(set);
	close(fd);
}
