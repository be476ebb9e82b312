/* Reads, writes and other calls that an eventfd answers in a way of its own: the kernel is asked
 * what it says. */
#ifndef EFDSHIM_CORE_ODDIO_H
#define EFDSHIM_CORE_ODDIO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "core/fdtable.h"
#include "core/outcome.h"

/* The running kernel's answer to a system call on an eventfd; `fakes` names the arguments that are
 * fake fds (bit i: argument i). For calls that change nothing of an eventfd. */
struct outcome oddio_ask(long nr, const long args[6], unsigned fakes);

struct outcome oddio_preadv2(
	const struct fdref *ref, const struct iovec *iov, int count, off_t at, int flags);
struct outcome oddio_pwritev2(
	const struct fdref *ref, const struct iovec *iov, int count, off_t at, int flags);

/* The O_ status flags of an object: what F_GETFL shows besides O_RDWR. */
int oddio_status(const struct slot *slot);

/* fcntl(2) and ioctl(2) of a fake fd, all commands but the F_DUPFD family. */
struct outcome oddio_fcntl(const struct fdref *ref, int cmd, long arg);
struct outcome oddio_ioctl(const struct fdref *ref, unsigned long request, long arg);

#endif
