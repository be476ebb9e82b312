#include "core/wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <time.h>

#include "core/stats.h"
#include "sys/cancel.h"
#include "sys/raw.h"

/* A futex wait without a timeout is restarted after a SA_RESTART handler and gives EINTR after any
 * other, just as a read of an eventfd. The thread can be cancelled only while it is in here, having
 * taken nothing. */
static int futex_wait(const _Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	long ret;

	stats_syscall();
	ret = cancel_futex_wait(word, value, timeout);
	return ret == -EINTR || ret == -EAGAIN ? (int)-ret : 0;
}

int wait_sleep(const _Atomic uint32_t *word, uint32_t value)
{
	return futex_wait(word, value, NULL);
}

/* With a timeout, however long, the kernel never restarts the wait after a handler. */
int wait_sleep_unrestarted(const _Atomic uint32_t *word, uint32_t value)
{
	static const struct timespec years = {.tv_sec = 1000000000};

	return futex_wait(word, value, &years);
}

int wait_forever(void)
{
	static const _Atomic uint32_t nothing;

	while (wait_sleep(&nothing, 0) != EINTR)
		;
	return EINTR;
}

void wait_wake(_Atomic uint32_t *word, const _Atomic uint32_t *waiters)
{
	if (!atomic_load(waiters))
		return;
	atomic_fetch_add(word, 1);
	stats_syscall();
	stats_add(STATS_WAKEUPS);
	raw_futex(word, FUTEX_WAKE, INT_MAX);
}
