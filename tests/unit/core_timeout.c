#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>

#include "core/timeout.h"
#include "core/usermem.h"
#include "testkit.h"

TestSuite(core_timeout, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { NS = 1000000000 };

static bool is_over(const struct timespec *timeout, struct timespec *left)
{
	struct timeout started = timeout_start(timeout);

	return timeout_over(&started, left);
}

Test(core_timeout, none_is_never_over)
{
	struct timespec left;

	cr_expect_not(is_over(NULL, &left));
}

Test(core_timeout, zero_is_over_at_once)
{
	struct timespec zero = {0, 0}, left = {1, 1};

	cr_expect(is_over(&zero, &left));
	cr_expect_eq(left.tv_sec, 0);
	cr_expect_eq(left.tv_nsec, 0);
}

Test(core_timeout, what_is_left_only_shrinks)
{
	struct timespec hour = {3600, 0}, left, before = {3600, 1};
	struct timeout started = timeout_start(&hour);

	for (int i = 0; i < 1000; i++) {
		cr_assert_not(timeout_over(&started, &left));
		cr_assert(left.tv_nsec >= 0 && left.tv_nsec < NS);
		cr_assert(left.tv_sec < before.tv_sec ||
			  (left.tv_sec == before.tv_sec && left.tv_nsec <= before.tv_nsec));
		cr_assert(left.tv_sec >= 3500);
		before = left;
	}
}

Test(core_timeout, it_is_over_after_its_time_and_not_before)
{
	struct timespec some = {0, 3000000}, left = {1, 1};
	int64_t begin = tk_now_ms();
	struct timeout started = timeout_start(&some);

	while (!timeout_over(&started, &left))
		cr_assert(left.tv_sec == 0 && left.tv_nsec > 0 && left.tv_nsec <= 3000000);
	cr_expect(tk_now_ms() - begin >= 2);
	cr_expect_eq(left.tv_sec, 0);
	cr_expect_eq(left.tv_nsec, 0);
	cr_expect(timeout_over(&started, &left));
}

Test(core_timeout, one_nanosecond_is_no_zero)
{
	struct timespec least = {0, 1};
	struct timeout started = timeout_start(&least);

	cr_expect_not(started.zero);
	cr_expect_not(started.infinite);
}

Test(core_timeout, the_longest_is_as_good_as_none)
{
	struct timespec left;
	struct timespec longest[] = {{LONG_MAX, NS - 1}, {LONG_MAX, 0}, {LONG_MAX - 1, NS - 1}};

	for (size_t i = 0; i < sizeof(longest) / sizeof(*longest); i++)
		cr_expect_not(is_over(&longest[i], &left));
}

/* Its end is the last second there is; its nanoseconds carry into the next one. */
Test(core_timeout, an_end_on_the_edge_of_time_is_not_over)
{
	for (int i = 0; i < 3; i++) {
		struct timespec now, left, edge;

		clock_gettime(CLOCK_MONOTONIC, &now);
		edge = (struct timespec){LONG_MAX - now.tv_sec, NS - 1};
		cr_expect_not(is_over(&edge, &left));
	}
}

Test(core_timeout, milliseconds_become_a_timespec)
{
	static const struct {
		int ms;
		struct timespec expected;
	} cases[] = {
		{0, {0, 0}},
		{1, {0, 1000000}},
		{999, {0, 999000000}},
		{1000, {1, 0}},
		{1001, {1, 1000000}},
		{INT_MAX, {2147483, 647000000}},
	};
	struct timespec space;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cr_assert_eq(timeout_from_ms(cases[i].ms, &space), &space);
		cr_expect_eq(space.tv_sec, cases[i].expected.tv_sec);
		cr_expect_eq(space.tv_nsec, cases[i].expected.tv_nsec);
	}
}

Test(core_timeout, negative_milliseconds_are_no_timeout)
{
	struct timespec space;

	cr_expect_null(timeout_from_ms(-1, &space));
	cr_expect_null(timeout_from_ms(INT_MIN, &space));
}

Test(core_timeout, a_timespec_becomes_milliseconds_rounded_up)
{
	static const struct {
		struct timespec timeout;
		int ms;
	} cases[] = {
		{{0, 0}, 0},
		{{0, 1}, 1},
		{{0, 1000000}, 1},
		{{0, 1000001}, 2},
		{{0, NS - 1}, 1000},
		{{1, 0}, 1000},
		{{1, 1}, 1001},
		{{2147481, 999999999}, 2147482000},
		{{2147484, 0}, INT_MAX},
		{{LONG_MAX, NS - 1}, INT_MAX},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		cr_expect_eq(timeout_to_ms(&cases[i].timeout), cases[i].ms, "case %zu", i);
	cr_expect_eq(timeout_to_ms(NULL), -1);
}

Test(core_timeout, milliseconds_survive_the_way_there_and_back)
{
	struct timespec space;

	for (int ms = 0; ms < 5000; ms += 7)
		cr_assert_eq(timeout_to_ms(timeout_from_ms(ms, &space)), ms);
}

Test(core_timeout, a_timeval_becomes_a_timespec)
{
	static const struct {
		struct timeval timeout;
		struct timespec expected;
	} cases[] = {
		{{0, 0}, {0, 0}},
		{{0, 1}, {0, 1000}},
		{{3, 999999}, {3, 999999000}},
		{{3, 1000000}, {4, 0}},
		{{3, 2500000}, {5, 500000000}},
	};
	struct timespec space;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cr_assert_eq(timeout_from_timeval(&cases[i].timeout, &space), &space);
		cr_expect_eq(space.tv_sec, cases[i].expected.tv_sec, "case %zu", i);
		cr_expect_eq(space.tv_nsec, cases[i].expected.tv_nsec, "case %zu", i);
	}
}

Test(core_timeout, a_timeval_that_overflows_is_the_longest)
{
	struct timeval timeout = {LONG_MAX, 5000000};
	struct timespec space;

	cr_assert_eq(timeout_from_timeval(&timeout, &space), &space);
	cr_expect_eq(space.tv_sec, LONG_MAX);
	cr_expect(space.tv_nsec >= 0 && space.tv_nsec < NS);
}

Test(core_timeout, a_negative_timeval_is_none)
{
	struct timeval cases[] = {{-1, 0}, {0, -1}, {LONG_MIN, LONG_MIN}};
	struct timespec space;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		cr_expect_null(timeout_from_timeval(&cases[i], &space));
}

Test(core_timeout, a_timeval_that_cannot_be_read_is_none)
{
	void *map = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec space;

	cr_expect_null(timeout_from_timeval(map, &space));
	cr_expect_null(timeout_from_timeval((void *)(intptr_t)8, &space));
	munmap(map, 4096);
}
