/* First figures: the shim against the kernel's eventfd in one process, alternating, medians, as
 * ratios. Run under LD_PRELOAD; the kernel's side goes past the shim, by libc's own functions and
 * eventfd2 as a bare system call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sys/raw.h"

enum { ROUNDS = 15, TIMES = 20000 };

struct calls {
	int (*make)(unsigned, int);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	int (*close)(int);
};

static int epfd;

static int kernel_make(unsigned initval, int flags)
{
	return raw_eventfd(initval, flags);
}

static void write_read(const struct calls *calls, int fd)
{
	uint64_t value = 1;

	calls->write(fd, &value, sizeof(value));
	calls->read(fd, &value, sizeof(value));
}

static void write_wait_read(const struct calls *calls, int fd)
{
	uint64_t value = 1;
	struct epoll_event event;

	calls->write(fd, &value, sizeof(value));
	epoll_wait(epfd, &event, 1, 0);
	calls->read(fd, &value, sizeof(value));
}

static void write_again(const struct calls *calls, int fd)
{
	uint64_t value = 1;

	calls->write(fd, &value, sizeof(value));
}

static void make_close(const struct calls *calls, int fd)
{
	(void)fd;
	calls->close(calls->make(0, 0));
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cost(const struct calls *calls, int fd, void (*step)(const struct calls *, int))
{
	double start = now();

	for (int i = 0; i < TIMES; i++)
		step(calls, fd);
	return (now() - start) / TIMES;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* Both sides on fds of their own, or on the same pipe. */
static void measure(const char *name, const struct calls sides[2], const int fds[2],
	void (*step)(const struct calls *, int))
{
	double costs[2][ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		for (int side = 0; side < 2; side++)
			costs[side][round] = cost(&sides[side], fds[side], step);
	}
	double kernel = median(costs[0]), shim = median(costs[1]);

	printf("%-44s kernel %8.1f ns   shim %8.1f ns   kernel/shim %6.2f\n", name, kernel, shim,
		kernel / shim);
}

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}

static int pipe_ends[2];

static void pipe_step(const struct calls *calls, int fd)
{
	char byte = 0;

	(void)fd;
	calls->write(pipe_ends[1], &byte, 1);
	calls->read(pipe_ends[0], &byte, 1);
}

int main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	struct calls sides[2] = {{.make = kernel_make}, {eventfd, read, write, close}};

	if (!libc)
		return 1;
	*(void **)&sides[0].read = dlsym(libc, "read");
	*(void **)&sides[0].write = dlsym(libc, "write");
	*(void **)&sides[0].close = dlsym(libc, "close");
	int fds[2] = {kernel_make(0, 0), eventfd(0, 0)};

	measure("write + read, unwatched", sides, fds, write_read);
	measure("create + close", sides, fds, make_close);
	for (int side = 0; side < 2; side++) {
		epfd = epoll_create1(0);
		watch(fds[side]);
		close(epfd);
	}
	epfd = epoll_create1(0);
	int other = epoll_create1(0);
	double costs[2][ROUNDS];

	watch(fds[0]);
	int first = epfd;
	epfd = other;
	watch(fds[1]);
	for (int round = 0; round < ROUNDS; round++) {
		epfd = first;
		costs[0][round] = cost(&sides[0], fds[0], write_wait_read);
		epfd = other;
		costs[1][round] = cost(&sides[1], fds[1], write_wait_read);
	}
	double kernel = median(costs[0]), shim = median(costs[1]);

	printf("%-44s kernel %8.1f ns   shim %8.1f ns   kernel/shim %6.2f\n",
		"write + epoll_wait + read", kernel, shim, kernel / shim);
	measure("write to a readable, watched eventfd", sides, fds, write_again);
	if (pipe(pipe_ends))
		return 1;
	measure("pipe write + read", sides, fds, pipe_step);
	return 0;
}
