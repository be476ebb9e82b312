/* A thread that comes to a set at an awkward moment: beside a vfork, as the second one while an
 * event is under way, with a limit that is hardly one. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_arrival, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, SHOT = 7, OVER = 8, MEETINGS = 1500, VAIN = 30 };

/* The child of a vfork: it says that it is there, and runs until it is told to end. The thread that
 * made it waits for that. */
struct child {
	int there[2], end[2];
	pthread_t parent;
};

static void *run_child(void *arg)
{
	const struct child *child = arg;
	pid_t pid = vfork();
	if (!pid) {
		char byte = 0;
		_exit(write(child->there[1], &byte, 1) != 1 || read(child->end[0], &byte, 1) != 1);
	}
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	return NULL;
}

static void child_begins(struct child *child)
{
	char byte;
	cr_assert_eq(pipe(child->there), 0);
	cr_assert_eq(pipe(child->end), 0);
	pthread_create(&child->parent, NULL, run_child, child);
	cr_assert_eq(read(child->there[0], &byte, 1), 1);
}

static void child_ends(struct child *child)
{
	cr_assert_eq(write(child->end[1], "", 1), 1);
	pthread_join(child->parent, NULL);
	for (int i = 0; i < 2; i++) {
		close(child->there[i]);
		close(child->end[i]);
	}
}

Test(fast_arrival, asleep_since_a_vfork)
{
	for (int watched = 0; watched < 2; watched++) {
		int first = eventfd_at(0), fd = eventfd_at(0), set = epoll_create1(0);
		struct waited wait = {.set = set};
		struct waiter waiter;
		struct child child;
		if (watched)
			set_ctl(set, EPOLL_CTL_ADD, first, IN, 1);
		child_begins(&child);
		waiter_start(&waiter, call_epoll_wait, &wait);
		child_ends(&child);
		set_ctl(set, EPOLL_CTL_ADD, fd, IN, 2);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&waiter), 1);
		cr_assert_eq(wait.events[0].data.u64, 2);
		close(first);
		close(fd);
		close(set);
	}
}

/* A loop sleeps, a second thread looks once, and meanwhile the shot is fired. */
struct meeting {
	pthread_barrier_t all;
	_Atomic int set, told, rounds;
};

static void wait_once(struct meeting *m, int ms, struct epoll_event *event)
{
	int n = epoll_wait(m->set, event, 1, ms);
	m->told += n == 1 && event->data.u64 == SHOT;
}

static void *loop(void *arg)
{
	struct meeting *m = arg;
	for (int i = 0; i < MEETINGS; i++) {
		struct epoll_event event = {.data.u64 = SHOT};
		pthread_barrier_wait(&m->all);
		while (event.data.u64 != OVER)
			wait_once(m, -1, &event);
		pthread_barrier_wait(&m->all);
	}
	return NULL;
}

static void *visitor(void *arg)
{
	struct meeting *m = arg;
	for (int i = 0; i < MEETINGS; i++) {
		struct epoll_event event;
		pthread_barrier_wait(&m->all);
		for (volatile int n = i * 7 % 600; n; n--)
			;
		wait_once(m, 0, &event);
		m->rounds++;
		pthread_barrier_wait(&m->all);
	}
	return NULL;
}

static void meet(struct meeting *m, int round)
{
	int fd = eventfd_at(0), over = eventfd_at(0), set = epoll_create1(0);
	m->set = set;
	m->told = 0;
	set_ctl(set, EPOLL_CTL_ADD, fd, IN | EPOLLONESHOT, SHOT);
	set_ctl(set, EPOLL_CTL_ADD, over, IN, OVER);
	pthread_barrier_wait(&m->all);
	for (volatile int n = round * 13 % 1500; n; n--)
		;
	add_count(fd, 1);
	while (!m->told || m->rounds <= round)
		sched_yield();
	add_count(over, 1);
	pthread_barrier_wait(&m->all);
	cr_assert_eq(m->told, 1, "round %d: told %d times", round, m->told);
	close(fd);
	close(over);
	close(set);
}

Test(fast_arrival, one_shot_is_for_one_of_two)
{
	static struct meeting m;
	pthread_t threads[2];
	pthread_barrier_init(&m.all, NULL, 3);
	pthread_create(&threads[0], NULL, loop, &m);
	pthread_create(&threads[1], NULL, visitor, &m);
	for (int i = 0; i < MEETINGS; i++)
		meet(&m, i);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&m.all);
}

static long wait_for_ages(void *arg)
{
	static const struct timespec ages = {LONG_MAX, 0};
	struct waited *wait = arg;
	return epoll_pwait2(wait->set, wait->events, 8, &ages, NULL);
}

/* Woken for what is gone by then, it sleeps again. */
Test(fast_arrival, a_limit_without_end)
{
	int fd = eventfd_at(0), set = set_watching(fd, IN, 0);
	for (int i = 0; i < VAIN; i++) {
		struct waited wait = {.set = set};
		struct waiter waiter;
		waiter_start(&waiter, wait_for_ages, &wait);
		add_count(fd, 1);
		take_count(fd);
		if (!waiter.done)
			waiter_sleeps(&waiter);
		add_count(fd, 1);
		cr_assert_eq(waiter_result(&waiter), 1);
		take_count(fd);
	}
	close(fd);
	close(set);
}
