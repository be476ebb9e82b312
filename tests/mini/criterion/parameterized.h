#ifndef MINI_PARAMETERIZED_H
#define MINI_PARAMETERIZED_H

#include <criterion/criterion.h>

#define MINI_FIRST(first, ...) (first)

/* A function that frees them may follow the length: a process a test needs none. */
#define cr_make_param_array(type, array, ...)                                                      \
	((struct criterion_test_params){sizeof(type), (void *)(array), MINI_FIRST(__VA_ARGS__, 0)})

#define ParameterizedTestParameters(id, test)                                                      \
	static struct criterion_test_params id##_##test##_params(void)

#define ParameterizedTest(parameter, id, test)                                                     \
	static void id##_##test##_typed(parameter);                                                \
	static void id##_##test##_run(void *any)                                                   \
	{                                                                                          \
		id##_##test##_typed(any);                                                          \
	}                                                                                          \
	MINI_ENTRY(id##_##test, .suite = #id, .name = #test, .run = id##_##test##_run,             \
		.params = id##_##test##_params)                                                    \
	static void id##_##test##_typed(parameter)

#endif
