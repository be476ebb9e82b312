/* epoll: how long a watch lives: duplicates, close, numbers used again, several sets. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_life, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

/* Watches of every kind: whatever stands behind them, they live and die alike. */
static const uint32_t kinds[] = {IN, OUT, BOTH, IN | EPOLLPRI, IN | EPOLLET, OUT | EPOLLET,
	BOTH | EPOLLET, IN | EPOLLEXCLUSIVE, OUT | EPOLLEXCLUSIVE, IN | EPOLLONESHOT,
	OUT | EPOLLONESHOT};

static struct epoll_event only_event(int set)
{
	struct epoll_event events[4];
	cr_assert_eq(epoll_wait(set, events, 4, 0), 1);
	return events[0];
}

Test(epoll_life, duplicate_is_a_watch_of_its_own)
{
	struct watched w = watch_pair(1, 0, IN);
	struct pair copy = pair_dup(w.fd);
	struct epoll_event events[4];
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, copy, IN, 2), -ENOENT);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, copy, BOTH, 2), 0);
	cr_assert_eq(pair_wait(w.set, events, 4), 2);
	cr_assert_eq(events[0].events, BOTH);
	cr_assert_eq(events[1].events, IN);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, copy, 0, 0), 0);
	expect_event(w, 0);
	pair_write(copy, 1);
	expect_event(w, IN);
	pair_close(copy);
	unwatch_pair(w);
}

Test(epoll_life, edges_reach_the_watches_of_all_duplicates)
{
	struct watched w = watch_pair(0, 0, IN | EPOLLET);
	struct pair copy = pair_dup(w.fd);
	struct epoll_event events[4];
	pair_ctl(w.set, EPOLL_CTL_ADD, copy, BOTH | EPOLLET, 2);
	expect_event(w, OUT);
	for (int i = 0; i < 5; i++) {
		pair_write(i % 2 ? copy : w.fd, 1);
		cr_assert_eq(pair_wait(w.set, events, 4), 2);
		cr_assert_eq(pair_wait(w.set, events, 4), 0);
	}
	pair_close(copy);
	unwatch_pair(w);
}

Test(epoll_life, closing_the_last_fd_removes_the_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct watched w = watch_pair(1, 0, kinds[i]);
		pair_close(w.fd);
		expect_event(w, 0);
		pair_close(w.set);
	}
}

Test(epoll_life, closing_while_a_duplicate_lives_keeps_the_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct watched w = watch_pair(0, 0, kinds[i]);
		struct pair copy = pair_dup(w.fd);
		pair_close(w.fd);
		pair_write(copy, 1);
		expect_event(w, kinds[i] & BOTH);
		pair_close(copy);
		expect_event(w, 0);
		pair_close(w.set);
	}
}

Test(epoll_life, orphaned_watch_follows_the_duplicate)
{
	struct watched w = watch_pair(0, 0, BOTH);
	struct pair copy = pair_dup(w.fd);
	pair_close(w.fd);
	for (int i = 0; i < 10; i++) {
		expect_event(w, OUT);
		pair_write(copy, COUNT_LIMIT);
		expect_event(w, IN);
		pair_read(copy, NULL);
	}
	pair_close(copy);
	expect_event(w, 0);
	pair_close(w.set);
}

Test(epoll_life, orphaned_watch_cannot_be_reached_by_any_number)
{
	struct watched w = watch_pair(1, 0, OUT);
	struct pair copy = pair_dup(w.fd);
	pair_close(w.fd);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0), -EBADF);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 0), -EBADF);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, copy, 0, 0), -ENOENT);
	expect_event(w, OUT);
	pair_close(copy);
	pair_close(w.set);
}

Test(epoll_life, orphaned_watch_is_reached_again_by_its_old_number)
{
	for (size_t i = 0; i < 3; i++) {
		int fd = eventfd_at(1), set = set_watching(fd, kinds[i], 1), copy = dup(fd);
		close(fd);
		cr_assert_eq(dup2(copy, fd), fd);
		struct epoll_event event = {.events = BOTH, .data.u64 = 2};
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event)), -EEXIST);
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)), 0);
		event = only_event(set);
		cr_assert_eq(event.data.u64, 2);
		cr_assert_eq(event.events, BOTH);
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), 0);
		cr_assert_eq(set_event(set), 0);
		close(copy);
		close(fd);
		close(set);
	}
}

Test(epoll_life, number_used_again_by_a_pipe_is_another_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int fd = eventfd_at(1), set = set_watching(fd, kinds[i], 1), pipefd[2];
		close(fd);
		cr_assert_eq(pipe(pipefd), 0);
		int reused = pipefd[0] == fd ? pipefd[0] : pipefd[1];
		cr_assert_eq(reused, fd);
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), -ENOENT);
		set_ctl(set, EPOLL_CTL_ADD, fd, IN, 7);
		cr_assert_eq(set_event(set), 0);
		cr_assert_eq(write(pipefd[1], "x", 1), 1);
		cr_assert_eq(only_event(set).data.u64, 7);
		close(pipefd[0]);
		close(pipefd[1]);
		close(set);
	}
}

Test(epoll_life, number_used_again_by_an_eventfd_is_another_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (size_t j = 0; j < ARRAY_LEN(kinds); j++) {
			int fd = eventfd_at(1), set = set_watching(fd, kinds[i], 1);
			close(fd);
			cr_assert_eq(eventfd_at(1), fd);
			cr_assert_eq(set_event(set), 0);
			set_ctl(set, EPOLL_CTL_ADD, fd, kinds[j], 2);
			cr_assert_eq(only_event(set).data.u64, 2);
			close(fd);
			cr_assert_eq(set_event(set), 0);
			close(set);
		}
}

Test(epoll_life, old_watch_and_new_watch_under_one_number)
{
	for (size_t i = 0; i < 3; i++) {
		int fd = eventfd_at(0), set = set_watching(fd, kinds[i], 1), copy = dup(fd),
		    pipefd[2];
		struct epoll_event events[4];
		close(fd);
		cr_assert_eq(pipe(pipefd), 0);
		cr_assert_eq(pipefd[0], fd);
		cr_assert_eq(write(pipefd[1], "x", 1), 1);
		set_ctl(set, EPOLL_CTL_ADD, fd, IN, 2);
		add_count(copy, 1);
		cr_assert_eq(epoll_wait(set, events, 4, 0), 2);
		cr_assert_eq(events[0].data.u64 + events[1].data.u64, 3);
		set_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
		cr_assert_eq(only_event(set).data.u64, 1);
		close(copy);
		cr_assert_eq(set_event(set), 0);
		close(pipefd[0]);
		close(pipefd[1]);
		close(set);
	}
}

Test(epoll_life, overlaying_the_last_fd_removes_the_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int fd = eventfd_at(1), set = set_watching(fd, kinds[i], 1), other = eventfd_at(1);
		cr_assert_eq(dup2(other, fd), fd);
		cr_assert_eq(set_event(set), 0);
		close(other);
		close(fd);
		close(set);
	}
}

Test(epoll_life, close_range_removes_the_watches)
{
	enum { FIRST = 300 };
	int set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < (int)ARRAY_LEN(kinds); i++) {
		int fd = eventfd_at(1);
		cr_assert_eq(dup2(fd, FIRST + i), FIRST + i);
		close(fd);
		set_ctl(set, EPOLL_CTL_ADD, FIRST + i, kinds[i], 1);
	}
	unsigned last = FIRST + ARRAY_LEN(kinds) - 1;
	cr_assert_eq(answer_of(close_range(FIRST, last, 0)), 0);
	cr_assert_eq(set_event(set), 0);
	close(set);
}

Test(epoll_life, one_eventfd_in_two_sets)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct watched one = watch_pair(0, 0, kinds[i]);
		struct pair two = pair_epoll();
		pair_ctl(two, EPOLL_CTL_ADD, one.fd, BOTH, 1);
		pair_event(one.set);
		pair_write(one.fd, 1);
		pair_event(one.set);
		cr_assert_eq(pair_event(two), BOTH);
		pair_read(one.fd, NULL);
		pair_event(one.set);
		cr_assert_eq(pair_event(two), OUT);
		pair_ctl(two, EPOLL_CTL_DEL, one.fd, 0, 0);
		pair_event(one.set);
		pair_close(two);
		pair_write(one.fd, 1);
		pair_event(one.set);
		unwatch_pair(one);
	}
}

Test(epoll_life, closing_a_set_leaves_the_eventfd_and_the_other_sets)
{
	int fd = eventfd_at(0), one = set_watching(fd, BOTH, 1), two = set_watching(fd, BOTH, 2);
	close(one);
	add_count(fd, 1);
	cr_assert_eq(set_event(two), BOTH);
	cr_assert_eq(take_count(fd), 1);
	cr_assert_eq(set_event(two), OUT);
	close(two);
	close(fd);
}

Test(epoll_life, set_that_was_duplicated_is_one_set)
{
	int fd = eventfd_at(1), set = set_watching(fd, BOTH, 1), copy = dup(set);
	cr_assert_eq(set_event(copy), BOTH);
	set_ctl(copy, EPOLL_CTL_MOD, fd, IN | EPOLLET, 2);
	cr_assert_eq(set_event(set), IN);
	cr_assert_eq(set_event(copy), 0);
	close(set);
	add_count(fd, 1);
	cr_assert_eq(only_event(copy).data.u64, 2);
	set_ctl(copy, EPOLL_CTL_DEL, fd, 0, 0);
	cr_assert_eq(set_event(copy), 0);
	close(copy);
	close(fd);
}

Test(epoll_life, number_of_a_set_used_again_by_a_set_starts_empty)
{
	int fd = eventfd_at(1), set = set_watching(fd, OUT, 1);
	close(set);
	cr_assert_eq(epoll_create1(0), set);
	cr_assert_eq(set_event(set), 0);
	cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), -ENOENT);
	set_ctl(set, EPOLL_CTL_ADD, fd, OUT, 2);
	cr_assert_eq(only_event(set).data.u64, 2);
	close(set);
	close(fd);
}

Test(epoll_life, add_del_add_thousands_of_times)
{
	struct watched w = watch_pair(1, 0, IN);
	for (unsigned i = 0; i < 3000; i++) {
		pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0);
		pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, kinds[i % ARRAY_LEN(kinds)], i);
		expect_event(w, kinds[i % ARRAY_LEN(kinds)] & BOTH);
	}
	unwatch_pair(w);
}

Test(epoll_life, watches_are_left_behind_thousands_of_times)
{
	int set = epoll_create1(0);
	for (unsigned i = 0; i < 3000; i++) {
		int fd = eventfd_at(1);
		set_ctl(set, EPOLL_CTL_ADD, fd, kinds[i % ARRAY_LEN(kinds)], i);
		close(fd);
	}
	cr_assert_eq(set_event(set), 0);
	close(set);
}
