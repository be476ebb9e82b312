/* What programs, and the library itself, ask of the kernel and an older one does not know: the same
 * by older calls. These are the older ways alone, for whoever has tried the newer call and got
 * ENOSYS, or EINVAL for a flag; they return what the kernel does: a value, or -errno. Unlike the
 * newer calls they set close-on-exec after the fact. */
#ifndef EFDSHIM_SYS_OLDER_H
#define EFDSHIM_SYS_OLDER_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Of 2.6.27, by the calls without flags. A flag that no kernel knows is EINVAL, as there. */
int older_eventfd2(unsigned count, int flags);
int older_epoll_create1(int flags);
int older_pipe2(int ends[2], int flags);
int older_dup3(int from, int to, int flags);
int older_inotify_init1(int flags);
int older_socket(int domain, int type, int protocol);
int older_socketpair(int domain, int type, int protocol, int ends[2]);

/* O_CLOEXEC and O_NONBLOCK among the flags, given to a new fd: fd. */
int older_flagged(int fd, int flags);

/* accept4's flags are known; the connection is accept's. */
bool older_accept_knows(int flags);

/* F_DUPFD_CLOEXEC (2.6.24) for both. */
int older_dupfd(int fd, int lowest);

/* fcntl(2) with that command the newer way, and where that fails the older one. */
int older_fcntl(int fd, int cmd, long arg);

/* Of 5.9; by what /proc lists. */
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1u << 1)
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
int older_close_range(unsigned first, unsigned last, unsigned flags);

/* prlimit(2) of this process (2.6.36), or what went before it. */
int older_limit(int resource, const struct rlimit *set, struct rlimit *old);

/* epoll_wait(2), which not every processor has, or epoll_pwait(2), which not every kernel has. */
long older_epoll_wait(int epfd, struct epoll_event *events, int max, int ms);

/* Kernels before 2.6.23 ignore O_CLOEXEC in open(2) and MSG_CMSG_CLOEXEC in recvmsg(2). To be
 * called with what such a call gave. The first one tells which kernel this is. */
void older_opened(int fd);
void older_received(const struct msghdr *message);

#endif
