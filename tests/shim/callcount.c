#include "callcount.h"
#include "prog.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MARK = -1001 };

void callcount_begin(void)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		raw_syscall3(SYS_exit_group, 77, 0, 0);
	raw_syscall3(SYS_kill, raw_getpid(), SIGSTOP, 0);
}

void callcount_mark(void)
{
	raw_close(MARK);
}

/* One stop of the child at a system call: adds to the step, or begins the next. */
static int count_one(int child, long calls[CALLCOUNT_MOST], int step)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) <= 0)
		return -1;
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return step;
	if (info.entry.nr == SYS_close && (int)info.entry.args[0] == MARK)
		return step + 1 < CALLCOUNT_MOST ? step + 1 : step;
	if (step >= 0)
		calls[step]++;
	return step;
}

int callcount_follow(int child, long calls[CALLCOUNT_MOST])
{
	int status, step = -1;
	bool refused = false;

	while (waitpid(child, &status, 0) == child && !WIFEXITED(status)) {
		require(WIFSTOPPED(status), "the child died of a signal");
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			int next = count_one(child, calls, step);

			refused |= next < step;
			step = next > step ? next : step;
		} else {
			ptrace(PTRACE_SETOPTIONS, child, 0,
				PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
		}
		ptrace(PTRACE_SYSCALL, child, 0, 0);
	}
	if (refused || WEXITSTATUS(status) == 77)
		return -1;
	require(WEXITSTATUS(status) == 0, "the child failed");
	return step;
}
