/* What every interposed function needs: its prototype, the real one, and the way back to errno. */
#ifndef EFDSHIM_INTERPOSE_H
#define EFDSHIM_INTERPOSE_H

#include <errno.h>

#include "core/object.h"
#include "core/outcome.h"
#include "sys/real.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* The part of a function that ordinary fds do not see. It must not be inlined: only without its
 * local variables is the call of the real function the last thing that the rest does, and returns
 * straight to the program. */
#define SHIM_LONG_WAY __attribute__((noinline))

#define PROTOTYPE(type, name, parameters) SHIM_EXPORT type name parameters;
#define SHIM_NO_PROTOTYPE(name, function)
SYMBOLS(PROTOTYPE, SHIM_NO_PROTOTYPE)

/* libc's headers give some functions attributes that their further names need not have. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmissing-attributes"
#endif

/* Defines a further name of a function of the same file; one line of the list's A() makes one line
 * here. The name is the symbol's only: in C it would clash with what libc's headers say of stat64
 * and its like. */
#define SHIM_ALIAS(name, function)                                                                 \
	SHIM_EXPORT extern __typeof__(function) shim_##name __asm__(#name)                         \
		__attribute__((alias(#function)));

#define SHIM_NO_ALIAS(type, name, parameters)

/* The one place where errno is set; it is left alone on success. */
static inline long outcome_return(struct outcome outcome)
{
	if (!outcome.err)
		return outcome.value;
	errno = outcome.err;
	return -1;
}

/* What an older way (sys/older.h) answered after a newer call had failed: errno was `saved` before
 * that. */
static inline long older_return(int saved, long answer)
{
	errno = answer < 0 ? (int)-answer : saved;
	return answer < 0 ? -1 : answer;
}

#endif
