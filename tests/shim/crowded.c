/* Fills up the file system of the store at various points, and goes on: crowded WHAT DIRECTORY
 * BEFORE. WHAT: 'bytes' or 'inodes'; BEFORE: how many eventfds are made before. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MORE = 700, MOST = 900 };

static int fds[2 * MOST];
static int count;

static void fill_bytes(const char *directory)
{
	char name[512], zeros[4096] = {0};
	int fd;

	snprintf(name, sizeof(name), "%s/filler", directory);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	require(fd >= 0, "the filler");
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	require(errno == ENOSPC && !close(fd), "a full file system");
}

static void fill_inodes(const char *directory)
{
	char name[512];
	int fd;

	for (int i = 0;; i++) {
		snprintf(name, sizeof(name), "%s/filler.%d", directory, i);
		fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			break;
		close(fd);
	}
	require(errno == ENOSPC, "a file system without inodes");
}

static void make(int n)
{
	for (; n; n--, count++)
		fds[count] = prog_eventfd((unsigned)count, EFD_NONBLOCK);
}

/* Of both kinds: the second needs a FIFO of its own. */
static void watch_all(void)
{
	struct epoll_event event;
	int epfd = epoll_create1(0), seen = 0;

	for (int i = 0; i < count; i++) {
		event = (struct epoll_event){
			.events = i % 2 ? EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)i};
		require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
	}
	/* no more than those that are ready: number 0 is empty, and watched for IN */
	for (int i = 0; i < count; i++) {
		require(epoll_wait(epfd, &event, 1, 0) == (count > 1), "an event");
		require(count == 1 || event.events == (event.data.u32 % 2 ? EPOLLOUT : EPOLLIN),
			"the event");
		seen += count > 1;
	}
	require(seen == (count > 1 ? count : 0) && !close(epfd), "close");
}

static void use_all(void)
{
	for (int i = 0; i < count; i++)
		require(prog_take(fds[i]) == (unsigned)i, "the count of one of them");
	if (count) {
		work_with(fds[0]);
		work_with(fds[count - 1]);
	}
}

int main(int argc, char **argv)
{
	int before;

	require(argc == 4, "usage: crowded bytes|inodes DIRECTORY BEFORE");
	before = atoi(argv[3]);
	require(before < MOST, "fewer eventfds");
	if (before)
		make(before);
	if (!strcmp(argv[1], "bytes"))
		fill_bytes(argv[2]);
	else
		fill_inodes(argv[2]);
	if (before)
		watch_all();
	use_all();
	for (int i = 0; i < count; i++)
		require(!close(fds[i]), "close");
	count = 0;
	make(MORE);
	watch_all();
	use_all();
	work(WORK_ALL);
	return 0;
}
