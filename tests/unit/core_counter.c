#include <criterion/criterion.h>

#include "core/counter.h"
#include "testkit.h"

TestSuite(core_counter, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

#define MAX UINT64_MAX
#define LIMIT COUNTER_LIMIT

enum { UNCHANGED_ERRNO = 4321, GUARD = 77 };

struct add_case {
	uint64_t count, value, after;
	int err;
};

static void check_adds(const struct add_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct add_case *c = &cases[i];
		struct counter counter = {.guard = GUARD, .count = c->count};
		struct counter_step step;

		errno = UNCHANGED_ERRNO;
		step = counter_add(&counter, GUARD, c->value);
		cr_expect_eq(step.err, c->err, "case %zu: err %d", i, step.err);
		cr_expect_eq(step.before, c->count, "case %zu", i);
		cr_expect_eq(step.after, c->after, "case %zu: after %lx", i, step.after);
		cr_expect_eq(atomic_load(&counter.count), c->after, "case %zu", i);
		cr_expect_eq(errno, UNCHANGED_ERRNO);
	}
}

#define CHECK_ADDS(cases) check_adds(cases, sizeof(cases) / sizeof(*(cases)))

Test(core_counter, add_moves_the_counter_up_to_its_limit)
{
	static const struct add_case cases[] = {
		{0, 1, 1, 0},
		{1, 1, 2, 0},
		{0, LIMIT, LIMIT, 0},
		{1, LIMIT - 1, LIMIT, 0},
		{LIMIT - 1, 1, LIMIT, 0},
		{LIMIT / 2, LIMIT / 2, LIMIT, 0},
		{0xffffffff, 1, 0x100000000, 0},
	};

	CHECK_ADDS(cases);
}

Test(core_counter, add_past_the_limit_changes_nothing)
{
	static const struct add_case cases[] = {
		{1, LIMIT, 1, EAGAIN},
		{LIMIT, 1, LIMIT, EAGAIN},
		{LIMIT, LIMIT, LIMIT, EAGAIN},
		{LIMIT - 1, 2, LIMIT - 1, EAGAIN},
		{LIMIT / 2 + 1, LIMIT / 2, LIMIT / 2 + 1, EAGAIN},
	};

	CHECK_ADDS(cases);
}

/* A write of 0 goes through even at the limit, as it does in the kernel. */
Test(core_counter, add_of_zero_goes_through)
{
	static const struct add_case cases[] = {
		{0, 0, 0, 0},
		{1, 0, 1, 0},
		{LIMIT, 0, LIMIT, 0},
	};

	CHECK_ADDS(cases);
}

Test(core_counter, nothing_can_be_added_to_an_overflowed_counter)
{
	static const struct add_case cases[] = {
		{MAX, 0, MAX, EAGAIN},
		{MAX, 1, MAX, EAGAIN},
		{MAX, LIMIT, MAX, EAGAIN},
	};

	CHECK_ADDS(cases);
}

struct take_case {
	uint64_t count, after;
	int err;
};

static void check_takes(bool semaphore, const struct take_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct take_case *c = &cases[i];
		struct counter counter = {.guard = GUARD, .count = c->count};
		struct counter_step step = counter_take(&counter, GUARD, semaphore);

		cr_expect_eq(step.err, c->err, "case %zu: err %d", i, step.err);
		cr_expect_eq(step.before, c->count, "case %zu", i);
		cr_expect_eq(step.after, c->after, "case %zu", i);
		cr_expect_eq(atomic_load(&counter.count), c->after, "case %zu", i);
	}
}

Test(core_counter, take_takes_all)
{
	static const struct take_case cases[] = {
		{1, 0, 0},
		{2, 0, 0},
		{LIMIT, 0, 0},
		{MAX, 0, 0},
	};

	check_takes(false, cases, sizeof(cases) / sizeof(*cases));
}

Test(core_counter, take_of_a_semaphore_takes_one)
{
	static const struct take_case cases[] = {
		{1, 0, 0},
		{2, 1, 0},
		{LIMIT, LIMIT - 1, 0},
		{0x100000000, 0xffffffff, 0},
	};

	check_takes(true, cases, sizeof(cases) / sizeof(*cases));
}

Test(core_counter, take_of_nothing_is_refused)
{
	static const struct take_case empty[] = {{0, 0, EAGAIN}};

	check_takes(false, empty, 1);
	check_takes(true, empty, 1);
}

Test(core_counter, state_shows_every_edge_of_the_range)
{
	static const struct {
		uint64_t count;
		uint32_t state;
	} cases[] = {
		{0, EPOLLOUT},
		{1, EPOLLIN | EPOLLOUT},
		{LIMIT - 1, EPOLLIN | EPOLLOUT},
		{LIMIT, EPOLLIN},
		{MAX, EPOLLIN | EPOLLERR},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		cr_expect_eq(counter_state(cases[i].count), cases[i].state, "case %zu", i);
}

Test(core_counter, what_is_added_is_what_takes_give)
{
	struct counter counter = {.guard = GUARD};
	uint64_t given = 0;

	for (uint64_t i = 1; i <= 100; i++) {
		struct counter_step step;

		cr_assert_eq(counter_add(&counter, GUARD, i).err, 0);
		step = counter_take(&counter, GUARD, i % 2);
		given += step.before - step.after;
	}
	cr_assert_eq(given + atomic_load(&counter.count), 5050);
}

Test(core_counter, nothing_moves_under_another_guard)
{
	struct counter counter = {.guard = GUARD, .count = 5};

	cr_expect_eq(counter_add(&counter, GUARD + 1, 1).err, ESTALE);
	cr_expect_eq(counter_take(&counter, GUARD + 1, false).err, ESTALE);
	cr_expect_eq(atomic_load(&counter.count), 5);
}

/* Where other threads run, the guard is compared at the very moment of the change. */
Test(core_counter, a_swap_of_two_words_changes_both_or_none)
{
	_Alignas(16) uint64_t words[2] = {GUARD, 5};
	uint64_t guard = GUARD, count = 5;

	cr_expect(swap16(words, &guard, &count, GUARD, 6));
	cr_expect_eq(words[1], 6);
	cr_expect_not(swap16(words, &guard, &count, GUARD, 7));
	cr_expect_eq(count, 6, "what is there is told");
	guard = GUARD + 1;
	cr_expect_not(swap16(words, &guard, &count, GUARD, 7));
	cr_expect_eq(guard, GUARD);
	cr_expect_eq(words[0], GUARD);
	cr_expect_eq(words[1], 6);
}
