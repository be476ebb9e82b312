/* Calls that signal handlers may make, with a wire up that they must not touch. */
#include "prog.h"
#include "tripwire.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROUNDS = 1000, MANY = 300, WAKES = 50 };

/* The value of a call, made under the wire. */
#define SAFELY(call)                                                                               \
	__extension__({                                                                            \
		tripwire = #call;                                                                  \
		__typeof__(call) safely_value_ = (call);                                           \
		tripwire = NULL;                                                                   \
		safely_value_;                                                                     \
	})

static int many[MANY], ends[2];

static void counters(void)
{
	static const int flags[] = {0, EFD_NONBLOCK, EFD_SEMAPHORE};

	for (int i = 0; i < ROUNDS; i++) {
		int fd = prog_eventfd(0, flags[i % 3]);
		uint64_t value = 1;
		struct iovec iov = {&value, sizeof(value)};

		require(SAFELY(write(fd, &value, sizeof(value))) == 8, "write");
		require(SAFELY(read(fd, &value, sizeof(value))) == 8 && value == 1, "read");
		require(SAFELY(writev(fd, &iov, 1)) == 8 && SAFELY(readv(fd, &iov, 1)) == 8,
			"readv");
		require(SAFELY(write(fd, &value, 7)) == -1 && errno == EINVAL, "a short write");
		require(SAFELY(read(fd, (void *)-4096L, 8)) == -1 && errno == EFAULT,
			"a bad address");
		require(SAFELY(eventfd_write(fd, 1)) == 0, "eventfd_write");
		require(SAFELY(eventfd_read(fd, &value)) == 0, "eventfd_read");
		require(SAFELY(close(fd)) == 0, "close");
	}
}

static void makers(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = SAFELY(eventfd(1, EFD_NONBLOCK)), copy = SAFELY(dup(fd));

		require(fd >= 0 && copy >= 0, "eventfd and dup");
		require(SAFELY(fcntl(fd, F_GETFL)) >= 0 && SAFELY(dup2(fd, copy)) == copy, "dup2");
		require(SAFELY(fcntl(fd, F_SETFL, 0)) == 0, "F_SETFL");
		require(SAFELY(close(fd)) == 0 && SAFELY(close(copy)) == 0, "close");
	}
}

static void open_many(void)
{
	for (int i = 0; i < MANY; i++)
		many[i] = prog_eventfd(0, EFD_NONBLOCK);
	require(!pipe(ends), "pipe");
}

static void fill_poll(struct pollfd *set, int n, bool mixed)
{
	for (int i = 0; i < n; i++)
		set[i] = (struct pollfd){.fd = many[i], .events = POLLIN};
	if (mixed)
		set[0].fd = ends[0];
}

static void poll_and_look(int n, bool mixed)
{
	struct pollfd set[MANY];
	struct timespec soon = {.tv_nsec = 1000};

	fill_poll(set, n, mixed);
	require(SAFELY(poll(set, (nfds_t)n, 0)) == 0, "poll of nothing");
	require(SAFELY(ppoll(set, (nfds_t)n, &soon, NULL)) == 0, "ppoll for a while");
	prog_add(many[n - 1], 1);
	require(SAFELY(poll(set, (nfds_t)n, -1)) == 1 && set[n - 1].revents == POLLIN, "poll");
	require(prog_take(many[n - 1]) == 1, "the count");
}

static void select_and_look(int n, bool mixed)
{
	struct timeval soon = {.tv_usec = 1};
	fd_set all, in;
	int last = many[n - 1];

	FD_ZERO(&all);
	for (int i = 0; i < n; i++)
		FD_SET(many[i], &all);
	if (mixed)
		FD_SET(ends[0], &all);
	in = all;
	require(SAFELY(select(FD_SETSIZE, &in, NULL, NULL, &soon)) == 0, "select of nothing");
	prog_add(last, 1);
	in = all;
	require(SAFELY(select(FD_SETSIZE, &in, NULL, NULL, NULL)) == 1 && FD_ISSET(last, &in),
		"select");
	in = all;
	require(SAFELY(pselect(FD_SETSIZE, &in, NULL, NULL, NULL, NULL)) == 1, "pselect");
	require(prog_take(last) == 1, "the count");
}

static void sets(void)
{
	open_many();
	for (int i = 0; i < ROUNDS; i++) {
		int n = i % 10 ? 2 : MANY;

		poll_and_look(n, i % 2);
		select_and_look(n, i % 2);
	}
}

static void watches(void)
{
	static const uint32_t interests[] = {EPOLLIN, EPOLLIN | EPOLLET,
		EPOLLIN | EPOLLOUT | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLOUT | EPOLLET};
	struct epoll_event event, events[8];

	for (int i = 0; i < ROUNDS; i++) {
		int fd = prog_eventfd(0, 0), epfd = epoll_create1(0);
		eventfd_t value;

		event.events = interests[i % 5];
		require(SAFELY(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event)) == 0, "epoll_ctl");
		for (int j = 0; j < 5; j++) {
			require(SAFELY(eventfd_write(fd, 1)) == 0, "a write that is watched");
			require(SAFELY(epoll_wait(epfd, events, 8, 0)) >= 0, "epoll_wait");
			require(SAFELY(epoll_pwait(epfd, events, 8, 0, NULL)) >= 0, "epoll_pwait");
			require(SAFELY(eventfd_read(fd, &value)) == 0, "a read that is watched");
			require(SAFELY(epoll_wait(epfd, events, 8, 0)) >= 0, "epoll_wait");
		}
		require(SAFELY(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event)) == 0, "EPOLL_CTL_MOD");
		require(SAFELY(close(fd)) == 0 && SAFELY(close(epfd)) == 0, "close");
	}
}

/* A thread that answers each time the main thread has fallen asleep. */
struct waker {
	int main_tid, fd;
	bool reads;
};

static void *wake(void *arg)
{
	const struct waker *waker = arg;
	eventfd_t value = 1;

	for (int i = 0; i < WAKES; i++) {
		prog_wait_asleep(waker->main_tid);
		if (waker->reads)
			require(!eventfd_read(waker->fd, &value), "the waker's read");
		else
			require(!eventfd_write(waker->fd, 1), "the waker's write");
	}
	return NULL;
}

/* What sleeps leaves the counter as the next sleeper needs it. */
static void sleep_in(int fd, bool reads, void (*sleeper)(int fd))
{
	struct waker waker = {(int)raw_syscall3(SYS_gettid, 0, 0, 0), fd, reads};
	pthread_t thread;

	require(!pthread_create(&thread, NULL, wake, &waker), "pthread_create");
	for (int i = 0; i < WAKES; i++)
		sleeper(fd);
	require(!pthread_join(thread, NULL), "pthread_join");
}

static void in_read(int fd)
{
	uint64_t value;

	require(SAFELY(read(fd, &value, sizeof(value))) == 8 && value == 1, "read");
}

static void in_write(int fd)
{
	uint64_t value = UINT64_MAX - 1;

	require(SAFELY(write(fd, &value, sizeof(value))) == 8, "write");
}

static void in_poll(int fd)
{
	struct pollfd set[MANY];

	fill_poll(set, MANY, true);
	set[7].fd = fd;
	require(SAFELY(poll(set, MANY, -1)) == 1 && prog_take(fd) == 1, "poll");
}

static void in_select(int fd)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	FD_SET(ends[0], &in);
	for (int i = 0; i < MANY; i++)
		FD_SET(many[i], &in);
	require(SAFELY(select(FD_SETSIZE, &in, NULL, NULL, NULL)) == 1 && prog_take(fd) == 1,
		"select");
}

static int epfd;

static void in_epoll(int fd)
{
	struct epoll_event event;

	require(SAFELY(epoll_wait(epfd, &event, 1, -1)) == 1 && prog_take(fd) == 1, "epoll_wait");
	while (epoll_wait(epfd, &event, 1, 0) > 0)
		; /* the edge of OUT that the read was */
}

static void sleep_in_epoll(uint32_t events)
{
	struct epoll_event event = {.events = events};
	int fd = prog_eventfd(0, EFD_NONBLOCK);

	epfd = epoll_create1(0);
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	epoll_wait(epfd, &event, 1, 0);
	sleep_in(fd, false, in_epoll);
}

static void sleepers(void)
{
	open_many();
	sleep_in(prog_eventfd(0, 0), false, in_read);
	sleep_in(prog_eventfd(0, EFD_NONBLOCK), false, in_poll);
	sleep_in(prog_eventfd(0, EFD_NONBLOCK), false, in_select);
	sleep_in_epoll(EPOLLIN);
	sleep_in_epoll(EPOLLIN | EPOLLET);
	sleep_in_epoll(EPOLLIN | EPOLLOUT | EPOLLET);
}

static void full_sleepers(void)
{
	int fd = prog_eventfd(0, 0);

	prog_add(fd, UINT64_MAX - 1);
	sleep_in(fd, true, in_write);
}

/* The wire itself works: here libc and the program touch it. */
static void trip_malloc(void)
{
	closedir(SAFELY(opendir("/")));
}

static void trip_dlsym(void)
{
	SAFELY(dlsym(RTLD_DEFAULT, "read"));
}

static void trip_mutex(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	SAFELY(pthread_mutex_lock(&mutex));
}

static const struct prog_case cases[] = {
	{"read, write, close", counters},
	{"eventfd, dup, fcntl", makers},
	{"poll and select of up to 300", sets},
	{"epoll_wait, in all modes", watches},
	{"calls that sleep", sleepers},
	{"writes that sleep", full_sleepers},
};

static const struct prog_case wires[] = {
	{"malloc", trip_malloc},
	{"dlsym", trip_dlsym},
	{"pthread_mutex_lock", trip_mutex},
};

int main(int argc, char **argv)
{
	bool wire = argc == 3 && !strcmp(argv[1], "wire");

	if (wire)
		return prog_run(argc, argv, wires, sizeof(wires) / sizeof(*wires));
	return prog_run(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
