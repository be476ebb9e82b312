/* What the library costs a program that makes no eventfd: startup RUNS LIBRARY EMPTY-LIBRARY
 * [COMMAND...]. Starts the command (true) in turn without a library, with an empty one and with the
 * shim, and prints medians and ratios. startup objects N: makes N eventfds, says so, and keeps them
 * until its stdin ends. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prog.h"

enum { SIDES = 3, MOST_RUNS = 10000, WARM_UP = 5 };

static double times[SIDES][MOST_RUNS];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Microseconds from start to end. */
static double run_once(char **command, char **variables)
{
	double start = now();
	int status = -1;
	pid_t pid;

	require(!posix_spawn(&pid, command[0], NULL, NULL, command, variables), "posix_spawn");
	require(waitpid(pid, &status, 0) == pid && !status, "the command");
	return now() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return values[n / 2];
}

static void measure(int runs, char **command, char *variables[SIDES][3])
{
	for (int i = -WARM_UP; i < runs; i++) {
		for (int side = 0; side < SIDES; side++) {
			double t = run_once(command, variables[side]);

			if (i >= 0)
				times[side][i] = t;
		}
	}
}

static void report(int runs)
{
	double bare = median(times[0], runs), empty = median(times[1], runs),
	       shim = median(times[2], runs);

	printf("without %.0f us, an empty library %.0f us, the shim %.0f us: shim/without %.3f, "
	       "shim/empty %.3f\n",
		bare, empty, shim, shim / bare, shim / empty);
}

static int keep(int n)
{
	char byte;

	for (int i = 0; i < n; i++)
		prog_eventfd(1, 0);
	require(puts("made") >= 0 && !fflush(stdout), "stdout");
	require(read(0, &byte, 1) == 0, "the end of stdin");
	return 0;
}

static char *preload(const char *library)
{
	char *variable = malloc(strlen(library) + 16);

	return strcat(strcpy(variable, "LD_PRELOAD="), library);
}

int main(int argc, char **argv)
{
	char *usual[] = {"/bin/true", NULL};
	static char dir[512] = "EFDSHIM_DIR=";
	int runs;

	if (argc == 3 && !strcmp(argv[1], "objects"))
		return keep(atoi(argv[2]));
	require(argc >= 4 && getenv("EFDSHIM_DIR"), "usage: startup RUNS LIBRARY EMPTY-LIBRARY");
	runs = atoi(argv[1]);
	require(runs >= 200 && runs <= MOST_RUNS, "200 to 10000 runs");
	strncat(dir, getenv("EFDSHIM_DIR"), sizeof(dir) - strlen(dir) - 1);
	char *variables[SIDES][3] = {{dir}, {dir, preload(argv[3])}, {dir, preload(argv[2])}};

	measure(runs, argc > 4 ? argv + 4 : usual, variables);
	report(runs);
	return 0;
}
