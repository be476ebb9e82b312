#include "core/timerset.h"

#include <stdatomic.h>

#include "core/local.h"
#include "core/slotpool.h"

enum { WORD_BITS = 64, WORDS = SLOTS_MAX / WORD_BITS, SUMMARY = WORDS / WORD_BITS };

/* A bit for each slot that is a timer of this process's, and one for each word of them. Set by
 * whoever makes or gets the timer, cleared by who finds that it is gone. */
static _Atomic uint64_t marks[WORDS];
static _Atomic uint64_t summary[SUMMARY];

/* Set in this order, and cleared the other way round, so that no mark is overlooked. */
static void set_mark(uint32_t slot)
{
	uint32_t word = slot / WORD_BITS;

	atomic_fetch_or(&marks[word], 1ull << slot % WORD_BITS);
	atomic_fetch_or(&summary[word / WORD_BITS], 1ull << word % WORD_BITS);
}

bool timerset_has(uint32_t slot)
{
	return atomic_load(&marks[slot / WORD_BITS]) >> slot % WORD_BITS & 1;
}

/* False where the slot is no timer that this process has. */
static bool fill_ref(uint32_t slot, struct fdref *ref)
{
	struct local *local = local_of(slot);

	ref->slot = slot;
	ref->object = slotpool_slots + slot;
	ref->generation = atomic_load(&local->generation);
	ref->entry = fdtable_object_entry(slot, ref->generation);
	ref->fd = atomic_load_explicit(&local->number, memory_order_relaxed);
	return atomic_load(&local->holds) && slot_lives_as(ref->object, ref->generation) &&
	       slot_kind(ref->object) == KIND_TIMER;
}

/* The slot may have become another timer of this process's meanwhile. */
static void clear_mark(uint32_t slot)
{
	struct fdref ref;

	atomic_fetch_and(&marks[slot / WORD_BITS], ~(1ull << slot % WORD_BITS));
	if (fill_ref(slot, &ref))
		set_mark(slot);
}

static void clear_summary(uint32_t word)
{
	uint64_t bit = 1ull << word % WORD_BITS;

	atomic_fetch_and(&summary[word / WORD_BITS], ~bit);
	if (atomic_load(&marks[word]))
		atomic_fetch_or(&summary[word / WORD_BITS], bit);
}

static void each_in_word(uint32_t word, void (*act)(const struct fdref *, void *), void *arg)
{
	uint64_t bits = atomic_load(&marks[word]);

	for (uint64_t left = bits; left; left &= left - 1) {
		uint32_t slot = word * WORD_BITS + (uint32_t)__builtin_ctzll(left);
		struct fdref ref;

		if (fill_ref(slot, &ref))
			act(&ref, arg);
		else
			clear_mark(slot);
	}
	if (!bits)
		clear_summary(word);
}

void timerset_each(void (*act)(const struct fdref *, void *), void *arg)
{
	for (uint32_t i = 0; i < SUMMARY; i++) {
		for (uint64_t left = atomic_load(&summary[i]); left; left &= left - 1)
			each_in_word(i * WORD_BITS + (uint32_t)__builtin_ctzll(left), act, arg);
	}
}

void timerset_note(const struct fdref *ref)
{
	atomic_store_explicit(&local_of(ref->slot)->number, ref->fd, memory_order_relaxed);
	set_mark(ref->slot);
}

bool timerset_any(void)
{
	for (uint32_t i = 0; i < SUMMARY; i++) {
		if (atomic_load(&summary[i]))
			return true;
	}
	return false;
}
