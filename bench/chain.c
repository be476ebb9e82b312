/* The ring of Davide Libenzi's pipetest: some channels are written to, and each event that is read
 * writes to the channel (active + 1) further on, until as many writes are done as were asked for.
 * What one wait returned is read as a whole before any of it is passed on: no token ever meets
 * another one in a channel, where an eventfd would make one of two. So as many events come as there
 * were writes, on every kind of channel. */
#include "chain.h"

#include "clock.h"
#include "die.h"

enum { IDLE_WAITS = 100000 }; /* as many in a row that return nothing: an event is lost */

struct ring {
	const struct options *options;
	struct channel *channels;
	int *ready;
	bool reading;
};

static struct ring ring_open(const struct options *options)
{
	struct ring ring = {
		.options = options, .reading = !options->edges || !options->kind->merges};
	int *fds = calloc((size_t)options->channels, sizeof(*fds));

	ring.channels = calloc((size_t)options->channels, sizeof(*ring.channels));
	ring.ready = calloc((size_t)options->channels, sizeof(*ring.ready));
	if (!fds || !ring.channels || !ring.ready)
		die(EXIT_CANNOT, "calloc");
	for (int i = 0; i < options->channels; i++) {
		options->kind->make(&ring.channels[i], false);
		fds[i] = ring.channels[i].in;
		if (options->loop->most && fds[i] >= options->loop->most)
			die(EXIT_CANNOT, "more channels than this way of waiting can take");
	}
	options->loop->open(fds, options->channels, options->edges);
	free(fds);
	return ring;
}

static void ring_close(struct ring *ring)
{
	ring->options->loop->close();
	for (int i = 0; i < ring->options->channels; i++)
		channel_close(ring->options->kind, &ring->channels[i]);
	free(ring->channels);
	free(ring->ready);
}

/* Reads and passes on what one wait returned. */
static void pass_on(struct ring *ring, int ready, long *left)
{
	const struct options *options = ring->options;

	for (int i = 0; ring->reading && i < ready; i++)
		channel_take(options->kind, &ring->channels[ring->ready[i]]);
	for (int i = 0; i < ready && *left; i++, --*left) {
		long next = ((long)ring->ready[i] + options->active + 1) % options->channels;

		options->kind->give(&ring->channels[next]);
	}
}

/* Returns the events. */
static long run(struct ring *ring, double *wall, double *cpu)
{
	const struct options *options = ring->options;
	long left = options->writes, wanted = options->active + left, events = 0;
	int space = options->channels / options->active;

	for (int i = 0; i < options->active; i++)
		options->kind->give(&ring->channels[i * space]);
	double start = now_ns(), cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	for (int idle = 0; events < wanted && idle < IDLE_WAITS;) {
		int ready = options->loop->wait(ring->ready, 0);

		idle = ready ? 0 : idle + 1;
		events += ready;
		pass_on(ring, ready, &left);
	}
	*wall = (now_ns() - start) / (double)wanted;
	*cpu = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / (double)wanted;
	return events;
}

void chain_measure(const struct options *options, struct result *result)
{
	struct ring ring = ring_open(options);

	for (int i = 0; i < options->runs; i++) {
		result->events += run(&ring, &result->wall[i], &result->cpu[i]);
		result->writes += options->active + options->writes;
	}
	ring_close(&ring);
}
