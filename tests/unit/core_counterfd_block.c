/* read and write of a fake fd that have to wait. */
#include "unit.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "core/counter.h"
#include "core/counterfd.h"

TestSuite(core_counterfd_block, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

enum { WAITERS = 4 };

typedef struct outcome (*call_function)(const struct fdref *ref, uint64_t *value);

static struct outcome read_call(const struct fdref *ref, uint64_t *value)
{
	return counterfd_read(ref, value, sizeof(*value));
}

static struct outcome write_call(const struct fdref *ref, uint64_t *value)
{
	return counterfd_write(ref, value, sizeof(*value));
}

static struct outcome write_more_call(const struct fdref *ref, uint64_t *value)
{
	return counterfd_write_more(ref, value, sizeof(*value));
}

/* One blocking call, in a thread of its own. */
struct call {
	struct fdref ref;
	call_function function;
	uint64_t value;
	struct outcome outcome;
	_Atomic pid_t tid;
	atomic_bool done;
	pthread_t thread;
};

static void *make_call(void *arg)
{
	struct call *call = arg;

	atomic_store(&call->tid, gettid());
	call->outcome = call->function(&call->ref, &call->value);
	atomic_store(&call->done, true);
	return NULL;
}

static void start(struct call *call, struct fdref ref, call_function function, uint64_t value)
{
	*call = (struct call){.ref = ref, .function = function, .value = value};
	cr_assert_eq(pthread_create(&call->thread, NULL, make_call, call), 0);
	while (!atomic_load(&call->tid))
		sched_yield();
	tk_wait_asleep(atomic_load(&call->tid));
	cr_assert_not(atomic_load(&call->done));
}

static void start_read(struct call *call, struct fdref ref)
{
	start(call, ref, read_call, 0);
}

static void finish(struct call *call, long value, int err)
{
	void *result;

	cr_assert_eq(pthread_join(call->thread, &result), 0);
	cr_assert_null(result);
	cr_assert_eq(call->outcome.err, err, "err %d", call->outcome.err);
	cr_assert_eq(call->outcome.value, value);
}

static void put(const struct fdref *ref, uint64_t value)
{
	cr_assert_eq(counterfd_write(ref, &value, 8).value, 8);
}

static uint64_t get(const struct fdref *ref)
{
	uint64_t value;

	cr_assert_eq(counterfd_read(ref, &value, 8).value, 8);
	return value;
}

static void check_nobody_waits(const struct fdref *ref)
{
	cr_expect_eq(atomic_load(&ref->object->read_waiters), 0);
	cr_expect_eq(atomic_load(&ref->object->write_waiters), 0);
}

Test(core_counterfd_block, a_write_wakes_a_reader)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	start_read(&call, ref);
	put(&ref, 5);
	finish(&call, 8, 0);
	cr_expect_eq(call.value, 5);
	check_nobody_waits(&ref);
	unit_close(ref);
}

Test(core_counterfd_block, a_write_of_nothing_leaves_a_reader_asleep)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	start_read(&call, ref);
	put(&ref, 0);
	tk_wait_asleep(atomic_load(&call.tid));
	cr_expect_not(atomic_load(&call.done));
	put(&ref, 1);
	finish(&call, 8, 0);
	unit_close(ref);
}

Test(core_counterfd_block, a_read_wakes_a_writer)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	put(&ref, COUNTER_LIMIT);
	start(&call, ref, write_call, 5);
	cr_expect_eq(get(&ref), COUNTER_LIMIT);
	finish(&call, 8, 0);
	cr_expect_eq(get(&ref), 5);
	check_nobody_waits(&ref);
	unit_close(ref);
}

Test(core_counterfd_block, a_writer_waits_until_all_of_its_value_fits)
{
	struct fdref ref = unit_object(0, EFD_SEMAPHORE);
	struct call call;

	put(&ref, COUNTER_LIMIT);
	start(&call, ref, write_call, 3);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(get(&ref), 1);
		tk_wait_asleep(atomic_load(&call.tid));
		cr_assert_not(atomic_load(&call.done));
	}
	cr_expect_eq(get(&ref), 1);
	finish(&call, 8, 0);
	unit_close(ref);
}

Test(core_counterfd_block, each_unit_of_a_semaphore_wakes_one_reader)
{
	struct fdref ref = unit_object(0, EFD_SEMAPHORE);
	struct call calls[WAITERS];
	int done = 0;

	for (int i = 0; i < WAITERS; i++)
		start_read(&calls[i], ref);
	put(&ref, WAITERS - 1);
	while (done < WAITERS - 1) {
		done = 0;
		for (int i = 0; i < WAITERS; i++)
			done += atomic_load(&calls[i].done);
	}
	cr_expect_eq(done, WAITERS - 1);
	put(&ref, 1);
	for (int i = 0; i < WAITERS; i++) {
		finish(&calls[i], 8, 0);
		cr_expect_eq(calls[i].value, 1);
	}
	check_nobody_waits(&ref);
	unit_close(ref);
}

static int write_one(void *arg)
{
	uint64_t one = 1;

	return counterfd_write(arg, &one, 8).value != 8;
}

Test(core_counterfd_block, a_forked_childs_write_wakes_a_reader)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	start_read(&call, ref);
	cr_expect_eq(unit_wait(unit_fork(write_one, &ref)), 0);
	finish(&call, 8, 0);
	unit_close(ref);
}

static int read_one(void *arg)
{
	uint64_t value;

	return counterfd_read(arg, &value, 8).value == 8 ? (int)value : -1;
}

Test(core_counterfd_block, a_write_wakes_a_reader_in_a_forked_child)
{
	struct fdref ref = unit_object(0, 0);
	pid_t pid = unit_fork(read_one, &ref);

	tk_wait_process_asleep(pid);
	put(&ref, 9);
	cr_expect_eq(unit_wait(pid), 9);
	check_nobody_waits(&ref);
	unit_close(ref);
}

static void ignore(int sig)
{
	(void)sig;
}

static void handle_signals(int flags)
{
	struct sigaction action = {.sa_handler = ignore, .sa_flags = flags};

	sigaction(SIGUSR1, &action, NULL);
}

Test(core_counterfd_block, a_signal_ends_a_read)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(0);
	start_read(&call, ref);
	pthread_kill(call.thread, SIGUSR1);
	finish(&call, -1, EINTR);
	check_nobody_waits(&ref);
	put(&ref, 1);
	cr_expect_eq(get(&ref), 1);
	unit_close(ref);
}

Test(core_counterfd_block, a_signal_ends_a_write)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(0);
	put(&ref, COUNTER_LIMIT);
	start(&call, ref, write_call, 1);
	pthread_kill(call.thread, SIGUSR1);
	finish(&call, -1, EINTR);
	cr_expect_eq(get(&ref), COUNTER_LIMIT);
	check_nobody_waits(&ref);
	unit_close(ref);
}

Test(core_counterfd_block, a_restarting_signal_leaves_a_read_asleep)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(SA_RESTART);
	start_read(&call, ref);
	for (int i = 0; i < 5; i++) {
		pthread_kill(call.thread, SIGUSR1);
		tk_wait_asleep(atomic_load(&call.tid));
		cr_assert_not(atomic_load(&call.done));
	}
	put(&ref, 4);
	finish(&call, 8, 0);
	unit_close(ref);
}

Test(core_counterfd_block, a_restarting_signal_leaves_a_write_asleep)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(SA_RESTART);
	put(&ref, COUNTER_LIMIT);
	start(&call, ref, write_call, 1);
	pthread_kill(call.thread, SIGUSR1);
	tk_wait_asleep(atomic_load(&call.tid));
	cr_assert_not(atomic_load(&call.done));
	cr_assert_eq(get(&ref), COUNTER_LIMIT);
	finish(&call, 8, 0);
	unit_close(ref);
}

Test(core_counterfd_block, a_write_that_follows_others_is_ended_by_any_signal)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(SA_RESTART);
	put(&ref, COUNTER_LIMIT);
	start(&call, ref, write_more_call, 1);
	pthread_kill(call.thread, SIGUSR1);
	finish(&call, -1, EINTR);
	check_nobody_waits(&ref);
	unit_close(ref);
}

Test(core_counterfd_block, a_cancelled_reader_takes_nothing_and_waits_no_more)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;
	void *result;

	start_read(&call, ref);
	pthread_cancel(call.thread);
	pthread_join(call.thread, &result);
	cr_expect_eq(result, PTHREAD_CANCELED);
	check_nobody_waits(&ref);
	put(&ref, 3);
	cr_expect_eq(get(&ref), 3);
	unit_close(ref);
}

Test(core_counterfd_block, a_reader_of_a_closed_fd_sleeps_until_a_signal)
{
	struct fdref ref = unit_object(0, 0);
	struct call call;

	handle_signals(0);
	start_read(&call, ref);
	unit_close(ref);
	tk_wait_asleep(atomic_load(&call.tid));
	cr_assert_not(atomic_load(&call.done));
	pthread_kill(call.thread, SIGUSR1);
	finish(&call, -1, EINTR);
}

Test(core_counterfd_block, an_object_that_has_died_is_a_closed_fd)
{
	struct fdref ref = unit_object(0, 0);
	uint64_t value = 1;

	unit_close(ref);
	cr_expect_eq(counterfd_read(&ref, &value, 8).err, EBADF);
	cr_expect_eq(counterfd_write(&ref, &value, 8).err, EBADF);
}

Test(core_counterfd_block, a_reader_of_a_closed_fd_is_woken_through_a_duplicate)
{
	struct fdref ref = unit_object(0, 0), copy;
	struct call call;
	int fd;

	start_read(&call, ref);
	fd = dup(ref.fd);
	object_duplicated(&ref, fd);
	copy = unit_ref(fd);
	unit_close(ref);
	put(&copy, 6);
	finish(&call, 8, 0);
	cr_expect_eq(call.value, 6);
	unit_close(copy);
}
