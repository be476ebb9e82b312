/* Starts itself as a new image again and again, by whatever way it is told, or children that end by
 * one; each makes eventfds and closes them. */
#include "prog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES = 20, OBJECTS = 5 };

extern char **environ;

static void make_some(void)
{
	for (int i = 0; i < OBJECTS; i++)
		close(prog_eventfd(0, EFD_CLOEXEC));
}

static void start(const char *way, char **argv)
{
	if (!strcmp(way, "execve"))
		execve(argv[0], argv, environ);
	else if (!strcmp(way, "execvp"))
		execvp(argv[0], argv);
	else if (!strcmp(way, "fexecve"))
		fexecve(open(argv[0], O_RDONLY | O_CLOEXEC), argv, environ);
	else
		syscall(SYS_execve, argv[0], argv, environ);
}

/* Of those that fail, and of a child of vfork, nothing is noticed either. */
static void start_nothing(void)
{
	pid_t child;

	execl("/nowhere", "nowhere", (char *)NULL);
	make_some();
	child = vfork();
	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	require(child > 0 && waitpid(child, NULL, 0) == child, "a child of vfork");
	make_some();
}

static void have_children(const char *way)
{
	for (int i = 0; i < IMAGES; i++) {
		int status;
		pid_t child = fork();

		if (!child) {
			make_some();
			if (!strcmp(way, "_exit"))
				_exit(0);
			syscall(SYS_exit_group, 0);
		}
		require(child > 0 && waitpid(child, &status, 0) == child && !status, "a child");
	}
}

int main(int argc, char **argv)
{
	int left = argc > 2 ? atoi(argv[2]) : IMAGES;
	char number[16];

	require(argc > 1, "images WAY [LEFT]");
	make_some();
	start_nothing();
	if (!left)
		return 0;
	if (strstr(argv[1], "exit")) {
		have_children(argv[1]);
		return 0;
	}
	snprintf(number, sizeof(number), "%d", left - 1);
	start(argv[1], (char *[]){argv[0], argv[1], number, NULL});
	prog_fail("the next image");
}
