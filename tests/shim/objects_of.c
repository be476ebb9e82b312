/* Root and a child that dropped its privileges share eventfds; one of them dies. */
#include "prog.h"
#include "work.h"

#include <grp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, CHURN = 700 };

static void drop(void)
{
	require(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
			!setresuid(NOBODY, NOBODY, NOBODY),
		"setresuid");
}

/* Others make and close so many that every slot is looked at for a dead one. */
static void churn(void)
{
	static int fds[CHURN];

	for (int i = 0; i < CHURN; i++)
		fds[i] = prog_eventfd(1, 0);
	for (int i = 0; i < CHURN; i++)
		require(!close(fds[i]), "close");
}

static void go_on(int fd)
{
	require(prog_take(fd) == 3, "the count");
	work_with(fd);
	churn();
	prog_add(fd, 4);
	churn();
	require(prog_take(fd) == 4, "the count after others");
	work_with(fd);
}

/* The grandparent waits until the orphan has ended: by a pipe, as it is nobody's child then. */
static void orphan(void)
{
	int fd = prog_eventfd(3, EFD_NONBLOCK), ends[2], result[2], status;
	char byte = 0;
	pid_t parent;

	require(!pipe(ends) && !pipe(result), "pipe");
	parent = fork();
	if (!parent) {
		if (!fork()) {
			drop();
			close(ends[1]);
			require(read(ends[0], &byte, 1) == 0, "the parent's end");
			go_on(fd);
			require(write(result[1], "y", 1) == 1, "the result");
			_exit(0);
		}
		raise(SIGKILL);
	}
	close(fd);
	close(ends[1]);
	close(result[1]);
	require(waitpid(parent, &status, 0) == parent && WIFSIGNALED(status), "the parent");
	require(read(result[0], &byte, 1) == 1 && byte == 'y', "the orphan");
	churn();
}

static void widow(void)
{
	int fd = prog_eventfd(3, EFD_NONBLOCK), status;
	pid_t child = fork();

	if (!child) {
		int own;

		drop();
		own = prog_eventfd(0, 0);
		prog_add(own, 1);
		raise(SIGKILL);
	}
	require(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the child");
	go_on(fd);
	require(!close(fd), "close");
	work(WORK_ALL);
}

static const struct prog_case cases[] = {
	{"orphan", orphan},
	{"widow", widow},
};

PROG_MAIN(cases)
