/* Writers, one loop, and a thread that does at random what ends fast watches: all that is written
 * is read, every edge is told, and nobody sleeps on. A lost wake-up hangs the test. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fast_stress, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { IN = EPOLLIN, FDS = 4, WRITERS = 3, WRITES = 600, ROUNDS = 60, ROOM = 3 };
enum { TOTAL = WRITERS * WRITES, BELL = FDS };
#define ET ((uint32_t)EPOLLET)
#define ONCE ((uint32_t)EPOLLONESHOT)

struct run {
	uint32_t interest;
	int fd[FDS], set;
	int bell; /* rung by each thread that ends */
	unsigned seed;
	unsigned burst; /* writes before a writer waits for the loop */
	unsigned odd;	/* what the poker does is done in two ways */
	_Atomic uint64_t written, taken;
	_Atomic uint64_t extra; /* what the poker writes */
	atomic_int running;
	atomic_int wrong;
};

static unsigned below(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % n;
}

static void put(struct run *r, int fd)
{
	uint64_t one = 1;
	r->wrong += write(fd, &one, sizeof(one)) != 8;
}

static void *ends(struct run *r)
{
	r->running--;
	put(r, r->bell);
	return NULL;
}

/* Writers run ahead of the loop by some writes at most, so that it sleeps and wakes. */
static void *writer(void *arg)
{
	struct run *r = arg;
	unsigned seed = r->seed + (unsigned)(uintptr_t)&seed;
	for (unsigned i = 1; i <= WRITES; i++) {
		uint64_t mine = ++r->written;
		put(r, r->fd[below(&seed, FDS)]);
		while (i % r->burst == 0 && r->taken < mine)
			sched_yield();
	}
	return ends(r);
}

/* The poker may have been quicker. */
static void hear_bell(struct run *r)
{
	eventfd_t value;
	eventfd_read(r->bell, &value);
}

static void take(struct run *r, uint64_t which)
{
	uint64_t value;
	bool all = r->interest & ET;
	do {
		ssize_t n = read(r->fd[which], &value, sizeof(value));
		if (n != 8)
			break;
		r->taken += value;
	} while (all);
	struct epoll_event event = {.events = r->interest, .data.u64 = which};
	if (r->interest & ONCE)
		r->wrong += epoll_ctl(r->set, EPOLL_CTL_MOD, r->fd[which], &event) != 0;
}

static void one_wait(struct run *r, int set, int limit)
{
	struct epoll_event events[ROOM];
	int n = epoll_wait(set, events, ROOM, limit);
	r->wrong += n < 0 && errno != EINTR;
	for (int i = 0; i < n; i++) {
		r->wrong += events[i].data.u64 > FDS || !(events[i].events & IN);
		if (events[i].data.u64 == BELL)
			hear_bell(r);
		else
			take(r, events[i].data.u64 % FDS);
	}
}

/* What ends fast watches. */
static void forks(struct run *r)
{
	int status = -1;
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	r->wrong += waitpid(pid, &status, 0) != pid || status;
}

static void child_writes(struct run *r)
{
	uint64_t one = 1;
	int status = -1;
	r->extra++;
	pid_t pid = fork();
	if (!pid)
		_exit(write(r->fd[1], &one, sizeof(one)) != 8);
	r->wrong += waitpid(pid, &status, 0) != pid || status;
}

static void second_waiter(struct run *r)
{
	one_wait(r, r->set, r->odd);
}

static void polls(struct run *r)
{
	struct pollfd p = {r->set, POLLIN, 0};
	r->wrong += poll(&p, 1, (int)(r->odd)) < 0;
}

static void nests(struct run *r)
{
	struct epoll_event event = {.events = r->odd ? IN : IN | ET};
	int outer = epoll_create1(EPOLL_CLOEXEC);
	r->wrong += epoll_ctl(outer, EPOLL_CTL_ADD, r->set, &event) != 0;
	r->wrong += epoll_wait(outer, &event, 1, (int)(r->odd)) < 0;
	close(outer);
}

static void duplicates(struct run *r)
{
	int set = dup(r->set), fd = dup(r->fd[0]);
	r->extra++;
	put(r, fd);
	one_wait(r, set, 0);
	close(set);
	close(fd);
}

static void watches_more(struct run *r)
{
	struct epoll_event event = {.events = r->odd ? IN : IN | EPOLLEXCLUSIVE};
	int more[2];
	for (int i = 0; i < 2; i++) {
		more[i] = epoll_create1(EPOLL_CLOEXEC);
		for (int k = 0; k < FDS; k++)
			r->wrong += epoll_ctl(more[i], EPOLL_CTL_ADD, r->fd[k], &event) != 0;
	}
	for (int i = 0; i < 2; i++)
		close(more[i]);
}

static void sends(struct run *r)
{
	struct rights got;
	int sock[2];
	r->wrong += socketpair(AF_UNIX, SOCK_STREAM, 0, sock) != 0;
	r->wrong += rights_try_send(
			    rights_senders[0], sock[0], "x", 1, r->odd ? r->fd : &r->set, 1) != 1;
	r->wrong += rights_try_receive(rights_receivers[0], sock[1], 0, &got) != 1;
	close(got.fds[0]);
	close(sock[0]);
	close(sock[1]);
}

static void (*const pokes[])(struct run *r) = {
	forks, child_writes, second_waiter, polls, nests, duplicates, watches_more, sends};

/* One poke or more, the first in the middle of the run. */
static void *poker(void *arg)
{
	struct run *r = arg;
	unsigned seed = r->seed, when = below(&seed, TOTAL);
	while (r->taken < when)
		sched_yield();
	for (unsigned i = 1 + below(&seed, 3); i; i--) {
		r->odd = below(&seed, 2);
		pokes[below(&seed, ARRAY_LEN(pokes))](r);
		for (unsigned k = below(&seed, 20); k; k--)
			sched_yield();
	}
	return ends(r);
}

static void open_run(struct run *r, uint32_t interest, unsigned seed)
{
	static const unsigned bursts[] = {1, 2, 10, 100};
	*r = (struct run){.interest = interest, .seed = seed, .burst = bursts[seed % 4]};
	r->set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < FDS; i++) {
		r->fd[i] = eventfd_at(0);
		set_ctl(r->set, EPOLL_CTL_ADD, r->fd[i], interest, (uint64_t)i);
	}
	r->bell = eventfd_at(0);
	set_ctl(r->set, EPOLL_CTL_ADD, r->bell, IN, BELL);
}

static void close_run(struct run *r)
{
	cr_assert_eq(r->wrong, 0, "seed %u", r->seed);
	for (int i = 0; i < FDS; i++)
		close(r->fd[i]);
	close(r->bell);
	close(r->set);
}

static void start(pthread_t *thread, void *(*run)(void *), struct run *r)
{
	cr_assert_eq(pthread_create(thread, NULL, run, r), 0);
}

static void sum_is_kept(uint32_t interest, unsigned seed, bool poked)
{
	struct run r;
	pthread_t thread[WRITERS + 1];
	open_run(&r, interest, seed);
	r.running = WRITERS + poked;
	for (int i = 0; i < WRITERS + poked; i++)
		start(&thread[i], i < WRITERS ? writer : poker, &r);
	while (r.running || r.taken < TOTAL + r.extra)
		one_wait(&r, r.set, -1);
	for (int i = 0; i < WRITERS + poked; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	cr_assert_eq(r.taken, TOTAL + r.extra);
	close_run(&r);
}

static void sums_are_kept(uint32_t interest, bool poked)
{
	for (unsigned seed = 0; seed < ROUNDS; seed++)
		sum_is_kept(interest, seed, poked);
}

Test(fast_stress, by_level)
{
	sums_are_kept(IN, false);
}

Test(fast_stress, by_edge)
{
	sums_are_kept(IN | ET, false);
}

Test(fast_stress, by_one_shot)
{
	sums_are_kept(IN | ONCE, false);
	sums_are_kept(IN | ET | ONCE, false);
}

Test(fast_stress, by_level_disturbed)
{
	sums_are_kept(IN, true);
}

Test(fast_stress, by_edge_disturbed)
{
	sums_are_kept(IN | ET, true);
}

Test(fast_stress, by_one_shot_disturbed)
{
	sums_are_kept(IN | ONCE, true);
	sums_are_kept(IN | ET | ONCE, true);
}

/* Never read: each write waits until it was told, so there are as many events as writes. */
static void (*const harmless[])(struct run *r) = {forks, polls, nests, watches_more, sends};

static void *write_and_wait(void *arg)
{
	struct run *r = arg;
	for (unsigned i = 0; i < WRITES; i++) {
		put(r, r->fd[i % FDS]);
		r->written++;
		while (r->taken < r->written)
			sched_yield();
	}
	return ends(r);
}

static void *disturber(void *arg)
{
	struct run *r = arg;
	unsigned seed = r->seed, when = below(&seed, WRITES);
	while (r->taken < when)
		sched_yield();
	for (unsigned i = 1 + below(&seed, 3); i; i--) {
		r->odd = below(&seed, 2);
		harmless[below(&seed, ARRAY_LEN(harmless))](r);
	}
	return ends(r);
}

static void edges_are_told(unsigned seed)
{
	struct run r;
	pthread_t thread[2];
	open_run(&r, IN | ET, seed);
	r.running = 2;
	start(&thread[0], write_and_wait, &r);
	start(&thread[1], disturber, &r);
	while (r.running) {
		struct epoll_event events[ROOM];
		int n = epoll_wait(r.set, events, ROOM, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == BELL)
				hear_bell(&r);
			else
				r.taken++;
		}
	}
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	cr_assert_eq(r.taken, WRITES, "seed %u: %d events", seed, (int)r.taken);
	close_run(&r);
}

Test(fast_stress, every_edge_is_told_once)
{
	for (unsigned seed = 0; seed < 2 * ROUNDS; seed++)
		edges_are_told(seed);
}
