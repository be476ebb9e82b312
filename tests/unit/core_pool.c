#include "poolkit.h"

#include "step.h"

TestSuite(core_pool, .init = unit_setup, .fini = unit_teardown, .timeout = 90);

Test(core_pool, items_are_handed_out_from_one_on)
{
	struct pool pool;

	poolkit_open(&pool, 4096);
	cr_expect_eq(pool_used(&pool), 1);
	for (uint32_t i = 1; i <= 10; i++) {
		cr_expect_eq(poolkit_take(&pool), i);
		cr_expect_eq(pool_used(&pool), i + 1);
	}
}

Test(core_pool, an_unopened_pool_has_nothing)
{
	struct pool pool = poolkit_unopened(4096);

	cr_expect_eq(pool_used(&pool), 0);
	cr_expect_null(pool_item(&pool, 0));
	cr_expect_null(pool_item(&pool, 1));
}

Test(core_pool, fresh_items_are_zeros)
{
	static const char zeros[ITEM_BYTES];
	struct pool pool;

	poolkit_open(&pool, 4096);
	for (int i = 0; i < 2000; i++)
		cr_assert_arr_eq(
			(char *)pool_item(&pool, poolkit_take(&pool)) + 4, zeros, ITEM_BYTES - 4);
}

Test(core_pool, item_zero_and_items_without_storage_are_none)
{
	struct pool pool;

	poolkit_open(&pool, 4096);
	poolkit_take(&pool);
	cr_expect_null(pool_item(&pool, 0));
	cr_expect_not_null(pool_item(&pool, 1));
	cr_expect_null(pool_item(&pool, ITEMS_IN_CHUNK));
	cr_expect_null(pool_item(&pool, 4096));
	cr_expect_null(pool_item(&pool, UINT32_MAX));
}

Test(core_pool, items_lie_side_by_side)
{
	struct pool pool;
	char *base;

	poolkit_open(&pool, 4096);
	base = pool_base(&pool);
	for (uint32_t i = 1; i < 100; i++)
		cr_assert_eq(pool_item(&pool, poolkit_take(&pool)), base + i * ITEM_BYTES);
}

Test(core_pool, items_given_back_are_taken_first)
{
	struct pool pool;

	poolkit_open(&pool, 4096);
	for (int i = 0; i < 5; i++)
		poolkit_take(&pool);
	pool_give(&pool, 2);
	pool_give(&pool, 4);
	cr_expect_eq(poolkit_take(&pool), 2);
	cr_expect_eq(poolkit_take(&pool), 4);
	cr_expect_eq(poolkit_take(&pool), 6);
}

Test(core_pool, giving_back_keeps_all_but_the_first_word)
{
	struct pool pool;
	struct item *item;

	poolkit_open(&pool, 4096);
	item = pool_item(&pool, poolkit_take(&pool));
	item->owner = 17;
	pool_give(&pool, 1);
	cr_assert_eq(poolkit_take(&pool), 1);
	cr_expect_eq(item->owner, 17);
}

Test(core_pool, it_grows_chunk_by_chunk)
{
	enum { MANY = 5 * ITEMS_IN_CHUNK };
	struct pool pool;

	poolkit_open(&pool, MANY + 100);
	for (uint32_t i = 1; i < MANY; i++) {
		cr_assert_eq(poolkit_take(&pool), i);
		((struct item *)pool_item(&pool, i))->owner = i;
	}
	for (uint32_t i = 1; i < MANY; i++)
		cr_assert_eq(((struct item *)pool_item(&pool, i))->owner, i);
}

Test(core_pool, it_holds_as_many_as_it_is_made_for)
{
	struct pool pool;

	poolkit_open(&pool, 8);
	for (uint32_t i = 1; i < 8; i++)
		cr_assert_eq(poolkit_take(&pool), i);
	cr_expect_eq(poolkit_refusal(&pool), ENOSPC);
	pool_give(&pool, 3);
	cr_expect_eq(poolkit_take(&pool), 3);
	cr_expect_eq(poolkit_refusal(&pool), ENOSPC);
}

Test(core_pool, its_last_chunk_may_be_a_part_of_one)
{
	enum { MANY = ITEMS_IN_CHUNK + 10 };
	struct pool pool;

	poolkit_open(&pool, MANY);
	for (uint32_t i = 1; i < MANY; i++)
		((struct item *)pool_item(&pool, poolkit_take(&pool)))->owner = i;
	cr_expect_eq(poolkit_refusal(&pool), ENOSPC);
}

Test(core_pool, opening_it_twice_is_opening_it_once)
{
	struct pool pool;
	void *base;

	poolkit_open(&pool, 4096);
	base = pool_base(&pool);
	cr_assert_eq(pool_open(&pool), 0);
	cr_expect_eq(pool_base(&pool), base);
}

Test(core_pool, whoever_opens_the_file_has_the_same_items)
{
	struct pool first, second;

	poolkit_open(&first, 4096);
	poolkit_open(&second, 4096);
	cr_expect_eq(pool_tag(&first), pool_tag(&second));
	cr_expect_neq(pool_base(&first), pool_base(&second));
	cr_expect_eq(poolkit_take(&first), 1);
	cr_expect_eq(poolkit_take(&second), 2);
	((struct item *)pool_item(&first, 2))->owner = 99;
	cr_expect_eq(((struct item *)pool_item(&second, 2))->owner, 99);
	pool_give(&first, 2);
	cr_expect_eq(poolkit_take(&second), 2);
}

Test(core_pool, one_grows_for_all)
{
	struct pool first, second;

	poolkit_open(&first, 4096);
	poolkit_open(&second, 4096);
	for (int i = 0; i < 3000; i++)
		poolkit_take(&first);
	cr_expect_not_null(pool_item(&second, 3000));
	cr_expect_eq(poolkit_take(&second), 3001);
}

static int take_one(void *arg)
{
	int err;

	return (int)pool_take(arg, &err);
}

Test(core_pool, a_forked_child_shares_it)
{
	struct pool pool;

	poolkit_open(&pool, 4096);
	cr_expect_eq(unit_wait(unit_fork(take_one, &pool)), 1);
	cr_expect_eq(poolkit_take(&pool), 2);
}

/* One operation within another, at every instruction. */
static struct pool met;

enum { LISTED = 4, INDICES = 64 };

static volatile bool held[INDICES];

static uint32_t take(void)
{
	uint32_t index = poolkit_take(&met);

	cr_assert(index < INDICES);
	cr_assert_not(held[index], "%u was handed out twice", index);
	held[index] = true;
	return index;
}

static void give(uint32_t index)
{
	held[index] = false;
	pool_give(&met, index);
}

/* A new pool: the first to take an item must make room. */
static void prepare_empty(void *arg)
{
	(void)arg;
	unit_remove(unit_path("items"));
	met = poolkit_unopened(4096);
	memset((void *)(uintptr_t)held, 0, sizeof(held));
	cr_assert_eq(pool_open(&met), 0);
}

/* Starts with the free list 1, 2, 3, 4. */
static void prepare(void *arg)
{
	prepare_empty(arg);
	for (int i = 0; i < LISTED; i++)
		take();
	for (uint32_t i = LISTED; i; i--)
		give(i);
}

static void check(void *arg)
{
	uint32_t used = pool_used(&met);
	int all = 0;

	(void)arg;
	for (uint32_t i = 1; i < used; i++)
		all += held[i];
	while (all++ < (int)used - 1)
		take();
	cr_assert_eq(pool_used(&met), used, "an item was lost");
}

static void run_take(void *arg)
{
	(void)arg;
	take();
}

static void take_and_give(void *arg)
{
	(void)arg;
	give(take());
}

/* Leaves the old head in front of another tail. */
static void change_the_tail(void *arg)
{
	uint32_t first = take();

	(void)arg;
	take();
	give(first);
}

static void take_two_and_give_one(void *arg)
{
	(void)arg;
	take();
	give(take());
}

static void take_beyond_the_list(void *arg)
{
	for (int i = 0; i <= LISTED; i++)
		run_take(arg);
}

static void meet(void (*run)(void *), void (*intrude)(void *))
{
	struct step step = {.run = run, .intrude = intrude};

	poolkit_open(&met, 4096);
	step_each(&step, prepare, check);
}

Test(core_pool, a_take_within_a_take)
{
	meet(run_take, run_take);
}

Test(core_pool, the_old_head_before_a_new_tail_within_a_take)
{
	meet(run_take, change_the_tail);
}

Test(core_pool, the_old_head_before_a_new_tail_within_a_take_and_give)
{
	meet(take_and_give, change_the_tail);
}

Test(core_pool, takes_and_a_give_within_a_take_and_give)
{
	meet(take_and_give, take_two_and_give_one);
}

Test(core_pool, takes_beyond_the_free_list_within_such_a_take)
{
	meet(take_beyond_the_list, take_beyond_the_list);
}

Test(core_pool, growth_within_growth)
{
	struct step step = {.run = run_take, .intrude = run_take};

	poolkit_open(&met, 4096);
	step_each(&step, prepare_empty, check);
}

/* Somebody opens the pool while somebody else makes it, and makes it grow. */
static struct pool opened;

static void prepare_nothing(void *arg)
{
	(void)arg;
	unit_remove(unit_path("items"));
	opened = poolkit_unopened(4096);
	met = poolkit_unopened(4096);
}

static void open_one(void *arg)
{
	(void)arg;
	cr_assert_eq(pool_open(&opened), 0, "after %ld", step_running->taken);
}

static void open_another_and_take(void *arg)
{
	(void)arg;
	cr_assert_eq(pool_open(&met), 0);
	cr_assert_eq(poolkit_take(&met), 1);
}

static void check_same_file(void *arg)
{
	if (!atomic_load(&met.head))
		open_another_and_take(arg);
	cr_assert_eq(pool_tag(&opened), pool_tag(&met), "after %ld", step_running->at);
	cr_assert_eq(poolkit_take(&opened), 2);
	cr_assert_eq(access(unit_path("items.old"), F_OK), -1, "after %ld", step_running->at);
}

Test(core_pool, a_pool_made_and_grown_while_it_is_opened)
{
	struct step step = {.run = open_one, .intrude = open_another_and_take};

	unit_open_store();
	step_each(&step, prepare_nothing, check_same_file);
}

static void prepare_empty_file(void *arg)
{
	prepare_nothing(arg);
	cr_assert_eq(pool_open(&met), 0);
}

static void take_from_another(void *arg)
{
	(void)arg;
	cr_assert_eq(poolkit_take(&met), 1);
}

static void check_same_file_grown(void *arg)
{
	if (pool_used(&met) == 1)
		take_from_another(arg);
	check_same_file(arg);
}

Test(core_pool, a_pool_grown_while_it_is_opened)
{
	struct step step = {.run = open_one, .intrude = take_from_another};

	unit_open_store();
	step_each(&step, prepare_empty_file, check_same_file_grown);
}
