/* Random walks over mask eventfds and the epoll sets that watch them, step by step against the
 * model. */
#define _GNU_SOURCE
#include "maskwalk.h"
#include "testkit.h"

#include <criterion/criterion.h>

TestSuite(mask_walk, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { WALKS = 12, STEPS = 2500 };

static void walks(uint64_t first, unsigned rules)
{
	for (uint64_t seed = first; seed < first + WALKS; seed++)
		walk_check(seed, rules, STEPS, NULL, 0);
}

/* They share the sets, and change them. */
static void walks_with(uint64_t first, enum mate_kind a, enum mate_kind b, unsigned rules)
{
	enum mate_kind others[] = {a, b};
	for (uint64_t seed = first; seed < first + 4; seed++)
		walk_check(seed, rules, STEPS, others, 2);
}

#define Alone(name, seed, rules)                                                                   \
	Test(mask_walk, name)                                                                      \
	{                                                                                          \
		walks(seed, rules);                                                                \
	}

Alone(alone, 1, 0);
Alone(alone_with_exclusive_watches, 101, WALK_EXCLUSIVE);
Alone(alone_with_copies_closed_and_made, 201, WALK_LIFE);
Alone(alone_with_sets_in_sets, 301, WALK_NESTED);
Alone(alone_with_exclusive_watches_in_sets_in_sets, 401, WALK_NESTED | WALK_EXCLUSIVE);
Alone(alone_with_all, 501, WALK_EXCLUSIVE | WALK_LIFE | WALK_NESTED);

#define With(name, seed, a, b, rules)                                                              \
	Test(mask_walk, with_##name)                                                               \
	{                                                                                          \
		walks_with(seed, a, b, rules);                                                     \
	}

With(other_threads, 601, MATE_THREAD, MATE_THREAD, WALK_EXCLUSIVE);
With(other_threads_and_sets_in_sets, 651, MATE_THREAD, MATE_THREAD, WALK_EXCLUSIVE | WALK_NESTED);
/* Where sets are shared among processes, README says what of sets in sets is not exact; and among
 * programs, of exclusive watches that several of them change. */
With(children, 701, MATE_FORKED, MATE_FORKED, WALK_EXCLUSIVE);
With(a_thread_and_a_child, 1001, MATE_THREAD, MATE_FORKED, WALK_EXCLUSIVE);
With(other_programs, 801, MATE_EXECED, MATE_EXECED, 0);
With(a_child_and_another_program, 901, MATE_FORKED, MATE_EXECED, 0);
