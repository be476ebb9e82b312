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

Test(mask_walk, alone)
{
	walks(1, 0);
}

Test(mask_walk, alone_with_copies_closed_and_made)
{
	walks(101, WALK_LIFE);
}

Test(mask_walk, alone_with_exclusive_watches)
{
	walks(201, WALK_EXCLUSIVE);
}

Test(mask_walk, alone_with_all)
{
	walks(301, WALK_EXCLUSIVE | WALK_LIFE);
}

/* They share the sets, and change them. */
static void walks_with(uint64_t first, enum mate_kind a, enum mate_kind b)
{
	enum mate_kind others[] = {a, b};
	for (uint64_t seed = first; seed < first + 4; seed++)
		walk_check(seed, WALK_EXCLUSIVE, STEPS, others, 2);
}

Test(mask_walk, with_other_threads)
{
	walks_with(401, MATE_THREAD, MATE_THREAD);
}

Test(mask_walk, with_children)
{
	walks_with(501, MATE_FORKED, MATE_FORKED);
}

Test(mask_walk, with_other_programs)
{
	walks_with(601, MATE_EXECED, MATE_EXECED);
}

Test(mask_walk, with_a_child_and_another_program)
{
	walks_with(701, MATE_FORKED, MATE_EXECED);
}

Test(mask_walk, with_a_thread_and_a_child)
{
	walks_with(801, MATE_THREAD, MATE_FORKED);
}
