/* Which kernel brought which system call and flag, and a filter that takes newer ones away. */
#ifndef EFDSHIM_CLI_KERNELS_H
#define EFDSHIM_CLI_KERNELS_H

#include <stdint.h>

#define KERNEL(a, b, c) ((a) << 16 | (b) << 8 | (c))

/* What decides, beside the number of the call. */
enum gap_when {
	ALWAYS,
	ANY_BIT, /* the argument has one of these bits */
	IS,	 /* the argument's low bits, as many as `mask` has, are `value` */
	ABOVE,	 /* the argument is greater */
};

struct kernel_gap {
	uint32_t since; /* the first kernel that knows it */
	const char *name;
	int number;
	int error; /* what older ones answer */
	enum gap_when when;
	uint8_t argument; /* 0 is the first */
	uint32_t value;
	uint32_t mask; /* of IS; 0: all */
};

extern const struct kernel_gap kernel_gaps[];
extern const unsigned kernel_gap_count;

/* No kernel that this table knows has a call of a greater number. */
enum { LAST_KNOWN_CALL = 469 };

/* 0 for a version that is not among those in kernel_versions(). */
uint32_t kernel_named(const char *version);
const char *kernel_versions(void);

/* From here on this process and its children see no more than that kernel had. 0 or errno. Where
 * `exempt` is not 0, calls go through that have it in the upper half of their first or sixth
 * argument: the tests ask the unfiltered kernel so. */
int kernel_pretend(uint32_t version, uint32_t exempt);

#endif
