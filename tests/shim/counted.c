/* A program under two interposers. In front of the shim the other one sees every call, behind it
 * those that the shim leaves to libc. */
#include "counting.h"
#include "prog.h"
#include "work.h"

#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned long seen(enum counted_kind kind)
{
	unsigned long (*calls)(enum counted_kind) =
		(unsigned long (*)(enum counted_kind))dlsym(RTLD_DEFAULT, "counting_calls");

	require(calls, "the other interposer is not there");
	return calls(kind);
}

/* One call of each kind on this fd, which is readable afterwards as it was before. */
static void call_each(int readable, int writable)
{
	struct pollfd p = {.fd = readable, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN};
	eventfd_t value = 1;
	int epfd = epoll_create1(0);

	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, readable, &event), "epoll_ctl");
	require(write(writable, &value, sizeof(value)) == sizeof(value), "write");
	require(poll(&p, 1, 0) == 1, "poll");
	require(epoll_wait(epfd, &event, 1, 0) == 1, "epoll_wait");
	require(read(readable, &value, sizeof(value)) == sizeof(value), "read");
	require(!close(epfd), "close");
}

/* Each call is seen once, or not at all: never twice. */
static void require_seen(const unsigned long before[COUNTED_KINDS], bool all)
{
	for (enum counted_kind kind = 0; kind < COUNTED_KINDS; kind++) {
		unsigned long more = seen(kind) - before[kind];

		require(more <= 1, "a call that was seen twice");
		require(!all || more == 1, "a call that was not seen");
	}
}

static void check(int readable, int writable, bool all)
{
	unsigned long before[COUNTED_KINDS];

	for (enum counted_kind kind = 0; kind < COUNTED_KINDS; kind++)
		before[kind] = seen(kind);
	call_each(readable, writable);
	require_seen(before, all);
}

static void in_front(void)
{
	int fd = prog_eventfd(0, 0);

	check(fd, fd, true);
}

static void behind(void)
{
	int fd = prog_eventfd(0, 0);

	check(fd, fd, false);
}

static void ordinary(void)
{
	int ends[2];

	close(prog_eventfd(0, 0));
	require(!pipe(ends), "pipe");
	check(ends[0], ends[1], true);
}

static void everything(void)
{
	work(WORK_ALL);
}

static const struct prog_case cases[] = {
	{"in front", in_front},
	{"behind", behind},
	{"ordinary", ordinary},
	{"everything", everything},
};

PROG_MAIN(cases)
