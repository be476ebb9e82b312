/* Scenes: what the child does with counters and watches. */
#include "crash.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

void play_nothing(struct journal *journal)
{
	(void)journal;
}

void play_create(struct journal *journal)
{
	(void)journal;
	stage_eventfd(0, 0);
	stage_eventfd(5, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
}

void play_create_close(struct journal *journal)
{
	(void)journal;
	for (int i = 0; i < 3; i++) {
		int fd = stage_eventfd(1, EFD_NONBLOCK);

		stage_add(fd, 4);
		stage_take(fd, 5);
		stage_close(fd);
	}
}

void play_count(struct journal *journal)
{
	stage_write(journal, THREE, 4);
	stage_read(journal, THREE);
	stage_read(journal, THREE);
	stage_write(journal, EMPTY, 6);
	stage_write(journal, EMPTY, 1);
	stage_read(journal, EMPTY);
	stage_read(journal, EMPTY);
	stage_write(journal, EMPTY, 2);
}

static int watching(int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};
	int set = epoll_create1(EPOLL_CLOEXEC);

	stage_need(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "EPOLL_CTL_ADD");
	return set;
}

static void expect(int set, uint32_t events)
{
	struct epoll_event event = {0};
	int ready = epoll_wait(set, &event, 1, 0);

	stage_need(ready == (events != 0) && event.events == events, "epoll_wait");
}

static void play_set(struct journal *journal, enum shared which, uint32_t flags)
{
	int set = watching(journal->object[which].fd, EPOLLIN | flags);

	expect(set, journal->object[which].now ? EPOLLIN : 0);
	stage_write(journal, which, 6);
	expect(set, EPOLLIN);
	stage_write(journal, which, 1);
	expect(set, EPOLLIN);
	stage_read(journal, which);
	stage_read(journal, which);
	expect(set, 0);
	stage_write(journal, which, 2);
	stage_close(set);
}

void play_level(struct journal *journal)
{
	play_set(journal, EMPTY, 0);
	play_set(journal, THREE, 0);
}

void play_edge(struct journal *journal)
{
	play_set(journal, EMPTY, EPOLLET);
	play_set(journal, THREE, EPOLLET);
}

void play_limit(struct journal *journal)
{
	int out = watching(journal->object[FULL].fd, EPOLLOUT);
	int both = watching(journal->object[FULL].fd, EPOLLIN | EPOLLOUT | EPOLLET);

	expect(out, 0);
	expect(both, EPOLLIN);
	stage_read(journal, FULL);
	expect(out, EPOLLOUT);
	expect(both, EPOLLOUT);
	stage_write(journal, FULL, COUNT_LIMIT);
	expect(out, 0);
	expect(both, EPOLLIN);
	stage_read(journal, FULL);
	stage_write(journal, FULL, 7);
	stage_close(out);
	stage_close(both);
}

void play_semaphore(struct journal *journal)
{
	for (int i = 0; i < 4; i++)
		stage_read(journal, SEMA);
	stage_write(journal, SEMA, 2);
	stage_read(journal, SEMA);
}

/* Waits that sleep in the kernel until their time is over. */
void play_poll(struct journal *journal)
{
	int fd = journal->object[EMPTY].fd;
	struct pollfd ask[2] = {{.fd = fd, .events = POLLIN | POLLPRI}, {.fd = -1}};
	struct timeval soon = {0, 1000};
	fd_set readable;

	ask[1] = (struct pollfd){.fd = journal->object[FULL].fd, .events = POLLOUT};
	stage_need(poll(ask, 2, 1) == 0, "poll of nothing ready");
	FD_ZERO(&readable);
	FD_SET(fd, &readable);
	stage_need(select(fd + 1, &readable, NULL, NULL, &soon) == 0, "select of nothing ready");
	stage_write(journal, EMPTY, 6);
	stage_need(poll(ask, 2, -1) == 1 && ask[0].revents == POLLIN, "poll");
	stage_read(journal, EMPTY);
	stage_need(poll(ask, 2, 0) == 0, "poll of nothing ready any more");
}

/* The survivor writes once this one sleeps. */
void play_read_asleep(struct journal *journal)
{
	uint64_t value = 0;

	journal->ready = 1;
	stage_need(read(journal->object[SLEEP].fd, &value, sizeof(value)) == sizeof(value) &&
			   value == 5,
		"a read that slept");
	journal->object[SLEEP].now = 0;
}

/* The survivor sleeps already. */
void play_wake(struct journal *journal)
{
	stage_write(journal, SLEEP, 5);
	stage_write(journal, SLEEP, 5);
}
