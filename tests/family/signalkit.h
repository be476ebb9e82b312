/* Steps with references to eventfds, asserted. */
#ifndef SIGNALKIT_H
#define SIGNALKIT_H

#include "pair.h"

#include <efdshim/eventfd.h>

#include <criterion/criterion.h>
#include <errno.h>

#define COUNT_FULL UINT64_MAX

enum { ERRNO_KEPT = 3737 };

static inline struct efd_file *signal_get(int fd)
{
	errno = ERRNO_KEPT;
	struct efd_file *file = eventfd_fget(fd);
	if (!file)
		cr_assert_fail("eventfd_fget: errno %d", errno);
	if (errno != ERRNO_KEPT)
		cr_assert_fail("eventfd_fget sets errno to %d", errno);
	return file;
}

static inline void signal_put(struct efd_file *file)
{
	errno = ERRNO_KEPT;
	efd_fput(file);
	if (errno != ERRNO_KEPT)
		cr_assert_fail("efd_fput sets errno to %d", errno);
}

/* What was added, or -errno; where it succeeds errno must be left alone, else -4095. */
static inline long signal_try(struct efd_file *file, int n)
{
	errno = ERRNO_KEPT;
	long ret = eventfd_signal(file, n);
	if (ret == -1)
		return -errno;
	return errno == ERRNO_KEPT ? ret : -4095;
}

static inline void signal_add(struct efd_file *file, int n)
{
	long ret = signal_try(file, n);
	if (ret != n)
		cr_assert_fail("eventfd_signal of %d: %ld", n, ret);
}

/* From any count that is below: the counter is at UINT64_MAX after it. */
static inline void signal_fill(int fd, struct efd_file *file)
{
	add_count(fd, COUNT_LIMIT);
	signal_add(file, 1);
}

/* The sets of select as bits: 1 read, 2 write, 4 except. */
enum { TO_READ = 1, TO_WRITE = 2, TO_EXCEPT = 4, TO_ALL = 7 };

#endif
