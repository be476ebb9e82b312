/* asyncfd_submit, and its operations: libc's functions as the program would call them. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/usermem.h"
#include "core/workers.h"
#include "efdshim/asyncfd.h"
#include "sys/raw.h"

enum { STATX_BYTES = 256 }; /* of a struct statx, which not every libc has */

SHIM_EXPORT int asyncfd_submit(int asfd, const struct asyncfd_op *ops, int n);

/* Paths that lead nowhere are the kernel's to refuse. */
__attribute__((no_sanitize("undefined"))) static long call(const struct asyncfd_op *op)
{
	switch (op->code) {
	case ASYNCFD_PREAD:
		return pread(op->fd, op->buf, op->len, op->offset);
	case ASYNCFD_PWRITE:
		return pwrite(op->fd, op->buf, op->len, op->offset);
	case ASYNCFD_FSYNC:
		return fsync(op->fd);
	case ASYNCFD_FDATASYNC:
		return fdatasync(op->fd);
	case ASYNCFD_OPENAT:
		return openat(op->fd, op->path, op->flags, op->mode);
	case ASYNCFD_CLOSE:
		return close(op->fd);
	default: /* where the kernel has no statx libc fills the buffer in itself */
		if (!usermem_storable(op->buf, STATX_BYTES)) {
			errno = EFAULT;
			return -1;
		}
		return statx(op->fd, op->path, op->flags, op->mode, op->buf);
	}
}

static int64_t perform(const struct asyncfd_op *op)
{
	long ret = call(op);

	return ret < 0 ? -errno : ret;
}

int asyncfd_submit(int asfd, const struct asyncfd_op *ops, int n)
{
	struct fdref ref;

	if (!object_is(&asfd, &ref)) {
		bool open = asfd >= 0 && raw_fcntl(asfd, F_GETFD, 0) >= 0;

		return (int)outcome_return(outcome_err(open ? EINVAL : EBADF));
	}
	if (!slot_is_ring(ref.object))
		return (int)outcome_return(outcome_err(EINVAL));
	return (int)outcome_return(outcome_raw(workers_submit(&ref, ops, n, perform)));
}
