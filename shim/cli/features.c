/* The table of what programs ask for. Each question leaves nothing behind: it is a call that fails
 * for another reason where it is known, or that makes an fd which is closed again. */
#include "features.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "sys/raw.h"

enum { SEMAPHORE = 1, CLOEXEC_RANGE = 4, KERNEL_SIGSET = 8 };

static bool known(long ret)
{
	return ret != -ENOSYS;
}

/* An fd that a question made. */
static bool made(long fd)
{
	if (fd < 0)
		return false;
	raw_close((int)fd);
	return true;
}

static bool has_eventfd(void)
{
#ifdef SYS_eventfd
	if (made(raw_syscall3(SYS_eventfd, 0, 0, 0)))
		return true;
#endif
	return made(raw_syscall3(SYS_eventfd2, 0, 0, 0));
}

static bool has_eventfd_flags(void)
{
	return made(raw_syscall3(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK, 0));
}

static bool has_semaphores(void)
{
	return made(raw_syscall3(SYS_eventfd2, 0, SEMAPHORE, 0));
}

static bool has_epoll_create1(void)
{
	return made(raw_syscall3(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0));
}

static bool has_dup3(void)
{
	return known(raw_syscall3(SYS_dup3, -1, -1, -1));
}

static bool has_pipe2(void)
{
	return known(raw_syscall3(SYS_pipe2, 0, -1, 0));
}

static bool has_accept4(void)
{
	return known(raw_syscall6(SYS_accept4, -1, 0, 0, SOCK_CLOEXEC, 0, 0));
}

static bool has_inotify_init1(void)
{
	return known(raw_syscall3(SYS_inotify_init1, -1, 0, 0));
}

static bool has_socket_flags(void)
{
	return made(
		raw_syscall3(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static bool has_open_flag(void)
{
	int fd = raw_openat(AT_FDCWD, "/", O_RDONLY | O_CLOEXEC, 0);
	bool set = fd >= 0 && (raw_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);

	made(fd);
	return set;
}

static bool has_dupfd_flag(void)
{
	int fd = raw_openat(AT_FDCWD, "/", O_RDONLY, 0);
	bool dups = fd >= 0 && made(raw_fcntl(fd, F_DUPFD_CLOEXEC, 0));

	made(fd);
	return dups;
}

static bool has_epoll_pwait(void)
{
	return known(raw_syscall6(SYS_epoll_pwait, -1, 0, 1, 0, 0, KERNEL_SIGSET));
}

static bool has_ppoll(void)
{
	long now[2] = {0, 0};

	return known(raw_syscall6(SYS_ppoll, 0, 0, (long)now, 0, KERNEL_SIGSET, 0));
}

static bool has_pselect(void)
{
	long now[2] = {0, 0};

	return known(raw_syscall6(SYS_pselect6, 0, 0, 0, 0, (long)now, 0));
}

static bool has_epoll_pwait2(void)
{
	return known(raw_syscall6(SYS_epoll_pwait2, -1, 0, 1, 0, 0, KERNEL_SIGSET));
}

static int some_epoll(void)
{
#ifdef SYS_epoll_create
	return (int)raw_syscall3(SYS_epoll_create, 1, 0, 0);
#else
	return (int)raw_syscall3(SYS_epoll_create1, 0, 0, 0);
#endif
}

static int socket_pair(int ends[2])
{
	return (int)raw_syscall6(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)ends, 0, 0);
}

/* Where it is known a watch cannot be modified to have it. */
static bool has_exclusive(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ends[2], epfd = some_epoll();
	bool refused = false;

	if (epfd >= 0 && socket_pair(ends) == 0) {
		raw_epoll_ctl(epfd, EPOLL_CTL_ADD, ends[0], &event);
		event.events |= EPOLLEXCLUSIVE;
		refused = raw_epoll_ctl(epfd, EPOLL_CTL_MOD, ends[0], &event) == -EINVAL;
		made(ends[0]);
		made(ends[1]);
	}
	made(epfd);
	return refused;
}

static bool has_hang_up(void)
{
	struct pollfd half = {.events = POLLRDHUP};
	int ends[2];

	if (socket_pair(ends) != 0)
		return false;
	half.fd = ends[0];
	raw_syscall3(SYS_shutdown, ends[1], SHUT_WR, 0);
	raw_poll_now(&half, 1);
	made(ends[0]);
	made(ends[1]);
	return half.revents & POLLRDHUP;
}

/* It shows nowhere: the release decides. */
static bool has_wakeup(void)
{
	struct utsname names;
	int major = 0, minor = 0;

	return uname(&names) == 0 && sscanf(names.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 3 || (major == 3 && minor >= 5));
}

static bool has_close_range(void)
{
	return known(raw_syscall3(SYS_close_range, 1, 0, 0));
}

static bool has_close_range_flag(void)
{
	return raw_syscall3(SYS_close_range, -1, -1, CLOEXEC_RANGE) == 0;
}

static bool has_timerfd(void)
{
	return known(raw_syscall3(SYS_timerfd_create, -1, 0, 0)) &&
	       known(raw_syscall3(SYS_timerfd_settime, -1, 0, 0)) &&
	       known(raw_syscall3(SYS_timerfd_gettime, -1, 0, 0));
}

static bool has_timerfd_flags(void)
{
	return made(raw_syscall3(SYS_timerfd_create, 1, O_CLOEXEC | O_NONBLOCK, 0));
}

static bool has_signalfd(void)
{
#ifdef SYS_signalfd
	if (known(raw_syscall3(SYS_signalfd, -1, 0, 0)))
		return true;
#endif
	return known(raw_syscall6(SYS_signalfd4, -1, 0, 0, -1, 0, 0));
}

static bool has_signalfd4(void)
{
	return known(raw_syscall6(SYS_signalfd4, -1, 0, 0, -1, 0, 0));
}

static const char in_user_space[] = "a counter in user space";
static const char by_fcntl[] = "the older call, then fcntl";
static const char own_fd[] = "an fd of the library's";

#if defined(__x86_64__)
#define FIRST_PPOLL "2.6.19"
#define FIRST_PWAIT "2.6.22"
#else
#define FIRST_PPOLL "2.6.16"
#define FIRST_PWAIT "2.6.19"
#endif

/* clang-format off */
const struct feature features[] = {
	{"eventfd", "2.6.22", FAMILY_OBJECT, has_eventfd, in_user_space},
	{"EFD_CLOEXEC, EFD_NONBLOCK", "2.6.27", FAMILY_OBJECT, has_eventfd_flags, in_user_space},
	{"EFD_SEMAPHORE", "2.6.30", FAMILY_OBJECT, has_semaphores, in_user_space},
	{"EFD_MASK", NULL, FAMILY_OURS, NULL, "a mask in user space"},
	{"asyncfd", NULL, FAMILY_OURS, NULL, "a ring in the program's memory"},
	{"eventpoll", NULL, FAMILY_OURS, NULL, "events in the program's memory"},
	{"epoll_create1", "2.6.27", FAMILY_CALL, has_epoll_create1, by_fcntl},
	{"dup3", "2.6.27", FAMILY_CALL, has_dup3, by_fcntl},
	{"pipe2", "2.6.27", FAMILY_CALL, has_pipe2, by_fcntl},
	{"accept4", "2.6.28", FAMILY_CALL, has_accept4, by_fcntl},
	{"inotify_init1", "2.6.27", FAMILY_CALL, has_inotify_init1, by_fcntl},
	{"SOCK_CLOEXEC, SOCK_NONBLOCK", "2.6.27", FAMILY_CALL, has_socket_flags, by_fcntl},
	{"O_CLOEXEC in open", "2.6.23", FAMILY_CALL, has_open_flag, by_fcntl},
	{"F_DUPFD_CLOEXEC", "2.6.24", FAMILY_CALL, has_dupfd_flag, by_fcntl},
	{"epoll_pwait", FIRST_PWAIT, FAMILY_CALL, has_epoll_pwait, "ppoll on the set switches the mask"},
	{"ppoll", FIRST_PPOLL, FAMILY_CALL, has_ppoll, "poll in slices, signals between them"},
	{"pselect", FIRST_PPOLL, FAMILY_CALL, has_pselect, "poll in slices, signals between them"},
	{"epoll_pwait2", "5.11", FAMILY_CALL, has_epoll_pwait2, "ppoll on the set keeps the time"},
	{"EPOLLEXCLUSIVE", "4.5", FAMILY_CALL, has_exclusive, "taken away: every waiter wakes"},
	{"EPOLLWAKEUP", "3.5", FAMILY_CALL, has_wakeup, "taken away: the machine may sleep"},
	{"EPOLLRDHUP", "2.6.17", FAMILY_CALL, has_hang_up, "taken away: a read tells"},
	{"close_range", "5.9", FAMILY_CALL, has_close_range, "a walk of the fds"},
	{"CLOSE_RANGE_CLOEXEC", "5.11", FAMILY_CALL, has_close_range_flag, "a walk of the fds"},
	{"timerfd", "2.6.25", FAMILY_TIMER, has_timerfd, own_fd},
	{"TFD_CLOEXEC, TFD_NONBLOCK", "2.6.27", FAMILY_TIMER, has_timerfd_flags, own_fd},
	{"signalfd", "2.6.22", FAMILY_SIGNAL, has_signalfd, own_fd},
	{"SFD_CLOEXEC, SFD_NONBLOCK", "2.6.27", FAMILY_SIGNAL, has_signalfd4, own_fd},
};
/* clang-format on */

const unsigned feature_count = sizeof(features) / sizeof(features[0]);

const char *feature_by_flagless(const struct feature *feature)
{
	if (feature->native == has_eventfd_flags)
		return has_eventfd() ? by_fcntl : NULL;
	if (feature->native == has_signalfd4)
		return has_signalfd() ? by_fcntl : NULL;
	return NULL;
}
