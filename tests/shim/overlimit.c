/* Runs a program for a user who has more pipes than the system likes: overlimit PIPES COMMAND
 * ARGS... Holds that many pipes meanwhile, and checks that a further one is small. PIPES of 0: runs
 * it as it is. */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USUAL = 65536, NOT_POSSIBLE = 77 };

static void fail(int code)
{
	raw_syscall3(SYS_exit_group, code, 0, 0);
}

static void hold_pipes(int count)
{
	struct rlimit limit;
	int ends[2];

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < count; i++) {
		if (raw_syscall3(SYS_pipe2, (long)ends, O_CLOEXEC, 0))
			fail(NOT_POSSIBLE);
		if (fcntl(ends[0], F_GETPIPE_SZ) < USUAL)
			return;
	}
	fail(NOT_POSSIBLE);
}

int main(int argc, char **argv)
{
	int count, status = -1;
	pid_t pid;

	require(argc >= 3, "usage: overlimit PIPES COMMAND ARGS...");
	count = atoi(argv[1]);
	if (count)
		hold_pipes(count);
	pid = fork();
	if (!pid) {
		raw_syscall3(SYS_close_range, 3, UINT32_MAX, 0); /* the parent holds them */
		setenv("LD_PRELOAD", getenv("PRELOAD") ? getenv("PRELOAD") : "", 1);
		execvp(argv[2], argv + 2);
		prog_fail("cannot run it");
	}
	require(waitpid(pid, &status, 0) == pid, "waitpid");
	fail(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
