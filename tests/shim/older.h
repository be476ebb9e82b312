/* For programs that print what calls answer, to be compared between kernels. */
#ifndef OLDER_H
#define OLDER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CANARY = 4711 };

/* SAY(call): the call, and its value or errno; a success that changes errno is told. */
#define SAY(call) (errno = CANARY, older_say(#call, (long)(call)))

/* Of a call that gives an fd: whether it is close-on-exec and non-blocking; the fd, for its use. */
#define SAY_FD(call) (errno = CANARY, older_say_fd(#call, (int)(call)))

static inline long older_say(const char *what, long value)
{
	int err = errno;

	if (value == -1)
		printf("%s: %s\n", what, strerror(err));
	else
		printf("%s: %ld%s%s\n", what, value, err == CANARY ? "" : ", errno is ",
			err == CANARY ? "" : strerror(err));
	return value;
}

static inline void older_show_fd(int fd)
{
	int flags = fcntl(fd, F_GETFD), status = fcntl(fd, F_GETFL);

	printf("    close-on-exec %d, flags %o\n", flags, (unsigned)status);
}

static inline int older_say_fd(const char *what, int fd)
{
	if (older_say(what, fd < 0 ? -1 : 0) == 0)
		older_show_fd(fd);
	return fd;
}

#endif
