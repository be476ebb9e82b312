/* How the numbers that the library takes for a moment, see sys/passing.h, and those that a dup2 of
 * the program is about to replace stay apart.
 *
 * Whoever opens counts itself, opens, and then either marks the entry of the number or finds it
 * announced by a dup2: then it leaves the number alone. dup2 announces the number, waits where it
 * is marked, replaces it, and takes its announcement away when nobody is left who may have opened
 * the number but not yet looked. So no number is closed that was replaced. */
#ifndef EFDSHIM_CORE_PASSAGE_H
#define EFDSHIM_CORE_PASSAGE_H

/* From now on the two know of each other. */
void passage_start(void);

/* Waits, yielding so many times, until nobody is between opening and looking. */
void passage_await(int rounds);

/* In a forked child. */
void passage_forked(void);

#endif
