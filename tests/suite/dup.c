/* dup, dup2 and dup3: one counter under several numbers. fcntl's share of it is in dup_fcntl.c. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(dup, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(dup2, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(dup3, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int dup_of(int fd)
{
	errno = ERRNO_CANARY;
	int copy = dup(fd);
	cr_assert_geq(copy, 0, "dup: %s", strerror(errno));
	cr_assert_eq(errno, ERRNO_CANARY);
	return copy;
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY);
	cr_assert_eq(close(fd), 0);
	return fd;
}

static void close_both(int a, int b)
{
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(dup, counts_through_either_number)
{
	int a = new_eventfd(0, 0), b = dup_of(a);
	add(a, 2);
	add(b, 3);
	assert_count(b, 5);
	assert_empty(a);
	add(b, 7);
	assert_count(a, 7);
	assert_empty(b);
	close_both(a, b);
}

Test(dup, returns_the_lowest_free_number)
{
	int a = new_eventfd(0, 0), gap = new_eventfd(0, 0), top = new_eventfd(0, 0);
	cr_assert_eq(close(gap), 0);
	int b = dup_of(a);
	cr_assert_eq(b, gap);
	close_both(a, b);
	cr_assert_eq(close(top), 0);
}

Test(dup, clears_close_on_exec)
{
	int a = new_eventfd(0, EFD_CLOEXEC), b = dup_of(a);
	cr_assert_eq(fcntl(a, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	close_both(a, b);
}

Test(dup, close_on_exec_is_each_numbers_own)
{
	int a = new_eventfd(0, 0), b = dup_of(a);
	cr_assert_eq(fcntl(b, F_SETFD, FD_CLOEXEC), 0);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	close_both(a, b);
}

Test(dup, shares_O_NONBLOCK_set_later)
{
	int a = new_eventfd(0, 0), b = dup_of(a);
	uint64_t value;
	cr_assert_eq(fcntl(b, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(fcntl(a, F_GETFL), O_RDWR | O_NONBLOCK);
	FAILS(read(a, &value, 8), EAGAIN);
	cr_assert_eq(fcntl(a, F_SETFL, 0), 0);
	cr_assert_eq(fcntl(b, F_GETFL), O_RDWR);
	close_both(a, b);
}

Test(dup, keeps_O_NONBLOCK_and_semaphore_mode)
{
	int a = new_eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE), b = dup_of(a);
	uint64_t value;
	cr_assert_eq(fcntl(b, F_GETFL), O_RDWR | O_NONBLOCK);
	assert_count(b, 1);
	assert_count(a, 1);
	FAILS(read(b, &value, 8), EAGAIN);
	close_both(a, b);
}

Test(dup, of_a_dup_outlives_those_before_it)
{
	int a = new_eventfd(3, 0), b = dup_of(a), c = dup_of(b);
	close_both(a, b);
	add(c, 4);
	assert_count(c, 7);
	cr_assert_eq(close(c), 0);
	assert_closed(c);
}

static const int close_orders[6][3] = {
	{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

ParameterizedTestParameters(dup, any_close_order_leaves_the_rest_alive)
{
	return cr_make_param_array(int[3], (void *)close_orders, 6);
}

ParameterizedTest(int order[3], dup, any_close_order_leaves_the_rest_alive)
{
	int fds[3] = {new_eventfd(0, 0)};
	fds[1] = dup_of(fds[0]);
	fds[2] = dup_of(fds[1]);
	cr_assert_eq(close(fds[order[0]]), 0);
	assert_closed(fds[order[0]]);
	add(fds[order[1]], 5);
	assert_count(fds[order[2]], 5);
	cr_assert_eq(close(fds[order[1]]), 0);
	add(fds[order[2]], 6);
	assert_count(fds[order[2]], 6);
	cr_assert_eq(close(fds[order[2]]), 0);
	assert_closed(fds[order[2]]);
}

Test(dup, of_a_closed_number_is_EBADF)
{
	int a = new_eventfd(0, 0);
	cr_assert_eq(close(a), 0);
	FAILS(dup(a), EBADF);
	FAILS(dup2(a, a), EBADF);
	FAILS(dup2(a, a + 1), EBADF);
	FAILS(dup3(a, a + 1, 0), EBADF);
}

Test(dup, beyond_the_limit_of_open_files_is_EMFILE)
{
	int a = new_eventfd(0, 0), top = lowest_free();
	struct rlimit old, low;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){(rlim_t)top, old.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	FAILS(dup(a), EMFILE);
	FAILS(dup2(a, top), EBADF);
	FAILS(dup3(a, top, 0), EBADF);
	FAILS(fcntl(a, F_DUPFD, 0), EMFILE);
	FAILS(fcntl(a, F_DUPFD, top), EINVAL);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_assert_eq(close(a), 0);
}

Test(dup, three_hundred_copies_are_one_counter)
{
	int fds[300] = {new_eventfd(0, 0)};
	for (int i = 1; i < 300; i++)
		fds[i] = dup_of(fds[i - 1]);
	for (int i = 0; i < 300; i++)
		add(fds[i], 1);
	assert_count(fds[299], 300);
	for (int i = 0; i < 300; i++)
		cr_assert_eq(close(fds[i]), 0);
}

Test(dup, of_a_closed_eventfds_successor_is_the_successor)
{
	int a = new_eventfd(1, 0), kept = dup_of(a);
	cr_assert_eq(close(a), 0);
	int next = new_eventfd(20, 0);
	cr_assert_eq(next, a);
	int copy = dup_of(next);
	assert_count(copy, 20);
	assert_count(kept, 1);
	close_both(next, copy);
	cr_assert_eq(close(kept), 0);
}

Test(dup2, onto_a_free_number)
{
	int a = new_eventfd(4, EFD_CLOEXEC), to = lowest_free() + 20;
	errno = ERRNO_CANARY;
	cr_assert_eq(dup2(a, to), to);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(fcntl(to, F_GETFD), 0);
	assert_count(to, 4);
	close_both(a, to);
}

Test(dup2, onto_itself_changes_nothing)
{
	int a = new_eventfd(4, EFD_CLOEXEC);
	cr_assert_eq(dup2(a, a), a);
	cr_assert_eq(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_count(a, 4);
	cr_assert_eq(close(a), 0);
}

Test(dup2, onto_another_eventfd_replaces_it)
{
	int a = new_eventfd(1, 0), b = new_eventfd(10, 0), old_b = dup_of(b);
	cr_assert_eq(dup2(a, b), b);
	add(b, 4);
	assert_count(a, 5);
	assert_count(old_b, 10);
	close_both(a, b);
	cr_assert_eq(close(old_b), 0);
}

Test(dup2, onto_its_own_copy_keeps_the_count)
{
	int a = new_eventfd(6, EFD_CLOEXEC), b = dup_of(a);
	cr_assert_eq(dup2(b, a), a);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	assert_count(a, 6);
	close_both(a, b);
}

Test(dup2, of_an_eventfd_onto_a_file)
{
	int a = new_eventfd(3, 0), file = open("/dev/null", O_RDWR);
	cr_assert_eq(dup2(a, file), file);
	add(file, 1);
	assert_count(a, 4);
	close_both(a, file);
}

Test(dup2, of_a_file_onto_an_eventfd_makes_it_the_file)
{
	int a = new_eventfd(3, 0), file = open("/dev/null", O_RDWR);
	uint64_t value = 1;
	cr_assert_eq(dup2(file, a), a);
	cr_assert_eq(read(a, &value, 8), 0);
	cr_assert_eq(write(a, &value, 3), 3);
	close_both(a, file);
}

Test(dup2, that_fails_leaves_both_as_they_were)
{
	int a = new_eventfd(3, 0), closed = lowest_free();
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	FAILS(dup2(closed, a), EBADF);
	FAILS(dup2(-1, a), EBADF);
	FAILS(dup2(a, -1), EBADF);
	FAILS(dup2(a, (int)limit.rlim_cur), EBADF);
	assert_count(a, 3);
	cr_assert_eq(close(a), 0);
}

static void *read_one(void *arg)
{
	int *fd_and_tid = arg;
	uint64_t value = 0;
	__atomic_store_n(&fd_and_tid[1], (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	cr_assert_eq(read(fd_and_tid[0], &value, 8), 8);
	return (void *)(uintptr_t)value;
}

static pthread_t start_reader(int fd_and_tid[2])
{
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, read_one, fd_and_tid), 0);
	while (!__atomic_load_n(&fd_and_tid[1], __ATOMIC_ACQUIRE))
		sched_yield();
	tk_wait_asleep(fd_and_tid[1]);
	return thread;
}

Test(dup2, leaves_a_blocked_reader_with_the_object_it_reads)
{
	int a = new_eventfd(0, 0), b = new_eventfd(0, 0), old_b = dup_of(b);
	int fd_and_tid[2] = {b, 0};
	pthread_t reader = start_reader(fd_and_tid);
	void *got;
	cr_assert_eq(dup2(a, b), b);
	add(b, 1);
	add(old_b, 9);
	cr_assert_eq(pthread_join(reader, &got), 0);
	cr_assert_eq((uintptr_t)got, 9);
	assert_count(a, 1);
	close_both(a, b);
	cr_assert_eq(close(old_b), 0);
}

Test(dup3, sets_close_on_exec_when_asked)
{
	int a = new_eventfd(4, 0), b = new_eventfd(0, 0);
	errno = ERRNO_CANARY;
	cr_assert_eq(dup3(a, b, O_CLOEXEC), b);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(a, F_GETFD), 0);
	assert_count(b, 4);
	close_both(a, b);
}

Test(dup3, clears_close_on_exec_when_not_asked)
{
	int a = new_eventfd(4, EFD_CLOEXEC), b = new_eventfd(0, EFD_CLOEXEC);
	cr_assert_eq(dup3(a, b, 0), b);
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	assert_count(b, 4);
	close_both(a, b);
}

Test(dup3, onto_itself_is_EINVAL)
{
	int a = new_eventfd(4, 0);
	FAILS(dup3(a, a, 0), EINVAL);
	FAILS(dup3(a, a, O_CLOEXEC), EINVAL);
	assert_count(a, 4);
	cr_assert_eq(close(a), 0);
}

Test(dup3, with_other_flags_is_EINVAL)
{
	int a = new_eventfd(4, 0), b = new_eventfd(5, 0);
	FAILS(dup3(a, b, O_NONBLOCK), EINVAL);
	FAILS(dup3(a, b, O_CLOEXEC | 1), EINVAL);
	FAILS(dup3(-1, b, O_NONBLOCK), EINVAL);
	assert_count(a, 4);
	assert_count(b, 5);
	close_both(a, b);
}

Test(dup3, with_bad_numbers_is_EBADF)
{
	int a = new_eventfd(4, 0);
	FAILS(dup3(a, -1, 0), EBADF);
	FAILS(dup3(-1, a, 0), EBADF);
	FAILS(dup3(-1, -1, 0), EINVAL);
	assert_count(a, 4);
	cr_assert_eq(close(a), 0);
}
