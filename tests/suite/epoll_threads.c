/* epoll: threads that sleep in a set, what others do to it meanwhile, cancellation. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_threads, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, THREADS = 4 };

static void start_in(struct waiter *w, struct waited *wait, int set)
{
	*wait = (struct waited){.set = set};
	waiter_start(w, call_epoll_wait, wait);
}

static void expect_woken(struct waiter *w, const struct waited *wait, uint32_t events)
{
	cr_assert_eq(waiter_result(w), 1);
	cr_assert_eq(wait->events[0].events, events);
}

Test(epoll_threads, level_that_stays_wakes_every_thread_of_the_set)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1);
	struct waited wait[THREADS];
	struct waiter w[THREADS];
	for (int i = 0; i < THREADS; i++)
		start_in(&w[i], &wait[i], set);
	add_count(fd, 1);
	for (int i = 0; i < THREADS; i++)
		expect_woken(&w[i], &wait[i], IN);
	close(set);
	close(fd);
}

Test(epoll_threads, level_of_out_that_stays_wakes_every_thread_of_the_set)
{
	int fd = eventfd_at(COUNT_LIMIT), set = set_watching(fd, OUT, 1);
	struct waited wait[THREADS];
	struct waiter w[THREADS];
	for (int i = 0; i < THREADS; i++)
		start_in(&w[i], &wait[i], set);
	take_count(fd);
	for (int i = 0; i < THREADS; i++)
		expect_woken(&w[i], &wait[i], OUT);
	close(set);
	close(fd);
}

static int count_done(struct waiter w[THREADS])
{
	int done = 0;
	for (int i = 0; i < THREADS; i++)
		done += w[i].done;
	return done;
}

Test(epoll_threads, each_edge_wakes_one_thread_of_the_set)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN | EPOLLET, 1);
	struct waited wait[THREADS];
	struct waiter w[THREADS];
	for (int i = 0; i < THREADS; i++)
		start_in(&w[i], &wait[i], set);
	for (int woken = 1; woken <= THREADS; woken++) {
		add_count(fd, 1);
		while (count_done(w) < woken)
			sched_yield();
		for (int i = 0; i < THREADS; i++)
			if (!w[i].done)
				cr_assert(waiter_sleeps(&w[i]), "an edge woke two");
	}
	for (int i = 0; i < THREADS; i++)
		expect_woken(&w[i], &wait[i], IN);
	close(set);
	close(fd);
}

Test(epoll_threads, two_eventfds_wake_two_threads_of_the_set)
{
	int one = eventfd_at(0), two = eventfd_at(0), set = set_watching(one, IN | EPOLLET, 1);
	struct waited wait[2];
	struct waiter w[2];
	set_ctl(set, EPOLL_CTL_ADD, two, IN | EPOLLET, 2);
	start_in(&w[0], &wait[0], set);
	start_in(&w[1], &wait[1], set);
	add_count(one, 1);
	while (!w[0].done && !w[1].done)
		sched_yield();
	add_count(two, 1);
	expect_woken(&w[0], &wait[0], IN);
	expect_woken(&w[1], &wait[1], IN);
	cr_assert_eq(wait[0].events[0].data.u64 + wait[1].events[0].data.u64, 3);
	close(set);
	close(one);
	close(two);
}

Test(epoll_threads, threads_in_different_sets_are_all_woken)
{
	static const uint32_t interests[THREADS] = {
		IN, IN | EPOLLET, IN | EPOLLPRI, IN | EPOLLONESHOT};
	int fd = eventfd_at(0);
	struct waited wait[THREADS];
	struct waiter w[THREADS];
	for (int i = 0; i < THREADS; i++)
		start_in(&w[i], &wait[i], set_watching(fd, interests[i], 1));
	add_count(fd, 1);
	for (int i = 0; i < THREADS; i++) {
		expect_woken(&w[i], &wait[i], IN);
		close(wait[i].set);
	}
	close(fd);
}

Test(epoll_threads, write_of_zero_wakes_nobody)
{
	static const uint32_t interests[] = {IN, IN | EPOLLET, IN | EPOLLPRI};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, interests[i], 1);
		struct waited wait;
		struct waiter w;
		start_in(&w, &wait, set);
		add_count(fd, 0);
		cr_assert(waiter_sleeps(&w));
		add_count(fd, 1);
		expect_woken(&w, &wait, IN);
		close(set);
		close(fd);
	}
}

Test(epoll_threads, writes_do_not_wake_an_edge_watch_of_out)
{
	int fd = eventfd_at(0), set = set_watching(fd, OUT | EPOLLET, 1);
	struct waited wait;
	struct waiter w;
	cr_assert_eq(set_event(set), OUT);
	start_in(&w, &wait, set);
	add_count(fd, 1);
	add_count(fd, 1);
	cr_assert(waiter_sleeps(&w));
	take_count(fd);
	expect_woken(&w, &wait, OUT);
	close(set);
	close(fd);
}

Test(epoll_threads, reads_do_not_wake_an_edge_watch_of_in)
{
	struct pair p = pair_eventfd(3, EFD_SEMAPHORE);
	int set = set_watching(p.libc, IN | EPOLLET, 1);
	struct waited wait;
	struct waiter w;
	cr_assert_eq(set_event(set), IN);
	start_in(&w, &wait, set);
	pair_read(p, NULL);
	cr_assert(waiter_sleeps(&w));
	pair_write(p, 1);
	expect_woken(&w, &wait, IN);
	close(set);
	pair_close(p);
}

Test(epoll_threads, add_of_a_ready_one_wakes)
{
	static const uint32_t interests[] = {IN, OUT, BOTH, BOTH | EPOLLET, OUT | EPOLLONESHOT};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(1), set = epoll_create1(0);
		struct waited wait;
		struct waiter w;
		start_in(&w, &wait, set);
		set_ctl(set, EPOLL_CTL_ADD, fd, interests[i], 1);
		expect_woken(&w, &wait, interests[i] & BOTH);
		close(set);
		close(fd);
	}
}

Test(epoll_threads, add_while_asleep_then_write_wakes)
{
	static const uint32_t interests[] = {IN, IN | EPOLLPRI, IN | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = epoll_create1(0);
		struct waited wait;
		struct waiter w;
		start_in(&w, &wait, set);
		set_ctl(set, EPOLL_CTL_ADD, fd, interests[i], 1);
		cr_assert(waiter_sleeps(&w));
		add_count(fd, 1);
		expect_woken(&w, &wait, IN);
		close(set);
		close(fd);
	}
}

Test(epoll_threads, mod_that_makes_it_ready_wakes)
{
	static const uint32_t from[] = {0, EPOLLPRI, IN, EPOLLPRI}, to[] = {OUT, IN, BOTH, BOTH};
	static const uint64_t counts[] = {0, 1, 0, COUNT_LIMIT};
	static const uint32_t want[] = {OUT, IN, OUT, IN};
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		int fd = eventfd_at(counts[i]), set = set_watching(fd, from[i], 1);
		struct waited wait;
		struct waiter w;
		start_in(&w, &wait, set);
		set_ctl(set, EPOLL_CTL_MOD, fd, to[i], 2);
		expect_woken(&w, &wait, want[i]);
		cr_assert_eq(wait.events[0].data.u64, 2);
		close(set);
		close(fd);
	}
}

Test(epoll_threads, mod_of_a_used_up_one_shot_wakes)
{
	int fd = eventfd_at(1), set = set_watching(fd, IN | EPOLLONESHOT, 1);
	struct waited wait;
	struct waiter w;
	cr_assert_eq(set_event(set), IN);
	start_in(&w, &wait, set);
	add_count(fd, 1);
	cr_assert(waiter_sleeps(&w));
	set_ctl(set, EPOLL_CTL_MOD, fd, IN | EPOLLONESHOT, 1);
	expect_woken(&w, &wait, IN);
	close(set);
	close(fd);
}

Test(epoll_threads, del_and_close_leave_the_sleeper_alone)
{
	static const uint32_t interests[] = {IN, IN | EPOLLPRI};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int gone = eventfd_at(0), closed = eventfd_at(0), last = eventfd_at(0);
		int set = set_watching(gone, interests[i], 1);
		struct waited wait;
		struct waiter w;
		set_ctl(set, EPOLL_CTL_ADD, closed, interests[i], 2);
		set_ctl(set, EPOLL_CTL_ADD, last, interests[i], 3);
		start_in(&w, &wait, set);
		set_ctl(set, EPOLL_CTL_DEL, gone, 0, 0);
		add_count(gone, 1);
		close(closed);
		cr_assert(waiter_sleeps(&w));
		add_count(last, 1);
		expect_woken(&w, &wait, IN);
		cr_assert_eq(wait.events[0].data.u64, 3);
		close(set);
		close(gone);
		close(last);
	}
}

Test(epoll_threads, sleeper_is_woken_by_the_pipe_of_the_set)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1), pipefd[2];
	struct waited wait;
	struct waiter w;
	cr_assert_eq(pipe(pipefd), 0);
	set_ctl(set, EPOLL_CTL_ADD, pipefd[0], IN, 2);
	start_in(&w, &wait, set);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	expect_woken(&w, &wait, IN);
	cr_assert_eq(wait.events[0].data.u64, 2);
	close(set);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(epoll_threads, blocked_wait_can_be_cancelled)
{
	static const uint32_t interests[] = {IN, IN | EPOLLPRI, IN | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, interests[i], 1);
		struct waited wait;
		struct waiter w;
		start_in(&w, &wait, set);
		cr_assert(waiter_cancel(&w));
		add_count(fd, 1);
		cr_assert_eq(set_event(set), IN, "no event may go with the dead thread");
		close(set);
		close(fd);
	}
}

static long call_pwait(void *arg)
{
	struct waited *wait = arg;
	return epoll_pwait(wait->set, wait->events, 1, -1, NULL);
}

static long call_pwait2(void *arg)
{
	struct waited *wait = arg;
	return epoll_pwait2(wait->set, wait->events, 1, NULL, NULL);
}

Test(epoll_threads, blocked_pwait_can_be_cancelled)
{
	int fd = eventfd_at(0);
	struct waited wait = {.set = set_watching(fd, IN, 1)};
	struct waiter w;
	waiter_start(&w, call_pwait, &wait);
	cr_assert(waiter_cancel(&w));
	waiter_start(&w, call_pwait2, &wait);
	cr_assert(waiter_cancel(&w));
	close(wait.set);
	close(fd);
}

static void *wait_after_own_cancel(void *arg)
{
	pthread_cancel(pthread_self());
	call_epoll_wait(arg);
	return NULL;
}

Test(epoll_threads, waiting_cancellation_is_taken_before_any_event)
{
	static const uint32_t interests[] = {IN | EPOLLET, OUT | EPOLLONESHOT};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(1);
		struct waited wait = {.set = set_watching(fd, interests[i], 1)};
		pthread_t thread;
		void *result;
		cr_assert_eq(pthread_create(&thread, NULL, wait_after_own_cancel, &wait), 0);
		cr_assert_eq(pthread_join(thread, &result), 0);
		cr_assert_eq(result, PTHREAD_CANCELED);
		cr_assert_eq(set_event(wait.set), interests[i] & BOTH);
		close(wait.set);
		close(fd);
	}
}
