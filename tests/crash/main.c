/* crash [SCENE]: under the library with crash points each scene is stopped dead at each point it
 * passes; against the kernel the scenes just run. Prints a line a test, as tests/shim/lib.sh says.
 * EFDSHIM names the efdshim command. */
#define _GNU_SOURCE
#include "crash.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NAMES_WANTED = 20, TRIES = 10, MORE_CRASHES = 200, MORE_SLOTS = 32, CASES_MAX = 4000 };

/* The first one is how each child begins: points passed there are not counted for the others. */
const struct scene scenes[] = {
	{.name = "begin", .play = play_nothing},
	{.name = "create", .play = play_create},
	{.name = "create and close", .play = play_create_close},
	{.name = "fork", .play = play_fork, .uneven = true},
	{.name = "count", .play = play_count},
	{.name = "level", .play = play_level},
	{.name = "edge", .play = play_edge},
	{.name = "limit", .play = play_limit},
	{.name = "semaphore", .play = play_semaphore},
	{.name = "poll", .play = play_poll},
	{.name = "read asleep", .play = play_read_asleep, .during = hook_write_to_sleeper},
	{.name = "wake",
		.play = play_wake,
		.before = hook_sleep,
		.after = hook_woken,
		.uneven = true},
	{.name = "dup2", .play = play_dup_over},
	{.name = "close all", .play = play_close_all},
	{.name = "send", .play = play_send, .after = hook_take_mail},
	{.name = "receive", .play = play_receive, .before = hook_mail, .after = hook_take_mail},
	{.name = "exec", .play = play_exec},
	{.name = "exec late", .play = play_exec, .late = true},
	{.name = "inherited", .play = play_count, .part = true},
	{.name = "reclaim", .play = play_reclaim, .before = hook_litter},
	{.name = "litter", .play = play_litter, .part = true},
	{.name = NULL},
};

static struct points all; /* of all scenes */
static struct points beginning;
static int failures;

static struct {
	const struct scene *scene;
	char at[NAME_BYTES + 8];
} cases[CASES_MAX]; /* what did crash */
static int cases_count;

void verdict(const char *why, const char *format, ...)
{
	va_list args;

	fputs(*why ? "not ok " : "ok ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(*why ? " - %s\n" : "\n", why);
	fflush(stdout);
	failures += *why != 0;
}

/* Tries until it is killed there; false where it never was, or something was wrong. */
static bool crash_at(struct run *run, const struct scene *scene, const char *at)
{
	for (int i = 0; i < TRIES; i++) {
		run_scene(run, scene, CRASH_AT, at);
		if (run->why[0])
			return false;
		if (run_was_killed(run))
			return true;
	}
	return false;
}

static void remember(const struct scene *scene, const char *at)
{
	if (cases_count == CASES_MAX)
		return;
	cases[cases_count].scene = scene;
	snprintf(cases[cases_count++].at, sizeof(cases[0].at), "%s", at);
}

/* How often it is passed before the scene begins. */
static int passed_before(const struct scene *scene, const char *name)
{
	for (int i = 0; i < beginning.count && scene != scenes; i++) {
		if (!strcmp(beginning.point[i].name, name))
			return beginning.point[i].reached;
	}
	return 0;
}

/* Where two processes pass it, neither may come as far as both together. */
static bool crash_twice(struct run *run, const struct scene *scene, const char *at, bool must)
{
	bool killed = false;

	run->why[0] = 0;
	for (int first = 0; first < 2 && !run->why[0]; first++) {
		run->write_first = first;
		killed = crash_at(run, scene, at);
		if (!killed && !run->why[0] && must)
			wrong(run, "was not killed there");
	}
	if (run->why[0])
		verdict(run->why, "%s: %s, %s first", scene->name, at,
			run->write_first ? "write" : "read");
	return killed;
}

static void crash_each_time(struct run *run, const struct scene *scene, const struct point *point)
{
	int before = passed_before(scene, point->name), met = 0;

	for (int time = 1; before + time <= point->reached && time <= TIMES_MAX; time++) {
		char at[NAME_BYTES + 8];

		snprintf(at, sizeof(at), "%s:%d", point->name, before + time);
		if (crash_twice(run, scene, at, !scene->uneven || time == 1)) {
			remember(scene, at);
			met++;
		}
		if (run->why[0])
			return;
	}
	if (met)
		verdict("", "%s: %s (killed at %d times)", scene->name, point->name, met);
}

static void add_names(const struct points *points)
{
	for (int i = 0; i < points->count; i++) {
		bool known = false;

		for (int j = 0; j < all.count; j++)
			known |= !strcmp(all.point[j].name, points->point[i].name);
		if (!known && all.count < POINTS_MAX)
			all.point[all.count++] = points->point[i];
	}
}

static void try_scene(struct run *run, const struct scene *scene, bool crashing)
{
	struct points points = {.count = 0};

	if (crashing)
		points_learn(&points, run, scene);
	else
		run_scene(run, scene, NULL, NULL);
	verdict(run->why, "%s: without a crash", scene->name);
	if (run->why[0])
		return;
	add_names(&points);
	if (scene == scenes)
		beginning = points;
	for (int i = 0; i < points.count; i++)
		crash_each_time(run, scene, &points.point[i]);
}

/* By now every slot that is needed at once was used at once. */
static void crash_on(struct run *run)
{
	long before = tidy_entries(), after;

	run->why[0] = 0;
	for (int i = 0; i < MORE_CRASHES && cases_count && !run->why[0]; i++) {
		run->write_first = i % 2;
		crash_at(run, cases[i % cases_count].scene, cases[i % cases_count].at);
		if (i % 10 == 0)
			survivor_makes(run, LITTER);
	}
	after = tidy_entries();
	if (before < 0 || after < 0 || after > before + MORE_SLOTS)
		wrong(run, "%ld files in the directory became %ld", before, after);
	verdict(run->why, "%d more crashes need no more slots", MORE_CRASHES);
}

static void hangs(int signal)
{
	static const char line[] = "not ok the survivor - hangs\n";

	(void)signal;
	if (write(1, line, sizeof(line) - 1) < 0)
		abort();
	_exit(1);
}

static void prepare(struct run *run)
{
	int memfd = memfd_create("journal", 0);

	if (memfd >= 0 && !ftruncate(memfd, sizeof(struct journal)))
		run->journal = mmap(
			NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (!run->journal || run->journal == MAP_FAILED) {
		puts("not ok the journal - no memory");
		exit(1);
	}
	run->journal->memfd = memfd;
	signal(SIGALRM, hangs);
}

int main(int argc, char **argv)
{
	static struct run run;
	bool crashing = dlsym(RTLD_DEFAULT, "efdshim_version");
	char why[64] = "";

	if (argc == 4 && !strcmp(argv[1], "--scene"))
		run_child(argv[2], argv[3]);
	prepare(&run);
	for (const struct scene *s = scenes; s->name; s++) {
		if (!s->part && (argc < 2 || s == scenes || !strcmp(argv[1], s->name)))
			try_scene(&run, s, crashing);
	}
	if (!crashing)
		return failures != 0;
	crash_on(&run);
	if (argc < 2) {
		if (all.count < NAMES_WANTED)
			snprintf(why, sizeof(why), "of %d wanted", NAMES_WANTED);
		verdict(why, "%d crash points were learnt", all.count);
	}
	return failures != 0;
}
