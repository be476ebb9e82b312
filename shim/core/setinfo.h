/* What the kernel tells of an epoll set, in /proc/self/fdinfo. */
#ifndef EFDSHIM_CORE_SETINFO_H
#define EFDSHIM_CORE_SETINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The event that the file with this inode number is in the set with, as number `fd`; false where it
 * is not in there, or nobody tells. */
bool setinfo_find(int epfd, int fd, uint64_t inode, struct epoll_event *event);

#endif
