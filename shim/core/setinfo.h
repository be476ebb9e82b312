/* What the kernel tells of an epoll set, in /proc/self/fdinfo. */
#ifndef EFDSHIM_CORE_SETINFO_H
#define EFDSHIM_CORE_SETINFO_H

#include <stdint.h>

/* The data that the file with this inode number was put in the set with, as number `fd`; 0 where it
 * is not in there, or nobody tells. */
uint64_t setinfo_data(int epfd, int fd, uint64_t inode);

#endif
