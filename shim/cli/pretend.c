/* The table as a seccomp filter. A call that an old kernel did not have gives ENOSYS there, an
 * unknown flag mostly EINVAL; both come from the filter before the running kernel sees the call. */
#include "kernels.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#if defined(__x86_64__)
enum { OWN_ARCHITECTURE = (int)AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { OWN_ARCHITECTURE = (int)AUDIT_ARCH_AARCH64 };
#endif

enum { MOST_PER_GAP = 6, MOST_GAPS = 512, AROUND = 16 };

static const struct {
	const char *name;
	uint32_t version;
} profiles[] = {
	{"2.6.18", KERNEL(2, 6, 18)},
	{"2.6.22", KERNEL(2, 6, 22)},
	{"2.6.32", KERNEL(2, 6, 32)},
	{"3.10", KERNEL(3, 10, 0)},
	{"4.4", KERNEL(4, 4, 0)},
	{"5.4", KERNEL(5, 4, 0)},
};

uint32_t kernel_named(const char *version)
{
	for (unsigned i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(version, profiles[i].name) == 0)
			return profiles[i].version;
	}
	return 0;
}

const char *kernel_versions(void)
{
	static char all[128];
	size_t used = 0;

	for (unsigned i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		used += (size_t)snprintf(
			all + used, sizeof(all) - used, "%s%s", i ? ", " : "", profiles[i].name);
	return all;
}

static struct sock_filter load(size_t offset)
{
	return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static struct sock_filter jump(uint16_t test, uint32_t value, uint8_t yes, uint8_t no)
{
	return (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), value, yes, no);
}

static struct sock_filter answer(int error)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
}

static struct sock_filter allow(void)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

/* Only the low half of an argument counts: flags and commands are ints. Both architectures are
 * little-endian. */
static size_t low_half(unsigned argument)
{
	return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);
}

static size_t high_half(unsigned argument)
{
	return low_half(argument) + sizeof(uint32_t);
}

/* The number of the call is loaded before and after. */
static struct sock_filter *add_gap(struct sock_filter *next, const struct kernel_gap *gap)
{
	static const uint16_t tests[] = {[ANY_BIT] = BPF_JSET, [IS] = BPF_JEQ, [ABOVE] = BPF_JGT};
	uint8_t rest = gap->mask ? 5 : 4;

	if (gap->when == ALWAYS) {
		*next++ = jump(BPF_JEQ, (uint32_t)gap->number, 0, 1);
		*next++ = answer(gap->error);
		return next;
	}
	*next++ = jump(BPF_JEQ, (uint32_t)gap->number, 0, rest);
	*next++ = load(low_half(gap->argument));
	if (gap->mask)
		*next++ = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, gap->mask);
	*next++ = jump(tests[gap->when], gap->value, 0, 1);
	*next++ = answer(gap->error);
	*next++ = load(offsetof(struct seccomp_data, nr));
	return next;
}

static struct sock_filter *add_exemption(struct sock_filter *next, uint32_t exempt)
{
	static const unsigned arguments[] = {0, 5};

	for (int i = 0; i < 2; i++) {
		*next++ = load(high_half(arguments[i]));
		*next++ = jump(BPF_JEQ, exempt, 0, 1);
		*next++ = allow();
	}
	return next;
}

static size_t write_filter(struct sock_filter *filter, uint32_t version, uint32_t exempt)
{
	struct sock_filter *next = filter;

	*next++ = load(offsetof(struct seccomp_data, arch));
	*next++ = jump(BPF_JEQ, (uint32_t)OWN_ARCHITECTURE, 1, 0);
	*next++ = allow();
	if (exempt)
		next = add_exemption(next, exempt);
	*next++ = load(offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < kernel_gap_count; i++) {
		if (kernel_gaps[i].since > version && kernel_gaps[i].number >= 0)
			next = add_gap(next, &kernel_gaps[i]);
	}
	*next++ = jump(BPF_JGT, LAST_KNOWN_CALL, 0, 1);
	*next++ = answer(ENOSYS);
	*next++ = allow();
	return (size_t)(next - filter);
}

int kernel_pretend(uint32_t version, uint32_t exempt)
{
	static struct sock_filter filter[MOST_GAPS * MOST_PER_GAP + AROUND];
	struct sock_fprog program = {.filter = filter};

	if (kernel_gap_count > MOST_GAPS)
		return E2BIG;
	program.len = (unsigned short)write_filter(filter, version, exempt);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return errno;
	return 0;
}
