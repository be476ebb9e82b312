/* A number that another thread's dup2 replaces over and over is open all the time. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

TestSuite(dup_race, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { ROUNDS = 20000 };

struct replacer {
	int from, to;
	atomic_bool stop;
	atomic_long failed, done;
	pthread_t thread;
};

static void *replace_over_and_over(void *arg)
{
	struct replacer *r = arg;
	while (!atomic_load(&r->stop)) {
		if (dup2(r->from, r->to) != r->to)
			atomic_fetch_add(&r->failed, 1);
		atomic_fetch_add(&r->done, 1);
	}
	return NULL;
}

static void start(struct replacer *r)
{
	cr_assert_eq(pthread_create(&r->thread, NULL, replace_over_and_over, r), 0);
	while (!atomic_load(&r->done))
		sched_yield();
}

static void stop(struct replacer *r)
{
	atomic_store(&r->stop, true);
	cr_assert_eq(pthread_join(r->thread, NULL), 0);
	cr_expect_eq(atomic_load(&r->failed), 0, "dup2 failed %ld times", r->failed);
}

static long failures_of(int fd, int (*call)(int))
{
	long failed = 0;
	for (int i = 0; i < ROUNDS; i++)
		failed += call(fd) < 0;
	return failed;
}

static int dup_and_close(int fd)
{
	int copy = dup(fd);
	return copy < 0 ? -1 : close(copy);
}

static int get_flags(int fd)
{
	return fcntl(fd, F_GETFD);
}

static int clear_flags(int fd)
{
	return ioctl(fd, FIONCLEX);
}

static void never_fails(int from, int to, int (*call)(int))
{
	struct replacer r = {.from = from, .to = to};
	start(&r);
	long failed = failures_of(to, call);
	stop(&r);
	cr_expect_eq(failed, 0, "%ld of %d failed", failed, ROUNDS);
}

Test(dup_race, calls_on_a_number_that_becomes_another_eventfd)
{
	int a = new_eventfd(1, 0), b = new_eventfd(1, 0);
	never_fails(b, a, dup_and_close);
	never_fails(b, a, get_flags);
	never_fails(b, a, clear_flags);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

static int a_file;

static int make_it_a_file(int fd)
{
	return dup2(a_file, fd);
}

Test(dup_race, a_number_that_is_now_a_file_and_now_an_eventfd)
{
	int a = new_eventfd(1, 0), b = new_eventfd(3, 0);
	a_file = open("/dev/null", O_RDWR);
	never_fails(b, a, make_it_a_file);
	struct replacer file = {.from = a_file, .to = a}, event = {.from = b, .to = a};
	start(&file);
	start(&event);
	long failed = failures_of(a, dup_and_close);
	stop(&file);
	stop(&event);
	cr_expect_eq(failed, 0, "%ld of %d failed", failed, ROUNDS);
	assert_count(b, 3);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
	cr_assert_eq(close(a_file), 0);
}

static int the_other;

static int onto_the_other(int fd)
{
	return dup2(fd, the_other);
}

/* One of the two has won once and for all by the end: both numbers are the same eventfd. */
Test(dup_race, dup2_crosswise)
{
	int a = new_eventfd(0, EFD_NONBLOCK), b = new_eventfd(0, EFD_NONBLOCK);
	the_other = b;
	never_fails(b, a, onto_the_other);
	add(a, 5);
	assert_count(b, 5);
	assert_empty(a);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}

Test(dup_race, dup2_in_a_ring)
{
	int fds[3];
	for (int i = 0; i < 3; i++)
		fds[i] = new_eventfd(0, EFD_NONBLOCK);
	struct replacer first = {.from = fds[0], .to = fds[1]};
	struct replacer second = {.from = fds[1], .to = fds[2]};
	start(&first);
	the_other = fds[0];
	never_fails(fds[1], fds[2], get_flags);
	start(&second);
	long failed = failures_of(fds[2], onto_the_other);
	stop(&second);
	stop(&first);
	cr_expect_eq(failed, 0, "%ld of %d failed", failed, ROUNDS);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(close(fds[i]), 0);
}
