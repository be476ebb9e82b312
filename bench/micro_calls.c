/* In one thread, which never has to sleep. */
#include "micro.h"

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

#include "clock.h"
#include "die.h"

enum { BATCH = 256, MANY = 1000 }; /* a pipe takes a batch; select takes so many */

static bool reads_bytes_or_counts(const struct channel_kind *kind)
{
	return kind->reading_waits;
}

static bool merges(const struct channel_kind *kind)
{
	return kind->merges;
}

static void empty(const struct channel_kind *kind, const struct channel *channel)
{
	for (int i = 0; i < (kind->merges ? 1 : BATCH); i++)
		channel_take(kind, channel);
}

/* In batches, as a pipe takes no more; what is not timed takes them away. */
static double writes(
	const struct channel_kind *kind, const struct channel *channel, long times, bool emptying)
{
	double spent = 0;
	long done = 0;

	for (; done < times; done += BATCH) {
		double start = now_ns();

		for (int i = 0; i < BATCH; i++)
			kind->give(channel);
		spent += now_ns() - start;
		if (emptying)
			empty(kind, channel);
	}
	return spent / (double)done;
}

static double cost_write(const struct channel_kind *kind, long times)
{
	struct channel channel;

	kind->make(&channel, false);
	double cost = writes(kind, &channel, times, true);

	channel_close(kind, &channel);
	return cost;
}

/* Each read of an eventfd takes one, as that of a pipe does. */
static double cost_read(const struct channel_kind *kind, long times)
{
	struct channel channel;
	double spent = 0;
	long done = 0;

	if (kind == &channel_eventfd)
		channel.in = channel.out = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
	else
		kind->make(&channel, false);
	for (; done < times; done += BATCH) {
		for (int i = 0; i < BATCH; i++)
			kind->give(&channel);
		double start = now_ns();

		for (int i = 0; i < BATCH; i++)
			channel_take(kind, &channel);
		spent += now_ns() - start;
	}
	channel_close(kind, &channel);
	return spent / (double)done;
}

static double cost_write_read(const struct channel_kind *kind, long times)
{
	struct channel channel;

	kind->make(&channel, false);
	double start = now_ns();

	for (long i = 0; i < times; i++) {
		kind->give(&channel);
		channel_take(kind, &channel);
	}
	double spent = now_ns() - start;

	channel_close(kind, &channel);
	return spent / (double)times;
}

static double cost_create_close(const struct channel_kind *kind, long times)
{
	struct channel channel;
	double start = now_ns();

	for (long i = 0; i < times; i++) {
		kind->make(&channel, false);
		channel_close(kind, &channel);
	}
	return (now_ns() - start) / (double)times;
}

static int watch(int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};
	int epfd = epoll_create1(0);

	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event))
		die(EXIT_CANNOT, "a watch");
	return epfd;
}

static void wait_for_one(int epfd)
{
	struct epoll_event event;

	if (epoll_wait(epfd, &event, 1, 0) != 1)
		die(EXIT_WRONG, "epoll_wait found nothing");
}

static double watched(const struct channel_kind *kind, long times, uint32_t events, bool reading)
{
	struct channel channel;

	kind->make(&channel, false);
	int epfd = watch(channel.in, events);
	double start = now_ns();

	for (long i = 0; i < times; i++) {
		kind->give(&channel);
		wait_for_one(epfd);
		if (reading)
			channel_take(kind, &channel);
	}
	double spent = now_ns() - start;

	close(epfd);
	channel_close(kind, &channel);
	return spent / (double)times;
}

static double cost_write_wait_read(const struct channel_kind *kind, long times)
{
	return watched(kind, times, EPOLLIN, true);
}

static double cost_edge(const struct channel_kind *kind, long times)
{
	return watched(kind, times, EPOLLIN | EPOLLET, false);
}

/* To one that is readable already, and is watched. */
static double cost_write_readable(const struct channel_kind *kind, long times)
{
	struct channel channel;

	kind->make(&channel, false);
	int epfd = watch(channel.in, EPOLLIN);

	kind->give(&channel);
	wait_for_one(epfd);
	double cost = writes(kind, &channel, times, !kind->merges);

	close(epfd);
	channel_close(kind, &channel);
	return cost;
}

/* Of so many, the last one is ready. */
static double polled(const struct channel_kind *kind, int count, long times)
{
	struct channel channels[MANY];
	struct pollfd fds[MANY];

	for (int i = 0; i < count; i++) {
		kind->make(&channels[i], false);
		fds[i] = (struct pollfd){.fd = channels[i].in, .events = POLLIN};
	}
	kind->give(&channels[count - 1]);
	double start = now_ns();

	for (long i = 0; i < times; i++) {
		if (poll(fds, (nfds_t)count, 0) != 1)
			die(EXIT_WRONG, "poll");
	}
	double spent = now_ns() - start;

	for (int i = 0; i < count; i++)
		channel_close(kind, &channels[i]);
	return spent / (double)times;
}

static double selected(const struct channel_kind *kind, int count, long times)
{
	struct timeval at_once = {0};
	struct channel channels[MANY];
	fd_set all, set;
	int highest = 0;

	FD_ZERO(&all);
	for (int i = 0; i < count; i++) {
		kind->make(&channels[i], false);
		highest = channels[i].in > highest ? channels[i].in : highest;
		if (highest >= FD_SETSIZE)
			return 0;
		FD_SET(channels[i].in, &all);
	}
	kind->give(&channels[count - 1]);
	double start = now_ns();

	for (long i = 0; i < times; i++) {
		set = all;
		if (select(highest + 1, &set, NULL, NULL, &at_once) != 1)
			die(EXIT_WRONG, "select");
	}
	double spent = now_ns() - start;

	for (int i = 0; i < count; i++)
		channel_close(kind, &channels[i]);
	return spent / (double)times;
}

static double cost_poll_1(const struct channel_kind *kind, long times)
{
	return polled(kind, 1, times);
}

static double cost_poll_16(const struct channel_kind *kind, long times)
{
	return polled(kind, 16, times);
}

static double cost_poll_1000(const struct channel_kind *kind, long times)
{
	return polled(kind, MANY, times);
}

static double cost_select_1(const struct channel_kind *kind, long times)
{
	return selected(kind, 1, times);
}

static double cost_select_16(const struct channel_kind *kind, long times)
{
	return selected(kind, 16, times);
}

static double cost_select_1000(const struct channel_kind *kind, long times)
{
	return selected(kind, MANY, times);
}

static bool one_number(const struct channel_kind *kind)
{
	return kind->fds == 1;
}

const struct cost micro_calls[] = {
	{"write", reads_bytes_or_counts, cost_write, 20000},
	{"read", reads_bytes_or_counts, cost_read, 20000},
	{"write-read", reads_bytes_or_counts, cost_write_read, 20000},
	{"create-close", NULL, cost_create_close, 2000},
	{"write-wait-read", NULL, cost_write_wait_read, 20000},
	{"write-readable", NULL, cost_write_readable, 20000},
	{"edge", merges, cost_edge, 20000},
	{"poll-1", NULL, cost_poll_1, 10000},
	{"poll-16", NULL, cost_poll_16, 5000},
	{"poll-1000", NULL, cost_poll_1000, 500},
	{"select-1", NULL, cost_select_1, 10000},
	{"select-16", NULL, cost_select_16, 5000},
	{"select-1000", one_number, cost_select_1000, 500},
	{0},
};
