/* poll and ppoll meet signals, job control and cancellation. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(poll_signal, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int written_by_handler;

static void write_in_handler(int sig)
{
	uint64_t one = 1;
	(void)sig;
	signals_seen = signals_seen + (write(written_by_handler, &one, sizeof(one)) == 8);
}

static sigset_t open_mask(void)
{
	sigset_t mask;
	sigemptyset(&mask);
	return mask;
}

static sigset_t usr1_mask(void)
{
	sigset_t mask = open_mask();
	sigaddset(&mask, SIGUSR1);
	return mask;
}

static long call_ppoll_usr1_blocked(void *arg)
{
	sigset_t mask = usr1_mask();
	long ret = ppoll(arg, 1, NULL, &mask);
	return ret == 1 && signals_seen == 1 ? 1 : -1;
}

static long call_ppoll_usr1_open(void *arg)
{
	sigset_t mask = usr1_mask();
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	mask = open_mask();
	return ppoll(arg, 1, NULL, &mask);
}

Test(poll_signal, signal_interrupts)
{
	struct pollfd p = {eventfd_at(0), POLLIN, -1};
	struct waiter w;
	count_signals(0);
	waiter_start(&w, call_poll, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(signals_seen, 1);
	close(p.fd);
}

Test(poll_signal, sa_restart_does_not_restart)
{
	struct pollfd p = {eventfd_at(0), POLLIN, -1};
	struct waiter w;
	count_signals(SA_RESTART);
	waiter_start(&w, call_poll, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	close(p.fd);
}

Test(poll_signal, interrupted_poll_clears_revents)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0x55};
	struct waiter w;
	count_signals(0);
	waiter_start(&w, call_poll, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(p.revents, 0);
	close(p.fd);
}

Test(poll_signal, handler_that_writes_interrupts_and_the_next_poll_sees_it)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct sigaction action = {.sa_handler = write_in_handler};
	struct waiter w;
	written_by_handler = p.fd;
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	waiter_start(&w, call_poll, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(signals_seen, 1);
	cr_assert_eq(poll(&p, 1, -1), 1);
	cr_assert_eq(take_count(p.fd), 1);
	close(p.fd);
}

Test(poll_signal, ignored_signal_does_not_interrupt)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	signal(SIGUSR1, SIG_IGN);
	waiter_start(&w, call_poll, &p);
	pthread_kill(w.thread, SIGUSR1);
	pthread_kill(w.thread, SIGCHLD);
	cr_assert(waiter_sleeps(&w));
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

Test(poll_signal, signal_to_another_thread_does_not_interrupt)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	count_signals(0);
	waiter_start(&w, call_poll, &p);
	raise(SIGUSR1);
	cr_assert_eq(signals_seen, 1);
	cr_assert(waiter_sleeps(&w));
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

static int child_polls(void *arg)
{
	struct pollfd *p = arg;
	return poll(p, 1, -1) == 1 && p->revents == POLLIN ? 0 : 1;
}

Test(poll_signal, stop_and_continue_go_unnoticed)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	int status;
	pid_t pid = child_start(child_polls, &p);
	tk_wait_process_asleep(pid);
	kill(pid, SIGSTOP);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	cr_assert(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	cr_assert_eq(waitpid(pid, &status, WCONTINUED), pid);
	tk_wait_process_asleep(pid);
	add_count(p.fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(p.fd);
}

Test(poll_signal, pending_signal_let_in_by_the_mask_interrupts)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0x55};
	sigset_t mask = open_mask();
	count_signals(SA_RESTART);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(&p, 1, NULL, &mask)), -EINTR);
	cr_assert_eq(signals_seen, 1);
	cr_assert_eq(p.revents, 0);
	close(p.fd);
}

Test(poll_signal, pending_signal_interrupts_even_a_look_without_sleep)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	sigset_t mask = open_mask();
	struct timespec now = {0};
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(&p, 1, &now, &mask)), -EINTR);
	cr_assert_eq(signals_seen, 1);
	close(p.fd);
}

Test(poll_signal, pending_signal_interrupts_ppoll_without_fds)
{
	sigset_t mask = open_mask();
	struct timespec now = {0};
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(NULL, 0, &now, &mask)), -EINTR);
	cr_assert_eq(signals_seen, 1);
}

Test(poll_signal, ready_fd_wins_over_the_pending_signal)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	sigset_t mask = open_mask();
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(&p, 1, NULL, &mask)), 1);
	cr_assert_eq(p.revents, POLLIN);
	cr_assert_eq(signals_seen, 0, "the handler must wait until the caller's mask allows it");
	cr_assert(signal_is_pending());
	close(p.fd);
}

Test(poll_signal, nval_wins_over_the_pending_signal)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	sigset_t mask = open_mask();
	close(p.fd);
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(&p, 1, NULL, &mask)), 1);
	cr_assert_eq(p.revents, POLLNVAL);
	cr_assert_eq(signals_seen, 0);
}

Test(poll_signal, without_a_mask_the_pending_signal_stays_out)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct timespec brief = {0, 1000000};
	count_signals(0);
	make_signal_pending();
	cr_assert_eq(answer_of(ppoll(&p, 1, &brief, NULL)), 0);
	cr_assert_eq(signals_seen, 0);
	cr_assert(signal_is_pending());
	close(p.fd);
}

Test(poll_signal, callers_mask_is_back_after_ppoll)
{
	int ready = eventfd_at(1), idle = eventfd_at(0);
	sigset_t mask = open_mask(), now;
	count_signals(0);
	make_signal_pending();
	for (int i = 0; i < 2; i++) {
		struct pollfd p = {i ? ready : idle, POLLIN, 0};
		ppoll(&p, 1, NULL, &mask);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		cr_assert_eq(sigismember(&now, SIGUSR1), 1);
		cr_assert_eq(sigismember(&now, SIGUSR2), 0);
	}
	close(ready);
	close(idle);
}

Test(poll_signal, signal_let_in_by_the_mask_interrupts_the_sleep)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	count_signals(SA_RESTART);
	waiter_start(&w, call_ppoll_usr1_open, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(signals_seen, 1);
	close(p.fd);
}

Test(poll_signal, signal_kept_out_by_the_mask_comes_after_the_wake_up)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	count_signals(0);
	waiter_start(&w, call_ppoll_usr1_blocked, &p);
	pthread_kill(w.thread, SIGUSR1);
	cr_assert(waiter_sleeps(&w));
	cr_assert_eq(signals_seen, 0);
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&w), 1);
	close(p.fd);
}

static long call_ppoll(void *arg)
{
	return ppoll(arg, 1, NULL, NULL);
}

Test(poll_signal, blocked_poll_can_be_cancelled)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	struct waiter w;
	waiter_start(&w, call_poll, &p);
	cr_assert(waiter_cancel(&w));
	waiter_start(&w, call_ppoll, &p);
	cr_assert(waiter_cancel(&w));
	add_count(p.fd, 1);
	cr_assert_eq(poll_now(p.fd, POLLIN), POLLIN);
	close(p.fd);
}

Test(poll_signal, cancelled_poller_does_not_keep_others_from_waking)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0}, q = p;
	struct waiter dies, lives;
	waiter_start(&dies, call_poll, &p);
	waiter_start(&lives, call_poll, &q);
	cr_assert(waiter_cancel(&dies));
	cr_assert(waiter_sleeps(&lives));
	add_count(p.fd, 1);
	cr_assert_eq(waiter_result(&lives), 1);
	close(p.fd);
}

static void *run_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	poll(arg, 1, 0);
	return NULL;
}

Test(poll_signal, waiting_cancellation_is_taken_even_where_an_fd_is_ready)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	pthread_t thread;
	void *result;
	cr_assert_eq(pthread_create(&thread, NULL, run_cancelled, &p), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_assert_eq(result, PTHREAD_CANCELED);
	close(p.fd);
}

static void *run_uncancelable(void *arg)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_cancel(pthread_self());
	return poll(arg, 1, -1) == 1 ? arg : NULL;
}

Test(poll_signal, disabled_cancellation_does_not_end_the_call)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	pthread_t thread;
	void *result;
	cr_assert_eq(pthread_create(&thread, NULL, run_uncancelable, &p), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_assert_eq(result, &p);
	close(p.fd);
}
