/* A second interposer, as there are many: counts the calls that reach it and hands them on. */
#include <dlfcn.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "counting.h"

static _Atomic unsigned long counted[COUNTED_KINDS];

unsigned long counting_calls(enum counted_kind kind)
{
	return counted[kind];
}

/* Looked up at each call: RTLD_NEXT is who comes after this library. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *buf, size_t n)
{
	counted[COUNTED_READ]++;
	return NEXT(read)(fd, buf, n);
}

ssize_t write(int fd, const void *buf, size_t n)
{
	counted[COUNTED_WRITE]++;
	return NEXT(write)(fd, buf, n);
}

int close(int fd)
{
	counted[COUNTED_CLOSE]++;
	return NEXT(close)(fd);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	counted[COUNTED_POLL]++;
	return NEXT(poll)(fds, n, timeout);
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	counted[COUNTED_EPOLL_WAIT]++;
	return NEXT(epoll_wait)(epfd, events, max, timeout);
}
