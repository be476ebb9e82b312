/* The ways to wait for completions, and what eventfds of all kinds count. */
#include "aio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct request requests[ROOM];

static void say_reads(const char *what, int efd, int n)
{
	io_context_t context = context_new();
	uint64_t sum;

	for (int i = 0; i < n; i++)
		request_read(&requests[i], (unsigned)i * 7, efd);
	submit_requests(context, requests, n);
	sum = count_up_to(efd, (uint64_t)n);
	printf("%s: %llu counted, %d right\n", what, (unsigned long long)sum,
		take_completions(context, n));
	io_destroy(context);
}

static void one_read(io_context_t context, int efd)
{
	request_read(&requests[0], 5, efd);
	submit_requests(context, requests, 1);
}

static void by_blocking_read(void)
{
	io_context_t context = context_new();
	int efd = eventfd(0, 0);
	uint64_t sum = 0, value;

	for (int i = 0; i < 32; i++) {
		request_read(&requests[i], (unsigned)i, efd);
		submit_requests(context, &requests[i], 1);
	}
	while (sum < 32 && read(efd, &value, sizeof(value)) == sizeof(value))
		sum += value;
	printf("blocking reads: %llu counted, %d right\n", (unsigned long long)sum,
		take_completions(context, 32));
	io_destroy(context);
	close(efd);
}

/* The read is blocked before anything completes. */
static void by_blocked_read(void)
{
	io_context_t context = context_new();
	int efd = eventfd(0, 0), ends[2];
	uint64_t value = 0;
	struct iocb block, *blocks = &block;
	pid_t child;

	if (pipe(ends))
		return;
	io_prep_poll(&block, ends[0], POLLIN);
	io_set_eventfd(&block, efd);
	printf("poll submitted: %d\n", io_submit(context, 1, &blocks));
	child = fork();
	if (!child) {
		usleep(50000);
		_exit(write(ends[1], "x", 1) != 1);
	}
	printf("blocked read: %zd", read(efd, &value, sizeof(value)));
	printf(" %llu\n", (unsigned long long)value);
	close(efd);
	close(ends[0]);
	close(ends[1]);
	io_destroy(context);
}

static void by_select(void)
{
	io_context_t context = context_new();
	int efd = eventfd(0, 0);
	struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(efd, &set);
	one_read(context, efd);
	printf("select: %d %d\n", select(efd + 1, &set, NULL, NULL, &limit), FD_ISSET(efd, &set));
	printf("taken: %d\n", take_completions(context, 1));
	io_destroy(context);
	close(efd);
}

static int epoll_events(int epfd, int timeout)
{
	struct epoll_event event = {0};
	int n = epoll_wait(epfd, &event, 1, timeout);

	return n == 1 ? (int)event.events : -n;
}

static void by_epoll(const char *what, uint32_t mode)
{
	io_context_t context = context_new();
	int efd = eventfd(0, EFD_NONBLOCK), epfd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | mode};
	uint64_t value = 0;

	epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event);
	printf("%s: %d", what, epoll_events(epfd, 0));
	for (int i = 0; i < 3; i++) {
		one_read(context, efd);
		printf(" %d", epoll_events(epfd, LIMIT_MS));
		printf(" %d", epoll_events(epfd, 0));
		take_completions(context, 1);
	}
	printf(" %zd", read(efd, &value, sizeof(value)));
	printf(" %llu %d\n", (unsigned long long)value, epoll_events(epfd, 0));
	io_destroy(context);
	close(epfd);
	close(efd);
}

void try_waits(void)
{
	int efd = eventfd(0, 0);

	say_reads("poll", efd, 64);
	say_reads("once more", efd, 300);
	close(efd);
	by_blocking_read();
	by_blocked_read();
	by_select();
	by_epoll("epoll, level", 0);
	by_epoll("epoll, edge", EPOLLET);
}

static void by_semaphore(void)
{
	io_context_t context = context_new();
	int efd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t value;

	for (int i = 0; i < 8; i++)
		request_read(&requests[i], (unsigned)i, efd);
	submit_requests(context, requests, 8);
	printf("semaphore: %llu", (unsigned long long)count_up_to(efd, 8));
	printf(" %zd %d", read(efd, &value, sizeof(value)), errno);
	printf(" %d\n", take_completions(context, 8));
	io_destroy(context);
	close(efd);
}

static void mixed(void)
{
	io_context_t context = context_new();
	int fds[4] = {eventfd(0, EFD_NONBLOCK), kernel_eventfd(), -1, eventfd(0, EFD_NONBLOCK)};

	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 400; i++)
		request_read(&requests[i], (unsigned)i, fds[i % 4]);
	submit_requests(context, requests, 400);
	printf("mixed: %llu", (unsigned long long)count_up_to(fds[0], 100));
	printf(" %llu", (unsigned long long)count_up_to(fds[1], 100));
	printf(" %llu", (unsigned long long)count_up_to(fds[3], 100));
	printf(" %d\n", take_completions(context, 400));
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	io_destroy(context);
}

static void by_number(void)
{
	struct iocb *block = &requests[0].block;
	io_context_t context = context_new();
	int efd = eventfd(0, 0);

	request_read(&requests[0], 9, efd);
	printf("by number: %ld", syscall(SYS_io_submit, context, 1L, &block));
	printf(" %llu", (unsigned long long)count_up_to(efd, 1));
	printf(" %d", take_completions(context, 1));
	block->u.c.resfd = (unsigned)-1;
	errno = 0;
	printf(" %ld", syscall(SYS_io_submit, context, 1L, &block));
	printf(" %d\n", errno);
	io_destroy(context);
	close(efd);
}

static void synced(void)
{
	io_context_t context = context_new();
	int efd = eventfd(0, 0);
	struct io_event events[16];
	struct iocb *blocks[16];

	for (int i = 0; i < 16; i++) {
		io_prep_fsync(&requests[i].block, file_fd);
		io_set_eventfd(&requests[i].block, efd);
		blocks[i] = &requests[i].block;
	}
	printf("synced: %d", io_submit(context, 16, blocks));
	printf(" %llu", (unsigned long long)count_up_to(efd, 16));
	printf(" %d\n", io_getevents(context, 16, 16, events, NULL));
	close(efd);
	io_destroy(context);
}

void try_kinds(void)
{
	by_semaphore();
	mixed();
	by_number();
	synced();
}
