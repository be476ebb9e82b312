/* Objects made and closed by threads and processes at once: nobody gets another one's
 * object, and all slots come back. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "core/counterfd.h"
#include "core/mirror.h"

TestSuite(core_object_race, .init = unit_setup, .fini = unit_teardown, .timeout = 60);

enum { WORKERS = 4, ROUNDS = 3000, AT_ONCE = 3, SLOTS_ENOUGH = 64 };

static atomic_int *failed;

static void fail(void)
{
	atomic_fetch_add(failed, 1);
}

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

static struct fdref make(uint64_t count, bool watched)
{
	struct outcome made = object_create(KIND_COUNTER, count, EFD_NONBLOCK);
	struct fdref ref = {.fd = (int)made.value};
	int fd = ref.fd;

	if (made.err || !object_is(&fd, &ref))
		fail();
	else if (watched && mirror_watch(&ref, CLASS_IN, false))
		fail();
	return ref;
}

/* It holds what its maker has put in, and shows it. */
static void use(const struct fdref *ref, uint64_t name, bool watched)
{
	uint64_t value = 0;

	if (watched && unit_poll(ref->fd, POLLIN) != POLLIN)
		fail();
	if (counterfd_read(ref, &value, 8).err || value != name)
		fail();
	if (unit_poll(ref->fd, POLLIN))
		fail();
	if (counterfd_write(ref, &name, 8).err)
		fail();
}

static void churn(uint64_t name, int rounds)
{
	struct fdref refs[AT_ONCE];

	for (int round = 0; round < rounds; round++) {
		int n = 1 + round % AT_ONCE;
		bool watched = round % 2;

		for (int i = 0; i < n; i++)
			refs[i] = make(name, watched);
		for (int i = 0; i < n; i++)
			use(&refs[i], name, watched);
		for (int i = 0; i < n; i++) {
			if (object_close(&refs[i]).err)
				fail();
		}
	}
}

static void *churning_thread(void *arg)
{
	churn((uintptr_t)arg, ROUNDS);
	return NULL;
}

/* All slots are free again: new objects take low ones. */
static void check_slots(void)
{
	struct fdref refs[SLOTS_ENOUGH / 2];

	cr_assert_eq(atomic_load(failed), 0);
	for (int i = 0; i < SLOTS_ENOUGH / 2; i++) {
		refs[i] = unit_object(0, 0);
		cr_assert(refs[i].slot < SLOTS_ENOUGH, "slots were lost: %u", refs[i].slot);
	}
	for (int i = 0; i < SLOTS_ENOUGH / 2; i++)
		unit_close(refs[i]);
}

Test(core_object_race, threads_have_objects_of_their_own)
{
	pthread_t threads[WORKERS];

	failed = unit_shared(sizeof(*failed));
	unit_close(unit_object(0, 0));
	for (uintptr_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, churning_thread, (void *)(i + 1));
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	check_slots();
}

static int churning_process(void *arg)
{
	(void)arg;
	churn((uint64_t)getpid(), ROUNDS);
	return 0;
}

Test(core_object_race, processes_have_objects_of_their_own)
{
	pid_t pids[WORKERS];

	failed = unit_shared(sizeof(*failed));
	for (int i = 0; i < WORKERS; i++)
		pids[i] = unit_fork(churning_process, NULL);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(unit_wait(pids[i]), 0);
	check_slots();
}

static pthread_barrier_t together;

static void *make_the_first(void *arg)
{
	struct outcome *made = arg;

	pthread_barrier_wait(&together);
	*made = object_create(KIND_COUNTER, 7, EFD_NONBLOCK);
	return NULL;
}

static int make_first_ones(void *arg)
{
	struct outcome made[WORKERS];
	pthread_t threads[WORKERS];
	int refused = 0;

	(void)arg;
	pthread_barrier_init(&together, NULL, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, make_the_first, &made[i]);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		refused += made[i].err != 0;
	}
	return refused;
}

Test(core_object_race, threads_that_make_the_first_ones_at_once_all_get_one)
{
	struct unit_rounds round = unit_rounds(100);

	while (unit_another_round(&round)) {
		cr_assert_eq(unit_wait(unit_fork(make_first_ones, NULL)), 0);
		unit_remove(unit_path("slots"));
		unit_remove(unit_path("watches"));
	}
}

/* Many numbers of one object, closed by many threads: it dies once, with the last one. */
static struct fdref numbers[WORKERS * 2];

static void *close_two(void *arg)
{
	struct fdref *two = arg;

	pthread_barrier_wait(&together);
	for (int i = 0; i < 2; i++) {
		if (object_close(&two[i]).err)
			fail();
	}
	return NULL;
}

Test(core_object_race, threads_that_close_its_numbers_free_it_once)
{
	struct unit_rounds round = unit_rounds(1000);

	failed = unit_shared(sizeof(*failed));
	pthread_barrier_init(&together, NULL, WORKERS);
	while (unit_another_round(&round)) {
		pthread_t threads[WORKERS];

		numbers[0] = unit_object(0, 0);
		for (int i = 1; i < WORKERS * 2; i++) {
			int fd = dup(numbers[0].fd);

			object_duplicated(&numbers[0], fd);
			numbers[i] = unit_ref(fd);
		}
		for (int i = 0; i < WORKERS; i++)
			pthread_create(&threads[i], NULL, close_two, &numbers[2 * i]);
		for (int i = 0; i < WORKERS; i++)
			pthread_join(threads[i], NULL);
		cr_assert_not(lives(&numbers[0]));
	}
	check_slots();
}

static int close_inherited(void *arg)
{
	return object_close(arg).err;
}

Test(core_object_race, processes_that_close_it_at_once_free_it)
{
	struct unit_rounds round = unit_rounds(300);

	failed = unit_shared(sizeof(*failed));
	while (unit_another_round(&round)) {
		struct fdref ref = unit_object(0, 0);
		pid_t pids[2];

		for (int i = 0; i < 2; i++)
			pids[i] = unit_fork(close_inherited, &ref);
		unit_close(ref);
		for (int i = 0; i < 2; i++)
			cr_assert_eq(unit_wait(pids[i]), 0);
		cr_assert_not(lives(&ref));
	}
	check_slots();
}
