/* Readiness of eventfds, by every kind of wait and through many operations: with a FIFO that holds
 * only a page or two it must be the same. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OFTEN = 20000, SOME = 200, ROUNDS = 2000 };

static int set_of(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest};
	int epfd = epoll_create1(0);

	require(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	return epfd;
}

static uint32_t seen(int epfd)
{
	struct epoll_event event = {0};
	int n = epoll_wait(epfd, &event, 1, 0);

	require(n >= 0, "epoll_wait");
	return n ? event.events : 0;
}

static short polled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	require(poll(&p, 1, 0) >= 0, "poll");
	return p.revents;
}

static bool selected(int fd, bool for_writing)
{
	struct timeval now = {0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, for_writing ? NULL : &set, for_writing ? &set : NULL, NULL, &now);
}

struct watched {
	int fd, in, out, both, outer;
};

static struct watched watch_all(void)
{
	struct watched w = {.fd = prog_eventfd(0, EFD_NONBLOCK)};

	/* else the test would not be one */
	require(!getenv("SMALL") || !prog_is_fake(w.fd) || raw_fcntl(w.fd, F_GETPIPE_SZ, 0) < 65536,
		"the FIFO is not small");
	w.in = set_of(w.fd, EPOLLIN);
	w.out = set_of(w.fd, EPOLLOUT);
	w.both = set_of(w.fd, EPOLLIN | EPOLLOUT);
	w.outer = set_of(w.both, EPOLLIN);
	return w;
}

static void require_level(const struct watched *w, uint32_t state, const char *what)
{
	require(seen(w->in) == (state & EPOLLIN), what);
	require(seen(w->out) == (state & EPOLLOUT), what);
	require(seen(w->both) == state, what);
	require(seen(w->outer) == EPOLLIN, what);
	require(polled(w->fd) == (short)state, what);
	require(selected(w->fd, false) == !!(state & EPOLLIN), what);
	require(selected(w->fd, true) == !!(state & EPOLLOUT), what);
}

static void end(const struct watched *w)
{
	require(!close(w->outer) && !close(w->both) && !close(w->out) && !close(w->in) &&
			!close(w->fd),
		"close");
}

static void levels(void)
{
	struct watched w = watch_all();
	eventfd_t one = 1;

	for (int i = 0; i < 3; i++) {
		require_level(&w, EPOLLOUT, "empty");
		prog_add(w.fd, 1);
		require_level(&w, EPOLLIN | EPOLLOUT, "readable");
		prog_add(w.fd, UINT64_MAX - 3);
		require_level(&w, EPOLLIN | EPOLLOUT, "all but full");
		prog_add(w.fd, 1);
		require_level(&w, EPOLLIN, "full");
		require(write(w.fd, &one, 8) == -1 && errno == EAGAIN, "a write too many");
		require_level(&w, EPOLLIN, "still full");
		require(prog_take(w.fd) == UINT64_MAX - 1, "the count");
	}
	end(&w);
}

/* More writes than a small FIFO has room for bytes. */
static void many_writes(void)
{
	struct watched w = watch_all();

	for (int i = 0; i < OFTEN; i++)
		prog_add(w.fd, 1);
	require_level(&w, EPOLLIN | EPOLLOUT, "after many writes");
	require(prog_take(w.fd) == OFTEN, "the count");
	require_level(&w, EPOLLOUT, "read");
	end(&w);
}

/* Every write is an edge of IN, every read one of OUT, however many there are. */
static void many_edges(void)
{
	int fd = prog_eventfd(0, EFD_NONBLOCK), in = set_of(fd, EPOLLIN | EPOLLET),
	    both = set_of(fd, EPOLLIN | EPOLLOUT | EPOLLET);

	seen(both);
	for (int i = 0; i < OFTEN; i++) {
		prog_add(fd, 1);
		require(seen(in) == EPOLLIN, "an edge of IN");
		require(seen(both) == (EPOLLIN | EPOLLOUT), "an edge with both");
		require(!seen(in) && !seen(both), "the edge has gone by");
	}
	require(prog_take(fd) == OFTEN, "the count");
	require(seen(both) == EPOLLOUT, "an edge of OUT");
	require(!seen(in), "no edge of IN");
	close(in);
	close(both);
	close(fd);
}

/* The same while nobody looks: the edges pile up. */
static void unseen_edges(void)
{
	struct watched w = watch_all();
	int in = set_of(w.fd, EPOLLIN | EPOLLET), both = set_of(w.fd, EPOLLIN | EPOLLOUT | EPOLLET);

	for (int i = 0; i < OFTEN; i++)
		prog_add(w.fd, 1);
	require(seen(in) == EPOLLIN && seen(both) == (EPOLLIN | EPOLLOUT), "one edge for all");
	require(!seen(in) && !seen(both), "only one");
	require_level(&w, EPOLLIN | EPOLLOUT, "the level behind it");
	for (int i = 0; i < OFTEN; i++) {
		require(prog_take(w.fd) > 0, "a read");
		prog_add(w.fd, 1);
	}
	require_level(&w, EPOLLIN | EPOLLOUT, "after reads and writes");
	require(prog_take(w.fd) == 1, "the count");
	require_level(&w, EPOLLOUT, "read");
	close(in);
	close(both);
	end(&w);
}

struct talk {
	int there, back;
};

static void *answer(void *arg)
{
	const struct talk *talk = arg;
	struct epoll_event event;
	int epfd = set_of(talk->there, EPOLLIN | EPOLLET);
	eventfd_t value;

	for (int i = 0; i < ROUNDS; i++) {
		do
			require(epoll_wait(epfd, &event, 1, -1) == 1, "epoll_wait");
		while (read(talk->there, &value, sizeof(value)) < 0);
		prog_add(talk->back, value);
	}
	close(epfd);
	return NULL;
}

static void ask(const struct talk *talk)
{
	struct pollfd p = {.fd = talk->back, .events = POLLIN};

	for (unsigned i = 1; i <= ROUNDS; i++) {
		prog_add(talk->there, i);
		require(poll(&p, 1, -1) == 1 && prog_take(talk->back) == i, "the answer");
	}
}

static void threads(void)
{
	struct talk talk = {prog_eventfd(0, EFD_NONBLOCK), prog_eventfd(0, EFD_NONBLOCK)};
	pthread_t thread;

	require(!pthread_create(&thread, NULL, answer, &talk), "pthread_create");
	ask(&talk);
	require(!pthread_join(thread, NULL), "pthread_join");
	close(talk.there);
	close(talk.back);
}

static void processes(void)
{
	struct talk talk = {prog_eventfd(0, EFD_NONBLOCK), prog_eventfd(0, EFD_NONBLOCK)};
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		answer(&talk);
		_exit(0);
	}
	ask(&talk);
	require(waitpid(pid, &status, 0) == pid && !status, "the child");
	close(talk.there);
	close(talk.back);
}

static void many_eventfds(void)
{
	static struct watched all[SOME];

	for (int i = 0; i < SOME; i++)
		all[i] = watch_all();
	for (int i = 0; i < SOME; i += 2)
		prog_add(all[i].fd, 1);
	for (int i = 0; i < SOME; i++)
		require_level(&all[i], i % 2 ? EPOLLOUT : EPOLLIN | EPOLLOUT, "one of many");
	for (int i = 0; i < SOME; i++)
		end(&all[i]);
}

static void everything(void)
{
	work(WORK_ALL);
}

static const struct prog_case cases[] = {
	{"everything", everything},
	{"levels", levels},
	{"many writes", many_writes},
	{"an edge for each of many writes", many_edges},
	{"many edges that nobody looked at", unseen_edges},
	{"a talk between threads", threads},
	{"a talk between processes", processes},
	{"many eventfds, all of them watched", many_eventfds},
};

PROG_MAIN(cases)
