/* Calls that succeed leave errno alone. */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNTOUCHED = 4242 };

/* The value of a call that must succeed, and must not touch errno. */
#define KEEPS(call)                                                                                \
	__extension__({                                                                            \
		errno = UNTOUCHED;                                                                 \
		__typeof__(call) keeps_value_ = (call);                                            \
		require(keeps_value_ >= 0, #call);                                                 \
		require(errno == UNTOUCHED, #call " changes errno");                               \
		keeps_value_;                                                                      \
	})

static void make(void)
{
	KEEPS(eventfd(0, 0));
	KEEPS(close(KEEPS(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE))));
	KEEPS(close(KEEPS(eventfd(0, 0))));
	KEEPS(syscall(SYS_eventfd2, 0, EFD_CLOEXEC));
}

static void read_and_write(void)
{
	int fd = prog_eventfd(0, 0);
	uint64_t value = 1;
	struct iovec iov = {&value, sizeof(value)};

	for (int i = 0; i < 2; i++) {
		KEEPS(write(fd, &value, sizeof(value)));
		KEEPS(read(fd, &value, sizeof(value)));
		KEEPS(writev(fd, &iov, 1));
		KEEPS(readv(fd, &iov, 1));
		KEEPS(eventfd_write(fd, 3));
		KEEPS(eventfd_read(fd, &value));
		KEEPS(syscall(SYS_write, fd, &value, sizeof(value)));
		KEEPS(syscall(SYS_read, fd, &value, sizeof(value)));
	}
}

static void poll_and_select(void)
{
	int fd = prog_eventfd(0, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	struct timespec soon = {.tv_nsec = 1000000};
	struct timeval soon_too = {.tv_usec = 1000};
	fd_set set;

	KEEPS(poll(&p, 1, -1));
	p.events = POLLIN;
	KEEPS(poll(&p, 1, 0));
	KEEPS(poll(&p, 1, 1));
	KEEPS(ppoll(&p, 1, &soon, NULL));
	FD_ZERO(&set);
	FD_SET(fd, &set);
	KEEPS(select(fd + 1, &set, NULL, NULL, &soon_too));
	FD_SET(fd, &set);
	KEEPS(pselect(fd + 1, NULL, &set, NULL, &soon, NULL));
}

static void watch(void)
{
	static const uint32_t interests[] = {EPOLLIN, EPOLLIN | EPOLLET,
		EPOLLIN | EPOLLOUT | EPOLLET, EPOLLOUT | EPOLLET | EPOLLONESHOT};
	int fd = prog_eventfd(1, 0), epfd = KEEPS(epoll_create1(0));
	struct timespec now = {0};

	for (size_t i = 0; i < sizeof(interests) / sizeof(*interests); i++) {
		struct epoll_event event = {.events = interests[i]};

		KEEPS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
		KEEPS(epoll_wait(epfd, &event, 1, -1));
		KEEPS(epoll_wait(epfd, &event, 1, 1));
		KEEPS(epoll_pwait(epfd, &event, 1, 0, NULL));
		KEEPS(epoll_pwait2(epfd, &event, 1, &now, NULL));
		event.events = EPOLLIN;
		KEEPS(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event));
		KEEPS(eventfd_write(fd, 1));
		KEEPS(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL));
	}
	KEEPS(close(epfd));
	KEEPS(close(fd));
}

static void copy(void)
{
	int fd = prog_eventfd(0, 0), other = KEEPS(dup(fd)), yes = 1;
	struct stat st;
	char link[64], name[64];

	KEEPS(dup2(fd, other));
	KEEPS(dup3(fd, other, O_CLOEXEC));
	KEEPS(dup2(fd, fd));
	KEEPS(close(KEEPS(fcntl(fd, F_DUPFD, 10))));
	KEEPS(close(KEEPS(fcntl(fd, F_DUPFD_CLOEXEC, 10))));
	KEEPS(fcntl(fd, F_GETFL));
	KEEPS(fcntl(fd, F_SETFL, O_NONBLOCK));
	KEEPS(fcntl(fd, F_SETFD, FD_CLOEXEC));
	KEEPS(fcntl(fd, F_GETFD));
	KEEPS(ioctl(fd, FIONBIO, &yes));
	KEEPS(fstat(fd, &st));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	KEEPS(readlink(name, link, sizeof(link)));
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	KEEPS(close(KEEPS(open(name, O_RDONLY))));
	KEEPS(close(other));
	KEEPS(close_range((unsigned)fd, (unsigned)fd, 0));
}

struct turn {
	int fd;
	int tid;
	int started[2];
};

static void *blocked_read(void *arg)
{
	struct turn *turn = arg;
	eventfd_t value;

	turn->tid = (int)syscall(SYS_gettid);
	require(write(turn->started[1], "", 1) == 1, "pipe");
	KEEPS(eventfd_read(turn->fd, &value));
	return NULL;
}

static void *blocked_poll(void *arg)
{
	struct turn *turn = arg;
	struct pollfd p = {.fd = turn->fd, .events = POLLIN};

	turn->tid = (int)syscall(SYS_gettid);
	require(write(turn->started[1], "", 1) == 1, "pipe");
	KEEPS(poll(&p, 1, -1));
	return NULL;
}

static void wake(void *(*sleep)(void *))
{
	struct turn turn = {.fd = prog_eventfd(0, 0)};
	pthread_t thread;
	char byte;

	require(!pipe(turn.started), "pipe");
	require(!pthread_create(&thread, NULL, sleep, &turn), "a thread");
	require(read(turn.started[0], &byte, 1) == 1, "pipe");
	prog_wait_asleep(turn.tid);
	KEEPS(eventfd_write(turn.fd, 1));
	require(!pthread_join(thread, NULL), "pthread_join");
}

static void block(void)
{
	wake(blocked_read);
	wake(blocked_poll);
}

static void ordinary(void)
{
	int ends[2], file = KEEPS(open("/dev/null", O_RDWR));
	struct pollfd p = {.fd = file, .events = POLLIN};
	char byte = 0;
	pid_t child;

	close(prog_eventfd(0, 0));
	KEEPS(pipe(ends));
	KEEPS(write(ends[1], &byte, 1));
	KEEPS(read(ends[0], &byte, 1));
	KEEPS(poll(&p, 1, -1));
	KEEPS(dup2(file, ends[0]));
	KEEPS(fcntl(file, F_GETFL));
	KEEPS(close(file));
	child = KEEPS(fork());
	if (!child)
		raw_syscall3(SYS_exit_group, 0, 0, 0);
	KEEPS(waitpid(child, NULL, 0));
}

static const struct prog_case cases[] = {
	{"eventfd, close", make},
	{"read, write", read_and_write},
	{"poll, select", poll_and_select},
	{"epoll", watch},
	{"dup, fcntl, stat", copy},
	{"blocking calls", block},
	{"ordinary fds", ordinary},
};

PROG_MAIN(cases)
