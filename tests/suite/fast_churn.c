/* Watches that are made, modified and removed by other threads while a loop runs and while others
 * write: the loop is told nothing that is not there, and loses nothing that stays. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_churn, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { IN = EPOLLIN, THREADS = 2, CHURNS = 1500, ROOM = 4 };
#define STAYS UINT64_MAX

static const uint32_t interests[] = {IN, IN | EPOLLET, IN | EPOLLONESHOT};

struct churn {
	int set, stays;
	void (*once)(struct churn *, unsigned i, unsigned who);
	atomic_uint running, wrong;
	_Atomic uint64_t written, taken;
};

struct churner {
	struct churn *churn;
	unsigned who;
};

static void put(struct churn *c, int fd)
{
	uint64_t one = 1;
	c->wrong += write(fd, &one, sizeof(one)) != 8;
}

/* Between its own doings each waits until the loop saw a write to the eventfd that stays. */
static void *churns(void *arg)
{
	struct churner *me = arg;
	struct churn *c = me->churn;
	for (unsigned i = 0; i < CHURNS; i++) {
		c->once(c, i, me->who);
		if (i % 8)
			continue;
		uint64_t mine = ++c->written;
		put(c, c->stays);
		while (c->taken < mine)
			sched_yield();
	}
	c->running--;
	put(c, c->stays);
	return NULL;
}

static void loop(struct churn *c)
{
	struct epoll_event events[ROOM];
	while (c->running) {
		int n = epoll_wait(c->set, events, ROOM, -1);
		c->wrong += n < 1;
		for (int i = 0; i < n; i++) {
			eventfd_t value;
			c->wrong += !(events[i].events & IN) ||
				    (events[i].data.u64 >> 32 && events[i].data.u64 != STAYS);
			if (events[i].data.u64 == STAYS && !eventfd_read(c->stays, &value))
				c->taken += value;
		}
	}
}

static void run(void (*once)(struct churn *, unsigned i, unsigned who), uint32_t interest)
{
	struct churn c = {.once = once, .stays = eventfd_at(0), .running = THREADS};
	struct churner who[THREADS];
	pthread_t thread[THREADS];
	struct epoll_event events[ROOM];
	c.set = set_watching(c.stays, interest, STAYS);
	for (unsigned i = 0; i < THREADS; i++) {
		who[i] = (struct churner){&c, i};
		cr_assert_eq(pthread_create(&thread[i], NULL, churns, &who[i]), 0);
	}
	loop(&c);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	cr_assert_eq(c.wrong, 0);
	close(c.stays);
	cr_assert_eq(epoll_wait(c.set, events, ROOM, 0), 0, "something is left");
	close(c.set);
}

static long control(struct churn *c, int op, int fd, uint32_t interest, uint64_t data)
{
	struct epoll_event event = {.events = interest, .data.u64 = data};
	return epoll_ctl(c->set, op, fd, &event);
}

/* Made, watched, written, perhaps removed, closed. */
static void comes_and_goes(struct churn *c, unsigned i, unsigned who)
{
	uint32_t interest = interests[(i + who) % 3];
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->wrong += control(c, EPOLL_CTL_ADD, fd, interest, i) != 0;
	put(c, fd);
	if (i % 3 == 0)
		c->wrong += control(c, EPOLL_CTL_MOD, fd, interest, i) != 0;
	if (i % 4 == 0)
		c->wrong += control(c, EPOLL_CTL_DEL, fd, 0, 0) != 0;
	c->wrong += close(fd) != 0;
}

Test(fast_churn, eventfds_come_and_go)
{
	run(comes_and_goes, IN);
	run(comes_and_goes, IN | EPOLLET);
}

/* A watch is removed: once DEL has returned its writes are told no more. */
static void removed(struct churn *c, unsigned i, unsigned who)
{
	static __thread int fd = -1;
	(void)who;
	if (fd < 0)
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->wrong += control(c, EPOLL_CTL_ADD, fd, interests[i % 3], i) != 0;
	put(c, fd);
	c->wrong += control(c, EPOLL_CTL_DEL, fd, 0, 0) != 0;
	put(c, fd);
	c->wrong += control(c, EPOLL_CTL_MOD, fd, IN, 1ull << 40) != -1 || errno != ENOENT;
	if (i == CHURNS - 1)
		close(fd);
}

Test(fast_churn, a_watch_comes_and_goes)
{
	run(removed, IN);
	run(removed, IN | EPOLLET);
}

/* Sets of their own, which share the eventfd that stays: one watch more of it, for a while. */
static void in_another_set(struct churn *c, unsigned i, unsigned who)
{
	struct epoll_event event = {.events = interests[(i + who) % 3]};
	int set = epoll_create1(EPOLL_CLOEXEC);
	c->wrong += epoll_ctl(set, EPOLL_CTL_ADD, c->stays, &event) != 0;
	c->wrong += epoll_wait(set, &event, 1, 0) < 0;
	if (i % 2)
		c->wrong += epoll_ctl(set, EPOLL_CTL_DEL, c->stays, &event) != 0;
	c->wrong += close(set) != 0;
}

Test(fast_churn, other_sets_come_and_go)
{
	run(in_another_set, IN);
	run(in_another_set, IN | EPOLLET);
}

/* The data is changed all the time: an event has one or the other, whole. */
static void data_changes(struct churn *c, unsigned i, unsigned who)
{
	static atomic_int fd[THREADS];
	uint32_t interest = interests[i % 2];
	if (i == 0) {
		fd[who] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		c->wrong += control(c, EPOLL_CTL_ADD, fd[who], interest, 1) != 0;
	}
	put(c, fd[who]);
	c->wrong += control(c, EPOLL_CTL_MOD, fd[who], interest, i % 2 ? 1 : UINT32_MAX) != 0;
	if (i == CHURNS - 1)
		close(fd[who]);
}

Test(fast_churn, the_data_changes)
{
	run(data_changes, IN);
	run(data_changes, IN | EPOLLET);
}

/* Sets that were slept in leave nothing open. */
static int open_fds(void)
{
	int n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void sleep_in_new_set(int i)
{
	struct epoll_event event;
	int fd = eventfd_at(0), set = set_watching(fd, interests[i % 3], 1);
	cr_assert_eq(epoll_wait(set, &event, 1, 1), 0);
	add_count(fd, 1);
	cr_assert_eq(epoll_wait(set, &event, 1, -1), 1);
	if (i % 2) {
		close(set);
		close(fd);
	} else {
		close(fd);
		close(set);
	}
}

Test(fast_churn, sets_that_were_slept_in_leave_nothing_open)
{
	sleep_in_new_set(0);
	int before = open_fds();
	for (int i = 0; i < 300; i++)
		sleep_in_new_set(i);
	cr_assert_leq(open_fds(), before + 8);
}
