#include "core/oddio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "core/counter.h"
#include "core/fdio.h"
#include "core/fdlife.h"
#include "core/object.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "sys/decoy.h"
#include "sys/raw.h"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)
#endif
#ifndef RWF_NOWAIT
#define RWF_HIPRI 1
#define RWF_DSYNC 2
#define RWF_SYNC 4
#define RWF_NOWAIT 8
#define RWF_APPEND 16
#endif

static const struct {
	int kernel;
	uint32_t slot;
} status_flags[] = {
	{O_NONBLOCK, SLOT_NONBLOCK},
	{O_APPEND, SLOT_APPEND},
	{O_NOATIME, SLOT_NOATIME},
};

enum { STATUS_FLAGS = sizeof(status_flags) / sizeof(status_flags[0]) };

/* The call at a position that is as old as the kernel, and says the same of it; or 0. */
static long plain_call(long nr)
{
	switch (nr) {
	case SYS_preadv: /* 2.6.30 */
	case SYS_preadv2:
		return SYS_pread64;
	case SYS_pwritev:
	case SYS_pwritev2:
		return SYS_pwrite64;
	default:
		return 0;
	}
}

struct outcome oddio_ask(long nr, const long args[6], unsigned fakes)
{
	uint64_t word = 1;
	const long plain[6] = {args[0], (long)&word, sizeof(word), args[3]};
	long ret;

	stats_syscall();
	ret = decoy_syscall(nr, args, fakes);
	if (ret == -ENOSYS && plain_call(nr))
		ret = decoy_syscall(plain_call(nr), plain, fakes);
	return outcome_raw(ret);
}

/* Before 4.6 there are no flags, and today's kernels are the model: a plain write takes none but
 * the first, which asks for nothing. Whether the rest is sound whoever moves the counter will find.
 */
static struct outcome takes_flags(long nr, int flags)
{
	const int known = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;

	return outcome_err(flags & ~(nr == SYS_preadv2 ? known : RWF_HIPRI) ? EOPNOTSUPP : EAGAIN);
}

/* What the kernel says of a vector call that moves the counter, before the counter is moved: on a
 * decoy whose count lets it move nothing, sound arguments give EAGAIN, or 0 where there is nothing
 * to do. */
static struct outcome ask_vector(long nr, uint64_t count, const struct iovec *iov, int n, int flags)
{
	int decoy = decoy_open(count);
	long ret;

	stats_syscall();
	if (decoy == -ENOSYS)
		return takes_flags(nr, flags);
	if (decoy < 0)
		return outcome_raw(decoy);
	ret = raw_syscall6(nr, decoy, (long)iov, n, -1, -1, flags);
	decoy_close(decoy);
	return ret == -ENOSYS ? takes_flags(nr, flags) : outcome_raw(ret);
}

/* A mask has a plain read and a plain write, as the counter's write is on the running kernel: what
 * flags that one takes holds for both. */
static bool mask_refuses(const struct fdref *ref, const struct iovec *iov, int n, int flags)
{
	return slot_is_mask(ref->object) && !slot_is_ring(ref->object) &&
	       ask_vector(SYS_pwritev2, COUNTER_LIMIT, iov, n, flags).err == EOPNOTSUPP;
}

struct outcome oddio_preadv2(
	const struct fdref *ref, const struct iovec *iov, int count, off_t at, int flags)
{
	const long args[6] = {ref->fd, (long)iov, count, at, 0, flags};
	struct outcome outcome;

	if (at != -1)
		return oddio_ask(SYS_preadv2, args, 1);
	if (flags && mask_refuses(ref, iov, count, flags))
		return outcome_err(EOPNOTSUPP);
	if (flags && !slot_is_mask(ref->object)) {
		outcome = ask_vector(SYS_preadv2, 0, iov, count, flags);
		if (outcome.err != EAGAIN)
			return outcome;
	}
	return fdio_readv(ref, iov, count, flags & RWF_NOWAIT);
}

struct outcome oddio_pwritev2(
	const struct fdref *ref, const struct iovec *iov, int count, off_t at, int flags)
{
	const long args[6] = {ref->fd, (long)iov, count, at, 0, flags};
	struct outcome outcome;

	if (at != -1)
		return oddio_ask(SYS_pwritev2, args, 1);
	if (flags && mask_refuses(ref, iov, count, flags))
		return outcome_err(EOPNOTSUPP);
	if (flags && !slot_is_mask(ref->object)) {
		outcome = ask_vector(SYS_pwritev2, COUNTER_LIMIT, iov, count, flags);
		if (outcome.err && outcome.err != EAGAIN)
			return outcome;
	}
	return fdio_writev(ref, iov, count);
}

int oddio_status(const struct slot *slot)
{
	uint32_t flags = atomic_load(&slot->flags);
	int status = 0;

	for (unsigned i = 0; i < STATUS_FLAGS; i++) {
		if (flags & status_flags[i].slot)
			status |= status_flags[i].kernel;
	}
	return status;
}

static void set_status(struct slot *slot, int status, uint32_t which)
{
	uint32_t flags = atomic_load(&slot->flags);
	uint32_t set = 0;

	for (unsigned i = 0; i < STATUS_FLAGS; i++) {
		if (status & status_flags[i].kernel)
			set |= status_flags[i].slot;
	}
	while (!atomic_compare_exchange_weak(
		&slot->flags, &flags, (flags & ~which) | (set & which)))
		;
}

/* F_SETFL as the kernel judges it; the flags that result, or -errno. */
static int ask_setfl(int before, long asked)
{
	int decoy = decoy_alike();
	int ret;

	stats_syscall();
	if (decoy < 0)
		return decoy;
	raw_fcntl(decoy, F_SETFL, before);
	ret = raw_fcntl(decoy, F_SETFL, asked);
	if (!ret)
		ret = raw_fcntl(decoy, F_GETFL, 0);
	decoy_close(decoy);
	return ret;
}

static struct outcome set_flags(const struct fdref *ref, long asked)
{
	const long judged = O_APPEND | O_NOATIME | O_DIRECT | O_ASYNC;
	int before = oddio_status(ref->object);
	int after;

	if ((asked & judged) == (before & judged)) {
		set_status(ref->object, (int)asked, SLOT_NONBLOCK);
		return outcome_ok(0);
	}
	after = ask_setfl(before, asked);
	if (after < 0)
		return outcome_err(-after);
	set_status(ref->object, after, SLOT_STATUS_MASK);
	return outcome_ok(0);
}

/* What belongs to the fd or its file, and means the same for the FIFO. */
static struct outcome fifo_call(long nr, const struct fdref *ref, long command, long arg)
{
	struct fdref now = *ref;
	enum fdlife_pin pin = fdlife_pin(&now, fdtable_patience());
	long ret;

	if (pin == FDLIFE_NOT_OPEN)
		return outcome_err(EBADF);
	stats_syscall();
	ret = raw_syscall3(nr, ref->fd, command, arg);
	if (pin == FDLIFE_PINNED)
		object_unpin(&now);
	return outcome_raw(ret);
}

/* A process group is a negative answer, no error. */
static struct outcome get_owner(const struct fdref *ref)
{
	struct f_owner_ex owner;
	struct outcome outcome = fifo_call(SYS_fcntl, ref, F_GETOWN_EX, (long)&owner);

	if (outcome.err == EINVAL) /* before 2.6.32 */
		return outcome_ok(raw_fcntl(ref->fd, F_GETOWN, 0));
	if (outcome.err)
		return outcome;
	return outcome_ok(owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid);
}

struct outcome oddio_fcntl(const struct fdref *ref, int cmd, long arg)
{
	switch (cmd) {
	case F_GETFL:
		return outcome_ok(O_RDWR | oddio_status(ref->object));
	case F_SETFL:
		return set_flags(ref, arg);
	case F_GETOWN:
		return get_owner(ref);
	case F_GETFD:
	case F_SETFD:
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
	case F_DUPFD_QUERY:
		return fifo_call(SYS_fcntl, ref, cmd, arg);
	default:
		return oddio_ask(SYS_fcntl, (const long[6]){ref->fd, cmd, arg}, 1);
	}
}

static struct outcome set_nonblocking(const struct fdref *ref, const int *on)
{
	if (!usermem_loadable(on, sizeof(*on)))
		return outcome_err(EFAULT);
	set_status(ref->object, *on ? O_NONBLOCK : 0, SLOT_NONBLOCK);
	return outcome_ok(0);
}

/* An eventfd has no ioctl of its own; what stands in for one may have. */
static struct outcome ask_ioctl(const struct fdref *ref, unsigned long request, long arg)
{
	struct outcome outcome =
		oddio_ask(SYS_ioctl, (const long[6]){ref->fd, (long)request, arg}, 1);

	return outcome.err == EINVAL && decoy_stands_in() ? outcome_err(ENOTTY) : outcome;
}

struct outcome oddio_ioctl(const struct fdref *ref, unsigned long request, long arg)
{
	switch ((unsigned)request) { /* as the kernel takes it */
	case FIONBIO:
		return set_nonblocking(ref, (const int *)arg);
	case FIOCLEX:
	case FIONCLEX:
		return fifo_call(SYS_ioctl, ref, (long)request, arg);
	default:
		return ask_ioctl(ref, request, arg);
	}
}
