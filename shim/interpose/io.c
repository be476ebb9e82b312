/* eventfd, read, write and their kin. */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "interpose/interpose.h"

#include "core/config.h"
#include "core/counterfd_fast.h"
#include "core/detour.h"
#include "core/fdio.h"
#include "core/late.h"
#include "core/oddio.h"
#include "core/process.h"
#include "efdshim/eventfd.h"
#include "sys/older.h"
#include "sys/raw.h"

#define FLAGS (EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)

/* Before 2.6.27 there is the call without flags, before 2.6.22 none: what no kernel takes is EINVAL
 * there as well. */
static int older_eventfd(unsigned initval, int flags, int saved)
{
	if (flags & ~FLAGS)
		return (int)older_return(saved, -EINVAL);
	return (int)older_return(saved, older_eventfd2(initval, flags));
}

static int kernel_eventfd(unsigned initval, int flags)
{
	int saved = errno;
	int fd = real()->eventfd(initval, flags);

	if (fd < 0 && errno == ENOSYS)
		fd = older_eventfd(initval, flags, saved);
	return object_new_file(fd);
}

/* libvpoll asks every kernel for EFD_VPOLL, which is the same bit: it shall not take a mask for
 * that. */
static bool knows_vpoll_only(const void *caller)
{
	const char *name;
	Dl_info info;

	if (config.mask != CONFIG_MASK_UNSET || !dladdr(caller, &info) || !info.dli_fname)
		return false;
	name = strrchr(info.dli_fname, '/');
	name = name ? name + 1 : info.dli_fname;
	return !strncmp(name, "libvpoll", 8);
}

static int make_mask(unsigned initval, int flags, const void *caller)
{
	bool vpoll = config.mask == CONFIG_VPOLL;
	struct outcome outcome;

	if ((flags & ~(EFD_MASK | FLAGS)) || knows_vpoll_only(caller))
		return kernel_eventfd(initval, flags);
	outcome = object_create(
		vpoll ? KIND_VPOLL : KIND_MASK, vpoll ? initval & POLL_BITS : 0, flags & ~EFD_MASK);
	return outcome.err == ENOSYS ? kernel_eventfd(initval, flags)
				     : (int)outcome_return(outcome);
}

static int last_resort(unsigned initval, int flags)
{
	int saved = errno;
	int fd = kernel_eventfd(initval, flags);

	if (fd >= 0 || errno != ENOSYS || !process_borrows_memory())
		return fd;
	errno = saved;
	return (int)outcome_return(object_create_borrowed(KIND_COUNTER, initval, flags));
}

int eventfd(unsigned initval, int flags)
{
	struct outcome outcome;
	int fd;

	config_load();
	if (flags & EFD_MASK)
		return make_mask(initval, flags, __builtin_return_address(0));
	if (flags & ~FLAGS)
		return kernel_eventfd(initval, flags);
	if (config.only_missing) {
		int saved = errno;

		fd = kernel_eventfd(initval, flags);
		if (fd >= 0 || (errno != ENOSYS && errno != EINVAL)) /* semaphores: 2.6.30 */
			return fd;
		errno = saved;
	}
	outcome = object_create(KIND_COUNTER, initval, flags);
	return outcome.err == ENOSYS ? last_resort(initval, flags) : (int)outcome_return(outcome);
}

static SHIM_LONG_WAY ssize_t read_and_look(int fd, void *buf, size_t n)
{
	struct outcome outcome;
	int saved = errno;
	ssize_t got = real()->read(fd, buf, n);

	if ((got < 0 && errno != EAGAIN) || got == 0 ||
		(got > 0 && got % (ssize_t)sizeof(uint64_t)) || !late_possible(fd))
		return got;
	outcome = got < 0 ? outcome_err(EAGAIN) : outcome_ok(got);
	errno = saved;
	return outcome_return(late_read(fd, buf, n, outcome));
}

static inline ssize_t foreign_read(int fd, void *buf, size_t n)
{
	if (n < sizeof(uint64_t) || late_never())
		return real()->read(fd, buf, n);
	return read_and_look(fd, buf, n);
}

static SHIM_LONG_WAY ssize_t write_and_look(int fd, const void *buf, size_t n)
{
	ssize_t done = real()->write(fd, buf, n);

	if (done == sizeof(uint64_t) && late_possible(fd))
		return outcome_return(late_write(fd));
	return done;
}

static inline ssize_t foreign_write(int fd, const void *buf, size_t n)
{
	if (n != sizeof(uint64_t) || late_never())
		return real()->write(fd, buf, n);
	return write_and_look(fd, buf, n);
}

/* The object has died since: dup2 may have put something else there at once. Not for ever: what the
 * slot says of itself may be garbage. */
enum { LOOKS = 1000 };

static ssize_t object_read(int fd, void *buf, size_t n)
{
	struct outcome outcome = outcome_err(EBADF);

	for (int i = 0; i < LOOKS && outcome.err == EBADF; i++) {
		struct fdref ref;
		int number = fd;

		if (!object_is(&number, &ref))
			return foreign_read(number, buf, n);
		outcome = fdio_read(&ref, buf, n);
	}
	return outcome_return(outcome);
}

static ssize_t object_write(int fd, const void *buf, size_t n)
{
	struct outcome outcome = outcome_err(EBADF);

	for (int i = 0; i < LOOKS && outcome.err == EBADF; i++) {
		struct fdref ref;
		int number = fd;

		if (!object_is(&number, &ref))
			return foreign_write(number, buf, n);
		outcome = fdio_write(&ref, buf, n);
	}
	return outcome_return(outcome);
}

static SHIM_LONG_WAY ssize_t long_read(int fd, void *buf, size_t n)
{
	if (fdtable_foreign(fd))
		return foreign_read(fd, buf, n);
	pthread_testcancel();
	if (detours_now() == DETOUR_CANCEL)
		return counterfd_fast_read(fd, buf, n, DETOUR_CANCEL, object_read);
	return object_read(fd, buf, n);
}

static SHIM_LONG_WAY ssize_t long_write(int fd, const void *buf, size_t n)
{
	if (fdtable_foreign(fd))
		return foreign_write(fd, buf, n);
	pthread_testcancel();
	if (detours_now() == DETOUR_CANCEL)
		return counterfd_fast_write(fd, buf, n, DETOUR_CANCEL, object_write);
	return object_write(fd, buf, n);
}

ssize_t read(int fd, void *buf, size_t n)
{
	return counterfd_fast_read(fd, buf, n, 0, long_read);
}

ssize_t write(int fd, const void *buf, size_t n)
{
	return counterfd_fast_write(fd, buf, n, 0, long_write);
}

static SHIM_LONG_WAY ssize_t long_readv(int fd, const struct iovec *iov, int count)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->readv(fd, iov, count);
	pthread_testcancel();
	return outcome_return(fdio_readv(&ref, iov, count, false));
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
	if (fdtable_foreign(fd))
		return real()->readv(fd, iov, count);
	return long_readv(fd, iov, count);
}

static SHIM_LONG_WAY ssize_t long_writev(int fd, const struct iovec *iov, int count)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->writev(fd, iov, count);
	pthread_testcancel();
	return outcome_return(fdio_writev(&ref, iov, count));
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	if (fdtable_foreign(fd))
		return real()->writev(fd, iov, count);
	return long_writev(fd, iov, count);
}

ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	struct fdref ref;

	if (n > size || !object_is(&fd, &ref))
		return real()->__read_chk(fd, buf, n, size);
	return read(fd, buf, n);
}

int eventfd_read(int fd, eventfd_t *value)
{
	return read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

int eventfd_write(int fd, eventfd_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->pread(fd, buf, n, at);
	pthread_testcancel();
	return outcome_return(oddio_ask(SYS_pread64, (long[6]){fd, (long)buf, (long)n, at}, 1));
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->pwrite(fd, buf, n, at);
	pthread_testcancel();
	return outcome_return(oddio_ask(SYS_pwrite64, (long[6]){fd, (long)buf, (long)n, at}, 1));
}

ssize_t __pread_chk(int fd, void *buf, size_t n, off_t at, size_t size)
{
	struct fdref ref;

	if (n > size || !object_is(&fd, &ref))
		return real()->__pread_chk(fd, buf, n, at, size);
	return pread(fd, buf, n, at);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t at)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->preadv(fd, iov, count, at);
	pthread_testcancel();
	return outcome_return(oddio_ask(SYS_preadv, (long[6]){fd, (long)iov, count, at}, 1));
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->pwritev(fd, iov, count, at);
	pthread_testcancel();
	return outcome_return(oddio_ask(SYS_pwritev, (long[6]){fd, (long)iov, count, at}, 1));
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->preadv2(fd, iov, count, at, flags);
	pthread_testcancel();
	return outcome_return(oddio_preadv2(&ref, iov, count, at, flags));
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
	struct fdref ref;

	if (!object_is(&fd, &ref))
		return real()->pwritev2(fd, iov, count, at, flags);
	pthread_testcancel();
	return outcome_return(oddio_pwritev2(&ref, iov, count, at, flags));
}

SYMBOLS_IO(SHIM_NO_ALIAS, SHIM_ALIAS)
