/* open and its kin: what they return is a new file, or what /proc shows of a fake fd. */
#include <stdarg.h>

#include "interpose/interpose.h"

#include "core/procfd.h"
#include "interpose/open.h"
#include "sys/older.h"

int open_done(int fd, const char *path, int flags)
{
	int err;

	if (object_new_file(fd) < 0)
		return fd;
	if (flags & O_CLOEXEC)
		older_opened(fd);
	err = procfd_opened(fd, path, flags);
	if (!err)
		return fd;
	real()->close(fd);
	errno = err;
	return -1;
}

static bool has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

int open(const char *path, int flags, ...)
{
	unsigned mode = 0;
	va_list args;

	va_start(args, flags);
	if (has_mode(flags))
		mode = va_arg(args, unsigned);
	va_end(args);
	return open_done(real()->open(path, flags, mode), path, flags);
}

int __open_2(const char *path, int flags)
{
	return open_done(real()->__open_2(path, flags), path, flags);
}

int openat(int dir, const char *path, int flags, ...)
{
	unsigned mode = 0;
	va_list args;

	va_start(args, flags);
	if (has_mode(flags))
		mode = va_arg(args, unsigned);
	va_end(args);
	return open_done(real()->openat(dir, path, flags, mode), path, flags);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_done(real()->__openat_2(dir, path, flags), path, flags);
}

int creat(const char *path, mode_t mode)
{
	return open_done(real()->creat(path, mode), path, O_CREAT | O_WRONLY | O_TRUNC);
}

static int new_one(int fd, int flags)
{
	if (fd >= 0 && (flags & O_CLOEXEC))
		older_opened(fd);
	return object_new_file(fd);
}

int mkstemp(char *template)
{
	return object_new_file(real()->mkstemp(template));
}

int mkostemp(char *template, int flags)
{
	return new_one(real()->mkostemp(template, flags), flags);
}

int mkstemps(char *template, int suffix)
{
	return object_new_file(real()->mkstemps(template, suffix));
}

int mkostemps(char *template, int suffix, int flags)
{
	return new_one(real()->mkostemps(template, suffix, flags), flags);
}

int shm_open(const char *name, int flags, mode_t mode)
{
	return new_one(real()->shm_open(name, flags, mode), O_CLOEXEC);
}

int posix_openpt(int flags)
{
	return new_one(real()->posix_openpt(flags), flags);
}

int getpt(void)
{
	return object_new_file(real()->getpt());
}

int openpty(int *master, int *slave, char *name, const struct termios *termios,
	const struct winsize *size)
{
	int ret = real()->openpty(master, slave, name, termios, size);

	if (!ret) {
		object_new_file(*master);
		object_new_file(*slave);
	}
	return ret;
}

int forkpty(int *master, char *name, const struct termios *termios, const struct winsize *size)
{
	int pid = real()->forkpty(master, name, termios, size);

	if (pid > 0)
		object_new_file(*master);
	return pid;
}

SYMBOLS_OPEN(SHIM_NO_ALIAS, SHIM_ALIAS)
