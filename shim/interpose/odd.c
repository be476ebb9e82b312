/* What few programs do with an eventfd: seeking, syncing, cutting, splicing. */
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "interpose/ask.h"

off_t lseek(int fd, off_t at, int whence)
{
	if (fdtable_foreign(fd))
		return real()->lseek(fd, at, whence);
	return ask(SYS_lseek, (long[6]){fd, at, whence}, 1);
}

int fsync(int fd)
{
	if (fdtable_foreign(fd))
		return real()->fsync(fd);
	return (int)ask(SYS_fsync, (long[6]){fd}, 1);
}

int fdatasync(int fd)
{
	if (fdtable_foreign(fd))
		return real()->fdatasync(fd);
	return (int)ask(SYS_fdatasync, (long[6]){fd}, 1);
}

int syncfs(int fd)
{
	if (fdtable_foreign(fd))
		return real()->syncfs(fd);
	return (int)ask(SYS_syncfs, (long[6]){fd}, 1);
}

int ftruncate(int fd, off_t size)
{
	if (fdtable_foreign(fd))
		return real()->ftruncate(fd, size);
	return (int)ask(SYS_ftruncate, (long[6]){fd, size}, 1);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	if (fdtable_foreign(fd))
		return real()->fallocate(fd, mode, at, n);
	return (int)ask(SYS_fallocate, (long[6]){fd, mode, at, n}, 1);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	int asked = ask_begin(fd);
	int err = real()->posix_fallocate(asked, at, n);

	ask_end(fd, asked);
	return err;
}

int posix_fadvise(int fd, off_t at, off_t n, int advice)
{
	int asked = ask_begin(fd);
	int err = real()->posix_fadvise(asked, at, n, advice);

	ask_end(fd, asked);
	return err;
}

int sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
	if (fdtable_foreign(fd))
		return real()->sync_file_range(fd, at, n, flags);
	return (int)ask(SYS_sync_file_range, (long[6]){fd, at, n, flags}, 1);
}

ssize_t readahead(int fd, off_t at, size_t n)
{
	if (fdtable_foreign(fd))
		return real()->readahead(fd, at, n);
	return ask(SYS_readahead, (long[6]){fd, at, (long)n}, 1);
}

int fchmod(int fd, mode_t mode)
{
	if (fdtable_foreign(fd))
		return real()->fchmod(fd, mode);
	return (int)ask(SYS_fchmod, (long[6]){fd, mode}, 1);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	if (fdtable_foreign(fd))
		return real()->fchown(fd, uid, gid);
	return (int)ask(SYS_fchown, (long[6]){fd, uid, gid}, 1);
}

int futimens(int fd, const struct timespec times[2])
{
	if (fdtable_foreign(fd))
		return real()->futimens(fd, times);
	return (int)ask(SYS_utimensat, (long[6]){fd, 0, (long)times}, 1);
}

int futimes(int fd, const struct timeval times[2])
{
	int asked = ask_begin(fd);
	int ret = real()->futimes(asked, times);

	ask_end(fd, asked);
	return ret;
}

/* A lock is the file's, and the FIFO serves for it as well. */
int flock(int fd, int op)
{
	struct fdref ref;

	object_is(&fd, &ref);
	return real()->flock(fd, op);
}

int fstatfs(int fd, struct statfs *st)
{
	if (fdtable_foreign(fd))
		return real()->fstatfs(fd, st);
	return (int)ask(SYS_fstatfs, (long[6]){fd, (long)st}, 1);
}

int fstatvfs(int fd, struct statvfs *st)
{
	int asked = ask_begin(fd);
	int ret = real()->fstatvfs(asked, st);

	ask_end(fd, asked);
	return ret;
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t n)
{
	if (fdtable_foreign(fd))
		return real()->fgetxattr(fd, name, value, n);
	return ask(SYS_fgetxattr, (long[6]){fd, (long)name, (long)value, (long)n}, 1);
}

int fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	if (fdtable_foreign(fd))
		return real()->fsetxattr(fd, name, value, n, flags);
	return (int)ask(SYS_fsetxattr, (long[6]){fd, (long)name, (long)value, (long)n, flags}, 1);
}

ssize_t flistxattr(int fd, char *names, size_t n)
{
	if (fdtable_foreign(fd))
		return real()->flistxattr(fd, names, n);
	return ask(SYS_flistxattr, (long[6]){fd, (long)names, (long)n}, 1);
}

int fremovexattr(int fd, const char *name)
{
	if (fdtable_foreign(fd))
		return real()->fremovexattr(fd, name);
	return (int)ask(SYS_fremovexattr, (long[6]){fd, (long)name}, 1);
}

ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
	if (fdtable_foreign(out) && fdtable_foreign(in))
		return real()->sendfile(out, in, at, n);
	return ask(SYS_sendfile, (long[6]){out, in, (long)at, (long)n}, 1 | 2);
}

ssize_t splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
	if (fdtable_foreign(in) && fdtable_foreign(out))
		return real()->splice(in, in_at, out, out_at, n, flags);
	return ask(
		SYS_splice, (long[6]){in, (long)in_at, out, (long)out_at, (long)n, flags}, 1 | 4);
}

ssize_t tee(int in, int out, size_t n, unsigned flags)
{
	if (fdtable_foreign(in) && fdtable_foreign(out))
		return real()->tee(in, out, n, flags);
	return ask(SYS_tee, (long[6]){in, out, (long)n, flags}, 1 | 2);
}

ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	if (fdtable_foreign(fd))
		return real()->vmsplice(fd, iov, count, flags);
	return ask(SYS_vmsplice, (long[6]){fd, (long)iov, (long)count, flags}, 1);
}

ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
	if (fdtable_foreign(in) && fdtable_foreign(out))
		return real()->copy_file_range(in, in_at, out, out_at, n, flags);
	return ask(SYS_copy_file_range,
		(long[6]){in, (long)in_at, out, (long)out_at, (long)n, flags}, 1 | 4);
}

SYMBOLS_ODD(SHIM_NO_ALIAS, SHIM_ALIAS)
