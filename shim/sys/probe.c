#include "sys/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "sys/decoy.h"
#include "sys/older.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum answer { UNASKED, NO, YES };
enum { PAGE = 4096 };

/* An answer is remembered; UNASKED, where no fd could be had to ask with, is not: then the current
 * kernel's is given. */
static bool ask(_Atomic int *known, enum answer (*question)(void), bool current)
{
	int answer = atomic_load_explicit(known, memory_order_relaxed);

	if (answer == UNASKED) {
		answer = (int)question();
		atomic_store_explicit(known, answer, memory_order_relaxed);
	}
	return answer == UNASKED ? current : answer == YES;
}

static enum answer accepts_long_write(void)
{
	uint64_t words[2] = {1, 1};
	int fd = decoy_open(0);
	long ret;

	if (fd < 0)
		return UNASKED;
	ret = raw_write(fd, words, sizeof(words));
	decoy_close(fd);
	return ret > 0 ? YES : NO;
}

bool probe_long_write(void)
{
	static _Atomic int known;

	return ask(&known, accepts_long_write, false);
}

static enum answer scatters(void)
{
	char bytes[8];
	struct iovec halves[2] = {{bytes, 4}, {bytes + 4, 4}};
	int fd = decoy_open(1);
	long ret;

	if (fd < 0)
		return UNASKED;
	ret = raw_syscall3(SYS_readv, fd, (long)halves, 2);
	decoy_close(fd);
	return ret == 8 ? YES : NO;
}

bool probe_readv_scatters(void)
{
	static _Atomic int known;

	return ask(&known, scatters, true);
}

static long events_now(int epfd)
{
	struct epoll_event event;

	return older_epoll_wait(epfd, &event, 1, 0);
}

/* Whether a write of a byte raises an edge on a pipe that holds one, or that is full. */
static enum answer raises_edge(bool full)
{
	static const char page[PAGE];
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int ends[2];
	enum answer edge = UNASKED;
	int epfd = passing_epoll();

	if (epfd < 0)
		return UNASKED;
	if (!passing_pipe(ends)) {
		raw_epoll_ctl(epfd, EPOLL_CTL_ADD, ends[0], &event);
		raw_fcntl(ends[1], F_SETPIPE_SZ, PAGE);
		while (raw_write(ends[1], page, full ? PAGE : 1) > 0 && full)
			;
		events_now(epfd);
		raw_write(ends[1], page, 1);
		edge = events_now(epfd) == 1 ? YES : NO;
		passing_close(ends[0]);
		passing_close(ends[1]);
	}
	passing_close(epfd);
	return edge;
}

static enum answer raises_edges(void)
{
	return raises_edge(false);
}

bool probe_fifo_edges(void)
{
	static _Atomic int known;

	return ask(&known, raises_edges, true);
}

static enum answer raises_edges_when_full(void)
{
	return raises_edge(true);
}

bool probe_full_fifo_edges(void)
{
	static _Atomic int known;

	return ask(&known, raises_edges_when_full, true);
}

/* A watch that is not there cannot be modified: who knows the flag does not get as far as that. */
static enum answer knows_exclusive(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	enum answer known = UNASKED;
	int ends[2];
	int epfd = passing_epoll();

	if (epfd < 0)
		return UNASKED;
	if (!passing_pipe(ends)) {
		known = raw_epoll_ctl(epfd, EPOLL_CTL_MOD, ends[0], &event) == -EINVAL ? YES : NO;
		passing_close(ends[0]);
		passing_close(ends[1]);
	}
	passing_close(epfd);
	return known;
}

bool probe_exclusive(void)
{
	static _Atomic int known;

	return ask(&known, knows_exclusive, true);
}

static long call_signalfd(void)
{
#ifdef SYS_signalfd
	long ret = raw_syscall3(SYS_signalfd, -1, 0, 0);

	if (ret != -ENOSYS)
		return ret;
#endif
	return raw_syscall6(SYS_signalfd4, -1, 0, 0, 0, 0, 0);
}

/* A set of no bytes is refused first of all. */
static enum answer has_signalfd(void)
{
	return call_signalfd() == -ENOSYS ? NO : YES;
}

bool probe_signalfd(void)
{
	static _Atomic int known;

	return ask(&known, has_signalfd, true);
}
