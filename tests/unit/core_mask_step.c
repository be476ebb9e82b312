/* A write of a mask with another one, or a watcher, in the middle, at every instruction: afterwards
 * the own FIFO shows what the mask shows. */
#include "unit.h"

#include "core/level.h"
#include "core/maskfd.h"
#include "core/mirror.h"
#include "efdshim/eventfd.h"
#include "step.h"

TestSuite(core_mask_step, .init = unit_setup, .fini = unit_teardown, .timeout = 120);

static struct fdref ref;
static uint32_t first, second, third; /* events: at the start, of the write, of the handler's */
static uint64_t watchers;
static uint32_t watched;

static void put(uint32_t events)
{
	struct efd_mask mask = {.events = events, .data = events};

	if (maskfd_write(&ref, &mask, sizeof(mask)).err)
		abort();
}

static void put_second(void *arg)
{
	(void)arg;
	put(second);
}

static void put_third(void *arg)
{
	(void)arg;
	put(third);
}

static void watch_pri(void *arg)
{
	(void)arg;
	if (mirror_want(&ref, EPOLLPRI, true))
		abort();
}

static void prepare(void *arg)
{
	(void)arg;
	atomic_store(&ref.object->watchers, watchers);
	atomic_store(&ref.object->watched, watched);
	put(first);
	level_settle(ref.object, CLASS_IN, ref.fd, LEVEL_DOWN, false);
}

static bool is_lazy(void)
{
	uint32_t eager = WATCHED_EAGERLY | 1u << (CLASS_IN + WATCHED_EDGE);

	return !(atomic_load(&ref.object->watched) & eager);
}

static void check(void *arg)
{
	struct efd_mask mask;

	(void)arg;
	cr_assert_eq(maskfd_read(&ref, &mask, sizeof(mask)).err, 0);
	cr_assert_eq(mask.data, mask.events);
	cr_assert(mask.events == second || mask.events == third);
	if (!(atomic_load(&ref.object->watched) & 1u << CLASS_IN))
		return;
	if (is_lazy() && !slot_shows(ref.object, CLASS_IN))
		mirror_refresh(&ref, CLASS_IN); /* as whoever wakes for nothing does */
	cr_assert_eq(unit_poll(ref.fd, POLLIN) != 0, slot_shows(ref.object, CLASS_IN),
		"%x %x %x after %ld", first, second, third, step_running->at);
}

static void meet(void (*run)(void *), void (*intrude)(void *))
{
	struct step step = {.run = run, .intrude = intrude};

	step_each(&step, prepare, check);
}

static void meet_all(bool edge, bool eager)
{

	ref = unit_object_of(KIND_MASK, 0, 0);
	cr_assert_eq(mirror_want(&ref, EPOLLIN, edge), 0);
	if (eager)
		mirror_eagerly(&ref);
	watchers = atomic_load(&ref.object->watchers);
	watched = atomic_load(&ref.object->watched);
	for (int i = 0; i < 8; i++) {
		first = i & 1 ? EPOLLIN : EPOLLPRI;
		second = i & 2 ? EPOLLIN : EPOLLPRI;
		third = i & 4 ? EPOLLIN : EPOLLPRI;
		meet(put_second, put_third);
	}
	unit_close(ref);
}

Test(core_mask_step, two_writes_with_a_level_watcher)
{
	meet_all(false, true);
}

Test(core_mask_step, two_writes_with_a_level_that_falls_lazily)
{
	meet_all(false, false);
}

Test(core_mask_step, two_writes_with_a_watcher_of_edges)
{
	meet_all(true, false);
}

Test(core_mask_step, a_write_and_a_watcher_that_comes_meanwhile)
{
	ref = unit_object_of(KIND_MASK, 0, 0);
	watchers = 0;
	watched = 0;
	first = EPOLLPRI;
	third = first; /* where the write came too late */
	for (second = 0; second <= EPOLLPRI; second += EPOLLPRI) {
		meet(put_second, watch_pri);
		meet(watch_pri, put_second);
	}
	unit_close(ref);
}

/* Both before the watcher goes on. */
static void put_twice(void *arg)
{
	put_third(arg);
	put(first);
}

static void refresh(void *arg)
{
	(void)arg;
	mirror_refresh(&ref, CLASS_IN);
}

/* The level is stale: whom it wakes takes it down. */
static void prepare_stale(void *arg)
{
	prepare(arg);
	put(third);
	put(first);
}

static void check_next(void *arg)
{
	(void)arg;
	cr_assert_not(slot_shows(ref.object, CLASS_IN));
	put(third);
	cr_assert_eq(unit_poll(ref.fd, POLLIN), POLLIN, "the next write is not shown, after %ld",
		step_running->at);
}

/* What comes and goes while a watcher takes a stale level down does not keep the next write from
 * being seen. */
Test(core_mask_step, a_watcher_woken_for_nothing_with_two_writes)
{
	struct step step = {.run = refresh, .intrude = put_twice};

	ref = unit_object_of(KIND_MASK, 0, 0);
	cr_assert_eq(mirror_want(&ref, EPOLLIN, false), 0);
	watchers = atomic_load(&ref.object->watchers);
	watched = atomic_load(&ref.object->watched);
	first = 0;
	second = third = EPOLLIN;
	step_each(&step, prepare_stale, check_next);
	unit_close(ref);
}
