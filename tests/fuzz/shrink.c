/* Delta debugging: a shorter sequence of simpler operations that still shows a difference. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECONDS = 120, WORD_BITS = 64 };

struct shrinking {
	struct pair *pair;
	struct op *best, *trial;
	size_t n;
	enum status how; /* a crash must not turn into some other difference, nor a hang */
	time_t end;
};

static time_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static enum status how_it_ended(const struct pair *p, size_t at)
{
	unsigned a = p->side[0].arena->results[at].status, b = p->side[1].arena->results[at].status;
	return a == CRASHED || b == CRASHED ? CRASHED : a == HUNG || b == HUNG ? HUNG : DONE;
}

/* Without the reset that calls for the model, the kernel would be asked for masks. */
static bool is_fair(const struct op *ops, size_t n)
{
	bool modelled = false;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind == K_RESET)
			modelled = ops[i].arg[3];
		if (ops[i].kind == K_MASK && !modelled)
			return false;
	}
	return true;
}

/* Fails also on a shorter prefix; whatever comes after the difference is cut off. */
static bool still_fails(struct shrinking *s, size_t n)
{
	if (n == 0 || now() >= s->end || !is_fair(s->trial, n))
		return false;
	pair_restart(s->pair);
	ssize_t at = pair_run(s->pair, s->trial, n);
	if (at < 0 || how_it_ended(s->pair, (size_t)at) != s->how)
		return false;
	s->n = (size_t)at + 1;
	memcpy(s->best, s->trial, s->n * sizeof(*s->best));
	return true;
}

static bool drop(struct shrinking *s, size_t from, size_t count)
{
	memcpy(s->trial, s->best, from * sizeof(*s->best));
	memcpy(s->trial + from, s->best + from + count, (s->n - from - count) * sizeof(*s->best));
	return still_fails(s, s->n - count);
}

static bool drop_chunks(struct shrinking *s, size_t size)
{
	bool any = false;
	for (size_t from = 0; from + size <= s->n;) {
		if (drop(s, from, size))
			any = true;
		else
			from += size;
	}
	return any;
}

static void drop_all(struct shrinking *s)
{
	for (size_t size = s->n / 2; size > 1; size /= 2)
		drop_chunks(s, size);
	while (drop_chunks(s, 1))
		continue;
}

static bool try_op(struct shrinking *s, size_t i, const struct op *op)
{
	if (i >= s->n || memcmp(&s->best[i], op, sizeof(*op)) == 0)
		return false;
	memcpy(s->trial, s->best, s->n * sizeof(*s->best));
	s->trial[i] = *op;
	return still_fails(s, s->n);
}

static bool try_arg(struct shrinking *s, size_t i, unsigned k, uint64_t v)
{
	struct op op = s->best[i];
	op.arg[k] = v;
	return try_op(s, i, &op);
}

/* Mostly a slot, or a place in a table: there the lower one is the simpler one. */
static bool lower_arg(struct shrinking *s, size_t i, unsigned k, uint64_t v)
{
	for (uint64_t lower = 0; lower < v; lower++)
		if (try_arg(s, i, k, lower))
			return true;
	return false;
}

static bool simplify_arg(struct shrinking *s, size_t i, unsigned k)
{
	uint64_t v = s->best[i].arg[k];
	if (v == 0)
		return false;
	if (v < SLOT_CODES && s->how != HUNG)
		return lower_arg(s, i, k, v);
	if (try_arg(s, i, k, 0) || (v != 1 && try_arg(s, i, k, 1)))
		return true;
	if (__builtin_popcountll(v) > 8)
		return try_arg(s, i, k, v >> 1);
	for (unsigned bit = 0; bit < WORD_BITS; bit++)
		if ((v >> bit & 1) && (v & (v - 1)) && try_arg(s, i, k, v & ~(1ull << bit)))
			return true;
	return false;
}

static bool simplify_list(struct shrinking *s, size_t i)
{
	for (unsigned k = 0; k < s->best[i].n; k++) {
		struct op op = s->best[i];
		memmove(&op.list[k], &op.list[k + 1], (LIST_MAX - 1 - k) * sizeof(*op.list));
		op.n--;
		if (try_op(s, i, &op))
			return true;
		for (unsigned bit = 0; bit < 16; bit++) {
			op = s->best[i];
			op.list[k].mask &= (uint16_t) ~(1u << bit);
			if (try_op(s, i, &op))
				return true;
		}
	}
	return false;
}

static bool simplify_op(struct shrinking *s, size_t i)
{
	struct op op = s->best[i];
	bool any = false;
	op.raw = 0;
	any |= try_op(s, i, &op);
	if (i < s->n) {
		op = s->best[i];
		op.proc = 0;
		any |= try_op(s, i, &op);
	}
	for (unsigned k = 0; k < ARGS; k++)
		while (i < s->n && simplify_arg(s, i, k))
			any = true;
	while (i < s->n && simplify_list(s, i))
		any = true;
	return any;
}

static void simplify_all(struct shrinking *s)
{
	for (bool any = true; any;) {
		any = false;
		for (size_t i = 0; i < s->n; i++)
			any |= simplify_op(s, i);
		while (drop_chunks(s, 1))
			any = true;
	}
}

size_t shrink(struct pair *p, struct op *ops, size_t n)
{
	struct shrinking s = {.pair = p, .best = ops, .n = n, .end = now() + SECONDS};
	int patience = p->watchdog_ms;
	s.trial = malloc(n * sizeof(*ops));
	if (!s.trial)
		return n;
	s.how = how_it_ended(p, n - 1);
	if (s.how == HUNG && patience > 1000)
		p->watchdog_ms = 1000;
	drop_all(&s);
	simplify_all(&s);
	p->watchdog_ms = patience;
	free(s.trial);
	return s.n;
}
