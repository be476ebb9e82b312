#include "sys/older.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "sys/control.h"
#include "sys/passing.h"
#include "sys/raw.h"

/* They are the same bits everywhere but on processors that this library does not know. */
_Static_assert(EFD_CLOEXEC == O_CLOEXEC && EFD_NONBLOCK == O_NONBLOCK, "flags of eventfd2");
_Static_assert(IN_CLOEXEC == O_CLOEXEC && IN_NONBLOCK == O_NONBLOCK, "flags of inotify_init1");
_Static_assert(SOCK_CLOEXEC == O_CLOEXEC && SOCK_NONBLOCK == O_NONBLOCK, "flags of socket");
_Static_assert(EPOLL_CLOEXEC == O_CLOEXEC, "flags of epoll_create1");

enum { FLAGS = O_CLOEXEC | O_NONBLOCK, LIST_BYTES = 1024, FEW_FDS = 1 << 16, MOST_FDS = 1 << 20 };
enum { DIGITS = 10 };

int older_flagged(int fd, int flags)
{
	if (fd >= 0 && (flags & O_CLOEXEC))
		raw_fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (fd >= 0 && (flags & O_NONBLOCK))
		raw_fcntl(fd, F_SETFL, raw_fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
	return fd;
}

/* `ends` where ret is 0. */
static int flagged_both(int ret, const int ends[2], int flags)
{
	for (int i = 0; i < 2 && !ret; i++)
		older_flagged(ends[i], flags);
	return ret;
}

int older_eventfd2(unsigned count, int flags)
{
#ifdef SYS_eventfd
	if (!(flags & ~FLAGS))
		return older_flagged((int)raw_syscall3(SYS_eventfd, count, 0, 0), flags);
#else
	(void)count;
	(void)flags;
#endif
	return -ENOSYS;
}

int older_epoll_create1(int flags)
{
#ifdef SYS_epoll_create
	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	return older_flagged((int)raw_syscall3(SYS_epoll_create, 1, 0, 0), flags);
#else
	(void)flags;
	return -ENOSYS;
#endif
}

int older_pipe2(int ends[2], int flags)
{
#ifdef SYS_pipe
	if (flags & ~FLAGS)
		return -EINVAL;
	return flagged_both((int)raw_syscall3(SYS_pipe, (long)ends, 0, 0), ends, flags);
#else
	(void)ends;
	(void)flags;
	return -ENOSYS;
#endif
}

int older_dup3(int from, int to, int flags)
{
#ifdef SYS_dup2
	if (from == to || (flags & ~O_CLOEXEC))
		return -EINVAL;
	return older_flagged((int)raw_syscall3(SYS_dup2, from, to, 0), flags);
#else
	(void)from;
	(void)to;
	(void)flags;
	return -ENOSYS;
#endif
}

int older_inotify_init1(int flags)
{
#ifdef SYS_inotify_init
	if (flags & ~FLAGS)
		return -EINVAL;
	return older_flagged((int)raw_syscall3(SYS_inotify_init, 0, 0, 0), flags);
#else
	(void)flags;
	return -ENOSYS;
#endif
}

int older_socket(int domain, int type, int protocol)
{
	if (!(type & FLAGS))
		return -EINVAL;
	return older_flagged(
		(int)raw_syscall3(SYS_socket, domain, type & ~FLAGS, protocol), type & FLAGS);
}

int older_socketpair(int domain, int type, int protocol, int ends[2])
{
	long ret;

	if (!(type & FLAGS))
		return -EINVAL;
	ret = raw_syscall6(SYS_socketpair, domain, type & ~FLAGS, protocol, (long)ends, 0, 0);
	return flagged_both((int)ret, ends, type & FLAGS);
}

bool older_accept_knows(int flags)
{
	return !(flags & ~FLAGS);
}

int older_dupfd(int fd, int lowest)
{
	return older_flagged(raw_fcntl(fd, F_DUPFD, lowest), O_CLOEXEC);
}

int older_fcntl(int fd, int cmd, long arg)
{
	int ret = raw_fcntl(fd, cmd, arg);

	return ret == -EINVAL && cmd == F_DUPFD_CLOEXEC ? older_dupfd(fd, (int)arg) : ret;
}

struct listed {
	uint64_t inode, offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static void end_or_mark(int fd, unsigned flags)
{
	if (flags & CLOSE_RANGE_CLOEXEC)
		raw_fcntl(fd, F_SETFD, FD_CLOEXEC);
	else
		raw_close(fd);
}

/* -1 for what is no number. */
static int number_named(const char *name)
{
	int number = 0;

	if (!*name)
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		number = number * 10 + (*name - '0');
	}
	return number;
}

/* Of this thread, whose fds need not be those of the process (CLONE_FILES). */
static int open_list(void)
{
	static const char start[] = "/proc/self/task/", end[] = "/fd";
	char digits[DIGITS], path[sizeof(start) + DIGITS + sizeof(end)];
	unsigned thread = (unsigned)raw_syscall3(SYS_gettid, 0, 0, 0);
	size_t n = 0, used = sizeof(start) - 1;

	for (; !n || thread; thread /= 10)
		digits[n++] = (char)('0' + thread % 10);
	memcpy(path, start, used);
	while (n)
		path[used++] = digits[--n];
	memcpy(path + used, end, sizeof(end));
	return passing_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* The list goes by numbers: it misses none when others are closed meanwhile. */
static void close_listed(int list, unsigned first, unsigned last, unsigned flags)
{
	_Alignas(8) char space[LIST_BYTES];
	long n;

	while ((n = raw_syscall3(SYS_getdents64, list, (long)space, sizeof(space))) > 0) {
		for (long at = 0; at < n;) {
			const struct listed *entry =
				(const struct listed *)(const void *)(space + at);
			int fd = number_named(entry->name);

			if (fd >= 0 && fd != list && (unsigned)fd >= first && (unsigned)fd <= last)
				end_or_mark(fd, flags);
			at += entry->length;
		}
	}
}

/* Without /proc, or without a number to open it at. There may be fds beyond a limit that was
 * lowered. */
static void close_each(unsigned first, unsigned last, unsigned flags)
{
	struct rlimit limit;

	if (older_limit(RLIMIT_NOFILE, NULL, &limit) || limit.rlim_max > MOST_FDS)
		limit.rlim_max = MOST_FDS;
	if (limit.rlim_max < FEW_FDS)
		limit.rlim_max = FEW_FDS;
	if (last >= limit.rlim_max)
		last = (unsigned)limit.rlim_max - 1;
	for (unsigned fd = first; fd <= last; fd++)
		end_or_mark((int)fd, flags);
}

int older_close_range(unsigned first, unsigned last, unsigned flags)
{
	int list;

	if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		int ret = (int)raw_syscall3(SYS_unshare, CLONE_FILES, 0, 0);

		if (ret)
			return ret;
	}
	list = open_list();
	if (list < 0) {
		close_each(first, last, flags);
		return 0;
	}
	close_listed(list, first, last, flags);
	passing_close(list);
	return 0;
}

/* The sanitizers ask before their memory is ready. What was before is stored last, as the newer
 * call does: `old` may be `set`, and stays as it is where that is refused. The second look tells
 * whether it can be stored. */
__attribute__((no_sanitize("address"), noinline)) static long limit_in_steps(
	int resource, const struct rlimit *set, struct rlimit *old)
{
	struct rlimit before;
	long ret = raw_syscall3(SYS_getrlimit, resource, (long)&before, 0);

	if (!ret && set)
		ret = raw_syscall3(SYS_setrlimit, resource, (long)set, 0);
	if (!ret && old)
		ret = raw_syscall3(SYS_getrlimit, resource, (long)old, 0);
	if (!ret && old)
		*old = before;
	return ret;
}

int older_limit(int resource, const struct rlimit *set, struct rlimit *old)
{
	long ret = raw_syscall6(SYS_prlimit64, 0, resource, (long)set, (long)old, 0, 0);

	return (int)(ret == -ENOSYS ? limit_in_steps(resource, set, old) : ret);
}

long older_epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
#ifdef SYS_epoll_wait
	return raw_syscall6(SYS_epoll_wait, epfd, (long)events, max, ms, 0, 0);
#else
	return raw_syscall6(SYS_epoll_pwait, epfd, (long)events, max, ms, 0, 0);
#endif
}

/* Whether the kernel heeds a flag that others ignore. */
enum heeds { UNASKED, IGNORED, HEEDED };

/* The fd came of a call with the flag in it. */
static void heed(_Atomic int *known, int fd)
{
	int flags;

	if (atomic_load_explicit(known, memory_order_relaxed) == HEEDED)
		return;
	flags = raw_fcntl(fd, F_GETFD, 0);
	if (flags < 0)
		return;
	if (!(flags & FD_CLOEXEC))
		raw_fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	atomic_store_explicit(known, flags & FD_CLOEXEC ? HEEDED : IGNORED, memory_order_relaxed);
}

void older_opened(int fd)
{
	static _Atomic int known;

	heed(&known, fd);
}

static void heed_all(const struct cmsghdr *part)
{
	static _Atomic int known;
	size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
		heed(&known, fd);
	}
}

void older_received(const struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = control_next(message, part)) {
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			heed_all(part);
	}
}
