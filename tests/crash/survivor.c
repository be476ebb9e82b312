/* The survivor: shares objects with the child, and looks at them when it is dead. */
#define _GNU_SOURCE
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint64_t count;
	int flags;
	uint32_t watched;
} object[SHARED] = {
	[EMPTY] = {"the empty one", 0, EFD_NONBLOCK, EPOLLIN},
	[THREE] = {"the unwatched one", 3, EFD_NONBLOCK, 0},
	[SEMA] = {"the semaphore", 3, EFD_NONBLOCK | EFD_SEMAPHORE, EPOLLIN},
	[FULL] = {"the full one", COUNT_LIMIT, EFD_NONBLOCK, EPOLLOUT},
	[SLEEP] = {"the blocking one", 0, 0, 0},
};

void wrong(struct run *run, const char *format, ...)
{
	va_list args;

	if (run->why[0])
		return;
	va_start(args, format);
	vsnprintf(run->why, sizeof(run->why), format, args);
	va_end(args);
}

static bool add(int fd, uint64_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value);
}

static void watch(struct run *run, int set, enum shared which, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u32 = which};

	if (epoll_ctl(set, EPOLL_CTL_ADD, run->fd[which], &event))
		wrong(run, "EPOLL_CTL_ADD of %s: errno %d", object[which].name, errno);
}

void survivor_open(struct run *run)
{
	run->level = epoll_create1(EPOLL_CLOEXEC);
	run->edge = epoll_create1(EPOLL_CLOEXEC);
	run->journal->ready = 0;
	for (unsigned i = 0; i < SHARED; i++) {
		run->fd[i] = eventfd(0, object[i].flags);
		if (run->fd[i] < 0)
			wrong(run, "eventfd: errno %d", errno);
		if (object[i].count && !add(run->fd[i], object[i].count))
			wrong(run, "the first write: errno %d", errno);
		run->journal->object[i].fd = run->fd[i];
		run->journal->object[i].now = run->journal->object[i].next = object[i].count;
		if (!object[i].watched)
			continue;
		watch(run, run->level, i, object[i].watched);
		watch(run, run->edge, i, EPOLLIN | EPOLLOUT | EPOLLET);
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, run->journal->mail))
		wrong(run, "socketpair: errno %d", errno);
}

/* What a set says of an object now. */
static uint32_t shown(int set, enum shared which)
{
	struct epoll_event events[SHARED];
	int ready = epoll_wait(set, events, SHARED, 0);

	while (ready-- > 0) {
		if (events[ready].data.u32 == which)
			return events[ready].events;
	}
	return 0;
}

/* Also to one who begins to watch only now. */
static void check_new_watch(struct run *run, enum shared which, uint32_t wanted, const char *when)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	uint32_t is;

	watch(run, set, which, EPOLLIN | EPOLLOUT);
	is = shown(set, which);
	if (is != wanted)
		wrong(run, "%s %s: a new watch shows %#x, not %#x", object[which].name, when, is,
			wanted);
	close(set);
}

static void check_truth(struct run *run, enum shared which, uint32_t wanted, const char *when)
{
	struct pollfd ask = {.fd = run->fd[which], .events = POLLIN | POLLOUT};
	uint32_t is;

	if (poll(&ask, 1, 0) < 0 || (uint32_t)ask.revents != wanted)
		wrong(run, "%s %s: poll shows %#x, not %#x", object[which].name, when,
			(unsigned)ask.revents, wanted);
	is = shown(run->level, which);
	if (object[which].watched && is != (wanted & object[which].watched))
		wrong(run, "%s %s: epoll shows %#x, not %#x", object[which].name, when, is,
			wanted & object[which].watched);
	check_new_watch(run, which, wanted, when);
}

static void check_edge(struct run *run, enum shared which, uint32_t wanted, const char *when)
{
	uint32_t is;

	if (!object[which].watched)
		return;
	is = shown(run->edge, which);
	if (is != wanted)
		wrong(run, "%s %s: its edge shows %#x, not %#x", object[which].name, when, is,
			wanted);
}

static uint64_t drain(struct run *run, enum shared which)
{
	uint64_t sum = 0, value;
	ssize_t ret;

	while ((ret = read(run->fd[which], &value, sizeof(value))) == sizeof(value))
		sum += value;
	if (ret != -1 || errno != EAGAIN)
		wrong(run, "%s: read: %zd, errno %d", object[which].name, ret, errno);
	return sum;
}

static void check_count(struct run *run, enum shared which, uint64_t added)
{
	uint64_t now = run->journal->object[which].now, next = run->journal->object[which].next;
	uint64_t count = drain(run, which) - added;

	if (which == SLEEP)
		count += run->taken - run->added;
	if (count != now && count != next)
		wrong(run, "%s counts %#lx, neither %#lx nor %#lx", object[which].name,
			(unsigned long)count, (unsigned long)now, (unsigned long)next);
}

/* One more write makes the level true; where there is no room, a read will. */
static uint64_t write_more(struct run *run, enum shared which)
{
	if (add(run->fd[which], 1)) {
		if (which != FULL) {
			check_truth(run, which, EPOLLIN | EPOLLOUT, "after one more write");
			check_edge(run, which, EPOLLIN | EPOLLOUT, "after one more write");
		}
		return 1;
	}
	if (which != FULL || errno != EAGAIN)
		wrong(run, "%s: one more write: errno %d", object[which].name, errno);
	return 0;
}

/* From here on it must be as good as new. */
static void check_cycle(struct run *run, enum shared which)
{
	uint64_t much = which == FULL ? COUNT_LIMIT : 1;
	uint32_t then = which == FULL ? EPOLLIN : EPOLLIN | EPOLLOUT;

	shown(run->edge, which); /* what came before */
	for (int i = 0; i < 2; i++) {
		if (!add(run->fd[which], much))
			wrong(run, "%s: write: errno %d", object[which].name, errno);
		check_edge(run, which, then, "after a write");
		check_truth(run, which, then, "after a write");
		if (drain(run, which) != much)
			wrong(run, "%s: does not count", object[which].name);
		check_edge(run, which, EPOLLOUT, "after a read");
		check_truth(run, which, EPOLLOUT, "after a read");
	}
}

void survivor_check(struct run *run)
{
	for (unsigned which = 0; which < SHARED; which++) {
		uint64_t added = 0;

		if (fcntl(run->fd[which], F_SETFL, O_NONBLOCK))
			wrong(run, "%s: F_SETFL: errno %d", object[which].name, errno);
		if (run->write_first)
			added = write_more(run, which);
		check_count(run, which, added);
		check_truth(run, which, EPOLLOUT, "once it is empty");
		check_cycle(run, which);
	}
}

void survivor_close(struct run *run)
{
	for (unsigned i = 0; i < SHARED; i++) {
		if (close(run->fd[i]))
			wrong(run, "close of %s: errno %d", object[i].name, errno);
	}
	close(run->level);
	close(run->edge);
	close(run->journal->mail[0]);
	close(run->journal->mail[1]);
}

void survivor_makes(struct run *run, int count)
{
	int fd[LITTER];
	uint64_t value = 0;

	for (int i = 0; i < count && i < LITTER; i++) {
		fd[i] = eventfd(0, EFD_NONBLOCK);
		if (fd[i] < 0 || read(fd[i], &value, sizeof(value)) != -1 || errno != EAGAIN ||
			!add(fd[i], 7))
			wrong(run, "a new eventfd: %d, errno %d", fd[i], errno);
	}
	for (int i = 0; i < count && i < LITTER; i++) {
		if (read(fd[i], &value, sizeof(value)) != sizeof(value) || value != 7 ||
			close(fd[i]))
			wrong(run, "a new eventfd counts %lu, errno %d", (unsigned long)value,
				errno);
	}
}
