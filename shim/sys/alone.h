/* Whether this thread is the only one of its process. */
#ifndef EFDSHIM_SYS_ALONE_H
#define EFDSHIM_SYS_ALONE_H

#include <stdbool.h>

/* libc's own word on it (glibc since 2.32); where there is none, nobody is ever alone. */
extern char __libc_single_threaded __attribute__((weak));

static inline bool alone(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

/* A thread is about to be made that libc does not know of. */
static inline void alone_no_more(void)
{
	if (&__libc_single_threaded)
		__libc_single_threaded = 0;
}

#endif
