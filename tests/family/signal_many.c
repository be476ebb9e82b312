/* Many signal at once: threads and children; every count arrives, and none more. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "signalkit.h"
#include "testkit.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(signal_many, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

#ifdef __SANITIZE_ADDRESS__
enum { ROUNDS = 5000 };
#else
enum { ROUNDS = 50000 };
#endif
enum { THREADS = 8, CHILDREN = 4 };

struct crowd {
	int fd;
	struct efd_file *file;
	_Atomic uint64_t added;
	atomic_int next, running;
	bool big;
};

static void *signal_often(void *arg)
{
	struct crowd *c = arg;
	uint64_t seed = (uint64_t)atomic_fetch_add(&c->next, 1) + 99, sum = 0;
	for (int i = 0; i < ROUNDS; i++) {
		int n = c->big ? INT_MAX - (int)mask_below(&seed, 9) : (int)mask_below(&seed, 9);
		int added = eventfd_signal(c->file, n);
		if (added < 0 || added > n || (!c->big && added != n))
			abort();
		sum += (uint64_t)added;
	}
	atomic_fetch_add(&c->added, sum);
	atomic_fetch_sub(&c->running, 1);
	return NULL;
}

static void start(struct crowd *c, pthread_t thread[THREADS])
{
	atomic_store(&c->running, THREADS);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, signal_often, c), 0);
}

static void join(pthread_t thread[THREADS])
{
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
}

Test(signal_many, eight_threads_sum_exactly)
{
	struct crowd c = {.fd = eventfd_at(0)};
	pthread_t thread[THREADS];
	c.file = signal_get(c.fd);
	start(&c, thread);
	join(thread);
	cr_assert_eq(take_count(c.fd), atomic_load(&c.added));
	signal_put(c.file);
	close(c.fd);
}

Test(signal_many, eight_threads_and_a_reader)
{
	struct crowd c = {.fd = eventfd_at(0)};
	int set = set_watching(c.fd, EPOLLIN | EPOLLET, 1);
	uint64_t sum = 0, value;
	pthread_t thread[THREADS];
	struct epoll_event event;
	c.file = signal_get(c.fd);
	start(&c, thread);
	while (atomic_load(&c.running)) {
		epoll_wait(set, &event, 1, 10);
		if (read(c.fd, &value, sizeof(value)) == sizeof(value))
			sum += value;
	}
	join(thread);
	if (read(c.fd, &value, sizeof(value)) == sizeof(value))
		sum += value;
	cr_assert_eq(sum, atomic_load(&c.added));
	signal_put(c.file);
	close(set);
	close(c.fd);
}

/* One signal, one wake: each is waited for before the next, so nothing but it can end the wait. */
Test(signal_many, turn_and_turn_about)
{
	enum { TURNS = 2000 };
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN | EPOLLET, 1);
	int back = eventfd(0, 0);
	pid_t pid = fork();
	struct efd_file *file = signal_get(pid ? fd : back);
	if (pid == 0) {
		struct epoll_event event;
		uint64_t value;
		for (int i = 0; i < TURNS; i++) {
			if (epoll_wait(set, &event, 1, 10000) != 1 || read(fd, &value, 8) != 8)
				_exit(1);
			if (eventfd_signal(file, 1) != 1)
				_exit(2);
		}
		_exit(0);
	}
	for (int i = 0; i < TURNS; i++) {
		signal_add(file, 1);
		struct pollfd p = {back, POLLIN, 0};
		cr_assert_eq(poll(&p, 1, 10000), 1);
		cr_assert_eq(take_count(back), 1);
	}
	cr_assert_eq(child_reap(pid), 0);
	signal_put(file);
	close(back);
	close(set);
	close(fd);
}

/* Near the top: what was added and what was there before is UINT64_MAX exactly. */
Test(signal_many, eight_threads_fill_it_exactly)
{
	uint64_t room = (uint64_t)INT_MAX * ROUNDS * (THREADS / 2);
	struct crowd c = {.fd = eventfd_at(COUNT_FULL - room), .big = true};
	pthread_t thread[THREADS];
	c.file = signal_get(c.fd);
	start(&c, thread);
	join(thread);
	cr_assert_eq(atomic_load(&c.added), room);
	cr_assert_eq(poll_now(c.fd, 0), POLLERR);
	cr_assert_eq(take_count(c.fd), COUNT_FULL);
	signal_put(c.file);
	close(c.fd);
}

static int signal_in_child(void *arg)
{
	struct efd_file *file = arg;
	for (int i = 0; i < ROUNDS; i++)
		if (eventfd_signal(file, 2) != 2)
			return 1;
	efd_fput(file);
	return 0;
}

Test(signal_many, children_sum_exactly)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	pid_t pid[CHILDREN];
	for (int i = 0; i < CHILDREN; i++)
		pid[i] = child_start(signal_in_child, file);
	for (int i = 0; i < ROUNDS; i++)
		signal_add(file, 1);
	for (int i = 0; i < CHILDREN; i++)
		cr_assert_eq(child_reap(pid[i]), 0);
	cr_assert_eq(take_count(fd), (uint64_t)ROUNDS * (2 * CHILDREN + 1));
	signal_put(file);
	close(fd);
}

static void *get_and_put(void *arg)
{
	struct crowd *c = arg;
	for (int i = 0; i < ROUNDS / 10; i++) {
		struct efd_file *file = eventfd_fget(c->fd);
		if (!file || eventfd_signal(file, 1) != 1)
			abort();
		efd_fput(file);
	}
	return NULL;
}

Test(signal_many, threads_that_take_and_put_references)
{
	struct crowd c = {.fd = eventfd_at(0)};
	pthread_t thread[THREADS];
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, get_and_put, &c), 0);
	join(thread);
	cr_assert_eq(take_count(c.fd), THREADS * (ROUNDS / 10));
	close(c.fd);
}

/* One thread closes and makes eventfds anew, the other signals references to them. */
static void *make_and_close(void *arg)
{
	atomic_bool *over = arg;
	while (!atomic_load(over)) {
		int fd = eventfd_at(1);
		if (take_count(fd) != 1)
			abort();
		close(fd);
	}
	return NULL;
}

Test(signal_many, signals_to_what_was_closed_reach_nobody_else)
{
	atomic_bool over = false;
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, make_and_close, &over), 0);
	for (int i = 0; i < ROUNDS / 10; i++) {
		int fd = eventfd_at(0);
		struct efd_file *file = signal_get(fd);
		close(fd);
		signal_add(file, 1);
		signal_add(file, 1);
		signal_put(file);
	}
	atomic_store(&over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}
