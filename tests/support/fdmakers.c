#define _GNU_SOURCE
#include "fdmakers.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int fd_other = -1;

static char path[] = "/tmp/fdmakers-XXXXXX", second_path[] = "/tmp/fdmakers-XXXXXX";
static int ready_file, ready_listener, ready_client, ready_mail[2], ready_pidfd;
static FILE *stream;
static DIR *directory;

static int bound_listener(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name.sun_family)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

static int client_of(int listener)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&name, &size), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&name, size), 0);
	return fd;
}

static void post_the_file(void)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec byte = {"x", 1};
	struct msghdr msg = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	memcpy(CMSG_DATA(&control.head), &ready_file, sizeof(int));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ready_mail), 0);
	cr_assert_eq(sendmsg(ready_mail[0], &msg, 0), 1);
}

void fd_makers_prepare(void)
{
	ready_file = mkstemp(path);
	cr_assert_geq(ready_file, 0);
	ready_listener = bound_listener();
	ready_client = client_of(ready_listener);
	post_the_file();
	ready_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
}

void fd_makers_finish(void)
{
	int ready[] = {ready_file, ready_listener, ready_client, ready_mail[0], ready_mail[1],
		ready_pidfd};
	for (unsigned int i = 0; i < sizeof(ready) / sizeof(*ready); i++)
		close(ready[i]);
	unlink(path);
	unlink(second_path);
}

#define MAKER(name, expression)                                                                    \
	static int make_##name(int lowest)                                                         \
	{                                                                                          \
		(void)lowest;                                                                      \
		return (int)(expression);                                                          \
	}

MAKER(open, open(path, O_RDWR))
MAKER(open64, open64(path, O_RDWR | O_CLOEXEC))
MAKER(open_tmpfile, open("/tmp", O_RDWR | O_TMPFILE, 0600))
MAKER(openat, openat(AT_FDCWD, path, O_RDWR))
MAKER(openat64, openat64(AT_FDCWD, path, O_RDWR))
MAKER(creat, creat(path, 0600))
MAKER(creat64, creat64(path, 0600))
MAKER(sys_openat, syscall(SYS_openat, AT_FDCWD, path, O_RDWR))
MAKER(mkstemp, mkstemp(second_path))
MAKER(mkostemp, mkostemp(second_path, O_APPEND))
MAKER(memfd_create, memfd_create("fdmakers", 0))
MAKER(sys_memfd_create, syscall(SYS_memfd_create, "fdmakers", 0))
MAKER(dup, dup(ready_file))
MAKER(dup2, dup2(ready_file, lowest))
MAKER(dup3, dup3(ready_file, lowest, O_CLOEXEC))
MAKER(sys_dup, syscall(SYS_dup, ready_file))
MAKER(sys_dup3, syscall(SYS_dup3, ready_file, lowest, 0))
MAKER(f_dupfd, fcntl(ready_file, F_DUPFD, 0))
MAKER(f_dupfd_cloexec, fcntl(ready_file, F_DUPFD_CLOEXEC, lowest))
MAKER(fcntl64, fcntl64(ready_file, F_DUPFD, 0))
MAKER(sys_fcntl, syscall(SYS_fcntl, ready_file, F_DUPFD, 0))
MAKER(sys_pidfd_getfd, syscall(SYS_pidfd_getfd, ready_pidfd, ready_file, 0))
MAKER(socket, socket(AF_INET, SOCK_DGRAM, 0))
MAKER(sys_socket, syscall(SYS_socket, AF_UNIX, SOCK_DGRAM, 0))
MAKER(timerfd_create, timerfd_create(CLOCK_MONOTONIC, 0))
MAKER(epoll_create, epoll_create(1))
MAKER(epoll_create1, epoll_create1(EPOLL_CLOEXEC))
MAKER(sys_epoll_create1, syscall(SYS_epoll_create1, 0))
MAKER(inotify_init, inotify_init())
MAKER(inotify_init1, inotify_init1(IN_NONBLOCK))
MAKER(posix_openpt, posix_openpt(O_RDWR | O_NOCTTY))
MAKER(pidfd_open, syscall(SYS_pidfd_open, getpid(), 0))

static int from_stream(FILE *made)
{
	stream = made;
	return made ? fileno(made) : -1;
}

static void close_stream(int fd)
{
	(void)fd;
	cr_assert_eq(fclose(stream), 0);
}

static void close_pipe_stream(int fd)
{
	(void)fd;
	cr_assert_neq(pclose(stream), -1);
}

MAKER(fopen, from_stream(fopen(path, "w+")))
MAKER(fopen64, from_stream(fopen64(path, "w+e")))
MAKER(tmpfile, from_stream(tmpfile()))
MAKER(tmpfile64, from_stream(tmpfile64()))
MAKER(popen, from_stream(popen("exit 0", "r")))

static int make_opendir(int lowest)
{
	(void)lowest;
	directory = opendir("/");
	return dirfd(directory);
}

static void close_directory(int fd)
{
	(void)fd;
	cr_assert_eq(closedir(directory), 0);
}

static int make_signalfd(int lowest)
{
	(void)lowest;
	sigset_t set;
	sigemptyset(&set);
	return signalfd(-1, &set, 0);
}

static int first_of(int ret, const int fds[2])
{
	if (ret)
		return -1;
	fd_other = fds[1];
	return fds[0];
}

static void close_both_ends(int fd)
{
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(fd_other), 0);
}

static int pair[2];
MAKER(pipe, first_of(pipe(pair), pair))
MAKER(pipe2, first_of(pipe2(pair, O_CLOEXEC), pair))
MAKER(sys_pipe2, first_of((int)syscall(SYS_pipe2, pair, 0), pair))
MAKER(socketpair, first_of(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), pair))
MAKER(openpty, first_of(openpty(&pair[0], &pair[1], NULL, NULL, NULL), pair))
MAKER(accept, (fd_other = ready_client, accept(ready_listener, NULL, NULL)))
MAKER(accept4, (fd_other = ready_client, accept4(ready_listener, NULL, NULL, SOCK_CLOEXEC)))
MAKER(sys_accept4, (fd_other = ready_client, syscall(SYS_accept4, ready_listener, NULL, NULL, 0)))

static int receive(long (*call)(struct msghdr *))
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {0};
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd;
	cr_assert_eq(call(&msg), 1);
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

static long by_recvmsg(struct msghdr *msg)
{
	return recvmsg(ready_mail[1], msg, 0);
}

static long by_recvmmsg(struct msghdr *msg)
{
	struct mmsghdr many = {.msg_hdr = *msg};
	if (tk_lacks(SYS_recvmmsg))
		return recvmsg(ready_mail[1], msg, 0);
	return recvmmsg(ready_mail[1], &many, 1, 0, NULL);
}

static long by_sys_recvmsg(struct msghdr *msg)
{
	return syscall(SYS_recvmsg, ready_mail[1], msg, 0);
}

MAKER(recvmsg, receive(by_recvmsg))
MAKER(recvmmsg, receive(by_recvmmsg))
MAKER(sys_recvmsg, receive(by_sys_recvmsg))

#define OF(name, kind)                                                                             \
	{                                                                                          \
#name, kind, make_##name, NULL                                                     \
	}
#define RELEASED(name, kind, release)                                                              \
	{                                                                                          \
#name, kind, make_##name, release                                                  \
	}

const struct fd_maker fd_makers[] = {OF(open, FD_FILE), OF(open64, FD_FILE),
	OF(open_tmpfile, FD_FILE), OF(openat, FD_FILE), OF(openat64, FD_FILE), OF(creat, FD_FILE),
	OF(creat64, FD_FILE), OF(sys_openat, FD_FILE), OF(mkstemp, FD_FILE), OF(mkostemp, FD_FILE),
	OF(memfd_create, FD_FILE), OF(sys_memfd_create, FD_FILE), OF(dup, FD_FILE),
	OF(dup2, FD_FILE), OF(dup3, FD_FILE), OF(sys_dup, FD_FILE), OF(sys_dup3, FD_FILE),
	OF(f_dupfd, FD_FILE), OF(f_dupfd_cloexec, FD_FILE), OF(fcntl64, FD_FILE),
	OF(sys_fcntl, FD_FILE), OF(sys_pidfd_getfd, FD_FILE), OF(recvmsg, FD_FILE),
	OF(recvmmsg, FD_FILE), OF(sys_recvmsg, FD_FILE), RELEASED(fopen, FD_FILE, close_stream),
	RELEASED(fopen64, FD_FILE, close_stream), RELEASED(tmpfile, FD_FILE, close_stream),
	RELEASED(tmpfile64, FD_FILE, close_stream), RELEASED(popen, FD_ELSE, close_pipe_stream),
	RELEASED(opendir, FD_ELSE, close_directory), OF(socket, FD_ELSE), OF(sys_socket, FD_ELSE),
	OF(timerfd_create, FD_ELSE), OF(signalfd, FD_ELSE), OF(epoll_create, FD_ELSE),
	OF(epoll_create1, FD_ELSE), OF(sys_epoll_create1, FD_ELSE), OF(inotify_init, FD_ELSE),
	OF(inotify_init1, FD_ELSE), OF(posix_openpt, FD_ELSE), OF(pidfd_open, FD_ELSE),
	RELEASED(openpty, FD_ELSE, close_both_ends), RELEASED(pipe, FD_CHANNEL, close_both_ends),
	RELEASED(pipe2, FD_CHANNEL, close_both_ends),
	RELEASED(sys_pipe2, FD_CHANNEL, close_both_ends),
	RELEASED(socketpair, FD_CHANNEL, close_both_ends), OF(accept, FD_CHANNEL),
	OF(accept4, FD_CHANNEL), OF(sys_accept4, FD_CHANNEL)};

const int fd_maker_count = sizeof(fd_makers) / sizeof(*fd_makers);
