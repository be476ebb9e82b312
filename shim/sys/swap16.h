/* Compare-and-swap of two neighbouring words at once; sequentially consistent. */
#ifndef EFDSHIM_SYS_SWAP16_H
#define EFDSHIM_SYS_SWAP16_H

#include <stdbool.h>
#include <stdint.h>

/* `at` is aligned to 16 bytes. Where the words are not *first and *second nothing is stored, and
 * these two get what the words are. */
#if defined(__x86_64__)
static inline bool swap16(
	void *at, uint64_t *first, uint64_t *second, uint64_t new_first, uint64_t new_second)
{
	bool swapped;

	__asm__ volatile(
		"lock cmpxchg16b %[at]"
		: "=@ccz"(swapped), [at] "+m"(*(char(*)[16])at), "+a"(*first), "+d"(*second)
		: "b"(new_first), "c"(new_second)
		: "memory");
	return swapped;
}
#elif defined(__aarch64__)
static inline bool swap16(
	void *at, uint64_t *first, uint64_t *second, uint64_t new_first, uint64_t new_second)
{
	uint64_t was_first, was_second, differs;
	uint32_t failed;

	__asm__ volatile("1:	ldaxp	%[wf], %[ws], [%[at]]\n"
			 "	eor	%[d], %[wf], %[f]\n"
			 "	eor	x17, %[ws], %[s]\n"
			 "	orr	%[d], %[d], x17\n"
			 "	cbnz	%[d], 2f\n"
			 "	stlxp	%w[x], %[nf], %[ns], [%[at]]\n"
			 "	cbnz	%w[x], 1b\n"
			 "	b	3f\n"
			 "2:	stlxp	%w[x], %[wf], %[ws], [%[at]]\n" /* proves that both were
									  read at once */
			 "	cbnz	%w[x], 1b\n"
			 "3:	dmb	ish\n"
			 : [wf] "=&r"(was_first), [ws] "=&r"(was_second), [d] "=&r"(differs),
			 [x] "=&r"(failed)
			 : [at] "r"(at), [f] "r"(*first), [s] "r"(*second), [nf] "r"(new_first),
			 [ns] "r"(new_second)
			 : "x17", "memory", "cc");
	*first = was_first;
	*second = was_second;
	return !differs;
}
#endif

#endif
