/* A thread sleeps on a vpoll fd in each way there is; events it does not wait for come and go;
 * the one it waits for wakes it. */
#include "vpoll_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOST_MS = 20000 };

struct sleeper {
	int fd;
	uint32_t interest;
	uint32_t (*wait)(const struct sleeper *);
	uint32_t mode; /* of an epoll watch */
	_Atomic int tid;
	uint32_t got;
};

static uint32_t by_poll(const struct sleeper *sleeper)
{
	struct pollfd entry = {.fd = sleeper->fd, .events = (short)sleeper->interest};

	poll(&entry, 1, LOST_MS);
	return (uint16_t)entry.revents;
}

static uint32_t by_ppoll(const struct sleeper *sleeper)
{
	struct pollfd entry = {.fd = sleeper->fd, .events = (short)sleeper->interest};
	struct timespec lost = {LOST_MS / 1000, 0};

	ppoll(&entry, 1, &lost, NULL);
	return (uint16_t)entry.revents;
}

/* The set that the interest belongs to. */
static uint32_t select_set(uint32_t interest)
{
	if (interest & SELECT_READ)
		return SELECT_READ;
	return interest & SELECT_WRITE ? SELECT_WRITE : interest & SELECT_EXCEPT;
}

static uint32_t by_select_or_pselect(const struct sleeper *sleeper, bool pselected)
{
	struct timespec lost = {LOST_MS / 1000, 0};
	struct timeval lost_too = {LOST_MS / 1000, 0};
	uint32_t which = select_set(sleeper->interest);
	fd_set seen, *sets[3] = {NULL, NULL, NULL};
	int n;

	FD_ZERO(&seen);
	FD_SET(sleeper->fd, &seen);
	sets[which == SELECT_READ ? 0 : which == SELECT_WRITE ? 1 : 2] = &seen;
	if (pselected)
		n = pselect(sleeper->fd + 1, sets[0], sets[1], sets[2], &lost, NULL);
	else
		n = select(sleeper->fd + 1, sets[0], sets[1], sets[2], &lost_too);
	return n == 1 && FD_ISSET(sleeper->fd, &seen) ? sleeper->interest : 0;
}

static uint32_t by_select(const struct sleeper *sleeper)
{
	return by_select_or_pselect(sleeper, false);
}

static uint32_t by_pselect(const struct sleeper *sleeper)
{
	return by_select_or_pselect(sleeper, true);
}

static uint32_t by_epoll(const struct sleeper *sleeper)
{
	struct epoll_event event = {.events = sleeper->interest | sleeper->mode};
	int epfd = epoll_create1(0);

	epoll_ctl(epfd, EPOLL_CTL_ADD, sleeper->fd, &event);
	if (epoll_wait(epfd, &event, 1, LOST_MS) != 1)
		event.events = 0;
	close(epfd);
	return event.events;
}

static void *sleep_on(void *arg)
{
	struct sleeper *sleeper = arg;

	sleeper->tid = (int)syscall(SYS_gettid);
	sleeper->got = sleeper->wait(sleeper);
	return NULL;
}

static bool sleeps(int tid)
{
	char name[64], text[256] = "";
	const char *state;
	int stat;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	stat = open(name, O_RDONLY);
	if (stat < 0 || read(stat, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(stat);
	state = strrchr(text, ')');
	return !state || state[2] == 'S'; /* or it has gone, which its result will tell */
}

/* Twice in a row: it may have slept for a lock. */
static void until_asleep(const struct sleeper *sleeper)
{
	for (int seen = 0, tries = 0; seen < 2 && tries < 100000; tries++) {
		seen = sleeper->tid && sleeps(sleeper->tid) ? seen + 1 : 0;
		sched_yield();
	}
}

static void one_case(const char *name, uint32_t bit, struct sleeper sleeper)
{
	uint32_t seen =
		sleeper.wait == by_select || sleeper.wait == by_pselect ? select_set(bit) : bit;
	uint32_t noise = 0;
	pthread_t thread;

	for (int i = 0; i < BITS; i++)
		noise |= bits[i] & ~(seen | EPOLLERR | EPOLLHUP);
	sleeper.fd = make_fd(noise & EPOLLOUT);
	sleeper.interest = bit;
	pthread_create(&thread, NULL, sleep_on, &sleeper);
	until_asleep(&sleeper);
	vpoll_ctl(sleeper.fd, VPOLL_CTL_SETEVENTS, noise);
	until_asleep(&sleeper);
	vpoll_ctl(sleeper.fd, VPOLL_CTL_DELEVENTS, EPOLLIN | EPOLLPRI);
	until_asleep(&sleeper);
	vpoll_ctl(sleeper.fd, VPOLL_CTL_ADDEVENTS, bit);
	pthread_join(thread, NULL);
	check(sleeper.got == bit, "%s sleeps until %x: %x", name, bit, sleeper.got);
	vpoll_close(sleeper.fd);
}

void wait_cases(void)
{
	for (int i = 0; i < BITS; i++) {
		uint32_t bit = bits[i];

		one_case("poll", bit, (struct sleeper){.wait = by_poll});
		one_case("ppoll", bit, (struct sleeper){.wait = by_ppoll});
		one_case("epoll", bit, (struct sleeper){.wait = by_epoll});
		one_case("epoll, edges", bit, (struct sleeper){.wait = by_epoll, .mode = EPOLLET});
		one_case("epoll, once", bit,
			(struct sleeper){.wait = by_epoll, .mode = EPOLLONESHOT});
		if (!select_set(bit)) /* EPOLLRDHUP is in no set of select's */
			continue;
		one_case("select", bit, (struct sleeper){.wait = by_select});
		one_case("pselect", bit, (struct sleeper){.wait = by_pselect});
	}
}
