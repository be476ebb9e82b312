/* Signals that the library was woken by, back among the pending ones. The kernel takes from a
 * program no siginfo that looks like its own (before 3.9), and puts a signal that is sent again
 * behind the others of its number. So what is queued is a marker, and what it stands for is kept
 * here: whoever takes any signal of the number gets the one that was first. */
#ifndef EFDSHIM_CORE_SIGNALQUEUE_H
#define EFDSHIM_CORE_SIGNALQUEUE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* The kernel's set of signals: signal n is bit n - 1. */
static inline uint64_t signal_bit(int sig)
{
	return 1ull << (sig - 1);
}

/* Those pending for the caller, and blocked. */
uint64_t signalqueue_pending(void);

/* Takes one of `signals` that is pending: its number, or -EAGAIN. */
int signalqueue_take(uint64_t signals, siginfo_t *info);

/* Of what a wait of the program's, or the kernel's call of a handler, took: what it stands for.
 * False where that was nothing. */
bool signalqueue_resolve(siginfo_t *info);

/* The same of what libc's sigtimedwait gave, which tells of a signal to one thread (SI_TKILL) as of
 * one to the process (SI_USER). */
bool signalqueue_resolve_told(siginfo_t *info);

/* In a handler that has all signals blocked: the signal is pending again, as it was. */
void signalqueue_put_back(const siginfo_t *info);

/* For whoever has this memory no more: what is kept is pending as it was, as far as the kernel
 * takes it back. */
void signalqueue_give_back(void);

/* Pending ones of that number have been discarded. */
void signalqueue_forget(int sig);

/* A child has nothing pending; nor has it the threads that were at it. */
void signalqueue_forked(void);

/* All signals are blocked between the two, and no other thread is between them. */
uint64_t signalqueue_lock(void);
void signalqueue_unlock(uint64_t mask);

#endif
