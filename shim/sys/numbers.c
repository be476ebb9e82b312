#include "sys/numbers.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "sys/raw.h"

enum { SIGSET_BYTES = 8, SET_BYTES = NUMBERS_FEW / CHAR_BIT };

/* Where the stack ends: the kernel puts a word of zeros there, behind the program's name. */
static uintptr_t end_of_stack(void)
{
	uintptr_t name = getauxval(AT_EXECFN);
	uintptr_t page = getauxval(AT_PAGESZ);

	if (!name || !page)
		return 0;
	name += strlen((const char *)name) + 1 + SET_BYTES;
	return (name + page - 1) & ~(page - 1);
}

/* Asks the kernel, by a call that does nothing else. */
static bool can_be_loaded(uintptr_t set)
{
	return raw_syscall6(SYS_rt_sigprocmask, -1, (long)set, 0, SIGSET_BYTES, 0, 0) != -EFAULT;
}

static bool is_empty_set(uintptr_t set)
{
	uint64_t bits;

	if (!can_be_loaded(set))
		return false;
	memcpy(&bits, (const void *)set, sizeof(bits));
	return !bits;
}

static bool select_takes(uintptr_t set)
{
	return raw_select_now(INT_MAX, (void *)set) == 0;
}

/* select looks at no more numbers than the process's table has room for, whatever it is asked, and
 * loads one bit for each. So it finds a set of 64 bits that nothing can be loaded behind of a bad
 * address exactly where there is room for more. */
bool numbers_are_few(void)
{
	uintptr_t end = end_of_stack();

	return end && is_empty_set(end - SET_BYTES) && !can_be_loaded(end - SET_BYTES + 1) &&
	       select_takes(end - SET_BYTES);
}
