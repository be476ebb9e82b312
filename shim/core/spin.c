#include "core/spin.h"

#include <time.h>

#include "core/config.h"
#include "sys/raw.h"

_Atomic uint32_t spin_looks;
_Atomic uint32_t spin_processors;

/* About what it costs the kernel to put a thread to sleep, and to wake it: nobody spins away much
 * more than sleeping would have cost him. And what may pass until a woken thread runs. In
 * microseconds. */
enum { SHORT_SPIN = 4, LONG_SPIN = 100 };

/* The pace: a grade, how many waits are still to sleep at once, and how many long spins in a row
 * were answered too late for a short one. */
enum {
	GOOD = 1,	   /* the last spin was short and paid */
	DOUBTFUL = 2,	   /* so were those before it */
	FIRST = 3,	   /* nothing is known yet; from here on waits sleep at once in between */
	PATIENT = 7,	   /* from here on spins are long */
	TOO_LATE = 11,	   /* long ones were answered, but never soon */
	HOPELESS = 15,	   /* there is no worse */
	LATE_IN_A_ROW = 8, /* the other side is awake by then if it ever will be */
	GRADE_BITS = 8,
	LATE_BITS = 8,
};

struct pace {
	uint32_t grade, late, rest;
};

static struct pace unpack(uint32_t word)
{
	return (struct pace){word & ((1u << GRADE_BITS) - 1),
		word >> GRADE_BITS & ((1u << LATE_BITS) - 1), word >> (GRADE_BITS + LATE_BITS)};
}

static uint32_t pack(struct pace pace)
{
	return pace.grade | pace.late << GRADE_BITS | pace.rest << (GRADE_BITS + LATE_BITS);
}

static struct pace of_grade(uint32_t grade)
{
	uint32_t rest = grade > FIRST ? (1u << (grade - FIRST)) - 1 : 0;

	return (struct pace){.grade = grade, .rest = rest};
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Looks in a microsecond. The best of a few trials: any of them may have been interrupted. */
static uint32_t measure_looks(void)
{
	enum { TRIALS = 3, LOOKS = 32, LEAST = 1, MOST = 500 };
	int64_t best = INT64_MAX;

	for (int i = 0; i < TRIALS; i++) {
		struct spin spin = {.most = LOOKS};
		int64_t start = now(), passed;

		while (spin_again(&spin))
			;
		passed = now() - start;
		if (passed < best)
			best = passed;
	}
	best = best > 0 ? LOOKS * 1000LL / best : MOST;
	return best < LEAST ? LEAST : best > MOST ? MOST : (uint32_t)best;
}

static uint32_t looks_in(uint32_t microseconds)
{
	uint32_t looks = atomic_load_explicit(&spin_looks, memory_order_relaxed);

	if (!looks) {
		looks = measure_looks();
		atomic_store_explicit(&spin_looks, looks, memory_order_relaxed);
	}
	return looks * microseconds;
}

static bool one_processor(void)
{
	uint32_t count = atomic_load_explicit(&spin_processors, memory_order_relaxed);
	uint64_t mask[1024 / 64] = {0};

	if (!count) {
		long bytes = raw_syscall3(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask);

		for (long i = 0; i < bytes / 8; i++)
			count += (uint32_t)__builtin_popcountll(mask[i]);
		count = bytes <= 0 ? 2 : count; /* there are more, or it may not be asked */
		atomic_store_explicit(&spin_processors, count, memory_order_relaxed);
	}
	return count == 1;
}

struct spin spin_begin(_Atomic uint32_t *pace)
{
	struct pace now = unpack(atomic_load_explicit(pace, memory_order_relaxed));
	bool is_long = now.grade == DOUBTFUL || now.grade >= PATIENT;

	if (config.no_spin)
		return (struct spin){.pace = pace};
	if (!now.grade) {
		now = of_grade(one_processor() ? HOPELESS : FIRST);
		atomic_store_explicit(pace, pack(now), memory_order_relaxed);
	}
	if (now.rest)
		return (struct spin){.pace = pace};
	return (struct spin){.pace = pace, .most = looks_in(is_long ? LONG_SPIN : SHORT_SPIN)};
}

struct spin spin_begin_short(_Atomic uint32_t *pace)
{
	struct spin spin = spin_begin(pace);

	if (spin.most > looks_in(SHORT_SPIN))
		spin.most = looks_in(SHORT_SPIN);
	return spin;
}

static struct pace after_looks(struct pace before, uint32_t made)
{
	if (made <= looks_in(SHORT_SPIN))
		return of_grade(GOOD);
	if (before.late < LATE_IN_A_ROW)
		return (struct pace){DOUBTFUL, before.late + 1, 0};
	return of_grade(TOO_LATE);
}

void spin_end(const struct spin *spin, enum spin_end end)
{
	struct pace before = unpack(atomic_load_explicit(spin->pace, memory_order_relaxed));
	struct pace after = before;

	if (config.no_spin)
		return;
	if (end == SPIN_FOUND)
		after = after_looks(before, spin->made);
	else if (end == SPIN_AWAKE)
		after.rest = 0;
	else if (spin->most)
		after = of_grade(before.grade < HOPELESS ? before.grade + 1 : HOPELESS);
	else if (before.rest)
		after.rest--;
	if (pack(after) != pack(before))
		atomic_store_explicit(spin->pace, pack(after), memory_order_relaxed);
}
