/* Pools among threads and processes: no item is handed out twice, and all use the same file. */
#include "poolkit.h"

#include <pthread.h>
#include <sched.h>

TestSuite(core_pool_race, .init = unit_setup, .fini = unit_teardown, .timeout = 40);

enum { WORKERS = 4, ROUNDS = 3000, AT_ONCE = 8 };

struct shared {
	atomic_int failed;
	pthread_barrier_t start, end;
};

static struct pool pool;
static struct shared *shared;

static void make_shared(unsigned workers)
{
	pthread_barrierattr_t between;

	shared = unit_shared(sizeof(*shared));
	pthread_barrierattr_init(&between);
	pthread_barrierattr_setpshared(&between, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->start, &between, workers);
	pthread_barrier_init(&shared->end, &between, workers);
}

/* Takes some, writes its name into each, finds it there unchanged, gives them back. */
static void churn(uint32_t name, int rounds)
{
	uint32_t mine[AT_ONCE];

	for (int round = 0; round < rounds; round++) {
		int err, n = 0;

		for (; n < 1 + round % AT_ONCE && (mine[n] = pool_take(&pool, &err)); n++) {
			struct item *item = pool_item(&pool, mine[n]);
			uint32_t nobody = 0;

			if (!atomic_compare_exchange_strong(&item->owner, &nobody, name))
				atomic_fetch_add(&shared->failed, 1);
		}
		if (round % 16 == 0)
			sched_yield();
		while (n--) {
			struct item *item = pool_item(&pool, mine[n]);
			uint32_t expected = name;

			if (!atomic_compare_exchange_strong(&item->owner, &expected, 0))
				atomic_fetch_add(&shared->failed, 1);
			pool_give(&pool, mine[n]);
		}
	}
}

static void *churning_thread(void *arg)
{
	churn((uint32_t)(uintptr_t)arg, ROUNDS);
	return NULL;
}

static void check_churned(void)
{
	cr_assert_eq(atomic_load(&shared->failed), 0);
	cr_assert(pool_used(&pool) <= WORKERS * AT_ONCE + 1);
	for (uint32_t i = 1, end = pool_used(&pool); i < end; i++)
		poolkit_take(&pool);
	cr_assert(pool_used(&pool) <= WORKERS * AT_ONCE + 1, "an item was lost");
}

Test(core_pool_race, threads_never_get_the_same_item)
{
	pthread_t threads[WORKERS];

	make_shared(1);
	poolkit_open(&pool, 4096);
	for (uintptr_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, churning_thread, (void *)(i + 1));
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	check_churned();
}

static int churning_process(void *arg)
{
	(void)arg;
	churn((uint32_t)getpid(), ROUNDS);
	return 0;
}

Test(core_pool_race, processes_never_get_the_same_item)
{
	pid_t pids[WORKERS];

	make_shared(1);
	poolkit_open(&pool, 4096);
	for (int i = 0; i < WORKERS; i++)
		pids[i] = unit_fork(churning_process, NULL);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(unit_wait(pids[i]), 0);
	check_churned();
}

/* Takes without end, so that all of them grow the pool. */
static int hoard(void *arg)
{
	uint32_t name = (uint32_t)getpid();
	int err, taken = 0;
	uint32_t index;

	(void)arg;
	while ((index = pool_take(&pool, &err))) {
		struct item *item = pool_item(&pool, index);
		uint32_t nobody = 0;

		if (!item || !atomic_compare_exchange_strong(&item->owner, &nobody, name))
			atomic_fetch_add(&shared->failed, 1);
		taken++;
	}
	return err == ENOSPC && taken ? 0 : 1;
}

Test(core_pool_race, processes_that_grow_it_together_share_it_out)
{
	enum { ALL = 20 * ITEMS_IN_CHUNK };
	pid_t pids[WORKERS];

	make_shared(1);
	poolkit_open(&pool, ALL);
	for (int i = 0; i < WORKERS; i++)
		pids[i] = unit_fork(hoard, NULL);
	for (int i = 0; i < WORKERS; i++)
		cr_assert(unit_wait(pids[i]) >= 0);
	cr_assert_eq(atomic_load(&shared->failed), 0);
	cr_assert_eq(pool_used(&pool), ALL);
	for (uint32_t i = 1; i < ALL; i++)
		cr_assert_neq(((struct item *)pool_item(&pool, i))->owner, 0);
}

/* Opens the pool in a directory without one, at the same moment as the others, and uses it. */
static int open_together(void *arg)
{
	uint32_t *tag = arg;
	struct pool mine = poolkit_unopened(4096);
	int err;

	pthread_barrier_wait(&shared->start);
	err = pool_open(&mine);
	*tag = err ? 0 : pool_tag(&mine);
	if (!err && !pool_take(&mine, &err))
		*tag = 0;
	pthread_barrier_wait(&shared->end);
	return err;
}

static void *opening_thread(void *arg)
{
	return (void *)(intptr_t)open_together(arg);
}

static void check_tags(const uint32_t *tags)
{
	struct pool last = poolkit_unopened(4096);

	cr_assert_eq(pool_open(&last), 0);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(tags[i], pool_tag(&last), "not the same file: %x", tags[i]);
	cr_assert_eq(access(unit_path("items.old"), F_OK), -1, "one was set aside");
	unit_remove(unit_path("items"));
}

Test(core_pool_race, threads_that_make_the_file_together_share_it)
{
	struct unit_rounds round = unit_rounds(500);
	uint32_t tags[WORKERS];
	pthread_t threads[WORKERS];

	make_shared(WORKERS);
	unit_open_store();
	while (unit_another_round(&round)) {
		void *err;

		for (int i = 0; i < WORKERS; i++)
			pthread_create(&threads[i], NULL, opening_thread, &tags[i]);
		for (int i = 0; i < WORKERS; i++) {
			pthread_join(threads[i], &err);
			cr_assert_null(err, "pool_open: %d", (int)(intptr_t)err);
		}
		check_tags(tags);
	}
}

Test(core_pool_race, processes_that_make_the_file_together_share_it)
{
	struct unit_rounds round = unit_rounds(300);
	uint32_t *tags = unit_shared(WORKERS * sizeof(*tags));

	make_shared(WORKERS);
	unit_open_store();
	while (unit_another_round(&round)) {
		pid_t pids[WORKERS];

		for (int i = 0; i < WORKERS; i++)
			pids[i] = unit_fork(open_together, &tags[i]);
		for (int i = 0; i < WORKERS; i++)
			cr_assert_eq(unit_wait(pids[i]), 0);
		check_tags(tags);
	}
}
