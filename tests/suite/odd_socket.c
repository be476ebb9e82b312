/* Calls meant for sockets and for other special files refuse an eventfd as the kernel does. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

TestSuite(odd_socket, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(odd_special, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static char buf[64];
static struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};
static socklen_t size = sizeof(name);

Test(odd_socket, send_and_recv)
{
	struct both b = both_open(5, 0);
	SAME(b, send(fd, buf, 8, 0), SYS_sendto, fd, addr(buf), 8, 0, 0, 0);
	SAME(b, recv(fd, buf, 8, 0), SYS_recvfrom, fd, addr(buf), 8, 0, 0, 0);
	SAME(b, sendto(fd, buf, 8, MSG_DONTWAIT, NULL, 0), SYS_sendto, fd, addr(buf), 8,
		MSG_DONTWAIT, 0, 0);
	SAME(b, recvfrom(fd, buf, 8, MSG_PEEK, NULL, NULL), SYS_recvfrom, fd, addr(buf), 8,
		MSG_PEEK, 0, 0);
	both_close(b);
}

Test(odd_socket, sendmsg_and_recvmsg)
{
	struct both b = both_open(5, 0);
	struct iovec iov = {buf, 8};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = msg};
	SAME(b, sendmsg(fd, &msg, 0), SYS_sendmsg, fd, addr(&msg), 0);
	SAME(b, recvmsg(fd, &msg, 0), SYS_recvmsg, fd, addr(&msg), 0);
	SAME(b, sendmmsg(fd, &many, 1, 0), SYS_sendmmsg, fd, addr(&many), 1, 0);
	SAME(b, recvmmsg(fd, &many, 1, 0, NULL), SYS_recvmmsg, fd, addr(&many), 1, 0, 0);
	both_close(b);
}

Test(odd_socket, options)
{
	struct both b = both_open(5, 0);
	int value = 0;
	socklen_t length = sizeof(value);
	SAME(b, getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length), SYS_getsockopt, fd,
		SOL_SOCKET, SO_TYPE, addr(&value), addr(&length));
	SAME(b, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, length), SYS_setsockopt, fd,
		SOL_SOCKET, SO_REUSEADDR, addr(&value), length);
	both_close(b);
}

Test(odd_socket, names)
{
	struct both b = both_open(5, 0);
	struct sockaddr *sa = (struct sockaddr *)&name;
	SAME(b, bind(fd, sa, size), SYS_bind, fd, addr(sa), size);
	SAME(b, connect(fd, sa, size), SYS_connect, fd, addr(sa), size);
	SAME(b, getsockname(fd, sa, &size), SYS_getsockname, fd, addr(sa), addr(&size));
	SAME(b, getpeername(fd, sa, &size), SYS_getpeername, fd, addr(sa), addr(&size));
	both_close(b);
}

Test(odd_socket, connections)
{
	struct both b = both_open(5, 0);
	SAME(b, listen(fd, 1), SYS_listen, fd, 1);
	SAME(b, accept(fd, NULL, NULL), SYS_accept, fd, 0, 0);
	SAME(b, accept4(fd, NULL, NULL, SOCK_CLOEXEC), SYS_accept4, fd, 0, 0, SOCK_CLOEXEC);
	SAME(b, shutdown(fd, SHUT_RDWR), SYS_shutdown, fd, SHUT_RDWR);
	both_close(b);
}

Test(odd_special, mmap)
{
	struct both b = both_open(5, 0);
	SAME(b, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), SYS_mmap, 0, 4096, PROT_READ,
		MAP_PRIVATE, fd, 0);
	SAME(b, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), SYS_mmap, 0, 4096,
		PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SAME(b, mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0), SYS_mmap, 0, 0, PROT_READ,
		MAP_PRIVATE, fd, 0);
	both_close(b);
}

Test(odd_special, directories)
{
	struct both b = both_open(5, 0);
	SAME(b, getdents64(fd, (void *)buf, sizeof(buf)), SYS_getdents64, fd, addr(buf),
		sizeof(buf));
	SAME(b, fchdir(fd), SYS_fchdir, fd);
	SAME(b, openat(fd, "x", O_RDONLY), SYS_openat, fd, addr("x"), O_RDONLY);
	SAME(b, mkdirat(fd, "x", 0700), SYS_mkdirat, fd, addr("x"), 0700);
	SAME(b, unlinkat(fd, "x", 0), SYS_unlinkat, fd, addr("x"), 0);
	SAME(b, faccessat(fd, "x", R_OK, 0), SYS_faccessat, fd, addr("x"), R_OK);
	both_close(b);
}

Test(odd_special, fdopendir)
{
	int fd = new_eventfd(5, 0);
	FAILS((intptr_t)fdopendir(fd) - 1, ENOTDIR);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(odd_special, isatty_and_ttyname)
{
	int fd = new_eventfd(5, 0);
	errno = 0;
	cr_assert_eq(isatty(fd), 0);
	cr_assert_eq(errno, ENOTTY);
	cr_assert_eq(ttyname_r(fd, buf, sizeof(buf)), ENOTTY);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(odd_special, change_of_mode_owner_and_times)
{
	struct both b = both_open(5, 0);
	struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	SAME(b, fchmod(fd, 0600), SYS_fchmod, fd, 0600);
	SAME(b, fchown(fd, (uid_t)-1, (gid_t)-1), SYS_fchown, fd, -1, -1);
	SAME(b, futimens(fd, omit), SYS_utimensat, fd, 0, addr(omit), 0);
	both_close(b);
}

static void same_open(struct both b, const char *form, int flags)
{
	char ours[64], kernel[64];
	snprintf(ours, sizeof(ours), form, b.ours);
	snprintf(kernel, sizeof(kernel), form, b.kernel);
	SAME(b, ((void)fd, open(ours, flags)), SYS_openat, AT_FDCWD, addr(kernel), flags);
}

Test(odd_special, open_of_its_link_in_proc)
{
	struct both b = both_open(5, 0);
	same_open(b, "/proc/self/fd/%d", O_RDONLY);
	same_open(b, "/proc/self/fd/%d", O_WRONLY);
	same_open(b, "/proc/self/fd/%d", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	same_open(b, "/proc/self/fd/%d", O_RDONLY | O_NOFOLLOW);
	same_open(b, "/proc/self/fd/%d", O_RDONLY | O_DIRECTORY);
	both_close(b);
}

Test(odd_special, open_of_its_link_by_other_names)
{
	struct both b = both_open(5, 0);
	same_open(b, "/dev/fd/%d", O_RDWR);
	same_open(b, "/proc/thread-self/fd/%d", O_RDWR);
	same_open(b, "/proc//self/./fd/%d", O_RDWR);
	both_close(b);
}

Test(odd_special, open_of_a_closed_numbers_link)
{
	int fd = new_eventfd(5, 0);
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	cr_assert_eq(close(fd), 0);
	FAILS(open(link, O_RDONLY), ENOENT);
}

Test(odd_special, calls_meant_for_an_epoll_set)
{
	struct both b = both_open(5, 0);
	int other = new_eventfd(0, 0);
	struct epoll_event e = {.events = EPOLLIN};
	SAME(b, epoll_ctl(fd, EPOLL_CTL_ADD, other, &e), SYS_epoll_ctl, fd, EPOLL_CTL_ADD, other,
		addr(&e));
	SAME(b, epoll_ctl(fd, EPOLL_CTL_ADD, fd, &e), SYS_epoll_ctl, fd, EPOLL_CTL_ADD, fd,
		addr(&e));
	SAME(b, epoll_wait(fd, &e, 1, 0), SYS_epoll_pwait, fd, addr(&e), 1, 0, 0, 8);
	cr_assert_eq(close(other), 0);
	both_close(b);
}

Test(odd_special, calls_meant_for_signalfd_timerfd_and_inotify)
{
	struct both b = both_open(5, 0);
	struct itimerspec time = {0};
	sigset_t set;
	sigemptyset(&set);
	SAME(b, signalfd(fd, &set, 0), SYS_signalfd4, fd, addr(&set), 8, 0);
	SAME(b, timerfd_gettime(fd, &time), SYS_timerfd_gettime, fd, addr(&time));
	SAME(b, timerfd_settime(fd, 0, &time, NULL), SYS_timerfd_settime, fd, 0, addr(&time), 0);
	SAME(b, inotify_add_watch(fd, "/", IN_CREATE), SYS_inotify_add_watch, fd, addr("/"),
		IN_CREATE);
	SAME(b, inotify_rm_watch(fd, 1), SYS_inotify_rm_watch, fd, 1);
	both_close(b);
}
