/* What the library itself needs in order to work. */
#ifndef EFDSHIM_CLI_NEEDS_H
#define EFDSHIM_CLI_NEEDS_H

#include <limits.h>
#include <stdbool.h>

enum { WHY_SIZE = PATH_MAX + 128 };

struct need {
	const char *name;
	/* Fills in why, in either case. */
	bool (*met)(char why[WHY_SIZE]);
	bool vital; /* without it the library leaves all to the kernel */
};

extern const struct need needs[];
extern const unsigned need_count;

#endif
