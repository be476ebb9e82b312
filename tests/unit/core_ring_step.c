/* An addition to a ring with other producers, the consumer, or whoever replaces it in the middle,
 * at every instruction: each result is there once, in order, and whoever waits hears of it. */
#include "unit.h"

#include <pthread.h>

#include "core/asyncring.h"
#include "core/mirror.h"
#include "core/ring.h"
#include "step.h"

TestSuite(core_ring_step, .init = unit_setup, .fini = unit_teardown, .timeout = 300);

enum { MOST = 8, OF_RUN = 100, OF_HANDLER = 200 };

struct memory {
	struct asyncfd_uring head;
	struct asyncfd_result places[MOST];
};

static struct fdref ref;
static struct memory first, second;
static bool bare; /* only the ring, which tells nobody: these are few instructions */
static uint32_t size, begun_at;
static int by_run, by_handler;	       /* how many each stores */
static int run_stored, handler_stored; /* how many it could */
static uint64_t seen[4 * MOST];
static int seen_count;

static void begin(struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->head = (struct asyncfd_uring){.ptr = (uintptr_t)memory->places,
		.size = size,
		.iuser = begun_at,
		.ikernel = begun_at};
}

static int add_bare(const struct asyncfd_result *results, int n)
{
	struct ring ring;

	if (ring_look(&first.head, &ring))
		abort();
	return ring_add(&ring, results, (uint32_t)n);
}

static int add(uint64_t cookie, int n)
{
	struct asyncfd_result results[MOST];

	for (int i = 0; i < n; i++)
		results[i] = (struct asyncfd_result){cookie + (uint64_t)i, cookie, 0, 0};
	n = bare ? add_bare(results, n) : asyncring_add(&ref, results, n);
	if (n < 0)
		abort();
	return n;
}

static void take_all(struct memory *memory)
{
	struct asyncfd_result result;

	while (asyncfd_take_result(&memory->head, &result)) {
		if (seen_count == 4 * MOST)
			abort();
		seen[seen_count++] = result.cookie;
	}
}

static void run(void *arg)
{
	(void)arg;
	run_stored = add(OF_RUN, by_run);
}

static void add_more(void *arg)
{
	(void)arg;
	handler_stored += add(OF_HANDLER + (uint64_t)handler_stored, by_handler);
}

static void take_and_add(void *arg)
{
	take_all(&first);
	add_more(arg);
	take_all(&first);
}

/* As a loop does that was woken for nothing. */
static void take_and_lower(void *arg)
{
	(void)arg;
	take_all(&first);
	mirror_refresh(&ref, CLASS_IN);
}

static void prepare(void *arg)
{
	(void)arg;
	begin(&second);
	if (asyncring_set(&ref, &second.head)) /* no ring is set twice in a row */
		abort();
	begin(&first);
	if (asyncring_set(&ref, &first.head))
		abort();
	mirror_refresh(&ref, CLASS_IN);
	seen_count = run_stored = handler_stored = 0;
}

/* Those of one producer, in order. */
static void check_seen(uint64_t cookie, int count)
{
	uint64_t next = cookie;

	for (int i = 0; i < seen_count; i++) {
		if (seen[i] - cookie < OF_HANDLER - OF_RUN)
			cr_assert_eq(seen[i], next++, "out of order after %ld", step_running->at);
	}
	cr_assert_eq(next - cookie, (uint64_t)count, "%ju of %d after %ld",
		(uintmax_t)(next - cookie), count, step_running->at);
}

static void check(void *arg)
{
	bool holds = first.head.ikernel != first.head.iuser;

	(void)arg;
	cr_assert(bare || !holds || unit_poll(ref.fd, POLLIN), "nobody hears after %ld",
		step_running->at);
	take_all(&first);
	check_seen(OF_RUN, run_stored);
	check_seen(OF_HANDLER, handler_stored);
	cr_assert_eq(first.head.reserved % size, first.head.ikernel);
	for (uint32_t i = 0; i < size; i++)
		cr_assert_eq(first.places[i].cookie, 0);
	mirror_refresh(&ref, CLASS_IN);
	cr_assert_not(unit_poll(ref.fd, POLLIN));
}

static void meet(void (*intrude)(void *), int least)
{
	struct step step = {.run = run, .intrude = intrude};

	ref = unit_object_of(KIND_ASYNC, 0, 0);
	begin(&first);
	cr_assert_eq(asyncring_set(&ref, &first.head), 0);
	cr_assert_eq(mirror_want(&ref, EPOLLIN, false), 0);
	step_each(&step, prepare, check);
	cr_assert_geq(run_stored + handler_stored, least); /* nothing met the last one */
	unit_close(ref);
}

Test(core_ring_step, two_producers_with_room_for_both)
{
	bare = true;
	size = MOST;
	begun_at = MOST - 2;
	by_run = 2;
	by_handler = 2;
	meet(add_more, 2);
}

Test(core_ring_step, two_producers_and_one_place)
{
	bare = true;
	size = 2;
	begun_at = 1;
	by_run = by_handler = 1;
	meet(add_more, 1);
}

Test(core_ring_step, two_producers_with_room_for_some)
{
	bare = true;
	size = 4;
	begun_at = 2;
	by_run = by_handler = 2;
	meet(add_more, 2);
}

Test(core_ring_step, the_consumer_and_another_producer)
{
	bare = true;
	for (size = 2; size <= 4; size++) {
		begun_at = size - 1;
		by_run = by_handler = (int)size - 1;
		meet(take_and_add, 1);
	}
}

Test(core_ring_step, a_loop_that_takes_the_level_down)
{
	size = 4;
	begun_at = 0;
	by_run = 2;
	by_handler = 0;
	meet(take_and_lower, 2);
}

static struct memory old;
static pthread_t replacer;
static bool replacing;
static _Atomic pid_t replacers_tid;

static void *replace(void *arg)
{
	(void)arg;
	atomic_store(&replacers_tid, gettid());
	if (asyncring_set(&ref, &second.head))
		abort();
	old = first; /* nobody changes it any more */
	return NULL;
}

/* The producer stands still until the other thread is through, or waits for it. */
static void be_replaced(void *arg)
{
	(void)arg;
	replacing = true;
	atomic_store(&replacers_tid, 0);
	if (pthread_create(&replacer, NULL, replace, NULL))
		abort();
	while (!atomic_load(&replacers_tid))
		;
	tk_wait_asleep(atomic_load(&replacers_tid));
}

static void prepare_both(void *arg)
{
	prepare(arg);
	begin(&second);
	replacing = false;
}

static void check_replaced(void *arg)
{
	(void)arg;
	if (!replacing)
		return;
	pthread_join(replacer, NULL);
	cr_assert_eq(memcmp(&old, &first, sizeof(old)), 0, "the old ring was used after %ld",
		step_running->at);
	take_all(&first);
	take_all(&second);
	cr_assert_eq(run_stored, by_run);
	check_seen(OF_RUN, run_stored);
}

Test(core_ring_step, whoever_replaces_a_ring_waits_for_who_is_at_it)
{
	struct step step = {.run = run, .intrude = be_replaced};

	size = 4;
	begun_at = 3;
	by_run = 2;
	ref = unit_object_of(KIND_ASYNC, 0, 0);
	begin(&first);
	cr_assert_eq(asyncring_set(&ref, &first.head), 0);
	step_each(&step, prepare_both, check_replaced);
	unit_close(ref);
}
