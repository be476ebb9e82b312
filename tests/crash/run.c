/* One run: the survivor makes the objects, the child plays its scene, the survivor looks. */
#define _GNU_SOURCE
#include "crash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 30, ENVIRONMENT = 1024, NEW_ONES = 3 };

static bool names(const char *entry, const char *variable)
{
	size_t length = strlen(variable);

	return !strncmp(entry, variable, length) && entry[length] == '=';
}

/* What this process has, without a word of crash points but `entry`. */
static char **environment_with(char *entry)
{
	static const char *const left_out[] = {
		CRASH_AT, CRASH_LIST, LATE CRASH_AT, LATE CRASH_LIST};
	static char *made[ENVIRONMENT];
	size_t used = 0;

	for (char **e = environ; *e && used < ENVIRONMENT - 2; e++) {
		bool keep = true;

		for (size_t i = 0; i < sizeof(left_out) / sizeof(*left_out); i++)
			keep &= !names(*e, left_out[i]);
		if (keep)
			made[used++] = *e;
	}
	if (entry)
		made[used++] = entry;
	made[used] = NULL;
	return made;
}

static _Noreturn void become(const char *scene, int memfd, char **environment)
{
	char number[16];
	char *argv[] = {"crash", "--scene", (char *)scene, number, NULL};

	snprintf(number, sizeof(number), "%d", memfd);
	execve("/proc/self/exe", argv, environment);
	stage_need(false, "exec");
	_exit(1);
}

pid_t run_start(const char *scene, int memfd, const char *variable, const char *value)
{
	char entry[256] = "";
	pid_t pid;

	if (variable)
		snprintf(entry, sizeof(entry), "%s=%s", variable, value);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(LIMIT_SECONDS);
		become(scene, memfd, environment_with(variable ? entry : NULL));
	}
	return pid;
}

/* It finds what was meant for it, and not what was meant for the first image. */
void run_image(const char *scene, struct journal *journal)
{
	for (char **e = environ; *e; e++) {
		if (!strncmp(*e, LATE, strlen(LATE)))
			become(scene, journal->memfd, environment_with(*e + strlen(LATE)));
	}
	become(scene, journal->memfd, environment_with(NULL));
}

void run_child(const char *scene, const char *memfd)
{
	struct journal *journal = mmap(
		NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(memfd), 0);

	stage_need(journal != MAP_FAILED, "mmap");
	for (const struct scene *s = scenes; s->name; s++) {
		if (strcmp(s->name, scene) != 0)
			continue;
		s->play(journal);
		exit(0);
	}
	stage_need(false, "no such scene");
	_exit(1);
}

int run_end(pid_t pid)
{
	int status = -1;

	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

bool run_was_killed(const struct run *run)
{
	return (WIFSIGNALED(run->status) && WTERMSIG(run->status) == SIGKILL) ||
	       (WIFEXITED(run->status) && WEXITSTATUS(run->status) == KILLED_INSIDE);
}

void run_scene(struct run *run, const struct scene *scene, const char *variable, const char *value)
{
	char late[64];

	snprintf(late, sizeof(late), "%s%s", scene->late ? LATE : "", variable ? variable : "");
	run->why[0] = 0;
	run->taken = run->added = 0;
	alarm(2 * LIMIT_SECONDS);
	survivor_open(run);
	if (scene->before)
		scene->before(run);
	run->child = run_start(
		scene->name, run->journal->memfd, variable ? late : NULL, variable ? value : NULL);
	if (scene->during)
		scene->during(run);
	run->status = run_end(run->child);
	if (run->status && !run_was_killed(run))
		wrong(run, "the child ended with status %#x", (unsigned)run->status);
	if (scene->after)
		scene->after(run);
	survivor_check(run);
	survivor_makes(run, NEW_ONES);
	survivor_close(run);
	tidy_check(run);
}
