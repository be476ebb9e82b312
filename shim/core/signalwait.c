/* epoll_wait(2) on a set with signalfds in it. */
#include "core/signalset.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/signaldoor.h"
#include "core/stats.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "sys/alone.h"
#include "sys/oldpoll.h"

enum { AT_ONCE = 16 };

/* Where there is room for one only, the kernel's have their turn, too. */
static _Atomic uint32_t turns;

/* Into a copy: the program's memory may be bad, and is not to be touched under the lock. */
static int tell_signals(const struct epoll_call *call)
{
	struct epoll_event events[AT_ONCE];
	int max = call->max < AT_ONCE ? call->max : AT_ONCE;

	if (max <= 0)
		return 0;
	if (!usermem_storable(call->events, (size_t)max * sizeof(*events)))
		return signalset_ready(call->epfd) ? -EFAULT : 0;
	max = signalset_collect(call->epfd, events, max);
	memcpy(call->events, events, (size_t)max * sizeof(*events));
	return max;
}

/* A set in the set may be ready both for a signal and for the kernel. */
static long without_doubles(struct epoll_event *events, int n, long others)
{
	long kept = 0;

	for (long i = n; i < n + others; i++) {
		bool told = false;

		for (int k = 0; k < n; k++)
			told |= events[k].data.u64 == events[i].data.u64 &&
				events[i].events == EPOLLIN;
		if (!told)
			events[n + kept++] = events[i];
	}
	return kept;
}

static struct outcome tell_others(const struct epoll_call *call, int n)
{
	static const struct timespec now;
	struct epoll_call rest = *call;
	struct outcome outcome;

	rest.timeout = &now;
	rest.events += n;
	rest.max -= n;
	if (n && !rest.max)
		return outcome_ok(n);
	outcome = epollset_wait_in_kernel(&rest);
	if (outcome.err)
		return n ? outcome_ok(n) : outcome;
	return outcome_ok(n + without_doubles(call->events, n, outcome.value));
}

static struct outcome look(const struct epoll_call *call)
{
	struct outcome outcome;
	int n;

	if (call->max == 1 && (atomic_fetch_add(&turns, 1) & 1)) {
		outcome = tell_others(call, 0);
		if (outcome.err || outcome.value)
			return outcome;
	}
	n = tell_signals(call);
	return n < 0 ? outcome_err(-n) : tell_others(call, n);
}

static void close_door(void *arg)
{
	signaldoor_close(arg);
}

static int poll_set(int epfd, const struct timespec *timeout, const sigset_t *mask)
{
	struct pollfd set = {.fd = epfd, .events = POLLIN};
	int err = 0, saved = errno;

	stats_syscall();
	if (oldpoll_ppoll(&set, 1, timeout, mask) < 0)
		err = errno;
	errno = saved;
	return err == EINTR && signaldoor_came() ? 0 : err;
}

/* As poll(2) sleeps on a set: what woke it is found by a look, while that is pending yet. */
static struct outcome sleep_and_look(const struct epoll_call *call, const struct timespec *timeout)
{
	struct outcome outcome;
	struct signaldoor door;
	int err;

	signaldoor_open(&door, signalset_signals(call->epfd), call->mask);
	pthread_cleanup_push(close_door, &door);
	err = poll_set(call->epfd, timeout, &door.during);
	outcome = err ? outcome_err(err) : look(call);
	pthread_cleanup_pop(1);
	return outcome;
}

struct outcome signalset_wait(struct epoll_call *call)
{
	struct timeout limit = timeout_start(call->timeout);
	struct timespec left, slice = {.tv_sec = 1};
	struct outcome outcome = look(call);

	while (!outcome.err && !outcome.value && !timeout_over(&limit, &left)) {
		const struct timespec *timeout = call->timeout ? &left : NULL;

		if (!alone() && (!timeout || left.tv_sec >= slice.tv_sec)) /* see README */
			timeout = &slice;
		outcome = sleep_and_look(call, timeout);
	}
	return outcome;
}
