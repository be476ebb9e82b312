#include "sys/passing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "sys/older.h"
#include "sys/raw.h"

enum { TRIES = 16 };

/* Written before the first fake fd is made, always the same. */
static const struct passing_hooks *_Atomic hooks;

void passing_set_hooks(const struct passing_hooks *to)
{
	atomic_store(&hooks, to);
}

bool passing_begin(void)
{
	const struct passing_hooks *known = atomic_load(&hooks);

	return known && known->begin();
}

int passing_got(bool begun, int fd)
{
	return begun ? atomic_load(&hooks)->got(fd) : fd;
}

void passing_close(int fd)
{
	const struct passing_hooks *known = atomic_load(&hooks);

	if (known)
		known->close(fd);
	else
		raw_close(fd);
}

int passing_openat(int dir, const char *path, int flags, unsigned mode)
{
	int fd = -EBUSY;

	for (int i = 0; i < TRIES && fd == -EBUSY; i++) {
		bool begun = passing_begin();

		fd = raw_openat(dir, path, flags, mode);
		if (fd >= 0 && (flags & O_CLOEXEC))
			older_opened(fd);
		fd = passing_got(begun, fd);
		flags &= ~O_EXCL; /* it has been made */
	}
	return fd;
}

static int epoll_by_flags(const void *name, int flags)
{
	int fd = (int)raw_syscall3(SYS_epoll_create1, flags, 0, 0);

	(void)name;
	return fd == -ENOSYS ? older_epoll_create1(flags) : fd;
}

static int eventfd_by_flags(const void *name, int flags)
{
	int fd = (int)raw_syscall3(SYS_eventfd2, 0, flags, 0);

	(void)name;
	return fd == -ENOSYS ? older_eventfd2(0, flags) : fd;
}

static int memfd_by_flags(const void *name, int flags)
{
	return (int)raw_syscall3(SYS_memfd_create, (long)name, flags, 0);
}

static int open_by(int (*call)(const void *, int), const void *name, int flags)
{
	int fd = -EBUSY;

	for (int i = 0; i < TRIES && fd == -EBUSY; i++) {
		bool begun = passing_begin();

		fd = passing_got(begun, call(name, flags));
	}
	return fd;
}

int passing_eventfd(int flags)
{
	return open_by(eventfd_by_flags, NULL, flags | EFD_CLOEXEC);
}

int passing_epoll(void)
{
	return open_by(epoll_by_flags, NULL, EPOLL_CLOEXEC);
}

int passing_memfd(const char *name)
{
	return open_by(memfd_by_flags, name, MFD_CLOEXEC);
}

static int open_pipe(int ends[2])
{
	bool begun[2] = {passing_begin(), passing_begin()};
	int err = (int)raw_syscall3(SYS_pipe2, (long)ends, O_CLOEXEC | O_NONBLOCK, 0);

	if (err == -ENOSYS)
		err = older_pipe2(ends, O_CLOEXEC | O_NONBLOCK);
	for (int i = 0; i < 2; i++)
		ends[i] = passing_got(begun[i], err ? err : ends[i]);
	if (ends[0] >= 0 && ends[1] >= 0)
		return 0;
	err = ends[0] < 0 ? ends[0] : ends[1];
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			passing_close(ends[i]);
	}
	return err;
}

int passing_pipe(int ends[2])
{
	int err = -EBUSY;

	for (int i = 0; i < TRIES && err == -EBUSY; i++)
		err = open_pipe(ends);
	return err;
}
