/* Runs a command for which the kernel ignores close-on-exec in open(2) and recvmsg(2), as Linux did
 * before 2.6.23: its first process alone, not those that it starts. Exit code 77 where that cannot
 * be done. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 77, CALL_STOP = SIGTRAP | 0x80 };

#if defined(__x86_64__)
static void take_flags(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		return;
	switch (regs.orig_rax) {
	case SYS_open:
		regs.rsi &= ~(unsigned long)O_CLOEXEC;
		break;
	case SYS_openat:
		regs.rdx &= ~(unsigned long)O_CLOEXEC;
		break;
	case SYS_recvmsg:
		regs.rdx &= ~(unsigned long)MSG_CMSG_CLOEXEC;
		break;
	case SYS_recvmmsg:
		regs.r10 &= ~(unsigned long)MSG_CMSG_CLOEXEC;
		break;
	default:
		return;
	}
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

/* Up to its end: the exit code. */
static int follow(pid_t pid)
{
	bool entered = false;
	int status, sig = 0;

	for (;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, (long)sig);
		sig = 0;
		if (waitpid(pid, &status, 0) < 0 || WIFSIGNALED(status))
			return 1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WSTOPSIG(status) == CALL_STOP) {
			entered = !entered;
			if (entered)
				take_flags(pid);
		} else if (WSTOPSIG(status) != SIGTRAP) {
			sig = WSTOPSIG(status);
		}
	}
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 1 ? fork() : -1;
	int status;

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(CANNOT);
		raise(SIGSTOP);
		execvp(argv[1], argv + 1);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return CANNOT;
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		return CANNOT;
	return follow(pid);
}
#else
int main(void)
{
	return CANNOT;
}
#endif
