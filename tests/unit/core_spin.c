/* When a blocked operation looks again before it sleeps, and how often. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "core/counter.h"
#include "core/counterfd.h"
#include "core/local.h"
#include "core/spin.h"
#include "core/stats.h"

/* What spin.c does in so many looks a microsecond. */
enum { LOOKS = 10, SHORT = 4 * LOOKS, LONG = 100 * LOOKS };

static void setup(void)
{
	unit_setup();
	atomic_store(&spin_looks, LOOKS);
	atomic_store(&spin_processors, 2);
}

TestSuite(core_spin, .init = setup, .fini = unit_teardown, .timeout = 60);

static _Atomic uint32_t pace;

static uint32_t look_all(struct spin *spin)
{
	while (spin_again(spin))
		;
	return spin->made;
}

/* A wait that nobody answers until it sleeps; how often it looked. */
static uint32_t sleep_long(void)
{
	struct spin spin = spin_begin(&pace);

	look_all(&spin);
	spin_end(&spin, SPIN_ASLEEP);
	return spin.made;
}

/* A wait that is answered at so many looks, or when it is just about to sleep. */
static uint32_t answered_at(uint32_t looks)
{
	struct spin spin = spin_begin(&pace);

	while (spin.made < looks && spin_again(&spin))
		;
	spin_end(&spin, spin.made == looks ? SPIN_FOUND : SPIN_AWAKE);
	return spin.made;
}

Test(core_spin, the_first_wait_is_short)
{
	cr_assert_eq(sleep_long(), SHORT);
	cr_assert_eq(sleep_long(), 0);
}

Test(core_spin, what_is_answered_at_once_goes_on_spinning)
{
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(answered_at(1 + (uint32_t)i % SHORT), 1 + (uint32_t)i % SHORT);
	cr_assert_eq(sleep_long(), SHORT);
}

Test(core_spin, after_good_ones_one_is_long)
{
	answered_at(1);
	cr_assert_eq(sleep_long(), SHORT);
	cr_assert_eq(sleep_long(), LONG);
	cr_assert_eq(sleep_long(), SHORT);
	cr_assert_eq(sleep_long(), 0);
}

Test(core_spin, spins_in_vain_get_rare)
{
	int spins = 0;
	uint64_t looks = 0;

	for (int i = 0; i < 100000; i++) {
		uint32_t made = sleep_long();

		spins += made != 0;
		looks += made;
		cr_assert(made == 0 || made == SHORT || (made == LONG && i > 20), "%u in %d", made,
			i);
	}
	cr_assert_lt(spins, 50);
	cr_assert_lt(looks, 40 * LONG);
	cr_assert_gt(spins, 20, "it never gives up for good");
}

Test(core_spin, an_object_that_is_waited_for_rarely_costs_little)
{
	uint32_t looks = 0;

	for (int i = 0; i < 16; i++)
		looks += sleep_long();
	cr_assert_leq(looks, 5 * SHORT);
}

Test(core_spin, an_answer_before_it_sleeps_makes_the_next_one_spin)
{
	for (int i = 0; i < 1000; i++)
		sleep_long();
	cr_assert_eq(sleep_long(), 0);
	cr_assert_eq(answered_at(1), 0);
	cr_assert_eq(answered_at(1), 1);
	cr_assert_eq(answered_at(1), 1);
}

Test(core_spin, answers_that_are_late_every_time_are_slept_for)
{
	int spins = 0;

	answered_at(1);
	cr_assert_eq(sleep_long(), SHORT);
	for (int i = 0; i < 1000; i++) {
		struct spin spin = spin_begin(&pace);
		bool spun = look_all(&spin) == LONG;

		spin.made = spun ? LONG / 2 : spin.made;
		spin_end(&spin, spun ? SPIN_FOUND : SPIN_ASLEEP);
		spins += spun;
	}
	cr_assert_gt(spins, 8);
	cr_assert_lt(spins, 60);
}

static void use_one_processor(void)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0, found = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set) && found++)
			CPU_CLR(cpu, &set);
	}
	cr_assert_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

Test(core_spin, with_one_processor_waits_sleep_at_once)
{
	atomic_store(&spin_processors, 0);
	use_one_processor();
	for (int i = 0; i < 4000; i++)
		cr_assert_eq(sleep_long(), 0, "in wait %d", i);
	cr_assert_eq(atomic_load(&spin_processors), 1);
}

Test(core_spin, it_can_be_switched_off)
{
	config.no_spin = true;
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(sleep_long(), 0);
		cr_assert_eq(answered_at(1), 0);
	}
	config.no_spin = false;
}

Test(core_spin, looks_are_measured)
{
	atomic_store(&spin_looks, 0);
	cr_assert_geq(sleep_long(), 1);
	cr_assert_geq(atomic_load(&spin_looks), 1);
	cr_assert_leq(atomic_load(&spin_looks), 500);
}

/* A call that spins until the other thread's, however long that takes. */
struct call {
	struct fdref ref;
	bool write;
	uint64_t value;
	long done;
	pthread_t thread;
};

static void *make_call(void *arg)
{
	struct call *call = arg;

	if (call->write)
		call->done = counterfd_write(&call->ref, &call->value, 8).value;
	else
		call->done = counterfd_read(&call->ref, &call->value, 8).value;
	return NULL;
}

static void start_spinning(struct call *call)
{
	atomic_store(&spin_looks, UINT32_MAX / 4); /* the short spin lasts for minutes */
	stats_on = true;
	pthread_create(&call->thread, NULL, make_call, call);
	while (atomic_load(&local_of(call->ref.slot)->holds) < 2)
		sched_yield();
}

static void expect_nobody_woken(struct call *call)
{
	pthread_join(call->thread, NULL);
	stats_on = false;
	cr_expect_eq(call->done, 8);
	cr_expect_eq(atomic_load(&stats[STATS_WAKEUPS]), 0);
	cr_expect_eq(atomic_load(&local_of(call->ref.slot)->holds), 1);
	cr_expect_eq(atomic_load(&call->ref.object->read_waiters), 0);
	cr_expect_eq(atomic_load(&call->ref.object->write_waiters), 0);
}

Test(core_spin, nobody_wakes_a_reader_that_spins)
{
	struct call call = {.ref = unit_object(0, 0)};
	uint64_t value = 7;

	start_spinning(&call);
	cr_assert_eq(counterfd_write(&call.ref, &value, 8).value, 8);
	expect_nobody_woken(&call);
	cr_expect_eq(call.value, 7);
	unit_close(call.ref);
}

Test(core_spin, nobody_wakes_a_writer_that_spins)
{
	struct call call = {.ref = unit_object(0, EFD_SEMAPHORE), .write = true, .value = 2};
	uint64_t value = COUNTER_LIMIT;

	cr_assert_eq(counterfd_write(&call.ref, &value, 8).value, 8);
	start_spinning(&call);
	for (int i = 0; i < 2; i++) /* there is room for 2 after the second one */
		cr_assert_eq(counterfd_read(&call.ref, &value, 8).value, 8);
	expect_nobody_woken(&call);
	cr_expect_eq(atomic_load(&call.ref.object->count), COUNTER_LIMIT);
	unit_close(call.ref);
}

enum { ROUNDS = 20000 };

/* Takes one at a time and hands it on. */
static struct fdref there, back;

static void *hand_back(void *arg)
{
	uint64_t value;

	for (int i = 0; i < ROUNDS; i++) {
		counterfd_read(&there, &value, 8);
		counterfd_write(&back, &value, 8);
	}
	return arg;
}

Test(core_spin, each_side_hears_of_each_round)
{
	pthread_t thread;
	uint64_t value;

	there = unit_object(0, 0);
	back = unit_object(0, 0);
	pthread_create(&thread, NULL, hand_back, NULL);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		atomic_store(&spin_looks, (uint32_t)i % 50); /* from none to what it takes */
		cr_assert_eq(counterfd_write(&there, &i, 8).value, 8);
		cr_assert_eq(counterfd_read(&back, &value, 8).value, 8);
		cr_assert_eq(value, i);
	}
	pthread_join(thread, NULL);
	unit_close(there);
	unit_close(back);
}

/* On one processor nothing is gained by a spin, and nothing may be lost: each round sleeps and
 * wakes at most twice. */
Test(core_spin, a_game_on_one_processor_makes_no_more_calls)
{
	pthread_t thread;
	uint64_t value = 1;

	atomic_store(&spin_processors, 1);
	there = unit_object(0, 0);
	back = unit_object(0, 0);
	use_one_processor();
	stats_on = true;
	pthread_create(&thread, NULL, hand_back, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		counterfd_write(&there, &value, 8);
		counterfd_read(&back, &value, 8);
	}
	pthread_join(thread, NULL);
	stats_on = false;
	cr_expect_leq(atomic_load(&stats[STATS_SYSCALLS]), 4 * ROUNDS);
	cr_expect_gt(atomic_load(&local_of(back.slot)->pace), 0);
	unit_close(there);
	unit_close(back);
}
