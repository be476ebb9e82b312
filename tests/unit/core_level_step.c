/* settle with another whole operation in the middle of it, at every instruction. */
#include "levelkit.h"

#include "step.h"

TestSuite(core_level_step, .init = unit_setup, .fini = unit_teardown, .timeout = 180);

#define LIMIT COUNTER_LIMIT

enum { SMALL_FIFO = 8192 };

struct operation {
	void (*run)(const struct mirrored *m);
	const char *name;
};

static void add(const struct mirrored *m)
{
	levelkit_add(m, 1);
}

static void take(const struct mirrored *m)
{
	levelkit_take(m);
}

static void look(const struct mirrored *m)
{
	level_settle(m->slot, CLASS_IN, m->fifo, LEVEL_UP, false);
}

static void take_then_add(const struct mirrored *m)
{
	levelkit_take(m);
	levelkit_add(m, 1);
}

static void add_then_take(const struct mirrored *m)
{
	levelkit_add(m, 1);
	levelkit_take(m);
}

static void raise_out(const struct mirrored *m)
{
	level_raise_out(m->slot, m->fifo);
}

static void raise_in(const struct mirrored *m)
{
	level_raise_in(m->slot, m->fifo);
}

static void make_room(const struct mirrored *m)
{
	level_make_room(m->slot, m->fifo);
}

static const struct operation operations[] = {
	{add, "add"},
	{take, "take"},
	{look, "look"},
	{take_then_add, "take, add"},
	{add_then_take, "add, take"},
	{raise_in, "raise in"},
	{raise_out, "raise out"},
	{make_room, "make room"},
};

/* The first three are interrupted, all but the last two interrupt. */
enum { ADD, TAKE, LOOK, FIRSTS, RAISE_OUT = 6, MAKE_ROOM, SECONDS = RAISE_OUT };

struct meeting {
	struct mirrored m;
	uint64_t start;
	size_t first;
	size_t intruders[2];
	int intruded;
	long at;
};

static void prepare(void *arg)
{
	struct meeting *meeting = arg;

	atomic_store(&meeting->m.slot->count, meeting->start);
	level_settle(meeting->m.slot, CLASS_IN, meeting->m.fifo, LEVEL_DOWN, false);
	meeting->intruded = 0;
}

static void run_first(void *arg)
{
	struct meeting *meeting = arg;

	operations[meeting->first].run(&meeting->m);
}

static void intrude(void *arg)
{
	struct meeting *meeting = arg;

	meeting->at = step_running->taken;
	operations[meeting->intruders[meeting->intruded++]].run(&meeting->m);
}

static void check(void *arg)
{
	struct meeting *meeting = arg;
	const char *wrong = levelkit_wrong(&meeting->m);

	cr_assert_null(wrong, "from %lx %s, %d intrusions, the last at %ld, by %s: %s",
		meeting->start, operations[meeting->first].name, meeting->intruded, meeting->at,
		operations[meeting->intruders[meeting->intruded > 1]].name, wrong);
}

static void meet(struct meeting *meeting, size_t first, size_t second)
{
	struct step step = {.run = run_first, .intrude = intrude, .arg = meeting, .own = true};

	meeting->first = first;
	meeting->intruders[0] = second;
	step_each(&step, prepare, check);
}

/* A small FIFO, as most have: each word that is read is looked at, instruction by instruction. */
static struct mirrored make_small(uint64_t start, bool semaphore)
{
	struct mirrored m = levelkit_make(0, semaphore);

	cr_assert_eq(fcntl(m.fifo, F_SETPIPE_SZ, SMALL_FIFO), SMALL_FIFO);
	atomic_fetch_or(&m.slot->watched, WATCHED_OUT);
	atomic_store(&m.slot->count, start);
	level_settle(m.slot, CLASS_IN, m.fifo, LEVEL_UP, false);
	return m;
}

static void meet_all(uint64_t start, bool semaphore, bool edge)
{
	struct meeting meeting = {.m = make_small(start, semaphore), .start = start};

	meeting.m.edge = edge;
	for (size_t pair = 0; pair < FIRSTS * SECONDS; pair++)
		meet(&meeting, pair / SECONDS, pair % SECONDS);
	levelkit_free(&meeting.m);
}

Test(core_level_step, from_zero)
{
	meet_all(0, false, false);
}

Test(core_level_step, from_zero_with_edges)
{
	meet_all(0, false, true);
}

Test(core_level_step, from_one)
{
	meet_all(1, false, false);
}

Test(core_level_step, from_one_with_edges)
{
	meet_all(1, false, true);
}

Test(core_level_step, from_two_units_of_a_semaphore)
{
	meet_all(2, true, true);
}

Test(core_level_step, from_below_the_limit)
{
	meet_all(LIMIT - 1, false, false);
}

Test(core_level_step, from_below_the_limit_of_a_semaphore)
{
	meet_all(LIMIT - 1, true, false);
}

Test(core_level_step, from_the_limit)
{
	meet_all(LIMIT, false, true);
}

Test(core_level_step, from_the_limit_of_a_semaphore)
{
	meet_all(LIMIT, true, false);
}

/* Costs many system calls, hence apart. */
static void meet_raising_out(uint64_t start, bool semaphore)
{
	struct meeting meeting = {.m = make_small(start, semaphore), .start = start};

	for (size_t other = 0; other <= TAKE; other++) {
		meet(&meeting, RAISE_OUT, other);
		meet(&meeting, other, RAISE_OUT);
	}
	levelkit_free(&meeting.m);
}

Test(core_level_step, edges_of_out_from_zero)
{
	meet_raising_out(0, false);
}

Test(core_level_step, edges_of_out_from_two_units_of_a_semaphore)
{
	meet_raising_out(2, true);
}

Test(core_level_step, edges_of_out_from_the_limit_of_a_semaphore)
{
	meet_raising_out(LIMIT, true);
}

/* Two operations in the middle of one, at some distance of each other. */
static void meet_twice(struct meeting *meeting, size_t first, size_t second, size_t third)
{
	struct step step = {.run = run_first, .intrude = intrude, .arg = meeting, .own = true};

	meeting->first = first;
	meeting->intruders[0] = second;
	meeting->intruders[1] = third;
	for (long apart = 1; apart < 100 * STEP_STRIDE && step_works(); apart += 1 + apart / 2) {
		step.at = 1 - STEP_STRIDE;
		do {
			step.at += STEP_STRIDE;
			step.then = step.at + apart;
			prepare(meeting);
			step_run(&step);
			check(meeting);
		} while (step.taken >= step.at);
	}
}

static void meet_all_twice(uint64_t start, bool semaphore)
{
	struct meeting meeting = {.m = make_small(start, semaphore), .start = start};

	for (size_t first = ADD; first <= TAKE; first++) {
		meet_twice(&meeting, first, ADD, TAKE);
		meet_twice(&meeting, first, TAKE, ADD);
	}
	levelkit_free(&meeting.m);
}

Test(core_level_step, two_within_one_from_zero)
{
	meet_all_twice(0, false);
}

Test(core_level_step, two_within_one_from_one)
{
	meet_all_twice(1, false);
}

Test(core_level_step, two_within_one_below_the_limit_of_a_semaphore)
{
	meet_all_twice(LIMIT - 1, true);
}

Test(core_level_step, two_within_one_at_the_limit_of_a_semaphore)
{
	meet_all_twice(LIMIT, true);
}

/* Somebody was killed between a read at the limit and the room that it makes. */
static void prepare_death(void *arg)
{
	struct meeting *meeting = arg;

	atomic_store(&meeting->m.slot->settling, 0);
	atomic_store(&meeting->m.slot->count, LIMIT);
	level_settle(meeting->m.slot, CLASS_IN, meeting->m.fifo, LEVEL_DOWN, false);
	atomic_store(&meeting->m.slot->count, LIMIT - 1);
	atomic_store(&meeting->m.slot->settling, 1);
	meeting->intruded = 0;
}

/* Whoever comes next makes it, and another one beside. */
Test(core_level_step, room_that_a_dead_one_left_out)
{
	static const size_t makers[] = {LOOK, MAKE_ROOM, ADD, TAKE}; /* a read alone makes none */
	struct meeting meeting = {.m = make_small(LIMIT, true), .start = LIMIT};
	struct step step = {.run = run_first, .intrude = intrude, .arg = &meeting, .own = true};

	for (size_t pair = 0; pair < 12; pair++) {
		meeting.first = makers[pair / 4];
		meeting.intruders[0] = makers[pair % 4];
		step_each(&step, prepare_death, check);
	}
	levelkit_free(&meeting.m);
}
