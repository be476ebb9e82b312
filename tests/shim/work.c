#include "work.h"
#include "prog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

static void count(int fd)
{
	eventfd_t value = 0;

	require(prog_take(fd) == 0, "an empty eventfd");
	prog_add(fd, 3);
	prog_add(fd, 4);
	require(prog_take(fd) == 7, "the sum of two writes");
	require(!eventfd_write(fd, 5) && !eventfd_read(fd, &value) && value == 5, "eventfd_read");
	prog_add(fd, UINT64_MAX - 1);
	value = 1;
	require(write(fd, &value, sizeof(value)) == -1 && errno == EAGAIN, "a full eventfd");
	require(prog_take(fd) == UINT64_MAX - 1, "a full eventfd's count");
}

/* Sets for numbers above FD_SETSIZE too. */
static void select_it(int fd)
{
	enum { SETS = 8, BITS = 64 };
	unsigned long in[SETS * FD_SETSIZE / BITS] = {0}, out[SETS * FD_SETSIZE / BITS] = {0};
	unsigned long bit = 1ul << fd % BITS;

	if (fd >= SETS * FD_SETSIZE)
		return;
	in[fd / BITS] = out[fd / BITS] = bit;
	require(select(fd + 1, (fd_set *)in, (fd_set *)out, NULL, NULL) == 2, "select");
	require(in[fd / BITS] == bit && out[fd / BITS] == bit, "the sets of select");
}

static void poll_it(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	require(poll(&p, 1, -1) == 1 && p.revents == POLLOUT, "poll of an empty eventfd");
	p.events = POLLIN;
	require(poll(&p, 1, 1) == 0 && p.revents == 0, "poll with a timeout");
	prog_add(fd, 1);
	require(poll(&p, 1, -1) == 1 && p.revents == POLLIN, "poll of a readable eventfd");
	select_it(fd);
	require(prog_take(fd) == 1, "the count after poll");
}

static void expect_event(int epfd, uint32_t events, const char *what)
{
	struct epoll_event event = {0};
	int n = epoll_wait(epfd, &event, 1, 0);

	require(n == (events != 0), what);
	require(!n || (event.events == events && event.data.u64 == 0x1234567890), what);
}

static void watch_it(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.u64 = 0x1234567890};
	uint32_t out = interest & EPOLLOUT, in = interest & EPOLLIN;
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	require(epfd >= 0, "epoll_create1");
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	expect_event(epfd, out, "a watch of an empty eventfd");
	prog_add(fd, 1);
	expect_event(epfd, in | out, "a watch of a readable eventfd");
	if (interest & EPOLLET)
		expect_event(epfd, 0, "an edge that has gone by");
	prog_add(fd, 1);
	expect_event(epfd, in | out, "a second write");
	require(prog_take(fd) == 2, "the count of a watched eventfd");
	expect_event(epfd, out, "a watched eventfd that was read");
	require(!epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), "EPOLL_CTL_DEL");
	prog_add(fd, 1);
	expect_event(epfd, 0, "no watch");
	require(prog_take(fd) == 1, "the count without a watch");
	require(!close(epfd), "close of an epoll set");
}

void work_with(int fd)
{
	int copy;

	count(fd);
	poll_it(fd);
	watch_it(fd, EPOLLIN);
	watch_it(fd, EPOLLIN | EPOLLOUT);
	watch_it(fd, EPOLLIN | EPOLLET);
	watch_it(fd, EPOLLIN | EPOLLOUT | EPOLLET);
	copy = dup(fd);
	require(copy >= 0, "dup");
	prog_add(copy, 2);
	require(prog_take(fd) == 2, "a write to the copy");
	require(!close(copy), "close of the copy");
	count(fd);
}

static void counters(void)
{
	int first = prog_eventfd(0, EFD_NONBLOCK),
	    second = prog_eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);

	require(first != second, "two eventfds");
	work_with(first);
	require(prog_take(second) == 1 && prog_take(second) == 1 && prog_take(second) == 0,
		"a semaphore");
	require(!close(first) && !close(second), "close");
}

struct pair {
	int there, back;
};

static void *answer(void *arg)
{
	const struct pair *pair = arg;
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(0);
	eventfd_t value;

	require(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, pair->there, &event),
		"epoll in a thread");
	for (int i = 0; i < 100; i++) {
		require(epoll_wait(epfd, &event, 1, -1) == 1, "epoll_wait");
		require(!eventfd_read(pair->there, &value), "read in a thread");
		require(!eventfd_write(pair->back, value + 1), "write in a thread");
	}
	close(epfd);
	return NULL;
}

static void threads(void)
{
	struct pair pair = {prog_eventfd(0, 0), prog_eventfd(0, 0)};
	pthread_t thread;

	require(!pthread_create(&thread, NULL, answer, &pair), "pthread_create");
	for (eventfd_t i = 1; i <= 100; i++) {
		eventfd_t value = 0;

		require(!eventfd_write(pair.there, i), "write to a thread");
		require(!eventfd_read(pair.back, &value) && value == i + 1, "a thread's answer");
	}
	require(!pthread_join(thread, NULL), "pthread_join");
	close(pair.there);
	close(pair.back);
}

static void child(void)
{
	int fd = prog_eventfd(0, 0), status = -1;
	eventfd_t value = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(eventfd_write(fd, 42) ? 1 : 0);
	require(pid > 0 && !eventfd_read(fd, &value) && value == 42, "a child's write");
	require(waitpid(pid, &status, 0) == pid && !status, "the child");
	close(fd);
}

void work(unsigned parts)
{
	if (parts & WORK_COUNTERS)
		counters();
	if (parts & WORK_THREADS)
		threads();
	if (parts & WORK_FORK)
		child();
}
