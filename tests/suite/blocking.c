/* Calls that wait: who wakes them, and who does not. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(blocking, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { FEW = 4, ROUNDS = 5000 };

typedef ssize_t (*blocking_call)(struct task *);

static void start_few_blocked(struct task tasks[FEW], blocking_call call, int fd, uint64_t value)
{
	for (int i = 0; i < FEW; i++)
		task_start_blocked(&tasks[i], call, fd, value);
}

static uint64_t join_few(struct task tasks[FEW])
{
	uint64_t sum = 0;
	for (int i = 0; i < FEW; i++) {
		cr_assert_eq(task_join(&tasks[i]), 8);
		sum += tasks[i].value;
	}
	return sum;
}

static void blocked_read_wakes(blocking_call call, long success)
{
	int fd = efd_open(0, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		struct task t;
		task_start_blocked(&t, call, fd, 0);
		efd_add(fd, i << 32);
		cr_assert_eq(task_join(&t), success);
		cr_assert_eq(t.value, i << 32);
		efd_expect_empty(fd);
	}
	efd_close(fd);
}

Test(blocking, a_blocked_read_wakes_at_a_write)
{
	blocked_read_wakes(task_read, 8);
}

Test(blocking, a_blocked_readv_wakes_at_a_write)
{
	blocked_read_wakes(task_readv, 8);
}

Test(blocking, a_blocked_eventfd_read_wakes_at_a_write)
{
	blocked_read_wakes(task_eventfd_read, 0);
}

static void blocked_write_wakes(blocking_call call, long success)
{
	int fd = efd_open(0, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		struct task t;
		efd_add(fd, EFD_LIMIT);
		task_start_blocked(&t, call, fd, i << 32);
		efd_expect(fd, EFD_LIMIT);
		cr_assert_eq(task_join(&t), success);
		efd_expect(fd, i << 32);
	}
	efd_close(fd);
}

Test(blocking, a_blocked_write_wakes_at_a_read)
{
	blocked_write_wakes(task_write, 8);
}

Test(blocking, a_blocked_writev_wakes_at_a_read)
{
	blocked_write_wakes(task_writev, 8);
}

Test(blocking, a_blocked_eventfd_write_wakes_at_a_read)
{
	blocked_write_wakes(task_eventfd_write, 0);
}

Test(blocking, a_semaphore_read_wakes_at_a_write)
{
	struct task t;
	int fd = efd_open(0, EFD_SEMAPHORE);
	task_start_blocked(&t, task_read, fd, 0);
	efd_add(fd, 3);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 1);
	efd_expect(fd, 1);
	efd_expect(fd, 1);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(blocking, a_write_of_zero_wakes_nobody)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, task_read, fd, 0);
	for (int i = 0; i < 100; i++)
		efd_add(fd, 0);
	task_wait_asleep(&t);
	efd_add(fd, 2);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 2);
	efd_close(fd);
}

Test(blocking, a_refused_write_wakes_nobody)
{
	struct task t;
	int fd = efd_open(0, 0);
	uint64_t value = 1;
	task_start_blocked(&t, task_read, fd, 0);
	cr_assert_eq(efd_try_write(fd, UINT64_MAX), -EINVAL);
	cr_assert(write(fd, &value, 7) == -1 && errno == EINVAL);
	task_wait_asleep(&t);
	efd_add(fd, 2);
	cr_assert_eq(task_join(&t), 8);
	efd_close(fd);
}

Test(blocking, one_of_several_readers_takes_it_all_and_the_others_sleep_on)
{
	struct task tasks[FEW];
	int fd = efd_open(0, 0);
	start_few_blocked(tasks, task_read, fd, 0);
	for (int i = 0; i < FEW; i++) {
		efd_add(fd, 1ull << i);
		task_wait_done(tasks, FEW, i + 1);
	}
	cr_assert_eq(join_few(tasks), (1ull << FEW) - 1);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(blocking, one_write_serves_every_semaphore_reader)
{
	struct task tasks[FEW];
	int fd = efd_open(0, EFD_SEMAPHORE);
	start_few_blocked(tasks, task_read, fd, 0);
	efd_add(fd, FEW);
	cr_assert_eq(join_few(tasks), FEW);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(blocking, a_small_write_serves_as_many_semaphore_readers_as_it_counts)
{
	struct task tasks[FEW];
	int fd = efd_open(0, EFD_SEMAPHORE);
	start_few_blocked(tasks, task_read, fd, 0);
	efd_add(fd, 1);
	task_wait_done(tasks, FEW, 1);
	efd_add(fd, 2);
	task_wait_done(tasks, FEW, 3);
	efd_add(fd, 2);
	cr_assert_eq(join_few(tasks), FEW);
	efd_expect(fd, 1);
	efd_close(fd);
}

Test(blocking, one_read_lets_every_writer_go_that_fits)
{
	struct task tasks[FEW];
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	start_few_blocked(tasks, task_write, fd, 5);
	efd_expect(fd, EFD_LIMIT);
	join_few(tasks);
	efd_expect(fd, 5 * FEW);
	efd_close(fd);
}

Test(blocking, writers_too_large_to_fit_together_go_one_by_one)
{
	struct task tasks[FEW];
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	start_few_blocked(tasks, task_write, fd, EFD_LIMIT);
	for (int i = 1; i <= FEW; i++) {
		efd_expect(fd, EFD_LIMIT);
		task_wait_done(tasks, FEW, i);
	}
	join_few(tasks);
	efd_expect(fd, EFD_LIMIT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(blocking, a_writer_waits_until_its_whole_number_fits)
{
	struct task t;
	int fd = efd_open(0, EFD_SEMAPHORE);
	efd_add(fd, EFD_LIMIT);
	task_start_blocked(&t, task_write, fd, 3);
	efd_expect(fd, 1);
	task_wait_asleep(&t);
	efd_expect(fd, 1);
	task_wait_asleep(&t);
	efd_expect(fd, 1);
	cr_assert_eq(task_join(&t), 8);
	efd_close(fd);
}

Test(blocking, a_blocked_large_write_does_not_hold_up_a_small_one)
{
	struct task t;
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT - 1);
	task_start_blocked(&t, task_write, fd, 3);
	efd_add(fd, 1);
	task_wait_asleep(&t);
	efd_expect(fd, EFD_LIMIT);
	cr_assert_eq(task_join(&t), 8);
	efd_expect(fd, 3);
	efd_close(fd);
}

Test(blocking, a_closed_number_does_not_end_the_read_that_waits)
{
	struct task t;
	int fd = efd_open(0, 0), other = dup(fd);
	task_start_blocked(&t, task_read, fd, 0);
	efd_close(fd);
	task_wait_asleep(&t);
	efd_add(other, 9);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 9);
	efd_close(other);
}

Test(blocking, a_read_that_waits_stays_with_its_eventfd_when_the_number_is_reused)
{
	struct task t;
	int fd = efd_open(0, 0), other = dup(fd);
	task_start_blocked(&t, task_read, fd, 0);
	efd_close(fd);
	cr_assert_eq(efd_open(0, 0), fd);
	efd_add(fd, 4);
	task_wait_asleep(&t);
	efd_add(other, 9);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 9);
	efd_expect(fd, 4);
	efd_close(fd);
	efd_close(other);
}

struct pair_of_fds {
	int ping;
	int pong;
};

static void answer_pings(void *arg)
{
	struct pair_of_fds *p = arg;
	uint64_t value;
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		CHECK(read(p->ping, &value, 8) == 8);
		CHECK(value == i);
		CHECK(write(p->pong, &value, 8) == 8);
	}
}

static void *answer_pings_in_thread(void *arg)
{
	answer_pings(arg);
	return NULL;
}

static void ping(struct pair_of_fds *p)
{
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		uint64_t value;
		efd_add(p->ping, i);
		cr_assert_eq(efd_try_read(p->pong, &value), 8);
		cr_assert_eq(value, i);
	}
	efd_close(p->ping);
	efd_close(p->pong);
}

Test(blocking, two_threads_play_ping_pong)
{
	struct pair_of_fds p = {efd_open(0, 0), efd_open(0, 0)};
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, answer_pings_in_thread, &p), 0);
	ping(&p);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(blocking, two_processes_play_ping_pong)
{
	struct pair_of_fds p = {efd_open(0, 0), efd_open(0, 0)};
	pid_t pid = start_child(answer_pings, &p);
	ping(&p);
	end_child(pid);
}

static void child_reads_77(void *fd)
{
	uint64_t value;
	CHECK(read(*(int *)fd, &value, 8) == 8);
	CHECK(value == 77);
}

Test(blocking, a_process_blocked_in_read_wakes_at_another_ones_write)
{
	int fd = efd_open(0, 0);
	pid_t pid = start_child(child_reads_77, &fd);
	tk_wait_process_asleep(pid);
	efd_add(fd, 77);
	end_child(pid);
	efd_expect_empty(fd);
	efd_close(fd);
}

static void child_writes_77(void *fd)
{
	uint64_t value = 77;
	CHECK(write(*(int *)fd, &value, 8) == 8);
}

Test(blocking, a_process_blocked_in_write_wakes_at_another_ones_read)
{
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	pid_t pid = start_child(child_writes_77, &fd);
	tk_wait_process_asleep(pid);
	efd_expect(fd, EFD_LIMIT);
	end_child(pid);
	efd_expect(fd, 77);
	efd_close(fd);
}

Test(blocking, a_blocked_thread_wakes_at_a_childs_write)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, task_read, fd, 0);
	in_child(child_writes_77, &fd);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 77);
	efd_close(fd);
}

Test(blocking, a_reader_killed_while_it_waits_takes_nothing)
{
	struct task t;
	int status, fd = efd_open(0, 0);
	pid_t pid = start_child(child_reads_77, &fd);
	tk_wait_process_asleep(pid);
	task_start_blocked(&t, task_read, fd, 0);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	efd_add(fd, 6);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 6);
	efd_expect_empty(fd);
	efd_close(fd);
}
