#include "loop.h"

#include <stdint.h>
#include <sys/epoll.h>

#include "die.h"

static _Thread_local int epfd, most;
static _Thread_local struct epoll_event *events;

static void epoll_open(const int *fds, int count, bool edges)
{
	struct epoll_event event = {.events = EPOLLIN | (edges ? EPOLLET : 0U)};

	epfd = epoll_create1(0);
	most = count;
	events = calloc((size_t)count, sizeof(*events));
	if (epfd < 0 || !events)
		die(EXIT_CANNOT, "epoll_create1");
	for (int i = 0; i < count; i++) {
		event.data.u32 = (uint32_t)i;
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event))
			die(EXIT_CANNOT, "epoll_ctl");
	}
}

static int epoll_take(int *ready, int timeout)
{
	int n = epoll_wait(epfd, events, most, timeout);

	if (n < 0)
		die(EXIT_WRONG, "epoll_wait");
	for (int i = 0; i < n; i++)
		ready[i] = (int)events[i].data.u32;
	return n;
}

static void epoll_end(void)
{
	close(epfd);
	free(events);
}

const struct loop loop_epoll = {
	.name = "epoll", .open = epoll_open, .wait = epoll_take, .close = epoll_end};
