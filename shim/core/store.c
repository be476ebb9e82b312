#include "core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/fdtable.h"
#include "core/internal.h"
#include "core/slot.h"
#include "core/text.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum {
	PATH_MAX_STORE = 256,
	NAME_MAX_STORE = 48,
	OPENING_ROUNDS = 10000000,
	RENAMED_ROUNDS = 1000
};

/* Chosen once, by the first thread that opens the store; read by everybody after `dirfd` was
 * published. */
static char directory[PATH_MAX_STORE];
static size_t directory_length;
static uint64_t directory_inode;
static uint64_t directory_device;

/* The directory's internal fd, -1 before store_open. Written by store_open and store_fd_moved. */
static _Atomic int dirfd = -1;

/* 1 while somebody is at it. */
static _Atomic int opening;

/* This thread is at it. */
static _Thread_local bool opening_here;

static int stat_fd(int fd, struct stat *st)
{
	return (int)raw_syscall3(SYS_fstat, fd, (long)st, 0);
}

/* Opens `path` where it is a directory of ours that nobody else can enter; an fd or -errno. */
static int open_private(const char *path, struct stat *st)
{
	int fd = passing_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	if (stat_fd(fd, st) || st->st_uid != geteuid() || (st->st_mode & 05777) != 0700) {
		passing_close(fd);
		return -EACCES;
	}
	return fd;
}

/* A directory just made under a umask that takes the owner's rights gets them: the very one that is
 * at the path, and only where others have none. */
static void restore_rights(const char *path)
{
	int fd = passing_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	char space[32];
	struct text link = text_in(space, sizeof(space));
	struct stat st;

	if (fd < 0)
		return;
	text_string(&link, "/proc/self/fd/");
	text_number(&link, (uint64_t)fd, 10);
	if (!stat_fd(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 05077) &&
		(st.st_mode & 0700) != 0700)
		raw_syscall3(SYS_fchmodat, AT_FDCWD, (long)space, 0700);
	passing_close(fd);
}

static int make_private(const char *path)
{
	struct stat st;
	int fd;

	if (!raw_syscall3(SYS_mkdirat, AT_FDCWD, (long)path, 0700))
		restore_rights(path);
	fd = open_private(path, &st);
	if (fd < 0)
		return fd;
	directory_inode = st.st_ino;
	directory_device = st.st_dev;
	return fd;
}

static bool is_directory(const struct stat *st)
{
	return st->st_ino == directory_inode && st->st_dev == directory_device;
}

/* Whether the directory is at that path now. */
static bool directory_is_at(const char *path)
{
	struct stat st;

	return !raw_syscall6(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, AT_SYMLINK_NOFOLLOW,
		       0, 0) &&
	       is_directory(&st);
}

static int try_directory(const char *base, const char *name, bool with_uid)
{
	struct text path = text_in(directory, sizeof(directory));

	text_string(&path, base);
	text_string(&path, name);
	if (with_uid)
		text_number(&path, geteuid(), 10);
	directory_length = path.used;
	if (path.used + NAME_MAX_STORE >= sizeof(directory))
		return -ENAMETOOLONG;
	/* with a slash behind it a link would be followed */
	while (directory_length > 1 && directory[directory_length - 1] == '/')
		directory[--directory_length] = 0;
	return make_private(directory);
}

static int find_directory(void)
{
	int fd;

	if (config.dir)
		return try_directory(config.dir, "", false);
	fd = try_directory("/dev/shm", "/efdshim-", true);
	if (fd < 0 && config.runtime)
		fd = try_directory(config.runtime, "/efdshim", false);
	if (fd < 0)
		fd = try_directory("/tmp", "/efdshim-", true);
	return fd;
}

/* The path under which /proc shows the directory; its length, or 0. */
static size_t path_in_proc(int fd, char path[PATH_MAX_STORE])
{
	char space[32];
	struct text link = text_in(space, sizeof(space));
	long n;

	text_string(&link, "/proc/self/fd/");
	text_number(&link, (uint64_t)fd, 10);
	n = raw_syscall6(SYS_readlinkat, AT_FDCWD, (long)space, (long)path,
		PATH_MAX_STORE - NAME_MAX_STORE, 0, 0);
	if (n <= 0 || n >= PATH_MAX_STORE - NAME_MAX_STORE || path[0] != '/')
		return 0;
	path[n] = 0;
	return (size_t)n;
}

/* /proc shows the FIFOs under the path that has no links in it. Somebody may be renaming the
 * directory: a name that it has for a moment only is not for us to remember, as it may be another
 * one's by the time it is used. */
static void resolve_links(int fd)
{
	char path[PATH_MAX_STORE];

	for (int i = 0; i < RENAMED_ROUNDS; i++) {
		bool before = directory_is_at(directory);
		size_t length = path_in_proc(fd, path);

		if (!length || !strcmp(path, directory))
			return;
		if (before && directory_is_at(path) && directory_is_at(directory)) {
			memcpy(directory, path, length + 1);
			directory_length = length;
			return;
		}
		sched_yield();
	}
}

/* Only one thread opens the store. Another one waits for it; a handler within that thread cannot.
 */
static bool claim_opening(void)
{
	for (int i = 0; i < OPENING_ROUNDS && !opening_here; i++) {
		int nobody = 0;

		if (atomic_compare_exchange_strong(&opening, &nobody, 1))
			return true;
		if (atomic_load(&dirfd) >= 0)
			return false;
		sched_yield();
	}
	return false;
}

int store_open(void)
{
	int fd = -1;

	if (atomic_load(&dirfd) >= 0)
		return 0;
	if (!claim_opening())
		return atomic_load(&dirfd) >= 0 ? 0 : EAGAIN;
	opening_here = true;
	if (atomic_load(&dirfd) < 0) {
		fd = find_directory();
		if (fd >= 0)
			fd = internal_adopt(fd);
		if (fd >= 0) {
			resolve_links(fd);
			atomic_store(&dirfd, fd);
		}
	}
	opening_here = false;
	atomic_store(&opening, 0);
	return atomic_load(&dirfd) >= 0 ? 0 : -fd;
}

void store_forked(void)
{
	atomic_store(&opening, 0);
	internal_forked();
}

void store_fd_moved(int from, int to)
{
	atomic_compare_exchange_strong(&dirfd, &from, to);
}

/* Before anything is made in it: whether the number still is the directory. Somebody may have
 * closed it by a system call instruction, and got the number for another one. */
static bool directory_is_ours(void)
{
	struct stat st;

	return !stat_fd(atomic_load(&dirfd), &st) && is_directory(&st);
}

/* The directory at its path, if it still is the same one: it is only looked for, never made. */
static int reopen_directory(void)
{
	struct stat st;
	int fd = open_private(directory, &st);

	if (fd < 0)
		return fd;
	if (is_directory(&st))
		return internal_adopt(fd);
	passing_close(fd);
	return -ENOENT;
}

/* Somebody closed the library's fd by a system call instruction: gets it back. */
bool store_found_again(void)
{
	int old = atomic_load(&dirfd);
	int fd;

	if (directory_is_ours())
		return true;
	fd = reopen_directory();
	if (fd < 0)
		return false;
	if (!atomic_compare_exchange_strong(&dirfd, &old, fd))
		internal_close(fd);
	else if (old != fd)
		fdtable_drop_stale(old, ENTRY_INTERNAL);
	return directory_is_ours();
}

int store_open_file(const char *name, int flags, unsigned mode)
{
	if (!store_found_again())
		return -EBADF;
	return passing_openat(atomic_load(&dirfd), name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

int store_link(const char *from, const char *to)
{
	int dir = atomic_load(&dirfd);

	return (int)-raw_syscall6(SYS_linkat, dir, (long)from, dir, (long)to, 0, 0);
}

void store_unlink(const char *name)
{
	raw_syscall3(SYS_unlinkat, atomic_load(&dirfd), (long)name, 0);
}

bool store_holds(const struct stat *st)
{
	return atomic_load(&dirfd) >= 0 && st->st_dev == directory_device;
}

bool store_prefixes(const char *target, size_t length)
{
	if (!directory_length || atomic_load(&dirfd) < 0)
		return false;
	if (length > directory_length)
		return !memcmp(target, directory, directory_length) &&
		       target[directory_length] == '/';
	return !memcmp(target, directory, length);
}

int store_directory(void)
{
	return atomic_load(&dirfd);
}

size_t store_path_length(void)
{
	return directory_length;
}
