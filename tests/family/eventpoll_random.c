/* An eventpoll and an epoll set with EPOLLET on the same fds: eventfds, pipes, socketpairs, timers,
 * used at random. Where each is used once between two looks both tell the same; where they are used
 * more often an eventpoll may tell besides what was true in between. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <efdshim/eventfd.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

TestSuite(eventpoll_random, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { CHANNELS = 24, FDS = 1024, UNWATCHED = -1 };

enum kind { COUNTER, SEMAPHORE, PIPE, SOCKETS, TIMER, KINDS };

/* One or two fds that have to do with each other. */
struct channel {
	enum kind kind;
	int fd[2];	 /* -1: closed, or none */
	int interest[2]; /* UNWATCHED */
	struct efd_file *file;
};

struct world {
	int poller, set;
	uint64_t seed;
	struct channel channel[CHANNELS];
	unsigned between[FDS]; /* what was true after some step since the last look */
};

static unsigned below(struct world *w, unsigned limit)
{
	return mask_below(&w->seed, limit);
}

static void both_ctl(struct world *w, int op, int fd, int interest)
{
	struct epoll_event event = {
		.events = (uint32_t)interest | EPOLLET, .data.u64 = (uint64_t)fd};
	long theirs = answer_of(epoll_ctl(w->set, op, fd, &event));
	long ours = poller_try(w->poller, op, fd, (unsigned)interest);
	if (theirs || ours)
		cr_assert_fail("op %d of fd %d: %ld and %ld", op, fd, theirs, ours);
}

static int any_interest(struct world *w)
{
	static const int interests[] = {POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI,
		POLLIN | POLLPRI, 0, POLLIN | POLLOUT, POLLIN};
	return interests[below(w, ARRAY_LEN(interests))];
}

static void watch(struct world *w, struct channel *c, int end)
{
	if (c->fd[end] < 0)
		return;
	bool was = c->interest[end] != UNWATCHED;
	c->interest[end] = any_interest(w);
	both_ctl(w, was ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd[end], c->interest[end]);
}

static void unwatch(struct world *w, struct channel *c, int end)
{
	if (c->fd[end] < 0 || c->interest[end] == UNWATCHED)
		return;
	both_ctl(w, EPOLL_CTL_DEL, c->fd[end], 0);
	c->interest[end] = UNWATCHED;
	w->between[c->fd[end]] = 0;
}

static void close_end(struct world *w, struct channel *c, int end)
{
	if (c->fd[end] < 0)
		return;
	if (c->file)
		efd_fput(c->file);
	c->file = NULL;
	close(c->fd[end]);
	w->between[c->fd[end]] = 0;
	c->fd[end] = -1;
	c->interest[end] = UNWATCHED;
}

static void open_channel(struct world *w, struct channel *c)
{
	*c = (struct channel){.kind = (enum kind)below(w, KINDS),
		.fd = {-1, -1},
		.interest = {UNWATCHED, UNWATCHED}};
	if (c->kind == PIPE)
		cr_assert(pipe2(c->fd, O_NONBLOCK) == 0);
	else if (c->kind == SOCKETS)
		cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, c->fd) == 0);
	else if (c->kind == TIMER)
		c->fd[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	else
		c->fd[0] = eventfd(
			below(w, 2), EFD_NONBLOCK | (c->kind == SEMAPHORE ? EFD_SEMAPHORE : 0));
	cr_assert(c->fd[0] >= 0 && c->fd[0] < FDS && c->fd[1] < FDS);
	if (c->kind <= SEMAPHORE && below(w, 2))
		c->file = eventfd_fget(c->fd[0]);
	watch(w, c, 0);
	watch(w, c, 1);
}

/* The answers do not matter: some calls find no room, or nothing. */
static void try_write(int fd, const void *from, size_t size)
{
	if (fd >= 0 && write(fd, from, size) < 0)
		return;
}

static void put(struct world *w, struct channel *c)
{
	static const char bytes[70000];
	uint64_t n = below(w, 10) ? below(w, 4) : COUNT_LIMIT;
	struct itimerspec now = {.it_value = {0, 1}};
	size_t size = below(w, 8) ? 1 + below(w, 100) : sizeof(bytes);
	if (c->kind == PIPE) {
		try_write(c->fd[1], bytes, size);
	} else if (c->kind == SOCKETS) {
		try_write(c->fd[below(w, 2)], bytes, size);
	} else if (c->kind == TIMER) {
		struct pollfd p = {c->fd[0], POLLIN, 0};
		timerfd_settime(c->fd[0], 0, &now, NULL);
		cr_assert(poll(&p, 1, 10000) == 1);
	} else if (c->file && below(w, 2)) {
		eventfd_signal(c->file, (int)below(w, 4));
	} else {
		try_write(c->fd[0], &n, sizeof(n));
	}
}

static void take(struct world *w, struct channel *c)
{
	static char bytes[300000];
	int fd = c->fd[c->kind == SOCKETS ? below(w, 2) : 0];
	size_t size = c->kind == PIPE || c->kind == SOCKETS
			      ? (below(w, 3) ? sizeof(bytes) : 1 + below(w, 50))
			      : 8;
	if (fd >= 0 && read(fd, bytes, size) < 0)
		return;
}

static void remember(struct world *w, const struct channel *c)
{
	for (int end = 0; end < 2; end++) {
		if (c->fd[end] >= 0 && c->interest[end] != UNWATCHED)
			w->between[c->fd[end]] |= poll_now(c->fd[end], (short)c->interest[end]);
	}
}

static void use(struct world *w, struct channel *c)
{
	unsigned what = below(w, 100);
	if (what < 45)
		put(w, c);
	else if (what < 80)
		take(w, c);
	else if (what < 90)
		watch(w, c, (int)below(w, 2));
	else if (what < 94)
		unwatch(w, c, (int)below(w, 2));
	else if (what < 97 && c->fd[1] >= 0)
		close_end(w, c, (int)below(w, 2));
	else {
		close_end(w, c, 0);
		close_end(w, c, 1);
		open_channel(w, c);
	}
	remember(w, c);
}

static void collect_epoll(int set, unsigned *revents)
{
	struct epoll_event events[64];
	int n;
	while ((n = epoll_wait(set, events, 64, 0)) > 0)
		for (int i = 0; i < n; i++)
			revents[events[i].data.u64] |= events[i].events;
	cr_assert(n == 0);
}

static const char *kind_of(const struct world *w, int fd)
{
	static const char *const names[KINDS] = {"eventfd", "semaphore", "pipe", "socket", "timer"};
	for (int i = 0; i < CHANNELS; i++)
		if (w->channel[i].fd[0] == fd || w->channel[i].fd[1] == fd)
			return names[w->channel[i].kind];
	return "closed";
}

static void look(struct world *w, bool exactly, int round)
{
	unsigned theirs[FDS] = {0}, ours[FDS] = {0};
	collect_epoll(w->set, theirs);
	poller_collect(w->poller, ours, FDS);
	for (int fd = 0; fd < FDS; fd++) {
		unsigned most = exactly ? theirs[fd] : theirs[fd] | w->between[fd];
		if (theirs[fd] & ~ours[fd] || ours[fd] & ~most)
			cr_assert_fail("round %d, fd %d (%s): epoll %#x, eventpoll %#x, "
				       "in between %#x",
				round, fd, kind_of(w, fd), theirs[fd], ours[fd], w->between[fd]);
		w->between[fd] = 0;
	}
}

static void rounds(uint64_t seed, int count, bool exactly)
{
	static struct world w;
	w = (struct world){.seed = seed};
	signal(SIGPIPE, SIG_IGN);
	w.poller = poller_open(2 * CHANNELS);
	w.set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < CHANNELS; i++) {
		open_channel(&w, &w.channel[i]);
		remember(&w, &w.channel[i]);
	}
	look(&w, true, -1);
	for (int round = 0; round < count; round++) {
		unsigned often = exactly ? 1 : 1 + below(&w, 4);
		for (int i = 0; i < CHANNELS; i++) {
			if (below(&w, 3))
				continue;
			for (unsigned k = 0; k < often; k++)
				use(&w, &w.channel[i]);
		}
		look(&w, exactly, round);
	}
	for (int i = 0; i < CHANNELS; i++) {
		close_end(&w, &w.channel[i], 0);
		close_end(&w, &w.channel[i], 1);
	}
	look(&w, true, count);
	close(w.poller);
	close(w.set);
}

Test(eventpoll_random, each_used_once_between_two_looks)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		rounds(seed, 300, true);
}

Test(eventpoll_random, each_used_often_between_two_looks)
{
	for (uint64_t seed = 101; seed <= 110; seed++)
		rounds(seed, 300, false);
}
