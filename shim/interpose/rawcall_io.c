/* Reading, writing and the life of fds, by number. */
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/fdlife.h"
#include "interpose/rawcall.h"
#include "sys/older.h"

long rawcall_eventfd(const struct rawcall *call)
{
	return eventfd((unsigned)call->a[0], 0);
}

long rawcall_eventfd2(const struct rawcall *call)
{
	return eventfd((unsigned)call->a[0], (int)call->a[1]);
}

long rawcall_read(const struct rawcall *call)
{
	return read((int)call->a[0], (void *)call->a[1], (size_t)call->a[2]);
}

long rawcall_write(const struct rawcall *call)
{
	return write((int)call->a[0], (const void *)call->a[1], (size_t)call->a[2]);
}

long rawcall_readv(const struct rawcall *call)
{
	return readv((int)call->a[0], (const struct iovec *)call->a[1], (int)call->a[2]);
}

long rawcall_writev(const struct rawcall *call)
{
	return writev((int)call->a[0], (const struct iovec *)call->a[1], (int)call->a[2]);
}

/* The position comes in two halves, of which the low one is all there is to it in 64 bits. */
long rawcall_preadv2(const struct rawcall *call)
{
	return preadv2((int)call->a[0], (const struct iovec *)call->a[1], (int)call->a[2],
		call->a[3], (int)call->a[5]);
}

long rawcall_pwritev2(const struct rawcall *call)
{
	return pwritev2((int)call->a[0], (const struct iovec *)call->a[1], (int)call->a[2],
		call->a[3], (int)call->a[5]);
}

long rawcall_close(const struct rawcall *call)
{
	return close((int)call->a[0]);
}

long rawcall_close_range(const struct rawcall *call)
{
	return close_range((unsigned)call->a[0], (unsigned)call->a[1], (int)call->a[2]);
}

long rawcall_dup(const struct rawcall *call)
{
	return dup((int)call->a[0]);
}

long rawcall_dup2(const struct rawcall *call)
{
	return dup2((int)call->a[0], (int)call->a[1]);
}

long rawcall_dup3(const struct rawcall *call)
{
	if ((int)call->a[2] & ~O_CLOEXEC) /* not every libc refuses that */
		return outcome_return(outcome_err(EINVAL));
	return dup3((int)call->a[0], (int)call->a[1], (int)call->a[2]);
}

long rawcall_fcntl(const struct rawcall *call)
{
	int fd = (int)call->a[0], cmd = (int)call->a[1];
	int saved = errno;
	long ret;

	if (!fdtable_foreign(fd))
		return fcntl(fd, cmd, call->a[2]);
	ret = rawcall_through(call);
	if (ret < 0 && errno == EINVAL && cmd == F_DUPFD_CLOEXEC)
		ret = older_return(saved, older_dupfd(fd, (int)call->a[2]));
	if (ret >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
		fdlife_copied(fd, (int)ret);
	return ret;
}

long rawcall_ioctl(const struct rawcall *call)
{
	return ioctl((int)call->a[0], (ioctl_request)call->a[1], call->a[2]);
}
