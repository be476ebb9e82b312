/* Threads of the library's own. */
#ifndef EFDSHIM_SYS_THREAD_H
#define EFDSHIM_SYS_THREAD_H

#include <stdbool.h>

/* Starts a thread that nobody waits for: no signal of the program's is handled there, and it has a
 * small stack. 0 or an errno value. Not to be called in a signal handler. */
int thread_start(void (*run)(void));

/* Of such a thread: whether all others of the process have ended. */
bool thread_is_last(void);

#endif
