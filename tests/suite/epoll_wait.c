/* epoll_wait, epoll_pwait, epoll_pwait2: time limits, wake-ups, signals. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(epoll_wait, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, SHORT_MS = 30 };

struct timed_wait {
	int set;
	int ms;
	struct epoll_event event;
};

static long call_timed_wait(void *arg)
{
	struct timed_wait *t = arg;
	return epoll_wait(t->set, &t->event, 1, t->ms);
}

static long call_pwait(void *arg)
{
	struct timed_wait *t = arg;
	return epoll_pwait(t->set, &t->event, 1, t->ms, NULL);
}

static long call_pwait2(void *arg)
{
	struct timed_wait *t = arg;
	return epoll_pwait2(t->set, &t->event, 1, NULL, NULL);
}

static int64_t ns_since(const struct timespec *start)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * INT64_C(1000000000) + now.tv_nsec - start->tv_nsec;
}

static sigset_t open_mask(void)
{
	sigset_t mask;
	sigemptyset(&mask);
	return mask;
}

Test(epoll_wait, time_limit_is_never_early)
{
	static const uint32_t interests[] = {IN, IN | EPOLLPRI, EPOLLPRI, 0};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, interests[i], 1);
		struct epoll_event event;
		int64_t start = tk_now_ms();
		cr_assert_eq(answer_of(epoll_wait(set, &event, 1, SHORT_MS)), 0);
		cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
		close(set);
		close(fd);
	}
}

Test(epoll_wait, time_limit_of_an_empty_set_is_never_early)
{
	int set = epoll_create1(0);
	struct epoll_event event;
	int64_t start = tk_now_ms();
	cr_assert_eq(answer_of(epoll_wait(set, &event, 1, SHORT_MS)), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	close(set);
}

Test(epoll_wait, time_limit_outlasts_a_wake_up_without_event)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN | EPOLLET, 1);
	struct epoll_event event;
	int64_t start = tk_now_ms();
	add_count(fd, 0);
	add_count(fd, 1);
	take_count(fd);
	cr_assert_eq(answer_of(epoll_wait(set, &event, 1, SHORT_MS)), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	close(set);
	close(fd);
}

Test(epoll_wait, nanosecond_time_limit_is_never_early_nor_written_back)
{
	static const int64_t limits[] = {1, 999, 1500000, 20500001};
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct timespec limit = {0, limits[i]}, start;
		struct epoll_event event;
		clock_gettime(CLOCK_MONOTONIC, &start);
		cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, &limit, NULL)), 0);
		cr_assert_geq(ns_since(&start), limits[i]);
		cr_assert_eq(limit.tv_sec, 0);
		cr_assert_eq(limit.tv_nsec, limits[i]);
	}
	close(set);
	close(fd);
}

Test(epoll_wait, ready_fd_returns_whatever_the_time_limit)
{
	static const int limits[] = {0, 1, INT_MAX, -1, -2, INT_MIN};
	static const struct timespec times[] = {{0, 0}, {0, 1}, {INT64_MAX, 999999999}};
	int fd = eventfd_at(1), set = set_watching(fd, OUT, 1);
	struct epoll_event event;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		cr_assert_eq(answer_of(epoll_wait(set, &event, 1, limits[i])), 1);
		cr_assert_eq(answer_of(epoll_pwait(set, &event, 1, limits[i], NULL)), 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, &times[i], NULL)), 1);
	cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, NULL, NULL)), 1);
	close(set);
	close(fd);
}

Test(epoll_wait, a_look_without_sleep)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1);
	struct epoll_event event;
	struct timespec now = {0};
	errno = ENOTTY;
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 0);
	cr_assert_eq(epoll_pwait(set, &event, 1, 0, NULL), 0);
	cr_assert_eq(epoll_pwait2(set, &event, 1, &now, NULL), 0);
	cr_assert_eq(errno, ENOTTY);
	close(set);
	close(fd);
}

static void wake_for_in(long (*call)(void *), int ms)
{
	static const uint32_t interests[] = {
		IN, IN | EPOLLET, IN | EPOLLONESHOT, IN | EPOLLPRI, IN | EPOLLEXCLUSIVE};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0);
		struct timed_wait t = {.set = set_watching(fd, interests[i], UINT64_MAX), .ms = ms};
		struct waiter w;
		waiter_start(&w, call, &t);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(t.event.events, IN);
		cr_assert_eq(t.event.data.u64, UINT64_MAX);
		close(t.set);
		close(fd);
	}
}

Test(epoll_wait, woken_by_a_write)
{
	wake_for_in(call_timed_wait, -1);
}

Test(epoll_wait, woken_by_a_write_before_the_time_limit)
{
	wake_for_in(call_timed_wait, INT_MAX);
}

Test(epoll_wait, any_negative_time_limit_is_forever)
{
	wake_for_in(call_timed_wait, -2);
	wake_for_in(call_pwait, INT_MIN);
}

Test(epoll_wait, pwait2_is_woken_by_a_write)
{
	wake_for_in(call_pwait2, 0);
}

Test(epoll_wait, woken_for_out_at_the_limit_by_a_read)
{
	static const uint32_t interests[] = {
		OUT, OUT | EPOLLET, OUT | EPOLLONESHOT, OUT | EPOLLPRI, OUT | EPOLLEXCLUSIVE};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(COUNT_LIMIT);
		struct timed_wait t = {.set = set_watching(fd, interests[i], UINT64_MAX), .ms = -1};
		struct waiter w;
		waiter_start(&w, call_timed_wait, &t);
		take_count(fd);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(t.event.events, OUT);
		cr_assert_eq(t.event.data.u64, UINT64_MAX);
		close(t.set);
		close(fd);
	}
}

Test(epoll_wait, woken_again_and_again)
{
	int fd = eventfd_at(0);
	struct timed_wait t = {.set = set_watching(fd, IN | EPOLLET, 1), .ms = -1};
	for (int i = 0; i < 200; i++) {
		struct waiter w;
		waiter_start(&w, call_timed_wait, &t);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
	}
	cr_assert_eq(take_count(fd), 200);
	close(t.set);
	close(fd);
}

Test(epoll_wait, signal_interrupts_in_spite_of_sa_restart)
{
	static const uint32_t interests[] = {IN, IN | EPOLLPRI, EPOLLPRI};
	count_signals(SA_RESTART);
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0);
		struct timed_wait t = {.set = set_watching(fd, interests[i], 1), .ms = -1};
		struct waiter w;
		waiter_start(&w, call_timed_wait, &t);
		pthread_kill(w.thread, SIGUSR1);
		cr_assert_eq(waiter_result(&w), -EINTR);
		cr_assert_eq(signals_seen, (int)i + 1);
		close(t.set);
		close(fd);
	}
}

Test(epoll_wait, ignored_signal_does_not_interrupt)
{
	int fd = eventfd_at(0);
	struct timed_wait t = {.set = set_watching(fd, IN, 1), .ms = -1};
	struct waiter w;
	signal(SIGUSR1, SIG_IGN);
	waiter_start(&w, call_timed_wait, &t);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert(waiter_sleeps(&w));
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(t.set);
	close(fd);
}

static int child_is_interrupted(void *arg)
{
	return call_timed_wait(arg) == -1 && errno == EINTR ? 0 : 1;
}

Test(epoll_wait, stop_and_continue_interrupt_it)
{
	int fd = eventfd_at(0), status;
	struct timed_wait t = {.set = set_watching(fd, IN, 1), .ms = -1};
	pid_t pid = child_start(child_is_interrupted, &t);
	tk_wait_process_asleep(pid);
	kill(pid, SIGSTOP);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGCONT);
	cr_assert_eq(child_reap(pid), 0);
	close(t.set);
	close(fd);
}

static int written_by_handler;

static void write_in_handler(int sig)
{
	uint64_t one = 1;
	(void)sig;
	signals_seen = signals_seen + (write(written_by_handler, &one, sizeof(one)) == 8);
}

Test(epoll_wait, handler_that_writes_interrupts_and_the_next_wait_sees_it)
{
	struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_RESTART};
	int fd = eventfd_at(0);
	struct timed_wait t = {.set = set_watching(fd, IN, 1), .ms = -1};
	struct waiter w;
	written_by_handler = fd;
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	waiter_start(&w, call_timed_wait, &t);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(signals_seen, 1);
	cr_assert_eq(set_event(t.set), IN);
	close(t.set);
	close(fd);
}

Test(epoll_wait, pending_signal_let_in_by_the_mask_interrupts)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1);
	sigset_t mask = open_mask();
	struct epoll_event event;
	count_signals(SA_RESTART);
	make_signal_pending();
	cr_assert_eq(answer_of(epoll_pwait(set, &event, 1, -1, &mask)), -EINTR);
	cr_assert_eq(signals_seen, 1);
	raise(SIGUSR1);
	cr_assert_eq(signals_seen, 1, "the caller's mask is back");
	cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, NULL, &mask)), -EINTR);
	cr_assert_eq(signals_seen, 2);
	close(set);
	close(fd);
}

/* Unlike ppoll and pselect, which answer EINTR here. */
Test(epoll_wait, pending_signal_does_not_disturb_a_look_without_sleep)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 1);
	sigset_t mask = open_mask();
	struct timespec now = {0};
	struct epoll_event event;
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(epoll_pwait(set, &event, 1, 0, &mask)), 0);
	cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, &now, &mask)), 0);
	cr_assert_eq(signals_seen, 0);
	cr_assert(signal_is_pending());
	close(set);
	close(fd);
}

Test(epoll_wait, ready_fd_wins_over_the_pending_signal)
{
	static const uint32_t interests[] = {IN, OUT};
	sigset_t mask = open_mask();
	struct epoll_event event;
	count_signals(0);
	make_signal_pending();
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(1), set = set_watching(fd, interests[i], 1);
		cr_assert_eq(answer_of(epoll_pwait(set, &event, 1, -1, &mask)), 1);
		cr_assert_eq(event.events, interests[i]);
		cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, NULL, &mask)), 1);
		close(set);
		close(fd);
	}
	cr_assert_eq(signals_seen, 0);
	cr_assert(signal_is_pending());
}

static long call_pwait_usr1_blocked(void *arg)
{
	struct timed_wait *t = arg;
	sigset_t mask = open_mask();
	sigaddset(&mask, SIGUSR1);
	long ret = epoll_pwait(t->set, &t->event, 1, -1, &mask);
	return ret == 1 && signals_seen == 1 ? 1 : -1;
}

Test(epoll_wait, signal_kept_out_by_the_mask_comes_after_the_wake_up)
{
	int fd = eventfd_at(0);
	struct timed_wait t = {.set = set_watching(fd, IN, 1)};
	struct waiter w;
	count_signals(0);
	waiter_start(&w, call_pwait_usr1_blocked, &t);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert(waiter_sleeps(&w));
	cr_assert_eq(signals_seen, 0);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(t.set);
	close(fd);
}
