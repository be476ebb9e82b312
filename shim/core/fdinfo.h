/* /proc/PID/fdinfo/N of a fake fd: what the kernel shows there of an eventfd. */
#ifndef EFDSHIM_CORE_FDINFO_H
#define EFDSHIM_CORE_FDINFO_H

#include <stdint.h>

/* `fd` is open on `path`, as /proc/self/fd tells. Where that is a fake fd's fdinfo: a new fd that
 * reads as it should, and *slot what it tells of; else negative. */
int fdinfo_open(int fd, const char *path, uint32_t *slot);

/* `fd` may be such a file, and is about to be read from its start: brings it up to date. */
void fdinfo_refresh(int fd);

#endif
