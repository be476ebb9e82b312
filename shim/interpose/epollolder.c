#include "interpose/epollolder.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "interpose/interpose.h"

#include "core/timeout.h"
#include "core/usermem.h"
#include "sys/oldpoll.h"

enum { NS = 1000000000, NS_IN_MS = 1000000, SIGSET_BYTES = 8, LONGEST = 1000000 };

/* The kernel said ENOSYS, which is for good. */
static _Atomic bool no_pwait, no_pwait2;

static int fail(int err)
{
	return (int)outcome_return(outcome_err(err));
}

/* An epoll set can be polled, and ppoll exchanges the signal mask for as long as it sleeps. Until
 * there is an answer no signal gets in elsewhere: its handler would have run, and the wait go on.
 * What another thread takes meanwhile is no reason to return. */
static int poll_until(int epfd, struct epoll_event *events, int max, const struct timeout *limit,
	const sigset_t *mask)
{
	struct timespec left;
	bool over = timeout_over(limit, &left);

	for (;;) {
		struct pollfd set = {.fd = epfd, .events = POLLIN};
		int n;

		if (oldpoll_ppoll(&set, 1, limit->infinite ? NULL : &left, mask) < 0)
			return -1;
		over = over || timeout_over(limit, &left);
		n = real()->epoll_wait(epfd, events, max, 0);
		if (n || over)
			return n;
	}
}

static void restore(void *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int poll_and_wait(int epfd, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct timeout limit = timeout_start(timeout);
	int err, n = real()->epoll_wait(epfd, events, max, 0);
	sigset_t all, before;

	if (n || limit.zero)
		return n;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_cleanup_push(restore, &before);
	n = poll_until(epfd, events, max, &limit, mask ? mask : &before);
	err = errno;
	pthread_cleanup_pop(1);
	errno = err;
	return n;
}

/* What epoll_wait can do: without a mask, and in whole milliseconds. */
static bool suits_epoll_wait(const struct timespec *timeout, const sigset_t *mask)
{
	return !mask &&
	       (!timeout || (timeout->tv_nsec % NS_IN_MS == 0 && timeout->tv_sec < LONGEST));
}

/* Where the kernel counts ticks epoll_wait may be back before the time is over. */
static int wait_in_ms(int epfd, struct epoll_event *events, int max, const struct timespec *timeout)
{
	struct timeout limit = timeout_start(timeout);
	int n = real()->epoll_wait(epfd, events, max, timeout_to_ms(timeout));
	struct timespec left;

	if (n || timeout_over(&limit, &left))
		return n;
	return poll_and_wait(epfd, events, max, &left, NULL);
}

/* In the kernel's order. */
static int wait_older(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
	const sigset_t *mask)
{
	if (timeout && !usermem_loadable(timeout, sizeof(*timeout)))
		return fail(EFAULT);
	if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS))
		return fail(EINVAL);
	if (mask && !usermem_loadable(mask, SIGSET_BYTES))
		return fail(EFAULT);
	if (suits_epoll_wait(timeout, mask))
		return wait_in_ms(epfd, events, max, timeout);
	return poll_and_wait(epfd, events, max, timeout, mask);
}

/* errno was `saved` before the newer call failed. */
static int wait_instead(int saved, int epfd, struct epoll_event *events, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	int n;

	errno = saved;
	n = wait_older(epfd, events, max, timeout, mask);
	if (n >= 0)
		errno = saved;
	return n;
}

int epollolder_pwait(
	int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
	struct timespec space;
	int saved = errno;

	if (!atomic_load_explicit(&no_pwait, memory_order_relaxed)) {
		int n = real()->epoll_pwait(epfd, events, max, timeout, mask);

		if (n >= 0 || errno != ENOSYS)
			return n;
		atomic_store(&no_pwait, true);
	}
	return wait_instead(saved, epfd, events, max, timeout_from_ms(timeout, &space), mask);
}

int epollolder_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
	const sigset_t *mask)
{
	int saved = errno;

	if (!atomic_load_explicit(&no_pwait2, memory_order_relaxed)) {
		int n = real()->epoll_pwait2(epfd, events, max, timeout, mask);

		if (n >= 0 || errno != ENOSYS)
			return n;
		atomic_store(&no_pwait2, true);
	}
	return wait_instead(saved, epfd, events, max, timeout, mask);
}
