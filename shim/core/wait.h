/* Sleeping on a word of an object, and waking who sleeps. */
#ifndef EFDSHIM_CORE_WAIT_H
#define EFDSHIM_CORE_WAIT_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == value, for one wake-up at most. 0; EAGAIN where it was another one; EINTR
 * where a signal handler without SA_RESTART ran. A cancellation point. */
int wait_sleep(const _Atomic uint32_t *word, uint32_t value);

/* The same, but EINTR after any signal handler. */
int wait_sleep_unrestarted(const _Atomic uint32_t *word, uint32_t value);

/* Sleeps until a signal: for an object that nobody can wake any more. */
int wait_forever(void);

/* Wakes every sleeper, where `waiters` says that there may be one. */
void wait_wake(_Atomic uint32_t *word, const _Atomic uint32_t *waiters);

#endif
