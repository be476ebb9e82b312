/* stat and readlink. */
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "core/procfd.h"
#include "core/usermem.h"
#include "interpose/ask.h"

int fstat(int fd, struct stat *st)
{
	if (fdtable_foreign(fd))
		return real()->fstat(fd, st);
	return (int)ask(SYS_fstat, (long[6]){fd, (long)st}, 1);
}

int __fxstat(int version, int fd, struct stat *st)
{
	if (fdtable_foreign(fd))
		return real()->__fxstat(version, fd, st);
	return fstat(fd, st);
}

int stat(const char *path, struct stat *st)
{
	int ret = real()->stat(path, st);

	return ret ? ret : (int)outcome_return(procfd_stat(AT_FDCWD, path, st, 0));
}

/* Answers are laid out the same in every version there is on a 64-bit system. */
int __xstat(int version, const char *path, struct stat *st)
{
	int ret = real()->__xstat(version, path, st);

	if (ret && errno == ENOSYS)
		return stat(path, st);
	return ret ? ret : (int)outcome_return(procfd_stat(AT_FDCWD, path, st, 0));
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	int ret;

	if (fdtable_foreign(dir))
		ret = real()->fstatat(dir, path, st, flags);
	else
		ret = (int)ask(SYS_newfstatat, (long[6]){dir, (long)path, (long)st, flags}, 1);
	return ret ? ret : (int)outcome_return(procfd_stat(dir, path, st, flags));
}

int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
{
	int ret;

	if (!fdtable_foreign(dir))
		return fstatat(dir, path, st, flags);
	ret = real()->__fxstatat(version, dir, path, st, flags);
	if (ret && errno == ENOSYS)
		return fstatat(dir, path, st, flags);
	return ret ? ret : (int)outcome_return(procfd_stat(dir, path, st, flags));
}

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	int ret;

	if (fdtable_foreign(dir))
		ret = real()->statx(dir, path, flags, mask, st);
	else
		ret = (int)ask(SYS_statx, (long[6]){dir, (long)path, flags, mask, (long)st}, 1);
	return ret ? ret : (int)outcome_return(procfd_statx(dir, path, flags, mask, st));
}

ssize_t readlink(const char *path, char *buf, size_t n)
{
	struct outcome answer;

	if (procfd_readlink(AT_FDCWD, path, buf, n, &answer))
		return outcome_return(answer);
	return real()->readlink(path, buf, n);
}

ssize_t readlinkat(int dir, const char *path, char *buf, size_t n)
{
	struct outcome answer;

	if (procfd_readlink(dir, path, buf, n, &answer))
		return outcome_return(answer);
	if (fdtable_foreign(dir))
		return real()->readlinkat(dir, path, buf, n);
	return ask(SYS_readlinkat, (long[6]){dir, (long)path, (long)buf, (long)n}, 1);
}

ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t size)
{
	if (n > size)
		return real()->__readlink_chk(path, buf, n, size);
	return readlink(path, buf, n);
}

ssize_t __readlinkat_chk(int dir, const char *path, char *buf, size_t n, size_t size)
{
	if (n > size)
		return real()->__readlinkat_chk(dir, path, buf, n, size);
	return readlinkat(dir, path, buf, n);
}

SYMBOLS_STAT(SHIM_NO_ALIAS, SHIM_ALIAS)
