/* A run of many sequences, and the report of what differed. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* Executors are replaced after so many operations, so that a difference that needs a long history
 * can be found again. */
enum {
	LOG_SIZE = 100000,
	BATCH = 3000,
	WATCHDOG_MS = 20000,
	DEFAULT_LENGTH = 200,
	MODELLED = 40,
	LOOPS = 40
};

void campaign_init(struct campaign *c, const char *preload)
{
	memset(c, 0, sizeof(*c));
	c->length = DEFAULT_LENGTH;
	c->most_differences = 1;
	c->pair.watchdog_ms = WATCHDOG_MS;
	c->mix = (struct mix){.modelled = MODELLED, .loops = LOOPS, .masks = true};
	c->pair.side[0].preload = "";
	c->pair.side[0].models = true;
	c->pair.side[0].allow = ALLOW_SHARED;
	c->pair.side[1].preload = preload;
	c->log = malloc(MAX_OPS * sizeof(*c->log));
	if (!c->log)
		exit(2);
}

void campaign_end(struct campaign *c)
{
	pair_end(&c->pair);
	free(c->log);
}

static size_t without_resets(const struct op *ops, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += ops[i].kind != K_RESET;
	return count;
}

/* Appends sequences to the log. Returns where they begin. */
static size_t add_batch(struct campaign *c)
{
	if (!c->pair.side[0].pid || c->logged + BATCH + c->length > LOG_SIZE) {
		pair_restart(&c->pair);
		c->logged = 0;
	}
	size_t from = c->logged;
	uint64_t left = c->wanted - c->done;
	do {
		struct op *ops = c->log + c->logged;
		size_t n = make_sequence(c->seed, c->sequence++, c->length, c->mix, ops);
		if (!c->one_sequence && n - 1 > left)
			n = left + 1;
		left -= n - 1;
		c->logged += n;
	} while (left && !c->one_sequence && c->logged - from < BATCH);
	return from;
}

/* Whether op, which is in the log, belongs to a sequence for the model. */
static bool modelled(const struct campaign *c, const struct op *op)
{
	while (op > c->log && op->kind != K_RESET)
		op--;
	return op->kind == K_RESET && op->arg[3];
}

static void show_line(const struct campaign *c, size_t i, const struct op *op,
	const struct result *a, const struct result *b)
{
	printf("  %zu: ", i + 1);
	show_op(stdout, op);
	if (agree(a, b)) {
		printf(" = ");
		show_result(stdout, op, a);
	} else {
		printf(modelled(c, op) ? "  model=" : "  kernel=");
		show_result(stdout, op, a);
		printf(" %s=", *c->pair.side[1].preload ? "shim" : "kernel");
		show_result(stdout, op, b);
	}
	printf("\n");
}

static size_t start_of_sequence(const struct op *ops, size_t at)
{
	while (at > 0 && ops[at].kind != K_RESET)
		at--;
	return at;
}

static bool fails_afresh(struct campaign *c, size_t from, size_t at)
{
	pair_restart(&c->pair);
	ssize_t found = pair_run(&c->pair, c->log + from, at + 1 - from);
	if (found < 0)
		return false;
	c->logged = from + (size_t)found + 1;
	return true;
}

/* Looks for the fewest sequences up to the difference that show it in fresh executors. */
static bool reproduce(struct campaign *c, size_t at, size_t *from)
{
	size_t steps = 1;
	*from = start_of_sequence(c->log, at);
	while (!fails_afresh(c, *from, at)) {
		if (*from == 0)
			return false;
		for (size_t i = 0; i<steps && * from> 0; i++)
			*from = start_of_sequence(c->log, *from - 1);
		steps *= 2;
	}
	return true;
}

/* The log holds whole sequences, the last of which has number c->sequence - 1. */
static uint64_t sequence_at(const struct campaign *c, size_t start)
{
	uint64_t sequence = c->sequence;
	for (size_t i = start; i < c->logged; i++)
		sequence -= c->log[i].kind == K_RESET;
	return sequence;
}

static void show_shortest(struct campaign *c, size_t from)
{
	const struct op *ops = c->log + from;
	pair_restart(&c->pair);
	pair_run(&c->pair, ops, c->shrunk);
	for (size_t i = 0; i < c->shrunk; i++)
		show_line(c, i, &ops[i], &c->pair.side[0].arena->results[i],
			&c->pair.side[1].arena->results[i]);
}

static void show_how_to_repeat(const struct campaign *c, bool alone, uint64_t sequence)
{
	const char *fast = getenv("EFDSHIM_FAST");
	printf("  again: %s%s%sfuzz-diff --seed %llu --length %u --modelled %u --loops %u ",
		fast ? "EFDSHIM_FAST=" : "", fast ? fast : "", fast ? " " : "",
		(unsigned long long)c->seed, c->length, c->mix.modelled, c->mix.loops);
	if (c->pair.crowd.crowd)
		printf("--crowded ");
	if (c->allowed)
		printf("--allow '%s' ", c->allowed);
	if (alone)
		printf("--only %llu\n", (unsigned long long)sequence);
	else
		printf("--ops %llu\n", (unsigned long long)c->done);
	fflush(stdout);
}

/* The batch in the arenas begins at `begin` of the log; the difference is at `at`. */
static void report(struct campaign *c, size_t begin, size_t at)
{
	size_t from, start = start_of_sequence(c->log, at);
	uint64_t sequence = sequence_at(c, start);
	struct result a = c->pair.side[0].arena->results[at - begin];
	struct result b = c->pair.side[1].arena->results[at - begin];
	c->done += without_resets(c->log + begin, at + 1 - begin);
	c->sequence = sequence + 1;
	bool shown = reproduce(c, at, &from);
	if (shown)
		c->shrunk = shrink(&c->pair, c->log + from, c->logged - from);
	if (c->quiet)
		return;
	printf("fuzz: difference after %llu operations (seed %llu, sequence %llu)%s\n",
		(unsigned long long)c->done, (unsigned long long)c->seed,
		(unsigned long long)sequence, shown ? "" : ", not seen again; it was");
	if (shown)
		show_shortest(c, from);
	else
		show_line(c, at - start, c->log + at, &a, &b);
	show_how_to_repeat(c, shown && from == start, sequence);
}

void campaign_run(struct campaign *c)
{
	/* The kernel has no masks, but the rest of what the model knows. */
	c->mix.masks = *c->pair.side[1].preload || c->pair.side[1].models;
	while (c->done < c->wanted && c->differences < c->most_differences) {
		size_t from = add_batch(c);
		ssize_t at = pair_run(&c->pair, c->log + from, c->logged - from);
		if (c->stats)
			stats_add(c->pair.side[0].arena, at < 0 ? c->logged - from : (size_t)at);
		if (at >= 0) {
			c->differences++;
			report(c, from, from + (size_t)at);
			pair_stop(&c->pair);
		} else {
			c->done += without_resets(c->log + from, c->logged - from);
		}
		if (c->one_sequence)
			break;
	}
}
