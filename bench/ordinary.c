/* What the shim costs calls on fds that are not its own: libc's functions past the shim, and the
 * shim's, alternating in one process, which has an eventfd as well. A line of 'NAME LIBC SHIM'
 * each, in nanoseconds; SHIM is LIBC times the median ratio of neighbours in time. Run under
 * LD_PRELOAD; without it both sides are the same, and the difference is the error of this. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "clock.h"
#include "die.h"
#include "median.h"

enum { ROUNDS = 301, TIMES = 200, PIPES = 16 };

struct calls {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*open)(const char *, int, ...);
	int (*close)(int);
};

static int ends[PIPES][2], epfd;
static struct pollfd polled[PIPES];

static void pipe_write_read(const struct calls *calls)
{
	char byte = 0;

	calls->write(ends[0][1], &byte, 1);
	calls->read(ends[0][0], &byte, 1);
}

static void poll_of_16(const struct calls *calls)
{
	calls->poll(polled, PIPES, 0);
}

static void epoll_wait_of_one(const struct calls *calls)
{
	struct epoll_event event;

	calls->epoll_wait(epfd, &event, 1, 0);
}

static void open_close(const struct calls *calls)
{
	calls->close(calls->open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static double cost(const struct calls *calls, void (*step)(const struct calls *))
{
	double start = now_ns();

	for (int i = 0; i < TIMES; i++)
		step(calls);
	return (now_ns() - start) / TIMES;
}

static void measure(
	const char *name, const struct calls sides[2], void (*step)(const struct calls *))
{
	double plain[ROUNDS], ratio[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double taken[2];

		taken[i % 2] = cost(&sides[i % 2], step);
		taken[!(i % 2)] = cost(&sides[!(i % 2)], step);
		plain[i] = taken[0];
		ratio[i] = taken[1] / taken[0];
	}
	double libc = median(plain, ROUNDS);

	printf("%s %.2f %.2f\n", name, libc, libc * median(ratio, ROUNDS));
}

static struct calls libc_calls(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	struct calls calls = {0};

	if (!libc)
		die(EXIT_CANNOT, "libc.so.6");
	*(void **)&calls.read = dlsym(libc, "read");
	*(void **)&calls.write = dlsym(libc, "write");
	*(void **)&calls.poll = dlsym(libc, "poll");
	*(void **)&calls.epoll_wait = dlsym(libc, "epoll_wait");
	*(void **)&calls.open = dlsym(libc, "open");
	*(void **)&calls.close = dlsym(libc, "close");
	return calls;
}

static void set_up(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	epfd = epoll_create1(0);
	for (int i = 0; i < PIPES; i++) {
		if (pipe(ends[i]))
			die(EXIT_CANNOT, "pipe");
		polled[i] = (struct pollfd){.fd = ends[i][0], .events = POLLIN};
	}
	if (eventfd(0, 0) < 0 || write(ends[PIPES - 1][1], "e", 1) != 1 ||
		epoll_ctl(epfd, EPOLL_CTL_ADD, ends[PIPES - 1][0], &event))
		die(EXIT_CANNOT, "the fds");
}

int main(void)
{
	const struct calls sides[2] = {libc_calls(), {read, write, poll, epoll_wait, open, close}};

	set_up();
	measure("ordinary-write-read", sides, pipe_write_read);
	measure("ordinary-poll-16", sides, poll_of_16);
	measure("ordinary-epoll-wait", sides, epoll_wait_of_one);
	measure("ordinary-open-close", sides, open_close);
	return 0;
}
