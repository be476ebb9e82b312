#include "loop.h"

#include <poll.h>

#include "die.h"

static _Thread_local struct pollfd *polled;
static _Thread_local int count_polled;

static void poll_open(const int *fds, int count, bool edges)
{
	(void)edges;
	count_polled = count;
	polled = calloc((size_t)count, sizeof(*polled));
	if (!polled)
		die(EXIT_CANNOT, "calloc");
	for (int i = 0; i < count; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

static int poll_take(int *ready, int timeout)
{
	int left = poll(polled, (nfds_t)count_polled, timeout), n = 0;

	if (left < 0)
		die(EXIT_WRONG, "poll");
	for (int i = 0; n < left; i++) {
		if (polled[i].revents)
			ready[n++] = i;
	}
	return n;
}

static void poll_end(void)
{
	free(polled);
}

const struct loop loop_poll = {
	.name = "poll", .open = poll_open, .wait = poll_take, .close = poll_end};
