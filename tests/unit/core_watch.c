#include "unit.h"

#include <pthread.h>

#include "core/watch.h"
#include "step.h"

/* A number that is noted as the library's own. */
enum { CLASS_FD = 900 };

static struct slot *slots[2];

static void setup(void)
{
	unit_setup();
	unit_open_store();
	cr_assert_eq(slotpool_open(), 0);
	cr_assert_eq(watch_open(), 0);
	cr_assert(fdtable_set_internal(CLASS_FD));
	for (int i = 0; i < 2; i++) {
		int err = 0;

		uint32_t index = slotpool_take(&err);

		cr_assert(index);
		slotpool_fill(index, 0, KIND_COUNTER);
		slots[i] = slotpool_slot(index);
	}
}

TestSuite(core_watch, .init = setup, .fini = unit_teardown, .timeout = 20);
TestSuite(core_watch_unopened, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

static struct watch watch_on(uint64_t set, int fd)
{
	return (struct watch){
		.set = set,
		.data = 0x1234567890abcdef,
		.slot = (uint32_t)(slots[0] - slotpool_slots),
		.generation = 2,
		.events = EPOLLIN | EPOLLOUT | EPOLLET,
		.fd = fd,
		.class_fd = CLASS_FD,
	};
}

static uint64_t add(struct slot *slot, uint64_t set, int fd)
{
	struct watch watch = watch_on(set, fd);
	uint64_t cookie = 0;

	watch.slot = (uint32_t)(slot - slotpool_slots);
	cr_assert_eq(watch_add(slot, &watch, &cookie), 0);
	cr_assert_neq(cookie, 0);
	return cookie;
}

static bool same(const struct watch *a, const struct watch *b)
{
	return a->set == b->set && a->data == b->data && a->slot == b->slot &&
	       a->generation == b->generation && a->events == b->events && a->fd == b->fd &&
	       a->class_fd == b->class_fd;
}

static enum watch_lookup look_up(uint64_t cookie)
{
	struct watch watch;

	return watch_of(cookie, &watch);
}

Test(core_watch_unopened, there_is_none)
{
	cr_expect_not(watch_any());
}

Test(core_watch, there_is_one_from_the_first_on)
{
	cr_expect_not(watch_any());
	watch_remove(add(slots[0], 1, 3));
	cr_expect(watch_any());
}

Test(core_watch, a_cookie_leads_to_its_watch)
{
	struct watch found, expected = watch_on(7, 3);
	uint64_t cookie = add(slots[0], 7, 3);

	cr_expect_eq(watch_of(cookie, &found), WATCH_LIVE);
	cr_expect(same(&found, &expected));
}

Test(core_watch, a_watch_is_found_by_set_and_number)
{
	struct watch found, expected = watch_on(7, 4);
	uint64_t first = add(slots[0], 7, 3);
	uint64_t second = add(slots[0], 7, 4);
	uint64_t third = add(slots[0], 8, 3);

	cr_expect_eq(watch_find(slots[0], 7, 3, &found), first);
	cr_expect_eq(watch_find(slots[0], 8, 3, &found), third);
	cr_expect_eq(watch_find(slots[0], 7, 4, &found), second);
	cr_expect(same(&found, &expected));
	cr_expect_eq(watch_find(slots[0], 8, 4, &found), 0);
	cr_expect_eq(watch_find(slots[0], 9, 3, &found), 0);
}

Test(core_watch, a_watch_is_its_objects_alone)
{
	struct watch found;

	add(slots[0], 7, 3);
	cr_expect_eq(watch_find(slots[1], 7, 3, &found), 0);
}

Test(core_watch, cookies_differ)
{
	enum { MANY = 1000 };
	static uint64_t cookies[MANY];

	for (int i = 0; i < MANY; i++) {
		cookies[i] = add(slots[i % 2], 7, i);
		for (int k = 0; k < i; k++)
			cr_assert_neq(cookies[i], cookies[k]);
	}
	for (int i = 0; i < MANY; i++) {
		struct watch found;

		cr_assert_eq(watch_of(cookies[i], &found), WATCH_LIVE);
		cr_assert_eq(found.fd, i);
	}
}

Test(core_watch, a_removed_one_is_dead_and_not_found)
{
	struct watch found;
	uint64_t cookie = add(slots[0], 7, 3);

	watch_remove(cookie);
	cr_expect_eq(look_up(cookie), WATCH_DEAD);
	cr_expect_eq(watch_find(slots[0], 7, 3, &found), 0);
	watch_remove(cookie);
	cr_expect_eq(look_up(cookie), WATCH_DEAD);
}

Test(core_watch, a_dead_cookie_stays_dead_when_its_record_is_used_again)
{
	uint64_t cookies[100];

	for (int i = 0; i < 100; i++) {
		cookies[i] = add(slots[0], 7, 3);
		for (int k = 0; k < i; k++)
			cr_assert_eq(look_up(cookies[k]), WATCH_DEAD);
		cr_assert_eq(look_up(cookies[i]), WATCH_LIVE);
		watch_remove(cookies[i]);
	}
}

Test(core_watch, removing_a_dead_cookie_leaves_the_records_next_watch_alone)
{
	uint64_t dead = add(slots[0], 7, 3), live;

	watch_remove(dead);
	live = add(slots[0], 7, 4);
	watch_remove(dead);
	cr_expect_eq(look_up(live), WATCH_LIVE);
}

/* Records are 128 bytes of shared memory: an object must not use up ever more of them. */
Test(core_watch, records_of_an_object_are_used_again)
{
	struct stat before, after;

	watch_remove(add(slots[0], 7, 3));
	cr_assert_eq(stat(unit_path("watches"), &before), 0);
	for (int i = 0; i < 5000; i++)
		watch_remove(add(slots[0], 7, i));
	cr_assert_eq(stat(unit_path("watches"), &after), 0);
	cr_expect_eq(after.st_size, before.st_size);
}

Test(core_watch, what_is_no_cookie_is_the_users_own)
{
	uint64_t cookie = add(slots[0], 7, 3);
	const uint64_t data[] = {
		0, 1, 3, UINT64_MAX, 0xffffffff, cookie ^ 1ull << 63, cookie >> 32, cookie << 32};

	for (size_t i = 0; i < sizeof(data) / sizeof(*data); i++)
		cr_expect_eq(look_up(data[i]), WATCH_NONE, "%lx", data[i]);
}

Test(core_watch, a_dead_objects_watches_are_all_dead)
{
	struct watch found;
	uint64_t cookies[10], other = add(slots[1], 7, 3);

	for (int i = 0; i < 10; i++)
		cookies[i] = add(slots[0], 7, i);
	watch_forget_all(slots[0]);
	for (int i = 0; i < 10; i++) {
		cr_expect_eq(look_up(cookies[i]), WATCH_DEAD);
		cr_expect_eq(watch_find(slots[0], 7, i, &found), 0);
	}
	cr_expect_eq(look_up(other), WATCH_LIVE);
	watch_forget_all(slots[0]);
}

Test(core_watch, a_dead_objects_records_serve_others)
{
	struct stat before, after;
	uint64_t cookie = 0;

	add(slots[0], 7, 3);
	cr_assert_eq(stat(unit_path("watches"), &before), 0);
	for (int i = 0; i < 5000; i++) {
		struct slot *slot = slots[i % 2];

		cr_assert_neq(look_up(cookie), WATCH_LIVE);
		cookie = add(slot, 7, i);
		add(slot, 8, i);
		watch_forget_all(slot);
	}
	cr_assert_eq(stat(unit_path("watches"), &after), 0);
	cr_expect_eq(after.st_size, before.st_size);
}

static int add_and_find(void *arg)
{
	struct watch found, mine = watch_on(9, 5);
	uint64_t cookie, *theirs = arg;

	if (watch_of(theirs[0], &found) != WATCH_LIVE || found.fd != 3)
		return 1;
	watch_remove(theirs[0]);
	if (watch_add(slots[0], &mine, &cookie))
		return 2;
	theirs[1] = cookie;
	return 0;
}

Test(core_watch, forked_children_share_watches)
{
	uint64_t *shared = unit_shared(4096);
	struct watch found;

	shared[0] = add(slots[0], 7, 3);
	cr_assert_eq(unit_wait(unit_fork(add_and_find, shared)), 0);
	cr_expect_eq(look_up(shared[0]), WATCH_DEAD);
	cr_expect_eq(watch_find(slots[0], 9, 5, &found), shared[1]);
}

enum { THREADS = 4, ROUNDS = 5000 };

static void *churn(void *arg)
{
	int fd = (int)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct watch mine = watch_on(7, fd), found;
		uint64_t cookie;

		mine.data = (uint64_t)i;
		if (watch_add(slots[0], &mine, &cookie) ||
			watch_find(slots[0], 7, fd, &found) != cookie || !same(&found, &mine))
			return arg;
		watch_remove(cookie);
		if (watch_of(cookie, &found) == WATCH_LIVE)
			return arg;
	}
	return NULL;
}

Test(core_watch, threads_find_their_own)
{
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		cr_expect_null(failed);
	}
}

/* One operation within another, at every instruction. */
static uint64_t standing, outer, inner;

static void prepare(void *arg)
{
	(void)arg;
	watch_forget_all(slots[0]);
	standing = add(slots[0], 7, 1);
	watch_remove(add(slots[0], 7, 2)); /* a dead record to be claimed */
	inner = 0;
}

static void add_outer(void *arg)
{
	(void)arg;
	outer = add(slots[0], 7, 3);
}

static void add_inner(void *arg)
{
	(void)arg;
	inner = add(slots[0], 7, 4);
}

static void add_and_remove(void *arg)
{
	add_inner(arg);
	watch_remove(inner);
}

static void check_added(void *arg)
{
	struct watch found;

	(void)arg;
	cr_assert_eq(watch_find(slots[0], 7, 3, &found), outer);
	cr_assert_neq(inner, outer);
	cr_assert_eq(look_up(standing), WATCH_LIVE);
	if (look_up(inner) == WATCH_LIVE)
		cr_assert_eq(watch_find(slots[0], 7, 4, &found), inner);
}

static void meet(void (*run)(void *), void (*intrude)(void *))
{
	struct step step = {.run = run, .intrude = intrude};

	step_each(&step, prepare, check_added);
}

Test(core_watch, an_addition_within_an_addition)
{
	meet(add_outer, add_inner);
}

Test(core_watch, an_addition_and_a_removal_within_an_addition)
{
	meet(add_outer, add_and_remove);
}

static void find_standing(void *arg)
{
	struct watch found;

	(void)arg;
	cr_assert_eq(watch_find(slots[0], 7, 1, &found), standing);
	cr_assert_eq(found.fd, 1);
	outer = add(slots[0], 7, 3);
}

Test(core_watch, an_addition_and_a_removal_within_a_search)
{
	meet(find_standing, add_and_remove);
}
