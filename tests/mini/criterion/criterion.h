/* A stand-in for Criterion where there is none, as for another C library or processor: what the
 * tests here use of it, one process a test, one test at a time. A failed assertion in any process
 * of a test fails it. */
#ifndef MINI_CRITERION_H
#define MINI_CRITERION_H
#pragma GCC system_header /* as Criterion's is: its comparisons give no warnings */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test_params {
	size_t size;
	void *params;
	size_t length;
};

struct mini_extra {
	void (*init)(void);
	void (*fini)(void);
	double timeout;
	int signal; /* what ends the test */
};

struct mini_test {
	const char *suite;
	const char *name; /* NULL: the suite itself, for its fixtures */
	void (*run)(void *parameter);
	struct criterion_test_params (*params)(void);
	struct mini_extra extra;
	struct mini_test *next;
};

struct criterion_test_set;

void mini_add(struct mini_test *test);
__attribute__((format(printf, 5, 6))) void mini_failed(
	bool fatal, const char *file, int line, const char *what, const char *format, ...);
__attribute__((format(printf, 1, 2), noreturn)) void cr_skip_test(const char *format, ...);
__attribute__((format(printf, 1, 2))) void cr_log_info(const char *format, ...);

struct criterion_test_set *criterion_initialize(void);
bool criterion_handle_args(int argc, char **argv, bool handle_unknown);
int criterion_run_all_tests(struct criterion_test_set *set);
void criterion_finalize(struct criterion_test_set *set);

#define cr_malloc malloc

#define MINI_ENTRY(id, ...)                                                                        \
	static struct mini_test id##_entry = {__VA_ARGS__};                                        \
	__attribute__((constructor)) static void id##_add(void)                                    \
	{                                                                                          \
		mini_add(&id##_entry);                                                             \
	}

#define TestSuite(id, ...) MINI_ENTRY(id##_suite, .suite = #id, .extra = {__VA_ARGS__})

/* The line is in the names as one test may be made of two names that this libc takes for one. */
#define MINI_PASTE(id, test, line) id##_##test##_##line
#define MINI_TEST(function, id, test, ...)                                                         \
	static void function(void *unused);                                                        \
	MINI_ENTRY(entry_of_##function, .suite = #id, .name = #test, .run = function,              \
		.extra = {__VA_ARGS__})                                                            \
	static void function(void *unused __attribute__((unused)))
#define MINI_NAMED(function, ...) MINI_TEST(function, __VA_ARGS__)
#define MINI_AT(id, test, line, ...) MINI_NAMED(MINI_PASTE(id, test, line), id, test, __VA_ARGS__)
#define Test(id, test, ...) MINI_AT(id, test, __LINE__, __VA_ARGS__)

#define MINI_CHECK(fatal, ok, what, ...)                                                           \
	((ok) ? (void)0 : mini_failed(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__))

#define cr_assert(a, ...) MINI_CHECK(true, a, #a, __VA_ARGS__)
#define cr_assert_not(a, ...) MINI_CHECK(true, !(a), "not " #a, __VA_ARGS__)
#define cr_assert_null(a, ...) MINI_CHECK(true, !(a), #a " is NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) MINI_CHECK(true, a, #a " is not NULL", __VA_ARGS__)
#define cr_assert_fail(...) MINI_CHECK(true, false, "fail", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) MINI_CHECK(true, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) MINI_CHECK(true, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) MINI_CHECK(true, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) MINI_CHECK(true, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) MINI_CHECK(true, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) MINI_CHECK(true, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                                \
	MINI_CHECK(true, !strcmp(a, b), #a " is the text " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                               \
	MINI_CHECK(true, strcmp(a, b), #a " is not the text " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                             \
	MINI_CHECK(true, !memcmp(a, b, n), #a " holds " #b, __VA_ARGS__)

#define cr_expect(a, ...) MINI_CHECK(false, a, #a, __VA_ARGS__)
#define cr_expect_not(a, ...) MINI_CHECK(false, !(a), "not " #a, __VA_ARGS__)
#define cr_expect_null(a, ...) MINI_CHECK(false, !(a), #a " is NULL", __VA_ARGS__)
#define cr_expect_not_null(a, ...) MINI_CHECK(false, a, #a " is not NULL", __VA_ARGS__)
#define cr_expect_eq(a, b, ...) MINI_CHECK(false, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) MINI_CHECK(false, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) MINI_CHECK(false, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) MINI_CHECK(false, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) MINI_CHECK(false, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                                                \
	MINI_CHECK(false, !strcmp(a, b), #a " is the text " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...)                                                             \
	MINI_CHECK(false, !memcmp(a, b, n), #a " holds " #b, __VA_ARGS__)

#endif
