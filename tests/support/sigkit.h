/* Signals and signalfds, for the suites that compare the kernel's with the emulated ones. */
#ifndef SIGKIT_H
#define SIGKIT_H

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>

/* The set of these signals, ended by 0; they are blocked in this thread from now on. */
sigset_t sk_block(int sig, ...);
sigset_t sk_set(int sig, ...);

/* A signalfd for the set. */
int sk_open(const sigset_t *set, int flags);

/* Reads one, asserting that there is one; and asserts that there is none (of a non-blocking one).
 */
struct signalfd_siginfo sk_read(int fd);
void sk_expect(int fd, int sig);
void sk_expect_none(int fd);

/* sigqueue to this process. */
void sk_queue(int sig, int value);

/* What a thread does as soon as the one that started it sleeps. It has all signals blocked. */
struct sk_kick {
	void (*act)(const struct sk_kick *kick);
	int sig;
	int value;
	int fd;
	pthread_t to;
	pid_t tid;
	pthread_t thread;
};

void sk_kill(const struct sk_kick *kick);
void sk_send_value(const struct sk_kick *kick);
void sk_kill_thread(const struct sk_kick *kick);
void sk_start(struct sk_kick *kick, void (*act)(const struct sk_kick *), int sig);
void sk_join(struct sk_kick *kick);

/* A handler that counts its calls here. */
extern volatile sig_atomic_t sk_calls;
void sk_handle(int sig, int flags);

#endif
