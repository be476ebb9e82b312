/* Looking again for a moment before sleeping: where whoever is waited for answers at once, neither
 * side need ask the kernel.
 *
 * What decides whether that pays is the pace of whoever answers, which is the object's, and how
 * long the kernel takes to wake a thread, which is the machine's. So each process remembers for
 * each object how its last waits ended:
 * - a wait that was over after a short spin is followed by another one; one that was not, by a
 *   single long spin, which lasts as long as it takes to wake a thread: the other side may just
 *   have fallen asleep;
 * - each further spin in vain doubles the number of waits that sleep at once until the next one is
 *   tried. At first these are short, so that an object that is rarely waited for costs little; then
 *   long, as two sides that both sleep at once would never meet again otherwise;
 * - a wait that was answered before it could sleep makes the next one spin.
 * A process that may use one processor only begins as if it had spun in vain very often. */
#ifndef EFDSHIM_CORE_SPIN_H
#define EFDSHIM_CORE_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Looks in a microsecond, and processors this process may use; 0 before they have been counted.
 * Written by whoever waits first. */
extern _Atomic uint32_t spin_looks;
extern _Atomic uint32_t spin_processors;

/* One wait, between spin_begin and spin_end. */
struct spin {
	_Atomic uint32_t *pace; /* what is remembered; moved by any thread that waits, relaxed: it
				   is but a guess */
	uint32_t most;		/* looks it may make before it sleeps */
	uint32_t made;
};

enum spin_end {
	SPIN_FOUND,  /* by one of the looks */
	SPIN_AWAKE,  /* after them, but before it slept */
	SPIN_ASLEEP, /* it slept */
};

struct spin spin_begin(_Atomic uint32_t *pace);

/* The same where others wait too: never a long spin. */
struct spin spin_begin_short(_Atomic uint32_t *pace);
void spin_end(const struct spin *spin, enum spin_end end);

/* Between two looks; false where there are to be no more. */
static inline bool spin_again(struct spin *spin)
{
	if (spin->made >= spin->most)
		return false;
	spin->made++;
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory"); /* longer than yield, which may be no wait at all */
#endif
	return true;
}

#endif
