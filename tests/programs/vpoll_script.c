/* A fixed row of changes to vpoll fds, and what everybody sees of each: for a program that uses
 * libvpoll's emulation there must be no difference between the kernel and the shim. */
#include "vpoll_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { FDS = 4, STEPS = 400, SHOWN = 8 };

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *one = a, *other = b;

	return (one->data.u64 > other->data.u64) - (one->data.u64 < other->data.u64);
}

/* Between eventfds and others the order is not kept. */
static void show_set(const char *name, int epfd)
{
	struct epoll_event events[SHOWN];
	int n = epoll_wait(epfd, events, SHOWN, 0);

	qsort(events, n > 0 ? (size_t)n : 0, sizeof(*events), by_data);

	printf(" %s", name);
	for (int i = 0; i < n; i++)
		printf(" %llx:%x", (unsigned long long)events[i].data.u64, events[i].events);
}

static void watch(int epfd, int fd, uint32_t mode, uint64_t data)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | mode, .data.u64 = data};

	printf(" %d", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
}

/* EPOLLHUP and EPOLLRDHUP end what an emulated fd can show. */
static uint32_t some_events(uint64_t *seed)
{
	static const uint32_t common[] = {
		EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLPRI, EPOLLERR};

	return common[random_next(seed) % 5];
}

int transcript(void)
{
	int level = epoll_create1(0), edges = epoll_create1(0), fds[FDS], counter = eventfd(0, 0);
	uint64_t seed = 20190531, value = 1;

	signal(SIGPIPE, SIG_IGN); /* the emulation writes to what it has shut down */
	for (int i = 0; i < FDS; i++) {
		fds[i] = vpoll_create(i & 1 ? EPOLLIN : EPOLLOUT, i & 2 ? FD_CLOEXEC : 0);
		printf("fd %d, flags %x %x", fds[i], fcntl(fds[i], F_GETFD),
			fcntl(fds[i], F_GETFL));
		watch(level, fds[i], 0, UINT64_C(0x1234567800000000) + (unsigned)i);
		watch(edges, fds[i], EPOLLET, UINT64_C(0xfedcba9800000000) + (unsigned)i);
		printf("\n");
	}
	printf("the counter");
	watch(level, counter, 0, 99);
	watch(edges, counter, EPOLLET, 99);
	for (int i = 0; i < STEPS; i++) {
		int at = (int)(random_next(&seed) % FDS), op = 1 + (int)(random_next(&seed) % 3);
		uint32_t events = i == STEPS - 10   ? EPOLLHUP
				  : i == STEPS - 20 ? EPOLLRDHUP
						    : some_events(&seed);

		printf("\n%d %x of %d: %d", op, events, at, vpoll_ctl(fds[at], op, events));
		printf(" poll %x", polled(fds[at], 0x27df));
		printf(" select %d", selected(fds[at], SEES_READ | SEES_WRITE | SEES_EXCEPT));
		if (i % 7 == 0)
			printf(" count %d", (int)write(counter, &value, sizeof(value)));
		if (i % 21 == 0)
			printf(" counted %d", (int)read(counter, &value, sizeof(value)));
		show_set("level", level);
		show_set("edges", edges);
	}
	for (int i = 0; i < FDS; i++)
		printf("\nclose %d", vpoll_close(fds[i]));
	printf(" %d", vpoll_close(fds[0]));
	printf(" %d", errno == EBADF);
	show_set("level", level);
	printf("\n");
	return 0;
}
