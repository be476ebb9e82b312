/* close, dup, fcntl, ioctl and their kin. */
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/eventpoll.h"
#include "core/fdlife.h"
#include "core/oddio.h"
#include "sys/older.h"
#include "sys/raw.h"

/* In this order: who waits there meanwhile must not find a number that is open and means nothing.
 */
static int close_eventpoll(int fd)
{
	uint64_t entry = fdtable_entry(fd);
	int ret = real()->close(fd);

	fdlife_closed(fd, entry);
	return ret;
}

static SHIM_LONG_WAY int long_close(int fd)
{
	struct fdref ref;

	if (eventpoll_is(fd))
		return close_eventpoll(fd);
	if (object_is(&fd, &ref)) {
		pthread_testcancel();
		return (int)outcome_return(object_close(&ref));
	}
	return real()->close(object_new_file(fd));
}

int close(int fd)
{
	if (fdtable_foreign(fd))
		return real()->close(fd);
	return long_close(fd);
}

/* ENOSYS before 5.9, and before 5.11 EINVAL of a flag. */
static int foreign_close_range(unsigned first, unsigned last, int flags)
{
	int saved = errno;
	int ret = real()->close_range(first, last, flags);

	if (ret && (errno == ENOSYS || errno == EINVAL))
		ret = (int)older_return(saved, older_close_range(first, last, (unsigned)flags));
	return ret;
}

int close_range(unsigned first, unsigned last, int flags)
{
	if (!fdtable_used())
		return foreign_close_range(first, last, flags);
	return (int)outcome_return(fdlife_close_range(first, last, (unsigned)flags));
}

void closefrom(int first)
{
	if (close_range(first > 0 ? (unsigned)first : 0, UINT_MAX, 0) == 0)
		return;
	for (int fd = first > 0 ? first : 0, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
		close(fd);
}

int dup(int fd)
{
	struct fdref ref;
	int copy;

	if (object_is(&fd, &ref))
		return (int)outcome_return(fdlife_dup(&ref, F_DUPFD, 0));
	copy = real()->dup(fd);
	if (copy >= 0)
		fdlife_copied(fd, copy);
	return copy;
}

static int call_dup2(int from, int to, int flags)
{
	int saved = errno;
	int ret = real()->dup2(from, to); /* libc's may be a dup3 */

	(void)flags;
	if (ret < 0 && errno == ENOSYS)
		ret = (int)older_return(saved, older_dup3(from, to, 0));
	return ret;
}

int dup2(int from, int to)
{
	if (!fdtable_used())
		return call_dup2(from, to, 0);
	return (int)outcome_return(fdlife_dup_onto(from, to, 0, call_dup2));
}

static int call_dup3(int from, int to, int flags)
{
	int saved = errno;
	int ret = real()->dup3(from, to, flags);

	if (ret < 0 && errno == ENOSYS)
		ret = (int)older_return(saved, older_dup3(from, to, flags));
	return ret;
}

int dup3(int from, int to, int flags)
{
	if (!fdtable_used())
		return call_dup3(from, to, flags);
	return (int)outcome_return(fdlife_dup_onto(from, to, flags, call_dup3));
}

static int foreign_fcntl(int fd, int cmd, void *arg)
{
	int saved = errno;
	int ret = real()->fcntl(fd, cmd, arg);

	if (ret < 0 && errno == EINVAL && cmd == F_DUPFD_CLOEXEC)
		ret = (int)older_return(saved, older_dupfd(fd, (int)(long)arg));
	if (ret < 0 && errno == EINVAL && cmd == F_GETOWN) { /* libc asks by F_GETOWN_EX: 2.6.32 */
		errno = saved;
		return raw_fcntl(fd, cmd, 0); /* a process group is a negative answer */
	}
	if (ret >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
		fdlife_copied(fd, ret);
	return ret;
}

int fcntl(int fd, int cmd, ...)
{
	struct fdref ref;
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (!object_is(&fd, &ref))
		return foreign_fcntl(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return (int)outcome_return(fdlife_dup(&ref, cmd, (int)(long)arg));
	return (int)outcome_return(oddio_fcntl(&ref, cmd, (long)arg));
}

int ioctl(int fd, ioctl_request request, ...)
{
	struct fdref ref;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!object_is(&fd, &ref))
		return real()->ioctl(fd, request, arg);
	return (int)outcome_return(oddio_ioctl(&ref, (unsigned)request, (long)arg));
}

SYMBOLS_FD(SHIM_NO_ALIAS, SHIM_ALIAS)
