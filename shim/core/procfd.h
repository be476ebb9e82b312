/* The links and files of /proc that show a fake fd: they must show an eventfd, not the FIFO it is
 * made of. */
#ifndef EFDSHIM_CORE_PROCFD_H
#define EFDSHIM_CORE_PROCFD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/outcome.h"

/* `fd` was just opened by `path`. Where it leads to a fake fd, fd is made what the kernel would
 * have opened, under the same number; or the errno of the open that should have failed is returned,
 * and the caller closes fd. Else 0. */
int procfd_opened(int fd, const char *path, int flags);

/* A stat of `path` succeeded. Where it told of a fake fd's FIFO, asks anew of an eventfd. */
struct statx;
struct outcome procfd_stat(int dir, const char *path, struct stat *st, int flags);
struct outcome procfd_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);

/* readlink(2) where the link leads to a fake fd; false where it does not, or cannot be read. */
bool procfd_readlink(int dir, const char *path, char *buf, size_t size, struct outcome *answer);

#endif
