/* Signals that meet a read or write that waits. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int handled;
static int handler_fd;

static void reset(void)
{
	tk_setup();
	atomic_store(&handled, 0);
}

TestSuite(signals, .init = reset, .fini = tk_teardown, .timeout = 20);

static void count_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&handled, 1);
}

static void write_seven(int sig)
{
	uint64_t seven = 7;
	ssize_t ret = write(handler_fd, &seven, sizeof(seven));
	if (ret == sizeof(seven))
		count_signal(sig);
}

static void read_all(int sig)
{
	uint64_t value;
	ssize_t ret = read(handler_fd, &value, sizeof(value));
	if (ret == sizeof(value))
		count_signal(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
	sigemptyset(&sa.sa_mask);
	cr_assert_eq(sigaction(sig, &sa, NULL), 0);
}

static void interrupt(struct task *t)
{
	int before = atomic_load(&handled);
	cr_assert_eq(pthread_kill(t->thread, SIGUSR1), 0);
	while (atomic_load(&handled) == before)
		sched_yield();
}

typedef ssize_t (*blocking_call)(struct task *);
static const blocking_call reads[] = {task_read, task_readv, task_eventfd_read};
static const blocking_call writes[] = {task_write, task_writev, task_eventfd_write};
enum { CALLS = 3, OFTEN = 100 };

static int open_full(int flags)
{
	int fd = efd_open(0, flags);
	efd_add(fd, EFD_LIMIT);
	return fd;
}

Test(signals, a_blocked_read_is_interrupted_and_takes_nothing)
{
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, 0);
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, reads[i], fd, 0xabcdef);
		interrupt(&t);
		cr_assert_eq(task_join(&t), -EINTR);
		cr_assert_eq(t.value, 0xabcdef);
		efd_add(fd, 3);
		efd_expect(fd, 3);
	}
	efd_close(fd);
}

Test(signals, a_blocked_write_is_interrupted_and_adds_nothing)
{
	int fd = open_full(0);
	handle(SIGUSR1, count_signal, 0);
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, writes[i], fd, 5);
		interrupt(&t);
		cr_assert_eq(task_join(&t), -EINTR);
	}
	efd_expect(fd, EFD_LIMIT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(signals, a_blocked_read_restarts_under_sa_restart)
{
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, SA_RESTART);
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, reads[i], fd, 0);
		for (int k = 0; k < OFTEN; k++)
			interrupt(&t);
		task_wait_asleep(&t);
		efd_add(fd, 3);
		cr_assert_geq(task_join(&t), 0);
		cr_assert_eq(t.value, 3);
	}
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(signals, a_blocked_write_restarts_under_sa_restart)
{
	int fd = open_full(0);
	handle(SIGUSR1, count_signal, SA_RESTART);
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, writes[i], fd, EFD_LIMIT);
		for (int k = 0; k < OFTEN; k++)
			interrupt(&t);
		task_wait_asleep(&t);
		efd_expect(fd, EFD_LIMIT);
		cr_assert_geq(task_join(&t), 0);
	}
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

Test(signals, restart_is_decided_by_the_signal_that_came)
{
	struct task t;
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, SA_RESTART);
	handle(SIGUSR2, count_signal, 0);
	task_start_blocked(&t, task_read, fd, 0);
	interrupt(&t);
	task_wait_asleep(&t);
	cr_assert_eq(pthread_kill(t.thread, SIGUSR2), 0);
	cr_assert_eq(task_join(&t), -EINTR);
	cr_assert_eq(atomic_load(&handled), 2);
	efd_close(fd);
}

Test(signals, a_signal_for_another_thread_interrupts_nothing)
{
	struct task t;
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, 0);
	task_start_blocked(&t, task_read, fd, 0);
	cr_assert_eq(raise(SIGUSR1), 0);
	task_wait_asleep(&t);
	efd_add(fd, 3);
	cr_assert_eq(task_join(&t), 8);
	efd_close(fd);
}

Test(signals, an_ignored_signal_interrupts_nothing)
{
	struct task t;
	int fd = efd_open(0, 0);
	handle(SIGUSR1, SIG_IGN, 0);
	task_start_blocked(&t, task_read, fd, 0);
	for (int i = 0; i < OFTEN; i++)
		cr_assert_eq(pthread_kill(t.thread, SIGUSR1), 0);
	task_wait_asleep(&t);
	efd_add(fd, 3);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 3);
	efd_close(fd);
}

static ssize_t read_with_signals_blocked(struct task *t)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	ssize_t ret = task_read(t);
	int err = errno;
	if (atomic_load(&handled))
		t->value = 0;
	pthread_sigmask(SIG_UNBLOCK, &all, NULL);
	errno = err;
	return ret;
}

Test(signals, a_masked_signal_waits_until_the_read_is_over)
{
	struct task t;
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, 0);
	task_start_blocked(&t, read_with_signals_blocked, fd, 0);
	cr_assert_eq(pthread_kill(t.thread, SIGUSR1), 0);
	task_wait_asleep(&t);
	efd_add(fd, 3);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 3);
	cr_assert_eq(atomic_load(&handled), 1);
	efd_close(fd);
}

Test(signals, a_handler_that_writes_feeds_the_read_it_interrupted)
{
	handler_fd = efd_open(0, 0);
	handle(SIGUSR1, write_seven, SA_RESTART);
	for (int i = 0; i < OFTEN; i++) {
		struct task t;
		task_start_blocked(&t, reads[i % CALLS], handler_fd, 0);
		interrupt(&t);
		cr_assert_geq(task_join(&t), 0);
		cr_assert_eq(t.value, 7);
	}
	efd_expect_empty(handler_fd);
	efd_close(handler_fd);
}

Test(signals, a_handler_that_writes_leaves_the_count_to_the_next_read_without_sa_restart)
{
	handler_fd = efd_open(0, 0);
	handle(SIGUSR1, write_seven, 0);
	for (int i = 0; i < OFTEN; i++) {
		struct task t;
		task_start_blocked(&t, reads[i % CALLS], handler_fd, 0);
		interrupt(&t);
		cr_assert_eq(task_join(&t), -EINTR);
		efd_expect(handler_fd, 7);
	}
	efd_close(handler_fd);
}

Test(signals, a_handler_that_reads_makes_room_for_the_write_it_interrupted)
{
	handler_fd = open_full(0);
	handle(SIGUSR1, read_all, SA_RESTART);
	for (int i = 0; i < OFTEN; i++) {
		struct task t;
		task_start_blocked(&t, writes[i % CALLS], handler_fd, EFD_LIMIT);
		interrupt(&t);
		cr_assert_geq(task_join(&t), 0);
	}
	efd_expect(handler_fd, EFD_LIMIT);
	efd_close(handler_fd);
}

static ssize_t writev_two(struct task *t)
{
	uint64_t numbers[2] = {1, t->value};
	struct iovec iov[2] = {{&numbers[0], 8}, {&numbers[1], 8}};
	return writev(t->fd, iov, 2);
}

Test(signals, a_writev_interrupted_in_its_second_number_returns_the_first)
{
	static const int flags[] = {0, SA_RESTART};
	int fd = efd_open(0, 0);
	for (int i = 0; i < 2; i++) {
		struct task t;
		handle(SIGUSR1, count_signal, flags[i]);
		task_start_blocked(&t, writev_two, fd, EFD_LIMIT);
		interrupt(&t);
		cr_assert_eq(task_join(&t), 8);
		efd_expect(fd, 1);
	}
	efd_close(fd);
}

Test(signals, a_writev_that_waits_in_its_second_number_goes_on_when_there_is_room)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, writev_two, fd, EFD_LIMIT);
	efd_expect(fd, 1);
	cr_assert_eq(task_join(&t), 16);
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

static void child_expects_eintr(void *fd)
{
	uint64_t value = 5;
	CHECK(read(*(int *)fd, &value, 8) == -1 && errno == EINTR);
	CHECK(value == 5);
}

Test(signals, a_process_blocked_in_read_is_interrupted_by_kill)
{
	int fd = efd_open(0, 0);
	handle(SIGUSR1, count_signal, 0);
	pid_t pid = start_child(child_expects_eintr, &fd);
	tk_wait_process_asleep(pid);
	cr_assert_eq(kill(pid, SIGUSR1), 0);
	end_child(pid);
	efd_close(fd);
}

static void child_reads_77(void *fd)
{
	uint64_t value;
	CHECK(read(*(int *)fd, &value, 8) == 8);
	CHECK(value == 77);
}

Test(signals, a_process_stopped_and_continued_reads_on)
{
	int status, fd = efd_open(0, 0);
	pid_t pid = start_child(child_reads_77, &fd);
	for (int i = 0; i < 20; i++) {
		tk_wait_process_asleep(pid);
		cr_assert_eq(kill(pid, SIGSTOP), 0);
		cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
		cr_assert(WIFSTOPPED(status));
		cr_assert_eq(kill(pid, SIGCONT), 0);
	}
	tk_wait_process_asleep(pid);
	efd_add(fd, 77);
	end_child(pid);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(signals, a_count_written_while_the_reader_was_stopped_is_read)
{
	int status, fd = efd_open(0, 0);
	pid_t pid = start_child(child_reads_77, &fd);
	tk_wait_process_asleep(pid);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	efd_add(fd, 70);
	efd_add(fd, 7);
	cr_assert_eq(kill(pid, SIGCONT), 0);
	end_child(pid);
	efd_close(fd);
}

static _Thread_local sigjmp_buf way_out;

static void jump_out(int sig)
{
	count_signal(sig);
	siglongjmp(way_out, 1);
}

static ssize_t read_until_jump(struct task *t)
{
	if (sigsetjmp(way_out, 1))
		return 99;
	return task_read(t);
}

Test(signals, a_handler_may_jump_out_of_a_read)
{
	int fd = efd_open(0, 0);
	handle(SIGUSR1, jump_out, 0);
	for (int i = 0; i < OFTEN; i++) {
		struct task t, other;
		task_start_blocked(&t, read_until_jump, fd, 0);
		interrupt(&t);
		cr_assert_eq(task_join(&t), 99);
		task_start_blocked(&other, task_read, fd, 0);
		efd_add(fd, 4);
		cr_assert_eq(task_join(&other), 8);
		cr_assert_eq(other.value, 4);
	}
	efd_expect_empty(fd);
	efd_close(fd);
}
