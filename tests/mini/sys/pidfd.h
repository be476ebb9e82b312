/* Not every C library has this header. */
#ifndef MINI_SYS_PIDFD_H
#define MINI_SYS_PIDFD_H

#if __has_include_next(<sys/pidfd.h>)
#include_next <sys/pidfd.h>
#else
#include <sys/syscall.h>
#include <unistd.h>

static inline int pidfd_open(int pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, fd, flags);
}
#endif

#endif
