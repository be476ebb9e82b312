/* How the numbers that the library takes for a moment, see sys/passing.h, and those that a dup2 of
 * the program is about to replace stay apart.
 *
 * Whoever opens counts itself, opens, and then either marks the entry of the number or finds it
 * announced by a dup2: then it leaves the number alone. dup2 announces the number, waits where it
 * is marked, replaces it, and takes its announcement away when nobody is left who may have opened
 * the number but not yet looked. So no number is closed that was replaced.
 *
 * A dup2 in a handler cannot wait for the thread that it interrupted: it leaves word for it. */
#ifndef EFDSHIM_CORE_PASSAGE_H
#define EFDSHIM_CORE_PASSAGE_H

/* From now on the two know of each other. */
void passage_start(void);

/* Waits, yielding so many times, until no other thread is between opening and looking. */
void passage_await(int rounds);

/* A dup2 has put a file at fd. Where a handler's has, the interrupted thread may be about to mark
 * the number as its own. */
void passage_landed(int fd);

/* In a forked child. */
void passage_forked(void);

#endif
