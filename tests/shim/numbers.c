/* How many eventfds there is room for, and what is left of the numbers: numbers SITUATION LIMIT.
 * Prints what a program can see of it, to be compared between the kernel and the shim. */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 3, MOST = 1 << 16 };

static int fds[MOST];
static int count;

static void limit(rlim_t n)
{
	struct rlimit limit;

	require(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = n;
	require(!setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
}

static int an_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK);
}

static int a_file(void)
{
	return open("/dev/null", O_RDONLY);
}

/* Makes as many as there is room for. The numbers must come in order: says where they do not. */
static void fill(const char *what, int (*make)(void))
{
	int from = count, gaps = 0;

	while (count < MOST && (fds[count] = make()) >= 0) {
		gaps += count && fds[count] != fds[count - 1] + 1;
		count++;
	}
	printf("%s: %d, errno %d, %d gaps, the last is %d\n", what, count - from, errno, gaps,
		count ? fds[count - 1] : -1);
}

static void close_from(int from)
{
	while (count > from)
		require(!close(fds[--count]), "close");
}

/* All numbers given back, and taken again. */
static void again(void)
{
	close_from(0);
	fill("again", an_eventfd);
}

static void only(rlim_t n)
{
	limit(n);
	fill("eventfds", an_eventfd);
	if (count) {
		require(!close(fds[0]), "close");
		printf("the first again: %d\n", eventfd(0, EFD_NONBLOCK));
		printf("one more: %d, errno %d\n", eventfd(0, EFD_NONBLOCK), errno);
	}
	again();
}

static void files_after_one(rlim_t n)
{
	limit(n);
	fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
	fill("files", a_file);
	close_from(1);
	fill("eventfds", an_eventfd);
	again();
}

/* Watches of all kinds, which may cost the library numbers of its own. */
static void watched(rlim_t n)
{
	static const uint32_t interests[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT | EPOLLET};
	struct epoll_event event;
	int epfd;

	limit(n);
	epfd = epoll_create1(0);
	for (unsigned i = 0; i < 3; i++) {
		event.events = interests[i];
		fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
		require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fds[count - 1], &event), "epoll_ctl");
	}
	fill("eventfds", an_eventfd);
	printf("events: %d\n", epoll_wait(epfd, &event, 1, 0));
	close_from(3);
	fill("files", a_file);
}

static void lowered(rlim_t n)
{
	struct rlimit before;

	getrlimit(RLIMIT_NOFILE, &before);
	for (int i = 0; i < 3; i++)
		fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
	limit(n);
	fill("eventfds", an_eventfd);
	limit(before.rlim_cur);
	for (int i = 0; i < 10; i++)
		fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
	printf("raised: the last is %d\n", fds[count - 1]);
	close_from(5);
	limit(n);
	fill("files", a_file);
}

static void copies(rlim_t n)
{
	limit(n);
	fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
	while (count < MOST && (fds[count] = dup(fds[0])) >= 0)
		count++;
	printf("copies: %d, errno %d\n", count, errno);
	printf("the last number: %d, dup2 beyond: %d\n", dup2(fds[0], (int)n - 1),
		dup2(fds[0], (int)n));
	printf("F_DUPFD: %d, errno %d\n", fcntl(fds[0], F_DUPFD, 0), errno);
	printf("F_DUPFD beyond: %d, errno %d\n", fcntl(fds[0], F_DUPFD, (int)n), errno);
	again();
}

/* All numbers are taken by somebody else when the first eventfd is asked for. */
static void late(rlim_t n)
{
	limit(n);
	fill("files", a_file);
	fill("eventfds", an_eventfd);
	require(!close(fds[count / 2]), "close");
	printf("one: %d\n", eventfd(7, EFD_NONBLOCK));
	printf("its count: %lu\n", prog_take(fds[count / 2]));
	printf("another: %d, errno %d\n", eventfd(0, 0), errno);
}

/* A child has as many numbers as its parent. */
static void forked(rlim_t n)
{
	int status;

	limit(n);
	fds[count++] = prog_eventfd(0, EFD_NONBLOCK);
	fflush(stdout);
	if (!fork()) {
		fill("eventfds of a child", an_eventfd);
		fflush(stdout);
		_exit(0);
	}
	require(wait(&status) > 0 && !status, "the child");
	fill("eventfds", an_eventfd);
}

static const struct {
	const char *name;
	void (*run)(rlim_t limit);
} situations[] = {
	{"only", only},
	{"files-after-one", files_after_one},
	{"watched", watched},
	{"lowered", lowered},
	{"copies", copies},
	{"late", late},
	{"forked", forked},
};

int main(int argc, char **argv)
{
	require(argc == 3, "usage: numbers SITUATION LIMIT");
	raw_syscall3(SYS_close_range, FIRST, UINT32_MAX, 0); /* what was inherited */
	for (unsigned i = 0; i < sizeof(situations) / sizeof(*situations); i++) {
		if (!strcmp(situations[i].name, argv[1])) {
			situations[i].run((rlim_t)atoi(argv[2]));
			return 0;
		}
	}
	prog_fail("no such situation");
}
