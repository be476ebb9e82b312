/* How a sleeper hears of signals that it has blocked: it sleeps with them let in, to a handler of
 * the library's, which puts the signal back among the pending ones and ends the sleep.
 *
 * The handler is installed when somebody first sleeps for a signal, and stays: to give the signal
 * its default action again would discard pending ones of many. To the program its own actions are
 * in force: the handler passes on what did not come to a sleeper. */
#ifndef EFDSHIM_CORE_SIGNALDOOR_H
#define EFDSHIM_CORE_SIGNALDOOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* True once there may be signals that have the handler. Set before the first one has it, never
 * cleared. */
extern _Atomic bool signaldoor_armed;

/* One sleep; an outer one is that of which a handler of the program's was called. */
struct signaldoor {
	uint64_t outer;
	const struct signaldoor *outer_at;
	uint32_t outer_came;
	uint64_t own;	 /* the thread's mask */
	sigset_t during; /* the mask to sleep with */
};

/* Those of `signals` that are blocked by `mask`, the thread's own where that is NULL, are to end a
 * sleep with door->during. */
void signaldoor_open(struct signaldoor *door, uint64_t signals, const sigset_t *mask);

/* True where one of them came. */
bool signaldoor_came(void);
void signaldoor_close(const struct signaldoor *door);

/* Sleeps until one comes: 0, or EINTR where another handler without SA_RESTART ran. A cancellation
 * point. */
int signaldoor_sleep(uint64_t signals);

/* sigaction(2). */
int signaldoor_action(int sig, const struct sigaction *action, struct sigaction *before);

/* A new image shall ignore what the program ignores. */
void signaldoor_new_image(void);

#endif
