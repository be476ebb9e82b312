/* Loops on fast watches, whose system calls fastcalls.sh counts: those between close(-1001) and
 * close(-1002), without what a thread does from close(-1003) to close(-1004).
 * Usage: fastcount LOOP ROUNDS. */
#include "prog.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_MARK = -1001, LAST_MARK = -1002, OUT_MARK = -1003, IN_MARK = -1004 };
enum { MANY = 16, WARM_UP = 8, ASLEEP = 3 };

static int fd, epfd, pipe_ends[2], many[MANY], rounds;
static uint32_t interest;

static void mark(int number)
{
	raw_close(number);
}

static void watch(int what, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = what};

	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, what, &event), "epoll_ctl");
}

static void open_watched(uint32_t events)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	require(epfd >= 0, "epoll_create1");
	interest = events;
	watch(fd, events);
}

static void by_level(void)
{
	open_watched(EPOLLIN);
}

static void by_level_of_both(void)
{
	open_watched(EPOLLIN | EPOLLOUT);
}

static void by_edge(void)
{
	open_watched(EPOLLIN | EPOLLET);
}

static void once(void)
{
	open_watched(EPOLLIN | EPOLLONESHOT);
}

static void once_by_edge(void)
{
	open_watched(EPOLLIN | EPOLLET | EPOLLONESHOT);
}

static void with_a_pipe(void)
{
	by_level();
	require(!pipe(pipe_ends), "pipe");
	watch(pipe_ends[0], EPOLLIN);
}

static void in_two_sets(void)
{
	by_edge();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	interest = EPOLLIN;
	watch(fd, interest);
}

static void open_many(void)
{
	by_level();
	for (int i = 0; i < MANY; i++) {
		many[i] = prog_eventfd(0, EFD_NONBLOCK);
		watch(many[i], EPOLLIN);
	}
}

static void expect(int timeout, int n)
{
	struct epoll_event event;
	int got = epoll_wait(epfd, &event, 1, timeout);

	require(got == n, "epoll_wait");
	require(!n || (event.data.fd == fd && event.events & EPOLLIN), "the event");
}

static void arm(void)
{
	struct epoll_event event = {.events = interest, .data.fd = fd};

	if (interest & EPOLLONESHOT)
		require(!epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), "EPOLL_CTL_MOD");
}

static void write_wait_read(int round)
{
	prog_add(fd, 1);
	expect(round % 2 ? -1 : 1000, 1);
	require(prog_take(fd) == 1, "the count");
	arm();
}

static void write_wait(int round)
{
	(void)round;
	prog_add(fd, 1);
	expect(-1, 1);
	arm();
}

/* A level that stays. */
static void wait_only(int round)
{
	if (round <= 1)
		prog_add(fd, 1);
	expect(-1, 1);
}

static void quiet(int round)
{
	(void)round;
	expect(0, 0);
}

static void modify(int round)
{
	struct epoll_event event = {.events = EPOLLIN | (round % 2 ? 0u : EPOLLET)};

	require(!epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), "EPOLL_CTL_MOD");
}

static void all_of_many(int round)
{
	struct epoll_event events[MANY];

	(void)round;
	for (int i = 0; i < MANY; i++)
		prog_add(many[i], 1);
	require(epoll_wait(epfd, events, MANY, -1) == MANY, "the events");
	for (int i = 0; i < MANY; i++)
		require(prog_take(events[i].data.fd) == 1, "the count");
}

static void each_round(void (*run)(int round))
{
	for (int i = 1; i <= WARM_UP; i++)
		run(i);
	mark(FIRST_MARK);
	for (int i = WARM_UP + 1; i <= WARM_UP + rounds; i++)
		run(i);
	mark(LAST_MARK);
}

/* Who writes from another thread, and how far the loop is. */
static atomic_int loop_tid, rounds_begun;

static void until_loop_sleeps(void)
{
	char path[64], line[256];
	int seen = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", loop_tid);
	while (seen < ASLEEP) {
		int stat = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(stat, line, sizeof(line) - 1);

		close(stat);
		line[n > 0 ? n : 0] = 0;
		const char *end = strrchr(line, ')');
		seen = end && end[1] && end[2] == 'S' ? seen + 1 : 0;
		sched_yield();
	}
}

/* One write for each round of the loop, once it sleeps. */
static void *wake(void *unused)
{
	mark(OUT_MARK);
	for (int i = 1; i <= WARM_UP + rounds; i++) {
		while (rounds_begun < i)
			sched_yield();
		until_loop_sleeps();
		mark(IN_MARK);
		prog_add(fd, 1);
		mark(OUT_MARK);
	}
	return unused;
}

static void woken(int round)
{
	rounds_begun = round;
	expect(-1, 1);
	require(prog_take(fd) == 1, "the count");
}

static void sleep_and_wake(void)
{
	pthread_t thread;

	loop_tid = gettid();
	require(!pthread_create(&thread, NULL, wake, NULL), "pthread_create");
	each_round(woken);
	require(!pthread_join(thread, NULL), "pthread_join");
}

/* A loop that never sleeps: what the writer makes is counted, and nothing of the loop. */
static atomic_int taken;

static void add_one(int round)
{
	prog_add(fd, 1);
	mark(OUT_MARK);
	while (taken < round)
		sched_yield();
	mark(IN_MARK);
}

static void *write_on(void *unused)
{
	each_round(add_one);
	return unused;
}

static void spin(void)
{
	struct epoll_event event;
	pthread_t thread;

	mark(OUT_MARK);
	require(!pthread_create(&thread, NULL, write_on, NULL), "pthread_create");
	while (taken < WARM_UP + rounds)
		if (epoll_wait(epfd, &event, 1, 0) == 1)
			taken += (int)prog_take(fd);
	require(!pthread_join(thread, NULL), "pthread_join");
}

/* A child that shared the set and is gone. */
static void after_a_fork(void)
{
	int status;

	by_level();
	for (int i = 0; i < WARM_UP; i++)
		write_wait_read(i);
	pid_t child = fork();
	if (!child)
		raw_syscall3(SYS_exit_group, 0, 0, 0);
	require(waitpid(child, &status, 0) == child && !status, "the child");
}

static const struct {
	const char *name;
	void (*before)(void);
	void (*round)(int round);
	void (*all)(void);
} loops[] = {
	{"level", by_level, write_wait_read, NULL},
	{"both", by_level_of_both, write_wait_read, NULL},
	{"edge", by_edge, write_wait_read, NULL},
	{"once", once, write_wait_read, NULL},
	{"once-edge", once_by_edge, write_wait_read, NULL},
	{"two-sets", in_two_sets, write_wait_read, NULL},
	{"unread", by_edge, write_wait, NULL},
	{"unread-once", once, write_wait, NULL},
	{"stays", by_level, wait_only, NULL},
	{"quiet", by_level, quiet, NULL},
	{"modify", by_level, modify, NULL},
	{"many", open_many, all_of_many, NULL},
	{"pipe", with_a_pipe, write_wait_read, NULL},
	{"pipe-quiet", with_a_pipe, quiet, NULL},
	{"forked", after_a_fork, write_wait_read, NULL},
	{"asleep", by_level, NULL, sleep_and_wake},
	{"asleep-edge", by_edge, NULL, sleep_and_wake},
	{"asleep-pipe", with_a_pipe, NULL, sleep_and_wake},
	{"busy", by_level, NULL, spin},
	{"busy-edge", by_edge, NULL, spin},
};

int main(int argc, char **argv)
{
	rounds = argc == 3 ? atoi(argv[2]) : 0;
	for (size_t i = 0; i < sizeof(loops) / sizeof(*loops); i++) {
		if (argc != 3 || strcmp(argv[1], loops[i].name))
			continue;
		loops[i].before();
		if (loops[i].round)
			each_round(loops[i].round);
		else
			loops[i].all();
		return 0;
	}
	prog_fail("usage: fastcount LOOP ROUNDS");
}
