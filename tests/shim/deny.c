#include "deny.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(field))
#define RETURN(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (value))

enum { EACH = 5, MOST = 16 };

bool deny_all(const struct deny *denied, unsigned count, int err)
{
	struct sock_filter filter[MOST * EACH + 1], *next = filter;
	struct sock_fprog program = {.filter = filter};

	for (unsigned i = 0; i < count && i < MOST; i++) {
		size_t argument = offsetof(struct seccomp_data, args) + 8 * denied[i].argument;
		unsigned mask = denied[i].mask;

		*next++ = LOAD(offsetof(struct seccomp_data, nr));
		*next++ = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied[i].number, 0, 3);
		*next++ = LOAD(argument);
		/* an argument's low half decides; without a mask every argument will do */
		*next++ = (struct sock_filter)BPF_JUMP(
			BPF_JMP | (mask ? BPF_JSET : BPF_JGE) | BPF_K, mask, 0, 1);
		*next++ = RETURN(SECCOMP_RET_ERRNO | (unsigned)err);
	}
	*next++ = RETURN(SECCOMP_RET_ALLOW);
	program.len = (unsigned short)(next - filter);
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
