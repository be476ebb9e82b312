/* The timers of this process: which there are, and who sees to it that they fire in time.
 *
 * A timer is fired, which makes its fd readable and wakes who waits, by whoever finds first that it
 * is due: a thread of the library that sleeps until then, in each process that has the timer and
 * waits for it, or anybody who looks. Until it is read it is not fired again. */
#ifndef EFDSHIM_CORE_TIMERS_H
#define EFDSHIM_CORE_TIMERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/poolfile.h"
#include "core/timer.h"

/* Whether this process has any. Set before the first one is noted, cleared by who finds none. */
extern _Atomic bool timers_any;

/* What a process's thread sleeps on; two may have the same. */
struct timers_bell {
	_Atomic uint32_t rung; /* a futex: moved by who has set a timer, before it wakes anybody */
	_Atomic uint32_t sleepers; /* those killed asleep stay: that costs calls, nothing else */
};
enum { TIMERS_BELLS = POOL_WORDS };

/* ref is a timer of this process's. */
void timers_note(const struct fdref *ref);

/* It came from another process; it is given to another one; all are, by a fork. From then on
 * whoever sets it tells every process. */
void timers_adopted(const struct fdref *ref);
void timers_given(const struct fdref *ref);
void timers_forking(void);

/* Sees to it that a thread waits for what is pending; 0, or an errno value where none can be had.
 */
int timers_start(void);

/* It was set, or read, and is pending again. */
void timers_armed(const struct fdref *ref);

/* The time on the clock that the timer's expirations are on, in nanoseconds. */
uint64_t timers_now(const struct slot *slot, struct timer timer);

/* Fires what is due; how many. On return a thread waits for what is pending. */
unsigned timers_attend(void);

/* For whoever is about to look at objects, or to wait for them. */
static inline unsigned timers_look(void)
{
	return atomic_load_explicit(&timers_any, memory_order_relaxed) ? timers_attend() : 0;
}

/* In a forked child. */
void timers_forked(void);

#endif
