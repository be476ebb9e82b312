#include "core/latch.h"

#include <linux/futex.h>
#include <signal.h>

#include "sys/raw.h"

enum { KERNEL_SIGSET = 8 };

/* All signals but the last one that libc keeps for itself: by it setuid() and its like reach every
 * thread and wait for it. Whoever waits here, for a thread that waits for libc's locks, must not
 * keep them waiting. Its handler touches nothing. */
static uint64_t all_but_setid(void)
{
	return ~(1ull << (SIGRTMIN - 2));
}

static void set_mask(const uint64_t *set, uint64_t *before)
{
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)set, (long)before, KERNEL_SIGSET, 0, 0);
}

void latch_lock(struct latch *latch)
{
	const uint64_t all = all_but_setid();
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
