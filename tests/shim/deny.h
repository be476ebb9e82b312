/* Filters that refuse system calls, as sandboxes install them. */
#ifndef DENY_H
#define DENY_H

#include <stdbool.h>

/* Refuses the calls of a number, or (mask not 0) those whose argument has one of the bits of the
 * mask. */
struct deny {
	long number;
	unsigned argument;
	unsigned mask;
};

/* For the rest of the process's life. */
bool deny_all(const struct deny *denied, unsigned count, int err);

#endif
