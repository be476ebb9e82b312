/* What is in an eventpoll. */
#ifndef EFDSHIM_CORE_EVENTPOLLCTL_H
#define EFDSHIM_CORE_EVENTPOLLCTL_H

/* eventpoll_ctl: 0 or an errno value. */
int eventpollctl(int epfd, int op, int fd, unsigned events);

/* What is to be said of a call for an fd that is no eventpoll of this process: EBADF where a number
 * is not open, else EINVAL. `fd` may be that of a call that has a second one; -1 is none. */
int eventpollctl_refusal(int epfd);

#endif
