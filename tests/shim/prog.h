/* What the programs of this directory share: cases by name, and who answers for an fd. */
#ifndef PROG_H
#define PROG_H

#include <stdbool.h>

#include "sys/raw.h"

struct prog_case {
	const char *name;
	void (*run)(void);
};

/* Runs the cases that argv names, or lists them all for --list. */
int prog_run(int argc, char **argv, const struct prog_case *cases, int count);

#define PROG_MAIN(cases)                                                                           \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return prog_run(argc, argv, cases, sizeof(cases) / sizeof(*(cases)));              \
	}

/* Says what is wrong and ends the process with exit code 1. errno is part of what it says. */
void prog_fail(const char *what);

static inline void require(bool fine, const char *what)
{
	if (!fine)
		prog_fail(what);
}

/* Where /proc/self/fd/N leads, asked by a system call instruction. */
const char *prog_link(int fd);

bool prog_is_fake(int fd);
bool prog_is_kernels(int fd);

/* Checks that an eventfd is what the environment's SERVED says: 'shim', 'kernel' or (also without
 * it) anything. Of the shim: in the directory that SERVED_IN names. */
void prog_require_served(int fd);

/* eventfd() with that check. */
int prog_eventfd(unsigned initval, int flags);

/* True under the shim. */
bool prog_expects_shim(void);

/* The count of a non-blocking eventfd, taken; 0 where it is empty. */
unsigned long prog_take(int fd);
void prog_add(int fd, unsigned long value);

/* Returns once the thread sleeps in the kernel. */
void prog_wait_asleep(int tid);

#endif
