/* eventpoll_wait: its buffers, its time limit, who else waits, and what ends it. */
#define _GNU_SOURCE
#include "pollerkit.h"
#include "testkit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

TestSuite(eventpoll_wait, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { MANY = 16 };

static void open_many(int fds[MANY], int poller)
{
	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd_at(0);
		poller_add(poller, fds[i], POLLIN);
	}
}

static void close_many(const int fds[MANY])
{
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
}

Test(eventpoll_wait, one_entry_for_each_fd)
{
	const struct pollfd *events;
	int fds[MANY], poller = poller_open(MANY);
	open_many(fds, poller);
	for (int n = 1; n <= MANY; n++) {
		unsigned seen[1024] = {0};
		for (int times = 0; times < 3; times++)
			for (int i = 0; i < n; i++)
				add_count(fds[i], 1);
		cr_assert_eq(poller_wait(poller, &events, 0), n);
		for (int i = 0; i < n; i++)
			seen[events[i].fd]++;
		for (int i = 0; i < n; i++)
			cr_assert_eq(seen[fds[i]], 1);
		cr_assert_eq(poller_wait(poller, &events, 0), 0);
	}
	close_many(fds);
	close(poller);
}

/* What came after the wait is in the other buffer. */
Test(eventpoll_wait, a_buffer_holds_until_the_next_wait)
{
	const struct pollfd *events, *before = NULL;
	int fds[MANY], poller = poller_open(MANY);
	open_many(fds, poller);
	for (int round = 0; round < 10; round++) {
		struct pollfd copy[MANY];
		for (int i = 0; i < MANY / 2; i++)
			add_count(fds[(i + round) % MANY], 1);
		cr_assert_eq(poller_wait(poller, &events, 0), MANY / 2);
		cr_assert_neq(events, before, "the same buffer twice");
		memcpy(copy, events, MANY / 2 * sizeof(*copy));
		for (int i = 0; i < MANY; i++)
			add_count(fds[i], 1);
		cr_assert_eq(memcmp(copy, events, MANY / 2 * sizeof(*copy)), 0);
		before = events;
		cr_assert_eq(poller_wait(poller, &events, 0), MANY);
		cr_assert_neq(events, before, "the same buffer twice");
		before = events;
	}
	close_many(fds);
	close(poller);
}

/* Nor does DEL, a close or another eventpoll touch it. */
Test(eventpoll_wait, a_buffer_is_left_alone_by_other_calls)
{
	const struct pollfd *events, *others;
	struct pollfd copy[MANY];
	int fds[MANY], poller = poller_open(MANY), other = poller_open(MANY);
	open_many(fds, poller);
	for (int i = 0; i < MANY; i++) {
		add_count(fds[i], 1);
		poller_add(other, fds[i], POLLIN);
	}
	cr_assert_eq(poller_wait(poller, &events, 0), MANY);
	memcpy(copy, events, sizeof(copy));
	cr_assert_eq(poller_wait(other, &others, 0), MANY);
	cr_assert_neq(others, events);
	poller_del(poller, fds[0]);
	poller_mod(poller, fds[1], POLLIN | POLLOUT);
	close_many(fds);
	cr_assert_eq(memcmp(copy, events, sizeof(copy)), 0);
	close(other);
	close(poller);
}

Test(eventpoll_wait, no_time_and_some_time)
{
	const struct pollfd *events;
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	cr_assert_eq(poller_wait(poller, &events, 0), 0);
	static const int limits[] = {1, 20, 150};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int64_t before = tk_now_ms();
		cr_assert_eq(poller_wait(poller, &events, limits[i]), 0);
		cr_assert_geq(tk_now_ms() - before, limits[i] - 1);
	}
	add_count(fd, 1);
	cr_assert_eq(poller_wait(poller, &events, 10000), 1);
	add_count(fd, 1);
	cr_assert_eq(poller_wait(poller, &events, -1), 1);
	close(poller);
	close(fd);
}

Test(eventpoll_wait, an_empty_one)
{
	const struct pollfd *events;
	int poller = poller_open(1);
	cr_assert_eq(poller_wait(poller, &events, 0), 0);
	cr_assert_eq(poller_wait(poller, &events, 10), 0);
	close(poller);
}

/* Asleep, woken by each kind of fd, and by what is added meanwhile. */
Test(eventpoll_wait, woken_by_eventfds_and_pipes)
{
	struct waiter w;
	int fd = eventfd_at(0), ends[2];
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	cr_assert_eq(pipe(ends), 0);
	poller_add(wait.poller, ends[0], POLLIN);
	for (int i = 0; i < 6; i++) {
		char byte;
		int by = i % 2 ? ends[0] : fd;
		waiter_start(&w, poller_call, &wait);
		if (i % 2)
			cr_assert_eq(write(ends[1], "x", 1), 1);
		else
			add_count(fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert(wait.events[0].fd == by && wait.events[0].revents == POLLIN);
		if (i % 2)
			cr_assert_eq(read(ends[0], &byte, 1), 1);
	}
	close(wait.poller);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

Test(eventpoll_wait, woken_by_what_is_added_and_modified)
{
	struct waiter w;
	int fd = eventfd_at(1), ends[2];
	struct poller_waited wait = {.poller = poller_open(8)};
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	waiter_start(&w, poller_call, &wait);
	poller_add(wait.poller, fd, POLLIN);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].fd, fd);
	waiter_start(&w, poller_call, &wait);
	poller_add(wait.poller, ends[0], POLLIN);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].fd, ends[0]);
	waiter_start(&w, poller_call, &wait);
	poller_mod(wait.poller, fd, POLLOUT);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(wait.events[0].fd == fd && wait.events[0].revents == POLLOUT);
	close(wait.poller);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

Test(eventpoll_wait, what_does_not_match_wakes_nobody)
{
	struct waiter w;
	int fd = eventfd_at(0), copy = dup(fd);
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	poller_add(wait.poller, copy, POLLPRI);
	waiter_start(&w, poller_call, &wait);
	poller_mod(wait.poller, copy, 0);
	cr_assert(waiter_sleeps(&w));
	poller_del(wait.poller, copy);
	cr_assert(waiter_sleeps(&w));
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(wait.poller);
	close(copy);
	close(fd);
}

Test(eventpoll_wait, one_waits_at_a_time)
{
	const struct pollfd *events;
	struct waiter w;
	int fd = eventfd_at(0);
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	int copy = dup(wait.poller);
	waiter_start(&w, poller_call, &wait);
	cr_assert_eq(poller_wait(wait.poller, &events, 0), -EBUSY);
	cr_assert_eq(poller_wait(wait.poller, &events, -1), -EBUSY);
	cr_assert_eq(poller_wait(copy, &events, 0), -EBUSY);
	cr_assert(waiter_sleeps(&w));
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(poller_wait(wait.poller, &events, 0), 0);
	close(copy);
	close(wait.poller);
	close(fd);
}

Test(eventpoll_wait, a_signal_handler_ends_it)
{
	const struct pollfd *events;
	struct waiter w;
	int fd = eventfd_at(0);
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		count_signals(flags);
		waiter_start(&w, poller_call, &wait);
		cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
		cr_assert_eq(waiter_result(&w), -EINTR);
	}
	add_count(fd, 1);
	cr_assert_eq(poller_wait(wait.poller, &events, -1), 1);
	close(wait.poller);
	close(fd);
}

/* Closed while another thread waits. */
static void closed_by(void (*close_it)(int poller), bool with_pipe)
{
	struct waiter w;
	int fd = eventfd_at(0), ends[2];
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	cr_assert_eq(pipe(ends), 0);
	if (with_pipe)
		poller_add(wait.poller, ends[0], POLLIN);
	waiter_start(&w, poller_call, &wait);
	close_it(wait.poller);
	cr_assert_eq(waiter_result(&w), -EBADF);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static void by_close(int poller)
{
	cr_assert_eq(close(poller), 0);
}

static void by_dup2(int poller)
{
	cr_assert_eq(dup2(0, poller), poller);
	cr_assert_eq(close(poller), 0);
}

static void by_close_range(int poller)
{
	cr_assert_eq(close_range((unsigned)poller, (unsigned)poller, 0), 0);
}

Test(eventpoll_wait, closed_while_another_thread_waits)
{
	for (int with_pipe = 0; with_pipe < 2; with_pipe++) {
		closed_by(by_close, with_pipe);
		closed_by(by_dup2, with_pipe);
		closed_by(by_close_range, with_pipe);
	}
}

/* The number that is waited on goes, another stays. */
Test(eventpoll_wait, a_dup_closed_while_another_thread_waits_on_it)
{
	const struct pollfd *events;
	struct waiter w;
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	struct poller_waited wait = {.poller = dup(poller)};
	waiter_start(&w, poller_call, &wait);
	close(wait.poller);
	cr_assert_eq(waiter_result(&w), -EBADF);
	add_count(fd, 1);
	cr_assert_eq(poller_wait(poller, &events, 0), 1);
	close(poller);
	close(fd);
}

Test(eventpoll_wait, another_dup_closed_while_a_thread_waits)
{
	struct waiter w;
	int fd = eventfd_at(0);
	struct poller_waited wait = {.poller = poller_of(fd, POLLIN)};
	int copy = dup(wait.poller);
	waiter_start(&w, poller_call, &wait);
	close(copy);
	cr_assert(waiter_sleeps(&w));
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(wait.poller);
	close(fd);
}
