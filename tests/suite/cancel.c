/* read, write and their kin are cancellation points. */
#define _GNU_SOURCE
#include "efd.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_int cleanups;

static void reset(void)
{
	tk_setup();
	atomic_store(&cleanups, 0);
}

TestSuite(cancel, .init = reset, .fini = tk_teardown, .timeout = 20);

enum { CALLS = 3, OFTEN = 200 };

typedef ssize_t (*blocking_call)(struct task *);
static const blocking_call reads[CALLS] = {task_read, task_readv, task_eventfd_read};
static const blocking_call writes[CALLS] = {task_write, task_writev, task_eventfd_write};

static int open_full(void)
{
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	return fd;
}

static void expect_works(int fd)
{
	struct task t;
	efd_expect_empty(fd);
	efd_add(fd, 3);
	efd_expect(fd, 3);
	task_start_blocked(&t, task_read, fd, 0);
	efd_add(fd, 4);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 4);
	efd_add(fd, EFD_LIMIT);
	task_start_blocked(&t, task_write, fd, 5);
	efd_expect(fd, EFD_LIMIT);
	cr_assert_eq(task_join(&t), 8);
	efd_expect(fd, 5);
}

Test(cancel, a_blocked_read_is_cancelled_and_takes_nothing)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, reads[i], fd, 0xabcdef);
		task_cancel(&t);
		cr_assert_eq(t.value, 0xabcdef);
		expect_works(fd);
	}
	efd_close(fd);
}

Test(cancel, a_blocked_write_is_cancelled_and_adds_nothing)
{
	int fd = open_full();
	for (int i = 0; i < CALLS; i++) {
		struct task t;
		task_start_blocked(&t, writes[i], fd, 5);
		task_cancel(&t);
	}
	efd_expect(fd, EFD_LIMIT);
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_read_is_cancelled_wherever_it_is_met)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < OFTEN; i++) {
		struct task t;
		task_start(&t, reads[i % CALLS], fd, 0);
		for (int spin = 0; spin < i % 7; spin++)
			sched_yield();
		task_cancel(&t);
	}
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_write_is_cancelled_wherever_it_is_met)
{
	int fd = open_full();
	for (int i = 0; i < OFTEN; i++) {
		struct task t;
		task_start(&t, writes[i % CALLS], fd, 1);
		for (int spin = 0; spin < i % 7; spin++)
			sched_yield();
		task_cancel(&t);
	}
	efd_expect(fd, EFD_LIMIT);
	expect_works(fd);
	efd_close(fd);
}

static void clean_up(void *arg)
{
	struct task *t = arg;
	uint64_t value = 6;
	atomic_fetch_add(&cleanups, 1);
	if (t->value && write(t->fd, &value, sizeof(value)) != sizeof(value))
		atomic_store(&cleanups, -1);
}

static ssize_t read_with_cleanup(struct task *t)
{
	ssize_t ret;
	uint64_t value;
	pthread_cleanup_push(clean_up, t);
	ret = read(t->fd, &value, sizeof(value));
	pthread_cleanup_pop(0);
	return ret;
}

Test(cancel, cleanup_handlers_run)
{
	struct task t;
	int fd = efd_open(0, 0);
	for (int i = 1; i <= 20; i++) {
		task_start_blocked(&t, read_with_cleanup, fd, 0);
		task_cancel(&t);
		cr_assert_eq(atomic_load(&cleanups), i);
	}
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_cleanup_handler_may_use_the_eventfd)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, read_with_cleanup, fd, 1);
	task_cancel(&t);
	cr_assert_eq(atomic_load(&cleanups), 1);
	efd_expect(fd, 6);
	expect_works(fd);
	efd_close(fd);
}

static blocking_call after_cancel;

static ssize_t cancel_self(struct task *t)
{
	pthread_cancel(pthread_self());
	return after_cancel(t);
}

static void expect_acts_pending(blocking_call call, int fd, uint64_t value)
{
	struct task t;
	after_cancel = call;
	task_start(&t, cancel_self, fd, value);
	task_join_cancelled(&t);
}

Test(cancel, a_pending_cancel_acts_at_a_read_that_would_not_wait)
{
	int fd = efd_open(8, 0);
	for (int i = 0; i < CALLS; i++)
		expect_acts_pending(reads[i], fd, 0);
	efd_expect(fd, 8);
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_pending_cancel_acts_at_a_write_that_would_not_wait)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < CALLS; i++)
		expect_acts_pending(writes[i], fd, 3);
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_pending_cancel_acts_at_a_nonblocking_call_that_would_fail)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	for (int i = 0; i < CALLS; i++)
		expect_acts_pending(reads[i], fd, 0);
	efd_add(fd, EFD_LIMIT);
	for (int i = 0; i < CALLS; i++)
		expect_acts_pending(writes[i], fd, 1);
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

static ssize_t short_read(struct task *t)
{
	return read(t->fd, &t->value, 4);
}

static ssize_t faulting_write(struct task *t)
{
	void *volatile nowhere = NULL;
	return write(t->fd, nowhere, 8);
}

Test(cancel, a_pending_cancel_acts_at_a_call_that_is_wrong)
{
	int fd = efd_open(2, 0);
	expect_acts_pending(short_read, fd, 0);
	expect_acts_pending(faulting_write, fd, 0);
	expect_acts_pending(task_write, fd, UINT64_MAX);
	efd_expect(fd, 2);
	efd_close(fd);
	expect_acts_pending(task_read, fd, 0);
}

static ssize_t undisturbed(struct task *t, blocking_call call)
{
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	ssize_t ret = call(t);
	if (ret != 8)
		t->value = 0xdead;
	t->ret = ret;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	pthread_testcancel();
	return ret;
}

static ssize_t undisturbed_read(struct task *t)
{
	return undisturbed(t, task_read);
}

static ssize_t undisturbed_write(struct task *t)
{
	return undisturbed(t, task_write);
}

Test(cancel, a_read_with_cancelling_disabled_waits_on_and_the_cancel_acts_later)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, undisturbed_read, fd, 0);
	cr_assert_eq(pthread_cancel(t.thread), 0);
	task_wait_asleep(&t);
	efd_add(fd, 9);
	task_join_cancelled(&t);
	cr_assert_eq(t.ret, 8);
	cr_assert_eq(t.value, 9);
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_write_with_cancelling_disabled_waits_on_and_the_cancel_acts_later)
{
	struct task t;
	int fd = open_full();
	task_start_blocked(&t, undisturbed_write, fd, 5);
	cr_assert_eq(pthread_cancel(t.thread), 0);
	task_wait_asleep(&t);
	efd_expect(fd, EFD_LIMIT);
	task_join_cancelled(&t);
	cr_assert_eq(t.ret, 8);
	efd_expect(fd, 5);
	efd_close(fd);
}

Test(cancel, a_pending_cancel_does_not_act_where_it_is_disabled)
{
	struct task t;
	int fd = efd_open(8, 0);
	after_cancel = undisturbed_read;
	task_start(&t, cancel_self, fd, 0);
	task_join_cancelled(&t);
	cr_assert_eq(t.ret, 8);
	cr_assert_eq(t.value, 8);
	expect_works(fd);
	efd_close(fd);
}

static ssize_t read_as_asynchronous(struct task *t)
{
	int type;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	return task_read(t);
}

Test(cancel, a_blocked_read_of_an_asynchronous_thread_is_cancelled)
{
	int fd = efd_open(0, 0);
	for (int i = 0; i < 20; i++) {
		struct task t;
		task_start_blocked(&t, read_as_asynchronous, fd, 0);
		task_cancel(&t);
	}
	expect_works(fd);
	efd_close(fd);
}

static ssize_t type_after_calls(struct task *t)
{
	int type = -1, wanted = (int)t->value;
	uint64_t value = 1;
	pthread_setcanceltype(wanted, &type);
	if (write(t->fd, &value, 8) != 8 || read(t->fd, &value, 8) != 8)
		return -1;
	if (read(t->fd, &value, 8) != 8)
		return -1;
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	return type;
}

Test(cancel, reads_and_writes_leave_the_cancel_type_alone)
{
	static const int types[] = {PTHREAD_CANCEL_DEFERRED, PTHREAD_CANCEL_ASYNCHRONOUS};
	int fd = efd_open(0, 0);
	for (int i = 0; i < 2; i++) {
		struct task t;
		task_start_blocked(&t, type_after_calls, fd, (uint64_t)types[i]);
		efd_add(fd, 1);
		cr_assert_eq(task_join(&t), types[i]);
	}
	efd_close(fd);
}

static ssize_t read_interrupted_then_wait(struct task *t)
{
	if (task_read(t) != -1 || errno != EINTR)
		return -1;
	return task_read(t);
}

static void do_nothing(int sig)
{
	(void)sig;
}

Test(cancel, a_read_after_an_interrupted_one_is_cancelled)
{
	struct task t;
	struct sigaction sa = {.sa_handler = do_nothing};
	int fd = efd_open(0, 0);
	cr_assert_eq(sigaction(SIGUSR1, &sa, NULL), 0);
	task_start_blocked(&t, read_interrupted_then_wait, fd, 0);
	cr_assert_eq(pthread_kill(t.thread, SIGUSR1), 0);
	task_wait_asleep(&t);
	task_cancel(&t);
	expect_works(fd);
	efd_close(fd);
}

Test(cancel, a_cancelled_reader_leaves_the_count_to_the_others)
{
	int fd = efd_open(0, EFD_SEMAPHORE);
	for (int i = 0; i < 20; i++) {
		struct task first, second, third;
		task_start_blocked(&first, task_read, fd, 0);
		task_start_blocked(&second, task_read, fd, 0);
		task_start_blocked(&third, task_read, fd, 0);
		task_cancel(&second);
		efd_add(fd, 2);
		cr_assert_eq(task_join(&first), 8);
		cr_assert_eq(task_join(&third), 8);
		efd_expect_empty(fd);
	}
	efd_close(fd);
}

Test(cancel, a_cancelled_writer_leaves_the_room_to_the_others)
{
	int fd = open_full();
	for (int i = 0; i < 20; i++) {
		struct task first, second;
		task_start_blocked(&first, task_write, fd, EFD_LIMIT);
		task_start_blocked(&second, task_write, fd, EFD_LIMIT);
		task_cancel(&first);
		efd_expect(fd, EFD_LIMIT);
		cr_assert_eq(task_join(&second), 8);
	}
	efd_close(fd);
}
