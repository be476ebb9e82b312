/* What the tests of the message sockets share. Each test is a function that wants things; the first
 * thing that was not so fails it. */
#ifndef MSGSOCK_CHECK_H
#define MSGSOCK_CHECK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "msgsock.h"

enum { LIMIT = 20000, ALL = POLLIN | POLLPRI | POLLOUT };

/* Gives what it is given. From any thread. */
bool want(bool fine, const char *what);

/* Whether all was as wanted so far: loops end when it was not. */
bool fine_so_far(void);

/* What poll reports at once; what it reports when there is something, within the limit. */
short shows(int fd, short interest);
short await(int fd, short interest);

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test behaviour[], threads[]; /* end with a name of NULL */

#endif
