/* EPOLLEXCLUSIVE's own rules (Linux 4.5) on kernels that do not know the flag. They ignore it, but
 * keep it among a watch's events, where /proc shows it (from 3.8 on). */
#ifndef EFDSHIM_CORE_EXCLUSIVE_H
#define EFDSHIM_CORE_EXCLUSIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What the kernel takes together with EPOLLEXCLUSIVE. */
#define EXCLUSIVE_BITS                                                                             \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

/* Whether the rules forbid that; `set`: the fd is an epoll set. */
bool exclusive_forbids(int op, uint32_t events, bool set);

/* A watch was made or changed, by `op` with these events. EINVAL, the new one being gone again,
 * where a kernel that knows the flag had refused; else 0. */
int exclusive_done(int epfd, int op, int fd, uint32_t events);

/* There are exclusive watches that the kernel takes for others: set for good. */
extern _Atomic bool exclusive_kept;

/* Then: whether the one that is to be changed is such a one. */
bool exclusive_is(int epfd, int fd);

#endif
