#include "core/usermem.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>

#include "core/stats.h"
#include "sys/decoy.h"
#include "sys/raw.h"

enum { PAGE = 1 << USERMEM_PAGE_BITS, SIGSET_BYTES = 8 };

_Atomic uint32_t usermem_mappings = 1;
_Thread_local struct usermem_seen usermem_seen;

void usermem_forget(void)
{
	atomic_fetch_add(&usermem_mappings, 1);
}

bool usermem_ask_range(const void *address, size_t n)
{
	return decoy_read_error(address, n) != EFAULT;
}

/* Loads 8 bytes at the address and refuses the call: EINVAL where they could be loaded. */
static bool probe_load(uintptr_t address)
{
	return raw_syscall6(SYS_rt_sigprocmask, -1, (long)address, 0, SIGSET_BYTES, 0, 0) !=
	       -EFAULT;
}

/* Adds 0 to the word at the address, atomically: whoever else uses it notices nothing. */
static bool probe_store(uintptr_t address)
{
	static uint32_t nobody;
	int add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, -2048);

	long ret = raw_syscall6(SYS_futex, (long)&nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0,
		(long)address, add_nothing);

	if (ret == -ENOSYS) /* before 2.6.22 */
		ret = raw_syscall6(
			SYS_futex, (long)&nobody, FUTEX_WAKE_OP, 0, 0, (long)address, add_nothing);
	return ret != -EFAULT;
}

/* A futex word does not make the stack grow; a load of the kernel's does. */
static bool probe(uintptr_t address, enum usermem_access access)
{
	if (access == USERMEM_LOAD)
		return probe_load(address);
	return probe_store(address) || (probe_load(address) && probe_store(address));
}

/* The page's entry among its two places. One that comes anew has the first of them, and the one
 * that came last the second: the two that came last are both there. */
static uintptr_t *make_entry(uintptr_t page)
{
	uintptr_t *first = &usermem_seen.pages[page % (USERMEM_REMEMBERED / 2)];
	uintptr_t *second = first + USERMEM_REMEMBERED / 2;

	if (*second >> USERMEM_PAGE_BITS == page)
		return second;
	if (*first >> USERMEM_PAGE_BITS != page)
		*second = *first;
	return first;
}

/* `now`: what usermem_mappings was before the page was probed. */
static void remember(uintptr_t page, enum usermem_access access, uint32_t now)
{
	uintptr_t *entry, known;

	if (usermem_seen.mappings != now) {
		memset(usermem_seen.pages, 0, sizeof(usermem_seen.pages));
		usermem_seen.mappings = now;
	}
	entry = make_entry(page);
	known = *entry;
	*entry = (known >> USERMEM_PAGE_BITS == page ? known : page << USERMEM_PAGE_BITS) | access;
	/* a handler may have changed mappings, and asked for itself, since we looked: what was
	 * moved is as doubtful as what is new */
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load(&usermem_mappings) != now)
		memset(usermem_seen.pages, 0, sizeof(usermem_seen.pages));
}

/* By the page's last 8 bytes: never NULL, which system calls take for no argument. */
static bool probe_page(uintptr_t next, enum usermem_access access)
{
	stats_syscall();
	return probe(next - SIGSET_BYTES, access);
}

bool usermem_verify(uintptr_t from, size_t n, enum usermem_access access)
{
	uintptr_t end = from + n;

	if (end < from)
		return false;
	while (from < end) {
		uintptr_t next = (from | (PAGE - 1)) + 1;

		if (!usermem_known(from >> USERMEM_PAGE_BITS, access)) {
			uint32_t now = atomic_load(&usermem_mappings);

			if (!probe_page(next, access))
				return false;
			remember(from >> USERMEM_PAGE_BITS, access, now);
		}
		from = next;
	}
	return true;
}

bool usermem_ask(const void *address, size_t n, enum usermem_access access)
{
	uintptr_t from = (uintptr_t)address, end = from + n;

	if (end < from)
		return false;
	for (; from < end; from = (from | (PAGE - 1)) + 1) {
		if (!probe_page((from | (PAGE - 1)) + 1, access))
			return false;
	}
	return true;
}

bool usermem_store_part(void *to, const void *from, size_t n)
{
	size_t here = PAGE - ((uintptr_t)to & (PAGE - 1));

	if (here < n && usermem_storable(to, here))
		memcpy(to, from, here);
	return false;
}
