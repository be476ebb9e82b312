/* Loops on eventpolls, whose system calls eventcalls.sh counts, see fastcount.c.
 * Usage: eventcount LOOP ROUNDS. */
#include "prog.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { FIRST_MARK = -1001, LAST_MARK = -1002, OUT_MARK = -1003, IN_MARK = -1004 };
enum { MOST = 1000, SOME = 100, WARM_UP = 8 };

static int (*create)(int);
static int (*control)(int, int, int, unsigned);
static int (*wait_for)(int, const struct pollfd **, int);

static int set, fds[MOST], count = 1, rounds;

static void find(void)
{
	*(void **)&create = dlsym(RTLD_DEFAULT, "eventpoll_create");
	*(void **)&control = dlsym(RTLD_DEFAULT, "eventpoll_ctl");
	*(void **)&wait_for = dlsym(RTLD_DEFAULT, "eventpoll_wait");
	require(create && control && wait_for, "eventpoll");
}

static void open_all(void)
{
	set = create(MOST + 1);
	require(set >= 0, "eventpoll_create");
	for (int i = 0; i < count; i++) {
		fds[i] = prog_eventfd(0, EFD_NONBLOCK);
		require(!control(set, EPOLL_CTL_ADD, fds[i], POLLIN), "eventpoll_ctl");
	}
}

static void write_wait_read(int active)
{
	const struct pollfd *events;
	static int next;

	for (int i = 0; i < active; i++)
		prog_add(fds[next++ % count], 1);
	require(wait_for(set, &events, -1) == active, "eventpoll_wait");
	for (int i = 0; i < active; i++)
		require(prog_take(events[i].fd) == 1, "the count");
}

static void one(void)
{
	write_wait_read(1);
}

static void some(void)
{
	write_wait_read(SOME);
}

static void all(void)
{
	write_wait_read(MOST);
}

static void unread(void)
{
	const struct pollfd *events;

	prog_add(fds[0], 1);
	require(wait_for(set, &events, 1000) == 1, "eventpoll_wait");
}

static void modify(void)
{
	const struct pollfd *events;

	prog_add(fds[0], 1);
	require(!control(set, EPOLL_CTL_MOD, fds[0], POLLIN), "eventpoll_ctl");
	require(wait_for(set, &events, -1) == 1, "eventpoll_wait");
}

static void each_round(void (*round)(void))
{
	for (int i = 0; i < WARM_UP; i++)
		round();
	raw_close(FIRST_MARK);
	for (int i = 0; i < rounds; i++)
		round();
	raw_close(LAST_MARK);
}

/* A writer that keeps ahead of the loop: both are counted, but not where one has to wait for the
 * other. */
static atomic_int written, taken;

static void await(atomic_int *what, int least)
{
	if (atomic_load(what) >= least)
		return;
	raw_close(OUT_MARK);
	while (atomic_load(what) < least)
		sched_yield();
	raw_close(IN_MARK);
}

static void *write_on(void *unused)
{
	for (int i = 0; i < WARM_UP + rounds; i++) {
		await(&taken, i);
		prog_add(fds[0], 1);
		atomic_store(&written, i + 1);
	}
	raw_close(OUT_MARK);
	return unused;
}

static void take_from_thread(void)
{
	const struct pollfd *events;
	int before = atomic_load(&taken);

	await(&written, before + 1);
	require(wait_for(set, &events, -1) == 1, "eventpoll_wait");
	require(prog_take(fds[0]) == 1, "the count");
	atomic_store(&taken, before + 1);
}

static void between_threads(void)
{
	pthread_t thread;

	require(!pthread_create(&thread, NULL, write_on, NULL), "pthread_create");
	each_round(take_from_thread);
	require(!pthread_join(thread, NULL), "pthread_join");
}

static const struct {
	const char *name;
	int count;
	void (*round)(void);
} loops[] = {
	{"one", 1, one},
	{"one-of-many", MOST, one},
	{"some-of-many", MOST, some},
	{"all-of-many", MOST, all},
	{"unread", 1, unread},
	{"modify", 1, modify},
	{"threads", 1, NULL},
};

int main(int argc, char **argv)
{
	rounds = argc == 3 ? atoi(argv[2]) : 0;
	find();
	for (size_t i = 0; i < sizeof(loops) / sizeof(*loops); i++) {
		if (argc != 3 || strcmp(argv[1], loops[i].name))
			continue;
		count = loops[i].count;
		open_all();
		if (loops[i].round)
			each_round(loops[i].round);
		else
			between_threads();
		return 0;
	}
	prog_fail("usage: eventcount LOOP ROUNDS");
}
