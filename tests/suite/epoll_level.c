/* epoll, level-triggered: what a watch reports follows the count and nothing else. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(epoll_level, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static const uint32_t interests[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLPRI,
	EPOLLOUT | EPOLLPRI, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP, EPOLLPRI, 0};

/* Every interest made of these bits, as ADD and as MOD. */
static void compare_every_interest(uint64_t count, uint32_t level)
{
	static const uint32_t bits[] = {EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP,
		EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, EPOLLRDHUP};
	struct watched w = watch_pair(count, 0, 0);
	for (uint32_t n = 0; n < 1u << ARRAY_LEN(bits); n++) {
		uint32_t events = 0;
		for (size_t i = 0; i < ARRAY_LEN(bits); i++)
			events |= n & 1u << i ? bits[i] : 0;
		pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, events, n);
		expect_event(w, events & level);
		pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0);
		expect_event(w, 0);
		pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, events, n);
		expect_event(w, events & level);
	}
	unwatch_pair(w);
}

Test(epoll_level, every_interest_at_zero)
{
	compare_every_interest(0, EPOLLOUT);
}

Test(epoll_level, every_interest_at_one)
{
	compare_every_interest(1, EPOLLIN | EPOLLOUT);
}

Test(epoll_level, every_interest_at_the_limit)
{
	compare_every_interest(COUNT_LIMIT, EPOLLIN);
}

Test(epoll_level, level_follows_writes_and_reads)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(0, 0, interests[i]);
		for (int round = 0; round < 30; round++) {
			expect_event(w, interests[i] & EPOLLOUT);
			pair_write(w.fd, 2);
			expect_event(w, interests[i] & (EPOLLIN | EPOLLOUT));
			pair_read(w.fd, NULL);
		}
		unwatch_pair(w);
	}
}

Test(epoll_level, reported_for_as_long_as_it_holds)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(1, 0, interests[i]);
		for (int round = 0; round < 30; round++)
			expect_event(w, interests[i] & (EPOLLIN | EPOLLOUT));
		unwatch_pair(w);
	}
}

Test(epoll_level, ready_before_it_was_added)
{
	struct watched w = watch_pair(5, 0, EPOLLIN);
	expect_event(w, EPOLLIN);
	unwatch_pair(w);
}

Test(epoll_level, added_before_it_was_ready)
{
	struct watched w = watch_pair(0, 0, EPOLLIN);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, EPOLLIN);
	unwatch_pair(w);
}

Test(epoll_level, taken_away_before_anybody_looked)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(0, 0, interests[i]);
		for (int round = 0; round < 30; round++) {
			pair_write(w.fd, 1);
			pair_read(w.fd, NULL);
			expect_event(w, interests[i] & EPOLLOUT);
		}
		unwatch_pair(w);
	}
}

Test(epoll_level, many_writes_are_one_event)
{
	struct watched w = watch_pair(0, 0, EPOLLIN);
	for (int i = 0; i < 1000; i++)
		pair_write(w.fd, 1);
	expect_event(w, EPOLLIN);
	uint64_t count;
	pair_read(w.fd, &count);
	cr_assert_eq(count, 1000);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_level, out_goes_at_the_limit_and_comes_back_by_a_read)
{
	struct watched w = watch_pair(0, 0, EPOLLOUT);
	for (int i = 0; i < 30; i++) {
		expect_event(w, EPOLLOUT);
		pair_write(w.fd, COUNT_LIMIT);
		expect_event(w, 0);
		pair_read(w.fd, NULL);
	}
	unwatch_pair(w);
}

Test(epoll_level, out_goes_with_the_last_unit_that_fits)
{
	struct watched w = watch_pair(COUNT_LIMIT - 1, 0, EPOLLIN | EPOLLOUT);
	expect_event(w, EPOLLIN | EPOLLOUT);
	pair_write(w.fd, 1);
	expect_event(w, EPOLLIN);
	cr_assert_eq(pair_write(w.fd, 1), -EAGAIN);
	expect_event(w, EPOLLIN);
	unwatch_pair(w);
}

Test(epoll_level, write_of_zero_is_nothing)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(0, 0, interests[i]);
		cr_assert_eq(pair_write(w.fd, 0), 8);
		expect_event(w, interests[i] & EPOLLOUT);
		pair_write(w.fd, COUNT_LIMIT);
		cr_assert_eq(pair_write(w.fd, 0), 8);
		expect_event(w, interests[i] & EPOLLIN);
		unwatch_pair(w);
	}
}

Test(epoll_level, failed_calls_change_nothing)
{
	struct watched w = watch_pair(0, 0, EPOLLIN | EPOLLOUT);
	cr_assert_eq(pair_read(w.fd, NULL), -EAGAIN);
	cr_assert_eq(pair_write(w.fd, UINT64_MAX), -EINVAL);
	expect_event(w, EPOLLOUT);
	pair_write(w.fd, 1);
	cr_assert_eq(pair_write(w.fd, COUNT_LIMIT), -EAGAIN);
	expect_event(w, EPOLLIN | EPOLLOUT);
	unwatch_pair(w);
}

Test(epoll_level, semaphore_reports_each_unit)
{
	struct watched w = watch_pair(3, EFD_SEMAPHORE, EPOLLIN);
	for (int i = 0; i < 3; i++) {
		expect_event(w, EPOLLIN);
		cr_assert_eq(pair_read(w.fd, NULL), 8);
	}
	expect_event(w, 0);
	cr_assert_eq(pair_read(w.fd, NULL), -EAGAIN);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_level, semaphore_at_the_limit_is_writable_after_one_unit)
{
	struct watched w = watch_pair(COUNT_LIMIT, EFD_SEMAPHORE, EPOLLIN | EPOLLOUT);
	expect_event(w, EPOLLIN);
	pair_read(w.fd, NULL);
	expect_event(w, EPOLLIN | EPOLLOUT);
	pair_write(w.fd, 1);
	expect_event(w, EPOLLIN);
	unwatch_pair(w);
}

Test(epoll_level, poll_and_epoll_agree)
{
	static const uint64_t counts[] = {0, 1, COUNT_LIMIT - 1, COUNT_LIMIT};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct watched w = watch_pair(counts[i], 0, EPOLLIN | EPOLLOUT);
		expect_event(w, pair_poll(w.fd, POLLIN | POLLOUT));
		unwatch_pair(w);
	}
}

Test(epoll_level, reading_without_waiting_keeps_the_next_write_visible)
{
	struct watched w = watch_pair(0, 0, EPOLLIN);
	for (int i = 0; i < 100; i++) {
		pair_write(w.fd, 1);
		expect_event(w, EPOLLIN);
		pair_read(w.fd, NULL);
		pair_write(w.fd, 1);
		pair_read(w.fd, NULL);
		expect_event(w, 0);
	}
	unwatch_pair(w);
}

Test(epoll_level, several_eventfds_report_their_own_state)
{
	enum { N = 8 };
	struct pair fds[N], set = pair_epoll();
	for (uint64_t i = 0; i < N; i++) {
		fds[i] = pair_eventfd(0, EFD_NONBLOCK);
		pair_ctl(set, EPOLL_CTL_ADD, fds[i], interests[i], i);
	}
	struct epoll_event events[N];
	for (unsigned state = 0; state < 1u << N; state++) {
		for (unsigned i = 0; i < N; i++)
			if (state & 1u << i)
				pair_write(fds[i], i % 2 ? COUNT_LIMIT : 1);
		cr_assert_geq(pair_wait(set, events, N), 0);
		for (unsigned i = 0; i < N; i++)
			if (state & 1u << i)
				pair_read(fds[i], NULL);
	}
	for (unsigned i = 0; i < N; i++)
		pair_close(fds[i]);
	pair_close(set);
}

Test(epoll_level, eventfds_among_pipes_and_sockets)
{
	int fd = eventfd_at(0), pipefd[2], s[2], set = set_watching(fd, EPOLLIN, 1);
	struct epoll_event events[4];
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	set_ctl(set, EPOLL_CTL_ADD, pipefd[0], EPOLLIN, 2);
	set_ctl(set, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLRDHUP, 3);
	cr_assert_eq(set_event(set), 0);
	add_count(fd, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	close(s[1]);
	cr_assert_eq(epoll_wait(set, events, 4, -1), 3);
	for (int i = 0; i < 3; i++) {
		uint32_t hangup = EPOLLIN | EPOLLRDHUP | EPOLLHUP;
		cr_assert_eq(events[i].events, events[i].data.u64 == 3 ? hangup : EPOLLIN);
	}
	close(s[0]);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
	close(set);
}

Test(epoll_level, kernel_and_libc_eventfds_in_one_set)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	int set = set_watching(p.libc, EPOLLIN, 1);
	struct epoll_event events[2];
	set_ctl(set, EPOLL_CTL_ADD, p.kernel, EPOLLIN, 2);
	cr_assert_eq(set_event(set), 0);
	pair_write(p, 1);
	cr_assert_eq(epoll_wait(set, events, 2, -1), 2);
	cr_assert_eq(events[0].data.u64 + events[1].data.u64, 3);
	pair_read(p, NULL);
	cr_assert_eq(set_event(set), 0);
	close(set);
	pair_close(p);
}

Test(epoll_level, errno_stays_on_success)
{
	int fd = eventfd_at(1), set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	errno = ENOTTY;
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	cr_assert_eq(epoll_wait(set, &event, 1, -1), 1);
	event.events = EPOLLOUT;
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), 0);
	cr_assert_eq(epoll_wait(set, &event, 1, -1), 1);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), 0);
	cr_assert_eq(epoll_wait(set, &event, 1, 1), 0);
	cr_assert_eq(errno, ENOTTY);
	close(set);
	close(fd);
}
