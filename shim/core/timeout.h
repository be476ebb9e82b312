/* What is left of a timeout when a wait must be taken up again. */
#ifndef EFDSHIM_CORE_TIMEOUT_H
#define EFDSHIM_CORE_TIMEOUT_H

#include <stdbool.h>
#include <sys/time.h>
#include <time.h>

struct timeout {
	bool infinite;
	struct timespec end; /* CLOCK_MONOTONIC; only where neither infinite nor zero */
	bool zero;
};

/* Starts now; NULL is no timeout. */
struct timeout timeout_start(const struct timespec *timeout);

/* True where it has run out; else *left is what remains. */
bool timeout_over(const struct timeout *timeout, struct timespec *left);

/* Milliseconds as poll and epoll_wait mean them; NULL for a negative number. */
const struct timespec *timeout_from_ms(int ms, struct timespec *space);

/* Of a struct timeval that may lie anywhere; NULL where it cannot be read or is negative. */
const struct timespec *timeout_from_timeval(const struct timeval *timeout, struct timespec *space);

/* Milliseconds for epoll_wait, rounded up; -1 for NULL. */
int timeout_to_ms(const struct timespec *timeout);

#endif
