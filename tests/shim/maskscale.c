/* One mask eventfd that is active, among many in its epoll set. Usage:
 * maskscale calls COUNT BITS [et]: the system calls of 100 events, among COUNT that wait for BITS
 * maskscale time FEW MANY BITS [et]: ns for an event among FEW and among MANY, taken in turns:
 * medians, and the second as a percentage of the first */
#include "callcount.h"
#include "prog.h"

#include <efdshim/eventfd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 100, TURNS = 41, PER_TURN = 500 };

static uint32_t interest, flags;

struct group {
	int set, active;
	uint64_t index;
	long ns[TURNS];
};

static void raise_limit(void)
{
	struct rlimit limit;

	require(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	require(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

/* The active one is in the middle. */
static struct group make(int count)
{
	struct group g = {.set = epoll_create1(EPOLL_CLOEXEC), .index = (uint64_t)count / 2};

	require(g.set >= 0, "epoll_create1");
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = interest | flags, .data.u64 = (uint64_t)i};
		int fd = eventfd(0, EFD_MASK | EFD_CLOEXEC);

		require(fd >= 0, "eventfd");
		require(!epoll_ctl(g.set, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
		if (i == count / 2)
			g.active = fd;
	}
	return g;
}

static void put(int fd, uint32_t events)
{
	struct efd_mask mask = {events, events};

	require(write(fd, &mask, sizeof(mask)) == sizeof(mask), "write");
}

/* It comes, is told, goes, and is told no more. */
static void one_event(const struct group *g)
{
	struct epoll_event event;

	put(g->active, interest);
	require(epoll_wait(g->set, &event, 1, 0) == 1, "no event");
	require(event.events == interest && event.data.u64 == g->index, "another event");
	put(g->active, 0);
	require(epoll_wait(g->set, &event, 1, 0) == 0, "an event too many");
}

static void calls_in_child(int count)
{
	struct group g = make(count);

	one_event(&g);
	callcount_begin();
	callcount_mark();
	for (int i = 0; i < EVENTS; i++)
		one_event(&g);
	callcount_mark();
	exit(0);
}

static void calls(int count)
{
	long made[CALLCOUNT_MOST] = {0};
	pid_t pid = fork();

	require(pid >= 0, "fork");
	if (!pid)
		calls_in_child(count);
	if (callcount_follow(pid, made) < 0)
		exit(77);
	printf("%ld\n", made[0]);
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void take_turn(struct group *g, int turn)
{
	long before = now();

	for (int i = 0; i < PER_TURN; i++)
		one_event(g);
	g->ns[turn] = (now() - before) / PER_TURN;
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long median(struct group *g)
{
	qsort(g->ns, TURNS, sizeof(*g->ns), by_size);
	return g->ns[TURNS / 2];
}

static void compare(int few, int many)
{
	struct group a = make(few), b = make(many);

	for (int turn = 0; turn < TURNS; turn++) {
		take_turn(&a, turn);
		take_turn(&b, turn);
	}
	long first = median(&a), second = median(&b);
	printf("%ld %ld %ld\n", first, second, second * 100 / first);
}

int main(int argc, char **argv)
{
	bool timed = argc > 1 && !strcmp(argv[1], "time");

	if (argc < 4 + timed)
		prog_fail("usage: maskscale calls COUNT BITS [et] | time FEW MANY BITS [et]");
	interest = (uint32_t)atoi(argv[3 + timed]);
	flags = argc > 4 + timed ? EPOLLET : 0;
	raise_limit();
	if (timed)
		compare(atoi(argv[2]), atoi(argv[3]));
	else
		calls(atoi(argv[2]));
	return 0;
}
