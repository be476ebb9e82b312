/* Objects made and closed in the middle of making and closing one, at every instruction. */
#include "unit.h"

#include <sys/eventfd.h>

#include "core/counterfd.h"
#include "step.h"

TestSuite(core_object_step, .init = unit_setup, .fini = unit_teardown, .timeout = 60);

enum { SLOTS_ENOUGH = 64 };

static struct fdref outer, inner;

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

static void make_outer(void *arg)
{
	(void)arg;
	outer = unit_object(1, EFD_NONBLOCK);
}

static void make_inner(void *arg)
{
	(void)arg;
	inner = unit_object(2, EFD_NONBLOCK);
}

static void make_and_close(void *arg)
{
	make_inner(arg);
	unit_close(inner);
}

static void close_outer(void *arg)
{
	(void)arg;
	unit_close(outer);
}

/* It holds what it was made with, and no more than that. */
static void check_value(const struct fdref *ref, uint64_t expected)
{
	uint64_t value;

	cr_assert(lives(ref), "after %ld", step_running->at);
	cr_assert_eq(counterfd_read(ref, &value, 8).err, 0);
	cr_assert_eq(value, expected);
	cr_assert_eq(counterfd_read(ref, &value, 8).err, EAGAIN);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void check_outer(void *arg)
{
	check_value(&outer, 1);
	close_outer(arg);
	cr_assert_not(lives(&outer));
	cr_assert(outer.slot < SLOTS_ENOUGH, "slots were lost");
}

Test(core_object_step, an_object_made_and_closed_while_one_is_made)
{
	struct step step = {.run = make_outer, .intrude = make_and_close};

	unit_close(unit_object(0, 0));
	step_each(&step, nothing, check_outer);
}

static void check_closed(void *arg)
{
	(void)arg;
	cr_assert_not(lives(&outer));
	cr_assert(outer.slot < SLOTS_ENOUGH, "slots were lost");
}

Test(core_object_step, an_object_made_and_closed_while_one_is_closed)
{
	struct step step = {.run = close_outer, .intrude = make_and_close};

	step_each(&step, make_outer, check_closed);
}

/* A number that is closed twice at once: one of them does it. */
static int closed;

static void close_if_open(void *arg)
{
	(void)arg;
	closed += object_close(&outer).err == 0;
}

static void prepare_double_close(void *arg)
{
	closed = 0;
	make_outer(arg);
}

static void check_double_close(void *arg)
{
	check_closed(arg);
	if (step_running->taken >= step_running->at)
		cr_assert_eq(closed, 1, "closed %d times", closed);
}

Test(core_object_step, a_close_within_a_close)
{
	struct step step = {.run = close_if_open, .intrude = close_if_open};

	step_each(&step, prepare_double_close, check_double_close);
}

/* All slots there are belong to objects of a dead process; the handler needs all but one of them.
 */
enum { LEFT = 4, WANTED = LEFT - 1 };

static struct fdref wanted[WANTED];
static int made;

static int leave_objects(void *arg)
{
	(void)arg;
	for (int i = 0; i < LEFT; i++) {
		if (object_create(KIND_COUNTER, 0, 0).err)
			return 1;
	}
	return 0;
}

static void prepare_left(void *arg)
{
	(void)arg;
	made = 0;
	cr_assert_eq(unit_wait(unit_fork(leave_objects, NULL)), 0);
}

static void make_wanted(void *arg)
{
	(void)arg;
	while (made < WANTED)
		wanted[made++] = unit_object(2, EFD_NONBLOCK);
}

/* As many objects as there are slots, all of them different ones. */
static void check_shared_out(void *arg)
{
	check_value(&outer, 1);
	make_wanted(arg);
	for (int i = 0; i < WANTED; i++) {
		check_value(&wanted[i], 2);
		cr_assert(wanted[i].slot < SLOTS_ENOUGH, "slots were lost: %u after %ld",
			wanted[i].slot, step_running->at);
		cr_assert_neq(wanted[i].slot, outer.slot, "after %ld", step_running->at);
		for (int k = 0; k < i; k++)
			cr_assert_neq(
				wanted[i].slot, wanted[k].slot, "after %ld", step_running->at);
	}
	for (int i = 0; i < WANTED; i++)
		unit_close(wanted[i]);
	unit_close(outer);
}

Test(core_object_step, slots_of_the_dead_are_found_by_one_only)
{
	struct step step = {.run = make_outer, .intrude = make_wanted};

	unit_close(unit_object(0, 0));
	step_each(&step, prepare_left, check_shared_out);
}
