/* What the generator believes its slots hold. Wrong beliefs only make operations less useful. */
#include "fuzz.h"

#include <string.h>

void believe_nothing(struct gen *g)
{
	memset(g->number, -1, sizeof(g->number));
	memset(g->what, NOTHING, sizeof(g->what));
	g->watches = 0;
}

static void drop_watches(struct gen *g, uint64_t slot)
{
	for (unsigned i = 0; i < g->watches;)
		if (g->watch[i].set == slot || g->watch[i].slot == slot)
			g->watch[i] = g->watch[--g->watches];
		else
			i++;
}

static void set_number(struct gen *g, uint64_t slot, int number, enum what what)
{
	if (number < 3 || number >= FD_LIMIT)
		return;
	g->what[number] = (uint8_t)what;
	if (slot < SLOTS)
		g->number[slot] = (int16_t)number;
	drop_watches(g, slot);
}

static int lowest_free(const struct gen *g, int from)
{
	int number = from < 3 ? 3 : from;
	while (number < FD_LIMIT && g->what[number] != NOTHING)
		number++;
	return number;
}

static enum what what_is(const struct gen *g, uint64_t slot)
{
	return slot < SLOTS && g->number[slot] >= 0 ? (enum what)g->what[g->number[slot]] : NOTHING;
}

enum what believed(const struct gen *g, uint64_t slot)
{
	return what_is(g, slot);
}

/* Children have tables of their own, which nobody follows. */
void believe_new(struct gen *g, const struct op *op, uint64_t slot, enum what what)
{
	if (op->proc == 0)
		set_number(g, slot, lowest_free(g, 0), what);
}

void believe_dup(struct gen *g, const struct op *op, uint64_t from, uint64_t to, int lowest)
{
	enum what what = what_is(g, from);
	if (op->proc == 0 && what != NOTHING)
		set_number(g, to, lowest_free(g, lowest), what);
}

void believe_onto(struct gen *g, const struct op *op, uint64_t from, uint64_t to, int number)
{
	enum what what = what_is(g, from);
	if (op->proc == 0 && what != NOTHING)
		set_number(g, to, number || to >= SLOTS ? number : g->number[to], what);
}

void believe_closed(struct gen *g, const struct op *op, uint64_t slot, bool forgotten)
{
	if (op->proc || slot >= SLOTS)
		return;
	if (g->number[slot] >= 0)
		g->what[g->number[slot]] = NOTHING;
	if (forgotten)
		g->number[slot] = -1;
	drop_watches(g, slot);
}

bool believes_in(const struct gen *g, enum what what)
{
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (what_is(g, slot) == what)
			return true;
	return false;
}

/* Low slots come up more often than high ones, so that operations meet on the same objects. */
static uint64_t choose(struct gen *g, unsigned whats)
{
	unsigned found = 0;
	uint8_t slots[SLOTS];
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (what_is(g, slot) != NOTHING && (whats >> what_is(g, slot) & 1))
			slots[found++] = (uint8_t)slot;
	return found ? slots[below(g, 1 + below(g, found))] : below(g, SLOT_CODES);
}

uint64_t slot_of(struct gen *g, enum what what)
{
	return chance(g, 97) ? choose(g, 1u << what) : below(g, SLOT_CODES);
}

uint64_t any_slot(struct gen *g)
{
	if (g->masks && believes_in(g, MASK) && chance(g, 60))
		return slot_of(g, MASK);
	return chance(g, g->loops ? 97 : 80) ? slot_of(g, EVENTFD)
	       : chance(g, 80)		     ? choose(g, ~0u)
					     : below(g, SLOT_CODES);
}

uint64_t disturbed_slot(struct gen *g)
{
	return g->loops && chance(g, 40) ? slot_of(g, SET) : any_slot(g);
}

bool believes_watched(const struct gen *g, uint64_t set, uint64_t slot)
{
	for (unsigned i = 0; i < g->watches; i++)
		if (g->watch[i].set == set && g->watch[i].slot == slot)
			return true;
	return false;
}

void believe_unwatched(struct gen *g, uint64_t set, uint64_t slot)
{
	for (unsigned i = 0; i < g->watches;)
		if (g->watch[i].set == set && g->watch[i].slot == slot)
			g->watch[i] = g->watch[--g->watches];
		else
			i++;
}

void believe_watched(struct gen *g, uint64_t set, uint64_t slot)
{
	struct watch w = {(uint8_t)set, (uint8_t)slot};
	if (what_is(g, set) != SET || what_is(g, slot) == NOTHING || set == slot)
		return;
	if (g->watches < WATCHES)
		g->watch[g->watches++] = w;
	else
		g->watch[below(g, WATCHES)] = w;
}

bool some_watch(struct gen *g, uint64_t *set, uint64_t *slot)
{
	if (!g->watches)
		return false;
	struct watch w = g->watch[below(g, g->watches)];
	*set = w.set;
	*slot = w.slot;
	return true;
}
