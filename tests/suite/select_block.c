/* select and pselect that sleep: what wakes them, signals, cancellation. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(select_block, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

struct selected {
	int nfds;
	fd_set set[3];
	fd_set *r, *w, *e;
	struct timeval *limit;
};

static void want(struct selected *s, unsigned which, int fd)
{
	fd_set **arg[] = {&s->r, &s->w, &s->e};
	*arg[which] = &s->set[which];
	FD_SET(fd, *arg[which]);
	if (fd >= s->nfds)
		s->nfds = fd + 1;
}

static long call_select(void *arg)
{
	struct selected *s = arg;
	return select(s->nfds, s->r, s->w, s->e, s->limit);
}

static long call_pselect(void *arg)
{
	struct selected *s = arg;
	return pselect(s->nfds, s->r, s->w, s->e, NULL, NULL);
}

static int child_adds_one(void *fd)
{
	uint64_t one = 1;
	return write(*(int *)fd, &one, sizeof(one)) != 8;
}

static int child_selects(void *arg)
{
	return call_select(arg) == 1 ? 0 : 1;
}

Test(select_block, woken_by_a_write)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(FD_ISSET(fd, s.r));
	close(fd);
}

Test(select_block, pselect_is_woken_by_a_write)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	waiter_start(&w, call_pselect, &s);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(FD_ISSET(fd, s.r));
	close(fd);
}

Test(select_block, woken_for_write_at_the_limit_by_a_read)
{
	int fd = eventfd_at(COUNT_LIMIT);
	struct selected s = {0};
	struct waiter w;
	want(&s, 1, fd);
	waiter_start(&w, call_select, &s);
	take_count(fd);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(FD_ISSET(fd, s.w));
	close(fd);
}

Test(select_block, woken_by_a_write_of_a_child)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	cr_assert_eq(child_reap(child_start(child_adds_one, &fd)), 0);
	cr_assert_eq(waiter_result(&w), 1);
	close(fd);
}

Test(select_block, child_is_woken_by_a_write)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	want(&s, 0, fd);
	pid_t pid = child_start(child_selects, &s);
	tk_wait_process_asleep(pid);
	add_count(fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(fd);
}

Test(select_block, woken_again_and_again)
{
	int fd = eventfd_at(0);
	for (int i = 0; i < 100; i++) {
		struct selected s = {0};
		struct waiter w;
		want(&s, 0, fd);
		waiter_start(&w, call_select, &s);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(take_count(fd), 1);
	}
	close(fd);
}

Test(select_block, write_of_zero_wakes_nobody)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	want(&s, 2, fd);
	waiter_start(&w, call_select, &s);
	add_count(fd, 0);
	cr_assert(waiter_sleeps(&w));
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(!FD_ISSET(fd, s.e));
	close(fd);
}

Test(select_block, except_set_alone_never_wakes)
{
	int fd = eventfd_at(1), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 2, fd);
	want(&s, 0, pipefd[0]);
	waiter_start(&w, call_select, &s);
	add_count(fd, 1);
	take_count(fd);
	cr_assert(waiter_sleeps(&w));
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(!FD_ISSET(fd, s.e));
	cr_assert(FD_ISSET(pipefd[0], s.r));
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(select_block, woken_while_a_pipe_beside_it_is_idle)
{
	int fd = eventfd_at(0), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	want(&s, 0, pipefd[0]);
	waiter_start(&w, call_select, &s);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert(FD_ISSET(fd, s.r));
	cr_assert(!FD_ISSET(pipefd[0], s.r));
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(select_block, woken_before_the_time_limit)
{
	int fd = eventfd_at(0);
	struct timeval limit = {1000, 0};
	struct selected s = {.limit = &limit};
	struct waiter w;
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	add_count(fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_lt(limit.tv_sec, 1000);
	cr_assert_geq(limit.tv_sec, 900);
	close(fd);
}

Test(select_block, one_write_wakes_every_selecter)
{
	enum { SELECTERS = 3 };
	int fd = eventfd_at(0);
	struct selected s[SELECTERS] = {0};
	struct waiter w[SELECTERS];
	for (int i = 0; i < SELECTERS; i++) {
		want(&s[i], 0, fd);
		waiter_start(&w[i], call_select, &s[i]);
	}
	add_count(fd, 1);
	for (int i = 0; i < SELECTERS; i++)
		cr_assert_eq(waiter_result(&w[i]), 1);
	close(fd);
}

Test(select_block, signal_interrupts_in_spite_of_sa_restart)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	count_signals(SA_RESTART);
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(signals_seen, 1);
	cr_assert(FD_ISSET(fd, s.r), "an interrupted call leaves the sets alone");
	close(fd);
}

Test(select_block, interrupted_call_writes_the_time_left)
{
	int fd = eventfd_at(0);
	struct timeval limit = {1000, 0};
	struct selected s = {.limit = &limit};
	struct waiter w;
	count_signals(0);
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_lt(limit.tv_sec, 1000);
	cr_assert_geq(limit.tv_sec, 900);
	close(fd);
}

Test(select_block, stop_and_continue_go_unnoticed)
{
	int fd = eventfd_at(0), status;
	struct selected s = {0};
	want(&s, 0, fd);
	pid_t pid = child_start(child_selects, &s);
	tk_wait_process_asleep(pid);
	kill(pid, SIGSTOP);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGCONT);
	cr_assert_eq(waitpid(pid, &status, WCONTINUED), pid);
	tk_wait_process_asleep(pid);
	add_count(fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(fd);
}

static long pselect_all_signals(struct selected *s, const struct timespec *limit)
{
	sigset_t mask;
	sigemptyset(&mask);
	return answer_of(pselect(s->nfds, s->r, s->w, s->e, limit, &mask));
}

Test(select_block, pending_signal_let_in_by_the_mask_interrupts)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	want(&s, 0, fd);
	count_signals(SA_RESTART);
	make_signal_pending();
	cr_assert_eq(pselect_all_signals(&s, NULL), -EINTR);
	cr_assert_eq(signals_seen, 1);
	cr_assert(FD_ISSET(fd, s.r));
	close(fd);
}

Test(select_block, pending_signal_interrupts_even_a_look_without_sleep)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	want(&s, 0, fd);
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(pselect_all_signals(&s, &(struct timespec){0}), -EINTR);
	cr_assert_eq(signals_seen, 1);
	close(fd);
}

Test(select_block, ready_fd_wins_over_the_pending_signal)
{
	int fd = eventfd_at(1);
	struct selected s = {0};
	want(&s, 0, fd);
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(pselect_all_signals(&s, NULL), 1);
	cr_assert(FD_ISSET(fd, s.r));
	cr_assert_eq(signals_seen, 0);
	cr_assert(signal_is_pending());
	close(fd);
}

Test(select_block, callers_mask_is_back_after_pselect)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	sigset_t now;
	want(&s, 0, fd);
	count_signals(0);
	make_signal_pending();
	pselect_all_signals(&s, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	cr_assert_eq(sigismember(&now, SIGUSR1), 1);
	cr_assert_eq(sigismember(&now, SIGUSR2), 0);
	close(fd);
}

Test(select_block, blocked_call_can_be_cancelled)
{
	int fd = eventfd_at(0);
	struct selected s = {0};
	struct waiter w;
	want(&s, 0, fd);
	waiter_start(&w, call_select, &s);
	cr_assert(waiter_cancel(&w));
	waiter_start(&w, call_pselect, &s);
	cr_assert(waiter_cancel(&w));
	add_count(fd, 1);
	cr_assert_eq(call_select(&s), 1);
	close(fd);
}
