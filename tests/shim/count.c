/* Loops whose system calls syscalls.sh counts, by strace: those between close(-1001) and
 * close(-1002). Usage: count LOOP ROUNDS. What is done once is done before the first of them. */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_MARK = -1001, LAST_MARK = -1002, MANY = 300, PAGES = 16, PAGE = 4096 };

static int fd, epfd, pipe_ends[2];
static char *pages;
static struct pollfd many[MANY];

static void mark(int number)
{
	raw_close(number);
}

static void open_one(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
}

static void open_readable(void)
{
	fd = prog_eventfd(1, EFD_NONBLOCK);
}

static void open_full(void)
{
	open_one();
	prog_add(fd, UINT64_MAX - 1);
}

static void open_blocking(void)
{
	fd = prog_eventfd(1000, EFD_SEMAPHORE);
}

static void watch(uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	epfd = epoll_create1(EPOLL_CLOEXEC);
	require(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void open_watched(void)
{
	open_one();
	watch(EPOLLIN);
}

static void open_watched_by_edges(void)
{
	open_one();
	watch(EPOLLIN | EPOLLET);
}

static void open_many(void)
{
	for (int i = 0; i < MANY; i++)
		many[i] = (struct pollfd){.fd = prog_eventfd(1, 0), .events = POLLIN};
}

static void open_pipe(void)
{
	open_one();
	require(!pipe(pipe_ends), "pipe");
}

static void open_pipe_and_set(void)
{
	open_pipe();
	epfd = epoll_create1(0);
}

static void open_pages(void)
{
	open_one();
	pages = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(pages != MAP_FAILED, "mmap");
}

static void pair(int round)
{
	(void)round;
	prog_add(fd, 1);
	require(prog_take(fd) == 1, "the count");
}

static void pair_of_vectors(int round)
{
	uint64_t value = (uint64_t)round + 1;
	struct iovec iov = {&value, sizeof(value)};

	require(writev(fd, &iov, 1) == 8, "writev");
	require(readv(fd, &iov, 1) == 8 && value == (uint64_t)round + 1, "readv");
}

static void pair_by_libc(int round)
{
	eventfd_t value;

	(void)round;
	require(!eventfd_write(fd, 1) && !eventfd_read(fd, &value), "eventfd_write, eventfd_read");
}

static void refused_read(int round)
{
	(void)round;
	require(prog_take(fd) == 0, "an empty eventfd");
}

static void refused_write(int round)
{
	uint64_t one = 1;

	(void)round;
	require(write(fd, &one, sizeof(one)) == -1 && errno == EAGAIN, "a full eventfd");
}

static void add_more(int round)
{
	(void)round;
	prog_add(fd, 1);
}

static void poll_one(int round)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	require(poll(&p, 1, round % 2 ? 1000 : -1) == 1 && p.revents == POLLIN, "poll");
}

static void poll_many(int round)
{
	(void)round;
	require(poll(many, 16, -1) == 16, "poll of 16");
}

static void poll_very_many(int round)
{
	(void)round;
	require(poll(many, MANY, -1) == MANY, "poll of many");
}

static void poll_in_vain(int round)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(void)round;
	require(poll(&p, 1, 0) == 0, "poll of an empty one");
}

static void ppoll_one(int round)
{
	struct timespec timeout = {.tv_sec = round};
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	require(ppoll(&p, 1, &timeout, NULL) == 1, "ppoll");
}

static void select_one(int round)
{
	fd_set in, out;
	struct timeval timeout = {.tv_sec = 5};

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = in;
	require(select(fd + 1, &in, &out, NULL, round % 2 ? &timeout : NULL) == 2, "select");
}

static void pselect_one(int round)
{
	fd_set in;

	(void)round;
	FD_ZERO(&in);
	FD_SET(fd, &in);
	require(pselect(fd + 1, &in, NULL, NULL, NULL, NULL) == 1, "pselect");
}

static void wait_round(int round)
{
	struct epoll_event event;

	prog_add(fd, 1);
	require(epoll_wait(epfd, &event, 1, -1) == 1 && event.data.fd == fd, "epoll_wait");
	require(prog_take(fd) == 1, "the count");
	(void)round;
}

static void edge_unread(int round)
{
	struct epoll_event event;

	(void)round;
	prog_add(fd, 1);
	require(epoll_wait(epfd, &event, 1, -1) == 1, "an edge");
}

static void through_a_pipe(int round)
{
	char byte = (char)round;

	require(write(pipe_ends[1], &byte, 1) == 1 && read(pipe_ends[0], &byte, 1) == 1,
		"the pipe");
}

/* What programs do with fds that are none of ours. */
static void ordinary_calls(int round)
{
	struct pollfd p = {.fd = pipe_ends[1], .events = POLLOUT};
	struct epoll_event event = {.events = EPOLLOUT};
	struct stat st;
	int copy = dup(pipe_ends[0]), file = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd_set out;

	FD_ZERO(&out);
	FD_SET(pipe_ends[1], &out);
	through_a_pipe(round);
	require(poll(&p, 1, -1) == 1 && select(pipe_ends[1] + 1, NULL, &out, NULL, NULL) == 1,
		"poll");
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, pipe_ends[1], &event), "epoll_ctl");
	require(epoll_wait(epfd, &event, 1, -1) == 1, "epoll_wait");
	require(!epoll_ctl(epfd, EPOLL_CTL_DEL, pipe_ends[1], NULL), "epoll_ctl");
	require(fcntl(file, F_GETFD) == FD_CLOEXEC && !fstat(file, &st), "fcntl");
	require(dup2(file, copy) == copy && fcntl(file, F_SETFL, O_NONBLOCK) == 0, "dup2");
	require(!close(copy) && !close(file), "close");
}

static int inner;

static void open_nested(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	epfd = epoll_create1(0);
	inner = epoll_create1(0);
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, inner, &event), "epoll_ctl");
}

static void nested_set(int round)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = round};

	require(!epoll_ctl(epfd, EPOLL_CTL_MOD, inner, &event), "epoll_ctl");
	require(!epoll_ctl(epfd, EPOLL_CTL_DEL, inner, NULL), "epoll_ctl");
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, inner, &event), "epoll_ctl");
	require(epoll_wait(epfd, &event, 1, 0) == 0, "epoll_wait");
}

static void create_and_close(int round)
{
	int made = eventfd(0, round % 2 ? EFD_CLOEXEC : EFD_NONBLOCK);

	require(made >= 0 && !close(made), "create and close");
}

static void recycle(void)
{
	for (int i = 0; i < 10; i++)
		create_and_close(i);
}

static void from_every_page(int round)
{
	uint64_t *word = (uint64_t *)(pages + round % PAGES * PAGE + round % 500 * 8);

	*word = 1;
	require(write(fd, word, 8) == 8 && read(fd, word, 8) == 8, "a word of a page");
}

static void in_a_child(int round)
{
	int status;
	pid_t child;

	if (round != 1)
		return;
	child = fork();
	for (int i = 0; !child && i < 1000; i++)
		pair(i);
	if (!child)
		raw_syscall3(SYS_exit_group, 0, 0, 0);
	require(waitpid(child, &status, 0) == child && !status, "the child");
}

static const struct {
	const char *name;
	void (*before)(void);
	void (*round)(int round);
} loops[] = {
	{"pair", open_one, pair},
	{"pair-blocking", open_blocking, pair},
	{"pair-vectors", open_one, pair_of_vectors},
	{"pair-libc", open_one, pair_by_libc},
	{"refused-read", open_one, refused_read},
	{"refused-write", open_full, refused_write},
	{"watched-write", open_watched, add_more},
	{"poll", open_readable, poll_one},
	{"poll-16", open_many, poll_many},
	{"poll-300", open_many, poll_very_many},
	{"poll-in-vain", open_one, poll_in_vain},
	{"ppoll", open_readable, ppoll_one},
	{"select", open_readable, select_one},
	{"pselect", open_readable, pselect_one},
	{"wait", open_watched, wait_round},
	{"wait-edge", open_watched_by_edges, wait_round},
	{"wait-unread", open_watched_by_edges, edge_unread},
	{"pipe", open_pipe, through_a_pipe},
	{"ordinary", open_pipe_and_set, ordinary_calls},
	{"nested", open_nested, nested_set},
	{"create", recycle, create_and_close},
	{"pages", open_pages, from_every_page},
	{"child", open_one, in_a_child},
};

int main(int argc, char **argv)
{
	int rounds = argc == 3 ? atoi(argv[2]) : 0;

	for (size_t i = 0; i < sizeof(loops) / sizeof(*loops); i++) {
		if (argc != 3 || strcmp(argv[1], loops[i].name))
			continue;
		loops[i].before();
		loops[i].round(0);
		mark(FIRST_MARK);
		for (int round = 1; round <= rounds; round++)
			loops[i].round(round);
		mark(LAST_MARK);
		return 0;
	}
	prog_fail("usage: count LOOP ROUNDS");
}
