/* Kernels before 2.6.22 refuse private futexes: shared ones serve, and whoever sleeps is woken. */
#include "unit.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>

#include "sys/raw.h"

TestSuite(sys_futex, .timeout = 20);

enum { CANNOT = 77 };

static bool refuse_private_futexes(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FUTEX_PRIVATE_FLAG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 6, .filter = filter};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int sleep_on(void *arg)
{
	_Atomic uint32_t *word = arg;

	if (!refuse_private_futexes())
		return CANNOT;
	if (raw_futex(word, FUTEX_WAIT_PRIVATE, 1) != -EAGAIN)
		return 1;
	return raw_futex(word, FUTEX_WAIT_PRIVATE, 0) != 0;
}

static int wake(void *arg)
{
	if (!refuse_private_futexes())
		return CANNOT;
	for (;;) {
		long woken = raw_futex(arg, FUTEX_WAKE_PRIVATE, 1);

		if (woken)
			return woken != 1;
		sched_yield();
	}
}

Test(sys_futex, a_sleeper_is_woken)
{
	_Atomic uint32_t *word = unit_shared(sizeof(*word));
	pid_t sleeper = unit_fork(sleep_on, word), waker = unit_fork(wake, word);
	int slept = unit_wait(sleeper), woke = unit_wait(waker);

	if (slept == CANNOT && woke == CANNOT) {
		cr_log_info("no filters here: left out");
	} else {
		cr_assert_eq(slept, 0);
		cr_assert_eq(woke, 0);
	}
	munmap(word, sizeof(*word));
}
