#include "makers.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <mntent.h>
#include <mqueue.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io_uring.h>
#include <linux/openat2.h>

#define MAKER(name, expression)                                                                    \
	static int make_##name(int lowest)                                                         \
	{                                                                                          \
		(void)lowest;                                                                      \
		return (int)(expression);                                                          \
	}

static int made_at(int fd, const char *path)
{
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int of_template(int (*make)(char *path))
{
	char path[] = "/tmp/efdshim-makers-XXXXXX.tmp";

	return made_at(make(path), path);
}

static int by_mkstemps(char *path)
{
	return mkstemps(path, 4);
}

static int by_mkostemps(char *path)
{
	return mkostemps(path, 4, O_APPEND);
}

static int number_of(FILE *stream)
{
	return stream ? fileno(stream) : -1;
}

static int named_queue(void)
{
	int fd = mq_open("/efdshim-makers", O_RDWR | O_CREAT, 0600, NULL);

	if (fd >= 0)
		mq_unlink("/efdshim-makers");
	return fd;
}

static int named_memory(void)
{
	int fd = shm_open("/efdshim-makers", O_RDWR | O_CREAT, 0600);

	if (fd >= 0)
		shm_unlink("/efdshim-makers");
	return fd;
}

static int terminal_of_a_child(void)
{
	int master = -1;
	pid_t child = forkpty(&master, NULL, NULL, NULL);

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	return master;
}

/* The other end stays open. */
static int pair_of(int ret, const int fds[2])
{
	return ret ? -1 : fds[0];
}

static int by_handle(void)
{
	struct {
		struct file_handle head;
		unsigned char bytes[128];
	} handle = {.head.handle_bytes = 128};
	int mount;

	if (name_to_handle_at(AT_FDCWD, "/tmp", &handle.head, &mount, 0))
		return -1;
	return open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY);
}

static int pair[2];
static sigset_t no_signals;
static struct perf_event_attr clock_event = {
	.type = PERF_TYPE_SOFTWARE,
	.size = sizeof(clock_event),
	.config = PERF_COUNT_SW_CPU_CLOCK,
};
static struct io_uring_params ring;
static struct open_how how = {.flags = O_RDWR};

MAKER(open, open("/dev/null", O_RDWR))
MAKER(creat, creat("/dev/null", 0600))
MAKER(dup, dup(0))
MAKER(dup2, dup2(0, lowest))
MAKER(dup3, dup3(0, lowest, O_CLOEXEC))
MAKER(f_dupfd, fcntl(0, F_DUPFD, lowest))
MAKER(mkstemps, of_template(by_mkstemps))
MAKER(mkostemps, of_template(by_mkostemps))
MAKER(shm_open, named_memory())
MAKER(mq_open, named_queue())
MAKER(getpt, getpt())
MAKER(forkpty, terminal_of_a_child())
MAKER(openpty, pair_of(openpty(&pair[0], &pair[1], NULL, NULL, NULL), pair))
MAKER(pipe, pair_of(pipe(pair), pair))
MAKER(socketpair, pair_of(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), pair))
MAKER(socket, socket(AF_UNIX, SOCK_STREAM, 0))
MAKER(epoll_create1, epoll_create1(0))
MAKER(timerfd, timerfd_create(CLOCK_MONOTONIC, 0))
MAKER(signalfd, signalfd(-1, &no_signals, 0))
MAKER(inotify, inotify_init())
MAKER(fanotify, fanotify_init(FAN_CLASS_NOTIF, O_RDONLY))
MAKER(memfd, memfd_create("makers", 0))
MAKER(pidfd, pidfd_open(getpid(), 0))
MAKER(open_by_handle_at, by_handle())
MAKER(fsopen, fsopen("tmpfs", 0))
MAKER(open_tree, open_tree(AT_FDCWD, "/", 0))
MAKER(tmpfile, number_of(tmpfile()))
MAKER(fopen, number_of(fopen("/dev/null", "r+")))
MAKER(setmntent, number_of(setmntent("/proc/self/mounts", "r")))
MAKER(opendir, dirfd(opendir("/")))
MAKER(sys_openat2, syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof(how)))
MAKER(sys_userfaultfd, syscall(SYS_userfaultfd, 1))
MAKER(sys_perf_event_open, syscall(SYS_perf_event_open, &clock_event, 0, -1, -1, 0))
MAKER(sys_io_uring_setup, syscall(SYS_io_uring_setup, 1, &ring))
MAKER(sys_pidfd_open, syscall(SYS_pidfd_open, getpid(), 0))
#ifdef SYS_memfd_secret
MAKER(sys_memfd_secret, syscall(SYS_memfd_secret, 0))
#else
MAKER(sys_memfd_secret, -1)
#endif

#define OF(name)                                                                                   \
	{                                                                                          \
#name, make_##name                                                                 \
	}

const struct maker makers[] = {OF(open), OF(creat), OF(dup), OF(dup2), OF(dup3), OF(f_dupfd),
	OF(mkstemps), OF(mkostemps), OF(shm_open), OF(mq_open), OF(getpt), OF(forkpty), OF(openpty),
	OF(pipe), OF(socketpair), OF(socket), OF(epoll_create1), OF(timerfd), OF(signalfd),
	OF(inotify), OF(fanotify), OF(memfd), OF(pidfd), OF(open_by_handle_at), OF(fsopen),
	OF(open_tree), OF(tmpfile), OF(fopen), OF(opendir), OF(sys_openat2), OF(sys_userfaultfd),
	OF(sys_perf_event_open), OF(sys_io_uring_setup), OF(sys_pidfd_open), OF(sys_memfd_secret),
	OF(setmntent)};

const int makers_count = sizeof(makers) / sizeof(*makers);
