#include "pingpong.h"

#include <pthread.h>
#include <sys/wait.h>

#include "clock.h"
#include "core.h"
#include "die.h"

/* Each side waits at its own channel and writes to the other one's. */
struct side {
	const struct options *options;
	struct channel mine, other;
	int core; /* of two, where each is to have its own */
	bool reading;
};

enum { UNMEASURED = 2 }; /* a round at the start, until both are there, and one at the end */

static long rounds_of(const struct options *options)
{
	return options->writes > 1 ? options->writes / 2 : 1;
}

/* Where it has a set to wait with, that is its own: made in its thread, or after the fork. */
static void begin(const struct side *side)
{
	if (side->options->loop)
		side->options->loop->open(&side->mine.in, 1, side->options->edges);
}

static void receive(const struct side *side)
{
	int ready;

	while (side->options->loop && !side->options->loop->wait(&ready, -1))
		;
	if (side->reading)
		channel_take(side->options->kind, &side->mine);
}

static void end(const struct side *side)
{
	if (side->options->loop)
		side->options->loop->close();
}

static void *mate(void *argument)
{
	const struct side *side = argument;
	long rounds = UNMEASURED + rounds_of(side->options) * side->options->runs;

	if (side->options->cores == CORES_TWO)
		pin_to_core(side->core);
	begin(side);
	while (rounds--) {
		receive(side);
		side->options->kind->give(&side->other);
	}
	end(side);
	return NULL;
}

struct mate_handle {
	enum mate mate;
	pthread_t thread;
	pid_t pid;
	clockid_t clock;
};

static struct mate_handle start(struct side *side)
{
	struct mate_handle handle = {.mate = side->options->mate};

	if (handle.mate == MATE_THREAD) {
		errno = pthread_create(&handle.thread, NULL, mate, side);
		if (errno || (errno = pthread_getcpuclockid(handle.thread, &handle.clock)))
			die(EXIT_CANNOT, "pthread_create");
		return handle;
	}
	handle.pid = fork();
	if (handle.pid < 0)
		die(EXIT_CANNOT, "fork");
	if (!handle.pid) {
		mate(side);
		exit(0);
	}
	errno = clock_getcpuclockid(handle.pid, &handle.clock);
	if (errno)
		die(EXIT_CANNOT, "clock_getcpuclockid");
	return handle;
}

static void finish(const struct mate_handle *handle)
{
	int status = 0;

	if (handle->mate == MATE_THREAD)
		pthread_join(handle->thread, NULL);
	else if (waitpid(handle->pid, &status, 0) != handle->pid || status)
		die(EXIT_WRONG, "the other process");
}

static void play(const struct side *side, long rounds)
{
	while (rounds--) {
		side->options->kind->give(&side->other);
		receive(side);
	}
}

static void run(const struct side *side, clockid_t mate_clock, double *wall, double *cpu)
{
	long rounds = rounds_of(side->options);
	double times = 2 * (double)rounds, before = now_ns(),
	       spent = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	double mate_spent = clock_ns(mate_clock);

	play(side, rounds);
	*wall = (now_ns() - before) / times;
	*cpu = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - spent + clock_ns(mate_clock) - mate_spent) /
	       times;
}

void pingpong_measure(const struct options *options, struct result *result)
{
	bool reading = !options->edges || !options->kind->merges;
	struct side ours = {.options = options, .reading = reading, .core = 0}, theirs;

	if (options->cores != CORES_ANY)
		pin_to_core(0);
	options->kind->make(&ours.mine, !options->loop);
	options->kind->make(&ours.other, !options->loop);
	theirs = ours;
	theirs.mine = ours.other;
	theirs.other = ours.mine;
	theirs.core = 1;
	struct mate_handle handle = start(&theirs);

	begin(&ours);
	play(&ours, 1);
	for (int i = 0; i < options->runs; i++) {
		run(&ours, handle.clock, &result->wall[i], &result->cpu[i]);
		result->writes += 2 * rounds_of(options);
		result->events += 2 * rounds_of(options);
	}
	play(&ours, 1);
	end(&ours);
	finish(&handle);
	channel_close(options->kind, &ours.mine);
	channel_close(options->kind, &ours.other);
}
