#define _GNU_SOURCE
#include "efdcheck.h"
#include "testkit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

enum { UNTOUCHED = 4095, LIMIT_MS = 10000 };

static long told(long ret)
{
	if (ret == -1)
		return -errno;
	return errno == UNTOUCHED ? ret : -UNTOUCHED;
}

long tell_read(int fd, uint64_t *value)
{
	errno = UNTOUCHED;
	return told(read(fd, value, sizeof(*value)));
}

long tell_write(int fd, uint64_t value)
{
	errno = UNTOUCHED;
	return told(write(fd, &value, sizeof(value)));
}

long tell_close(int fd)
{
	errno = UNTOUCHED;
	return told(close(fd));
}

bool adds(int fd, uint64_t value)
{
	return tell_write(fd, value) == 8;
}

bool takes(int fd, uint64_t value)
{
	uint64_t got = 0;
	return tell_read(fd, &got) == 8 && got == value;
}

bool is_closed(int fd)
{
	uint64_t value = 1;
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	return fcntl(fd, F_GETFD) == -1 && errno == EBADF && fcntl(fd, F_GETFL) == -1 &&
	       errno == EBADF && tell_read(fd, &value) == -EBADF && tell_write(fd, 1) == -EBADF &&
	       poll(&p, 1, 0) == 1 && p.revents == POLLNVAL;
}

short polled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

int selected(int fd)
{
	struct timeval now = {0};
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	if (select(fd + 1, &in, &out, NULL, &now) < 0)
		return -1;
	return (FD_ISSET(fd, &in) ? 1 : 0) | (FD_ISSET(fd, &out) ? 2 : 0);
}

static uint32_t event_within(int set, int ms, uint64_t *data)
{
	struct epoll_event events[4];
	int n = epoll_wait(set, events, 4, ms);
	if (n == 0)
		return 0;
	if (n != 1)
		return UINT32_MAX;
	if (data)
		*data = events[0].data.u64;
	return events[0].events;
}

uint32_t waited(int set, uint64_t *data)
{
	return event_within(set, LIMIT_MS, data);
}

uint32_t shown(int set)
{
	return event_within(set, 0, NULL);
}

long controls(int set, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	errno = UNTOUCHED;
	return told(epoll_ctl(set, op, fd, &event));
}

bool fresh_one_works(void)
{
	uint64_t value, data = 0;
	int fd = eventfd(3, EFD_NONBLOCK), set = epoll_create1(EPOLL_CLOEXEC);
	uint32_t both = EPOLLIN | EPOLLOUT;
	bool good = fd >= 0 && set >= 0 && adds(fd, 4) && takes(fd, 7) &&
		    tell_read(fd, &value) == -EAGAIN && polled(fd) == POLLOUT &&
		    selected(fd) == 2 &&
		    !controls(set, EPOLL_CTL_ADD, fd, both | EPOLLET, UINT64_MAX) &&
		    shown(set) == EPOLLOUT && shown(set) == 0 && adds(fd, 1) &&
		    waited(set, &data) == both && data == UINT64_MAX && shown(set) == 0 &&
		    takes(fd, 1) && polled(fd) == POLLOUT;
	return !close(set) && !close(fd) && good;
}

bool falls_asleep(pid_t pid)
{
	char path[64], line[256];
	int64_t end = tk_now_ms() + LIMIT_MS;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int seen = 0; seen < 3 && tk_now_ms() < end; sched_yield()) {
		int stat = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = stat < 0 ? -1 : read(stat, line, sizeof(line) - 1);
		close(stat);
		line[n > 0 ? n : 0] = 0;
		char *paren = strrchr(line, ')');
		if (!paren)
			return false;
		seen = paren[1] && paren[2] == 'S' ? seen + 1 : 0;
	}
	return tk_now_ms() < end;
}
