/* Functions that a signal handler must not reach: while the wire is up, a call of one ends the
 * process. */
#ifndef TRIPWIRE_H
#define TRIPWIRE_H

/* What this thread is just doing, where it must not touch the wire; else NULL. */
extern _Thread_local const char *tripwire;

#endif
