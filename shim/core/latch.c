#include "core/latch.h"

#include <linux/futex.h>
#include <signal.h>

#include "sys/raw.h"

enum { KERNEL_SIGSET = 8 };

/* libc's own, by which setuid() and its like reach every thread and wait for it: whoever waits
 * here, for a thread that waits for libc's locks, must not keep them waiting. Its handler touches
 * nothing. */
enum { SIGNAL_SETXID = 33 };
#define ALL_BUT_SETXID (UINT64_MAX & ~(1ull << (SIGNAL_SETXID - 1)))

static void set_mask(const uint64_t *set, uint64_t *before)
{
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)set, (long)before, KERNEL_SIGSET, 0, 0);
}

void latch_lock(struct latch *latch)
{
	const uint64_t all = ALL_BUT_SETXID;
	uint32_t none = 0;
	uint64_t mask;

	set_mask(&all, &mask);
	if (!atomic_compare_exchange_strong(&latch->word, &none, 1)) {
		while (atomic_exchange(&latch->word, 2))
			raw_futex(&latch->word, FUTEX_WAIT_PRIVATE, 2);
	}
	latch->mask = mask;
}

void latch_unlock(struct latch *latch)
{
	uint64_t mask = latch->mask;

	if (atomic_exchange(&latch->word, 0) == 2)
		raw_futex(&latch->word, FUTEX_WAKE_PRIVATE, 1);
	set_mask(&mask, NULL);
}
