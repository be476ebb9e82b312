/* The end of a benchmark that cannot go on. */
#ifndef EFDSHIM_BENCH_DIE_H
#define EFDSHIM_BENCH_DIE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Exit code 77: this machine, or the kind of channel, cannot do that. */
enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_CANNOT = 77 };

static inline _Noreturn void die(int code, const char *what)
{
	fprintf(stderr, "%s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	_exit(code);
}

#endif
