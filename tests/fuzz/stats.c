/* What a run met: per kind, how often, and with which outcome. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <string.h>

enum { ERRNOS = 134 };

static struct tally {
	unsigned runs, ok, eventful, skipped, undecided, in_child;
	unsigned failed[ERRNOS];
} tallies[KINDS];

static void count(const struct op *op, const struct result *r)
{
	struct tally *t = &tallies[op->kind];
	t->runs++;
	t->in_child += op->proc != 0;
	t->skipped += r->status == SKIPPED;
	t->undecided += r->status == UNDECIDED;
	if (r->status != DONE)
		return;
	t->ok += r->ret >= 0;
	t->eventful += r->ret > 0;
	if (r->ret < 0 && r->err >= 0 && r->err < ERRNOS)
		t->failed[r->err]++;
}

void stats_add(const struct arena *arena, size_t n)
{
	for (size_t i = 0; i < n; i++)
		count(&arena->ops[i], &arena->results[i]);
}

void stats_show(void)
{
	for (int k = 0; k < KINDS; k++) {
		const struct tally *t = &tallies[k];
		printf("%-12s %8u runs %8u ok %8u above 0 %7u in children %6u not possible %6u "
		       "open",
			kinds[k]->name, t->runs, t->ok, t->eventful, t->in_child, t->skipped,
			t->undecided);
		for (int e = 0; e < ERRNOS; e++)
			if (t->failed[e])
				printf(" %s:%u", strerrorname_np(e), t->failed[e]);
		printf("\n");
	}
}
