/* Fds that are closed by system call instructions, which no library can see, and numbers that are
 * made again by libc. */
#include "makers.h"
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What libc's function and the system call say of the same number. */
static void require_same(long by_libc, long by_kernel, const char *what, const char *maker)
{
	char line[160];

	if (by_libc < 0)
		by_libc = -errno;
	snprintf(line, sizeof(line), "%s of what %s made: %ld, not %ld", what, maker, by_libc,
		by_kernel);
	require(by_libc == by_kernel, line);
}

static void require_known(int fd, const char *maker)
{
	struct stat by_libc, by_kernel;
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT}, q = p;
	struct timespec now = {0};

	require_same(fcntl(fd, F_GETFL), raw_fcntl(fd, F_GETFL, 0), "F_GETFL", maker);
	require_same(fcntl(fd, F_GETFD), raw_fcntl(fd, F_GETFD, 0), "F_GETFD", maker);
	require_same(
		lseek(fd, 0, SEEK_CUR), raw_syscall3(SYS_lseek, fd, 0, SEEK_CUR), "lseek", maker);
	require_same(write(fd, &p, 0), raw_write(fd, &p, 0), "write of nothing", maker);
	require_same(fstat(fd, &by_libc), raw_syscall3(SYS_fstat, fd, (long)&by_kernel, 0), "fstat",
		maker);
	require_same((long)by_libc.st_mode, (long)by_kernel.st_mode, "the mode", maker);
	require_same(poll(&p, 1, 0), raw_syscall6(SYS_ppoll, (long)&q, 1, (long)&now, 0, 0, 0),
		"poll", maker);
	require_same(p.revents, q.revents, "what poll says", maker);
	require_same(dup(fd) >= 0, 1, "dup", maker);
}

static void every_maker(void)
{
	int made = 0;

	for (int i = 0; i < makers_count; i++) {
		int fd, first = prog_eventfd(7, EFD_NONBLOCK),
			second = prog_eventfd(7, EFD_NONBLOCK);

		require(!raw_close(second) && !raw_close(first), "close");
		fd = makers[i].make(first);
		if (fd < 0)
			continue; /* this system has none */
		require(fd == first || fd == second, makers[i].name);
		require_known(fd, makers[i].name);
		require(!close(fd), makers[i].name);
		require(raw_fcntl(fd, F_GETFD, 0) == -EBADF, "an fd that was closed");
		made++;
	}
	require(made > makers_count / 2, "hardly any maker works");
}

static void again(void)
{
	for (int i = 0; i < 100; i++) {
		int fd = prog_eventfd(3, EFD_NONBLOCK);

		prog_add(fd, 100);
		require(!raw_close(fd), "close");
		require(prog_eventfd(5, EFD_NONBLOCK) == fd, "the lowest number");
		require(prog_take(fd) == 5, "the count of the new one");
		work_with(fd);
		require(!close(fd), "close");
	}
}

static void closed_twice(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(0), fd = prog_eventfd(3, 0);

	require(!raw_close(fd), "close");
	require(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EBADF,
		"epoll_ctl of a closed one");
	require(dup(fd) == -1 && errno == EBADF, "dup of a closed one");
	require(fcntl(fd, F_GETFD) == -1 && errno == EBADF, "fcntl of a closed one");
	require(close(fd) == -1 && errno == EBADF, "close of a closed one");
	require(read(fd, &event, 8) == -1 && errno == EBADF, "read of one that was found closed");
}

static int empty_file(int at)
{
	char path[] = "/tmp/efdshim-table-XXXXXX";
	int fd = mkstemp(path);

	require(fd == at && !unlink(path), "a file at the number");
	return fd;
}

static void require_empty(int fd)
{
	struct stat st;

	require(!raw_syscall3(SYS_fstat, fd, (long)&st, 0) && S_ISREG(st.st_mode),
		"the file is gone");
	require(st.st_size == 0, "somebody wrote to the file");
	require(raw_syscall3(SYS_lseek, fd, 0, SEEK_CUR) == 0, "somebody read the file");
}

/* The object lives on in its copy, and is watched: what keeps the watchers told must not touch the
 * file. */
static void watched(uint32_t events)
{
	struct epoll_event event = {.events = events};
	int epfd = epoll_create1(0), fd = prog_eventfd(0, EFD_NONBLOCK), copy = dup(fd);

	require(copy >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	prog_add(fd, 1);
	require(prog_take(copy) == 1, "the count");
	require(!raw_close(fd), "close");
	empty_file(fd);
	work_with(copy);
	require(epoll_wait(epfd, &event, 1, 0) >= 0, "epoll_wait");
	require_empty(fd);
	require(!close(copy), "close");
	require_empty(fd);
	require(!close(fd) && !close(epfd), "close");
}

static void watched_levels(void)
{
	watched(EPOLLIN);
}

static void watched_edges(void)
{
	watched(EPOLLIN | EPOLLET);
	watched(EPOLLIN | EPOLLOUT | EPOLLET);
}

static int sleeper_tid;

static void *sleep_in_read(void *arg)
{
	eventfd_t value = 0;

	sleeper_tid = (int)raw_syscall3(SYS_gettid, 0, 0, 0);
	require(write(((int *)arg)[1], "", 1) == 1, "pipe");
	require(!eventfd_read(((int *)arg)[0], &value) && value == 9, "the sleeper's count");
	return NULL;
}

/* A thread sleeps in a read of the number that is closed: it is woken through a copy. */
static void slept_on(void)
{
	int fd = prog_eventfd(0, 0), copy = dup(fd), ends[2], arg[2];
	pthread_t thread;
	char byte;

	require(copy >= 0 && !pipe(ends), "pipe");
	arg[0] = fd;
	arg[1] = ends[1];
	require(!pthread_create(&thread, NULL, sleep_in_read, arg), "pthread_create");
	require(read(ends[0], &byte, 1) == 1, "pipe");
	prog_wait_asleep(sleeper_tid);
	require(!raw_close(fd), "close");
	empty_file(fd);
	require(!eventfd_write(copy, 9) && !pthread_join(thread, NULL), "the sleeper");
	require_empty(fd);
	require(!close(copy) && !close(fd), "close");
}

static void range(void)
{
	enum { COUNT = 100 };
	int fds[COUNT];

	raw_syscall3(SYS_close_range, 3, UINT32_MAX, 0); /* what was inherited */
	for (int i = 0; i < COUNT; i++)
		fds[i] = prog_eventfd(1, EFD_NONBLOCK);
	require(!raw_syscall3(SYS_close_range, fds[0], fds[COUNT - 1], 0), "close_range");
	for (int i = 0; i < COUNT; i++)
		require(prog_eventfd((unsigned)i, EFD_NONBLOCK) == fds[i], "the lowest number");
	for (int i = 0; i < COUNT; i++)
		require(prog_take(fds[i]) == (unsigned)i && !close(fds[i]),
			"the count of a new one");
}

static const struct prog_case cases[] = {
	{"closed by an instruction, then made by each maker", every_maker},
	{"closed by an instruction, then made again by eventfd", again},
	{"closed by an instruction, then closed by libc", closed_twice},
	{"closed by an instruction while an epoll set watches a copy", watched_levels},
	{"closed by an instruction while an epoll set watches a copy's edges", watched_edges},
	{"closed by an instruction while a thread sleeps in read", slept_on},
	{"closed by an instruction, a hundred at once", range},
};

PROG_MAIN(cases)
