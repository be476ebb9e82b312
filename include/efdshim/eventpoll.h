/* eventpoll: an epoll set that hands out its events where they lie.
 *
 * The interface of the first epoll (/dev/epoll, Davide Libenzi, 2002), whose events lay in memory
 * mapped by the program. Functions of libefdshim.so: link with -lefdshim; no LD_PRELOAD is needed
 * then. */
#ifndef EFDSHIM_EVENTPOLL_H
#define EFDSHIM_EVENTPOLL_H

#include <poll.h>
#include <sys/epoll.h> /* EPOLL_CTL_ADD and its kin */

#ifdef __cplusplus
extern "C" {
#endif

/* int eventpoll_create(int maxfds)
 *
 * Makes a set for at most `maxfds` fds. Its own fd can be polled, selected and put in an epoll set,
 * showing POLLIN while events wait; be duplicated, and closed. It is close-on-exec: a new image
 * could not use it. A forked child and its parent share it as they share an epoll set: each event
 * goes to one of them. What is in it is for the calls below: epoll_ctl and epoll_wait refuse its fd
 * with EINVAL. Returns the fd, or -1 with errno:
 *
 * - EINVAL: maxfds < 1
 * - EMFILE, ENFILE, ENOMEM: no fd is left, no file, no memory */
int eventpoll_create(int maxfds);

/* int eventpoll_ctl(int epfd, int op, int fd, unsigned events)
 *
 * EPOLL_CTL_ADD, EPOLL_CTL_MOD and EPOLL_CTL_DEL mean what they do to epoll_ctl(2). `events` are
 * poll bits; POLLERR and POLLHUP are always among them. An event is reported when it happens: by
 * edges, as EPOLLET does, and the state there is once on ADD and MOD. An fd leaves when its file is
 * closed. Returns 0, or -1 with errno:
 *
 * - EBADF: `epfd` or `fd` is not open
 * - EEXIST: ADD of an fd that is in the set
 * - ENOENT: MOD or DEL of one that is not
 * - ENOSPC: ADD, and `maxfds` fds are in the set
 * - EINVAL: `epfd` is no eventpoll of this process; another op; `events` are not poll bits; `fd` is
 *   `epfd`
 * - EPERM: `fd` is of a kind that cannot be polled
 * - ELOOP: `fd` is an epoll set or eventpoll that `epfd` is in
 * - ENOMEM: no memory is left, or `fd` is 1,048,576 or more */
int eventpoll_ctl(int epfd, int op, int fd, unsigned events);

/* int eventpoll_wait(int epfd, const struct pollfd **events, int timeout)
 *
 * Waits for events, `timeout` milliseconds long: -1 for ever, 0 not at all. Of each fd there is one
 * at most, with all that happened to it collected in revents. Returns how many there are, 0 where
 * the time is over; *events leads to them until the next wait on this eventpoll, or its last close.
 * One thread may wait at a time. Or -1 with errno:
 *
 * - EBADF: `epfd` is not open, or was closed while the call waited
 * - EINVAL: it is no eventpoll of this process
 * - EFAULT: `events` is not writable
 * - EBUSY: another thread waits
 * - EINTR: a signal handler ran */
int eventpoll_wait(int epfd, const struct pollfd **events, int timeout);

#ifdef __cplusplus
}
#endif

#endif
