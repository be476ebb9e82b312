#include "sys/oldpoll.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sys/raw.h"
#include "sys/real.h"

enum { NS = 1000000000, NS_IN_MS = 1000000, LONGEST_MS = 16, SIGSET_BYTES = 8, ACTION_WORDS = 8 };

/* A century is for good. */
#define FOREVER (INT64_C(100) * 366 * 86400 * NS)

/* The kernel said ENOSYS. */
static _Atomic bool missing;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (int64_t)NS + t.tv_nsec;
}

static uint64_t bits_of(const sigset_t *mask)
{
	uint64_t bits;

	memcpy(&bits, mask, sizeof(bits));
	return bits;
}

static bool ignored_by_default(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

/* Whether it does something: runs a handler (*handled), ends or stops the process. */
static bool acts(int sig, bool *handled)
{
	long action[ACTION_WORDS] = {0}; /* first of all the handler */

	raw_syscall6(SYS_rt_sigaction, sig, 0, (long)action, SIGSET_BYTES, 0, 0);
	if (action[0] == (long)SIG_IGN || (action[0] == (long)SIG_DFL && ignored_by_default(sig)))
		return false;
	*handled |= action[0] != (long)SIG_DFL;
	return true;
}

/* Of the signals that are pending lets in those that the mask does. True where a handler ran. */
static bool let_in(uint64_t mask)
{
	uint64_t pending = 0, opened = 0, before;
	bool handled = false;

	raw_syscall3(SYS_rt_sigpending, (long)&pending, SIGSET_BYTES, 0);
	for (uint64_t left = pending & ~mask; left; left &= left - 1) {
		int sig = __builtin_ctzll(left) + 1;

		if (acts(sig, &handled))
			opened |= left & -left;
	}
	if (!opened)
		return false;
	raw_syscall6(
		SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&opened, (long)&before, SIGSET_BYTES, 0, 0);
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, SIGSET_BYTES, 0, 0);
	return handled;
}

/* The rest of the last millisecond without the fds. */
static int poll_slice(struct pollfd *fds, nfds_t n, int64_t left, int ms)
{
	struct timespec rest = {0, (long)left};
	int ready;

	if (left > 0 && left < NS_IN_MS)
		raw_syscall3(SYS_nanosleep, (long)&rest, 0, 0);
	if (left < NS_IN_MS)
		ms = 0;
	else if (left / NS_IN_MS < ms)
		ms = (int)(left / NS_IN_MS);
	ready = real()->poll(fds, n, ms);
	return ready < 0 && errno == EINTR ? 0 : ready; /* of the C library's own signals */
}

struct sleeper {
	struct pollfd *fds;
	nfds_t n;
	int64_t end;
	uint64_t mask;
};

/* All signals are blocked. */
static int poll_in_slices(const struct sleeper *s)
{
	int ms = 0;

	for (;;) {
		int64_t left = s->end - now();
		int ready = poll_slice(s->fds, s->n, left, ms);

		if (ready)
			return ready;
		if (let_in(s->mask)) {
			errno = EINTR;
			return -1;
		}
		if (left < NS_IN_MS)
			return 0;
		ms = ms < LONGEST_MS / 2 ? ms * 2 + 1 : LONGEST_MS;
	}
}

static int64_t end_of(const struct timespec *timeout)
{
	if (!timeout || timeout->tv_sec >= FOREVER / NS)
		return INT64_MAX;
	return now() + timeout->tv_sec * (int64_t)NS + timeout->tv_nsec;
}

static void restore(void *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int older_ppoll(
	struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct sleeper sleeper = {.fds = fds, .n = n};
	sigset_t all, before;
	int ready, err;

	if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS)) {
		errno = EINVAL;
		return -1;
	}
	sleeper.end = end_of(timeout);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	sleeper.mask = bits_of(mask ? mask : &before);
	pthread_cleanup_push(restore, &before);
	ready = poll_in_slices(&sleeper);
	err = errno;
	pthread_cleanup_pop(1);
	errno = err;
	return ready;
}

int oldpoll_ppoll(
	struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int saved = errno, ready;

	if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
		ready = real()->ppoll(fds, n, timeout, mask);
		if (ready >= 0 || errno != ENOSYS)
			return ready;
		atomic_store(&missing, true);
	}
	ready = older_ppoll(fds, n, timeout, mask);
	if (ready >= 0)
		errno = saved;
	return ready;
}
