/* Walks that are chosen at random, and made short where they fail. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskwalk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MOST = 60, TRIES_MOST = 4000 };

struct dice {
	uint64_t rng;
	unsigned rules;
};

static unsigned below(struct dice *d, unsigned limit)
{
	return mask_below(&d->rng, limit);
}

/* A slot that is open; any where all are closed. */
static int some_fd(struct dice *d, const struct walk *w)
{
	unsigned from = below(d, WALK_FDS);
	for (unsigned n = 0; n < WALK_FDS; n++) {
		unsigned i = (from + n) % WALK_FDS;
		if (w->fd[i] >= 0)
			return (int)i;
	}
	return (int)from;
}

static uint32_t some_events(struct dice *d)
{
	switch (below(d, 4)) {
	case 0:
		return below(d, 12) ? 0 : 32U << below(d, 27);
	case 1:
		return 1U << below(d, 5);
	default:
		return below(d, MASK_STATES);
	}
}

static uint32_t some_watch(struct dice *d)
{
	static const uint32_t flags[] = {
		0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
	uint32_t events = below(d, MASK_INTERESTS) | flags[below(d, 6)];
	if (d->rules & WALK_EXCLUSIVE && !below(d, 4))
		events = (events & ~(uint32_t)EPOLLONESHOT) | EPOLLEXCLUSIVE;
	return events;
}

static struct walk_op choose_ctl(struct dice *d, const struct walk *w, struct walk_op op)
{
	static const int ops[] = {EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	op.kind = WALK_CTL;
	op.set = (int)below(d, WALK_SETS);
	op.ctl = walk_is_watched(w, op.set, op.fd) ? ops[below(d, 4)] : EPOLL_CTL_ADD;
	if (!below(d, 30))
		op.ctl = 1 + (int)below(d, 3);
	op.events = some_watch(d);
	return op;
}

static struct walk_op choose_nested(struct dice *d, struct walk_op op)
{
	static const int inner[] = {3, 1, 0};
	op.kind = WALK_CTL_SET;
	op.set = 4;
	op.ctl = EPOLL_CTL_MOD;
	op.other = inner[below(d, 3)];
	op.events = some_watch(d) & ~(uint32_t)EPOLLEXCLUSIVE;
	return op;
}

/* Closes one, or copies one to a slot that is free; an object that is gone comes anew. */
static struct walk_op choose_life(struct dice *d, const struct walk *w)
{
	struct walk_op op = {.kind = WALK_COPY, .fd = (int)below(d, WALK_FDS)};
	op.other = some_fd(d, w);
	if (w->fd[op.fd] >= 0)
		op.kind = WALK_CLOSE;
	for (int object = 0; object < WALK_OBJECTS && op.kind == WALK_COPY; object++) {
		if (walk_fds_of(w, object))
			continue;
		op.kind = WALK_NEW;
		op.other = object;
	}
	return op;
}

static struct walk_op choose(struct dice *d, const struct walk *w)
{
	unsigned what = below(d, 100);
	struct walk_op op = {.who = below(d, WALK_MATES), .fd = some_fd(d, w)};
	if (d->rules & WALK_LIFE && walk_is_full(w))
		return (struct walk_op){.kind = WALK_CLOSE_ALL};
	if (d->rules & WALK_LIFE && (what < 8 || w->fd[op.fd] < 0))
		return choose_life(d, w);
	op.set = (int)below(d, WALK_SETS);
	if (what < 38) {
		op.kind = WALK_WRITE;
		op.events = some_events(d);
	} else if (what < 58) {
		op = choose_ctl(d, w, op);
	} else if (what < 62 && d->rules & WALK_NESTED) {
		op = choose_nested(d, op);
	} else if (what < 85) {
		op.kind = WALK_WAIT;
	} else if (what < 89 && d->rules & WALK_NESTED) {
		op.kind = WALK_POLL_SET;
	} else if (what < 96) {
		op.kind = WALK_POLL;
		op.other = (int)below(d, 4);
		op.events = below(d, MASK_INTERESTS);
	} else {
		op.kind = WALK_READ;
	}
	return op;
}

static bool fails(const struct walk_op *ops, int count, char *why, size_t size)
{
	struct walk w;
	const char *wrong = NULL;
	walk_start(&w);
	for (int i = 0; i < count && !wrong; i++)
		wrong = walk_apply(&w, &ops[i]);
	if (wrong)
		snprintf(why, size, "%s", wrong);
	walk_end(&w);
	return wrong != NULL;
}

/* The same kind of difference: up to the colon. */
static bool fails_alike(const struct walk_op *ops, int count, const char *why)
{
	char text[200];
	return fails(ops, count, text, sizeof(text)) && !strncmp(text, why, strcspn(why, ":") + 1);
}

/* Leaves out ever smaller parts, as long as what is left still fails. */
static int shorten(struct walk_op *ops, int count, const char *why)
{
	struct walk_op *fewer = malloc((size_t)count * sizeof(*ops));
	int tries = 0;
	for (int part = count / 2; part; part = part > 1 ? part / 2 : 0) {
		for (int at = 0; at + part <= count && tries++ < TRIES_MOST;) {
			memcpy(fewer, ops, (size_t)at * sizeof(*ops));
			memcpy(fewer + at, ops + at + part,
				(size_t)(count - at - part) * sizeof(*ops));
			if (!fails_alike(fewer, count - part, why)) {
				at += part;
				continue;
			}
			count -= part;
			memcpy(ops, fewer, (size_t)count * sizeof(*ops));
		}
	}
	free(fewer);
	return count;
}

static void show(uint64_t seed, struct walk_op *ops, int count, const char *wrong)
{
	char why[200], again[200], line[120];
	snprintf(why, sizeof(why), "%s", wrong);
	fprintf(stderr, "%d steps: %s\n", count, why);
	if (fails_alike(ops, count, why))
		count = shorten(ops, count, why);
	else
		fprintf(stderr, "not so a second time\n");
	for (int i = count > SHOWN_MOST ? count - SHOWN_MOST : 0; i < count; i++) {
		walk_describe(&ops[i], line, sizeof(line));
		fprintf(stderr, "    %s\n", line);
	}
	cr_assert_fail("seed %ju: %s; in short: %s", (uintmax_t)seed, why,
		fails(ops, count, again, sizeof(again)) ? again : "not so");
}

void walk_check(uint64_t seed, unsigned rules, int steps, const enum mate_kind *others, int count)
{
	struct walk_op *ops = calloc((size_t)steps, sizeof(*ops));
	struct dice d = {seed * 2654435761U + 88172645463325252U, rules};
	struct walk w;
	const char *wrong = NULL;
	int n = 0, joined = 0;
	walk_start(&w);
	while (n < steps && !wrong) {
		if (!n && rules & WALK_NESTED)
			ops[n] = (struct walk_op){.kind = WALK_NEST};
		else if (joined < count && n == 1 + steps / 3 * joined)
			ops[n] =
				(struct walk_op){.kind = WALK_JOIN, .other = (int)others[joined++]};
		else
			ops[n] = choose(&d, &w);
		wrong = walk_apply(&w, &ops[n++]);
	}
	walk_end(&w);
	if (wrong)
		show(seed, ops, n, wrong);
	free(ops);
}
