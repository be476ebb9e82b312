#include "unit.h"

#include <limits.h>
#include <pthread.h>

#include "core/fdtable.h"
#include "core/local.h"

static void setup(void)
{
	unit_setup();
	cr_assert_eq(fdtable_init(), 0);
}

TestSuite(core_fdtable, .init = setup, .fini = unit_teardown, .timeout = 20);
TestSuite(core_fdtable_unmade, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

enum {
	NUMBER = 700, /* not open */
	SLOT_MAX = SLOTS_MAX - 1,
	GENERATION_MAX = 0xffffff,
};

static bool decode(int fd, struct fdref *ref)
{
	return fdtable_decode(fd, fdtable_entry(fd), ref);
}

static struct fdref object(int fd, uint32_t slot, uint32_t generation)
{
	struct fdref ref;

	cr_assert(fdtable_set_object(fd, slot, generation));
	cr_assert(decode(fd, &ref));
	return ref;
}

Test(core_fdtable_unmade, every_number_is_foreign)
{
	static const int numbers[] = {INT_MIN, -1, 0, 1, 1000, FDTABLE_SIZE, INT_MAX};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		cr_expect(fdtable_foreign(numbers[i]));
		cr_expect_eq(fdtable_kind(numbers[i]), FD_FOREIGN);
		cr_expect_eq(fdtable_epoll_id(numbers[i]), 0);
		fdtable_drop(numbers[i]);
	}
	cr_expect_not(fdtable_used());
	cr_expect_eq(fdtable_top(), 0);
}

Test(core_fdtable_unmade, the_first_entry_makes_it)
{
	cr_expect_not(fdtable_set_epoll(FDTABLE_SIZE, 7));
	cr_expect_eq(fdtable_size, 0);
	cr_expect(fdtable_set_epoll(3, 7));
	cr_expect_eq(fdtable_epoll_id(3), 7);
	cr_expect_eq(fdtable_size, FDTABLE_SIZE);
}

Test(core_fdtable_unmade, what_is_dropped_does_not)
{
	fdtable_drop(3);
	cr_expect_eq(fdtable_size, 0);
}

Test(core_fdtable_unmade, a_fork_changes_nothing)
{
	fdtable_forked();
	cr_expect_not(fdtable_used());
}

static void *init_and_note(void *arg)
{
	int fd = *(int *)arg;

	if (fdtable_init() || !fdtable_set_object(fd, 1, 1))
		return arg;
	return NULL;
}

Test(core_fdtable_unmade, threads_may_make_it_at_once)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	int fds[THREADS];
	void *failed;

	for (int i = 0; i < THREADS; i++) {
		fds[i] = NUMBER + i;
		cr_assert_eq(pthread_create(&threads[i], NULL, init_and_note, &fds[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		cr_expect_null(failed);
		cr_expect_eq(fdtable_kind(fds[i]), FD_OBJECT);
	}
}

Test(core_fdtable, making_it_again_keeps_what_is_known)
{
	object(NUMBER, 1, 1);
	cr_assert_eq(fdtable_init(), 0);
	cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
}

Test(core_fdtable, an_object_is_found_by_its_number)
{
	static const struct {
		uint32_t slot, generation;
	} cases[] = {
		{1, 0}, {1, 1}, {7, GENERATION_MAX}, {SLOT_MAX, 0}, {SLOT_MAX, GENERATION_MAX}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fdref ref = object(NUMBER, cases[i].slot, cases[i].generation);

		cr_expect_eq(ref.fd, NUMBER);
		cr_expect_eq(ref.slot, cases[i].slot);
		cr_expect_eq(ref.generation, cases[i].generation);
		cr_expect_eq(fdtable_kind(NUMBER), FD_OBJECT);
		cr_expect_not(fdtable_foreign(NUMBER));
		cr_expect_eq(fdtable_epoll_id(NUMBER), 0);
	}
}

Test(core_fdtable, an_internal_number_is_no_object)
{
	struct fdref ref;

	cr_assert(fdtable_set_internal(NUMBER));
	cr_expect_eq(fdtable_kind(NUMBER), FD_INTERNAL);
	cr_expect_not(decode(NUMBER, &ref));
	cr_expect_not(fdtable_foreign(NUMBER));
	cr_expect_eq(fdtable_epoll_id(NUMBER), 0);
}

Test(core_fdtable, an_epoll_set_keeps_its_number)
{
	static const uint64_t ids[] = {1, 0x3fffffull << 16 | 0xffff, 0x123456789a & 0x3fffffffff};
	struct fdref ref;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		cr_assert(fdtable_set_epoll(NUMBER, ids[i]));
		cr_expect_eq(fdtable_kind(NUMBER), FD_SET);
		cr_expect_eq(fdtable_epoll_id(NUMBER), ids[i], "%lx", fdtable_epoll_id(NUMBER));
		cr_expect_not(decode(NUMBER, &ref));
	}
}

Test(core_fdtable, an_fdinfo_file_keeps_its_slot)
{
	struct fdref ref;

	cr_assert(fdtable_set_info(NUMBER, SLOT_MAX));
	cr_expect_eq(fdtable_kind(NUMBER), FD_INFO);
	cr_expect_eq(fdtable_info_slot(NUMBER), SLOT_MAX);
	cr_expect_eq(fdtable_epoll_id(NUMBER), 0);
	cr_expect_not(decode(NUMBER, &ref));
	object(NUMBER, 1, 1);
	cr_expect_eq(fdtable_info_slot(NUMBER), -1);
}

Test(core_fdtable, a_dropped_number_is_foreign)
{
	object(NUMBER, 5, 5);
	fdtable_drop(NUMBER);
	cr_expect(fdtable_foreign(NUMBER));
	fdtable_drop(NUMBER);
	cr_expect_eq(fdtable_kind(NUMBER), FD_FOREIGN);
}

Test(core_fdtable, numbers_beyond_the_table_are_foreign)
{
	static const int numbers[] = {INT_MIN, -1, FDTABLE_SIZE, FDTABLE_SIZE + 1, INT_MAX};
	uint32_t top = fdtable_top();

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		cr_expect_not(fdtable_set_object(numbers[i], 1, 1));
		cr_expect_not(fdtable_set_internal(numbers[i]));
		cr_expect_not(fdtable_set_epoll(numbers[i], 1));
		fdtable_drop(numbers[i]);
		fdtable_begin_replace(numbers[i]);
		fdtable_end_replace(numbers[i]);
		cr_expect(fdtable_foreign(numbers[i]));
	}
	cr_expect_eq(fdtable_top(), top);
}

Test(core_fdtable, the_last_number_of_the_table_serves)
{
	struct fdref ref = object(FDTABLE_SIZE - 1, 9, 9);

	cr_expect_eq(fdtable_top(), FDTABLE_SIZE);
	cr_assert(fdtable_pin(&ref));
	cr_expect_not(fdtable_unpin(&ref));
	fdtable_drop(FDTABLE_SIZE - 1);
}

Test(core_fdtable, top_rises_and_never_sinks)
{
	cr_expect_not(fdtable_used());
	object(0, 1, 1);
	cr_expect(fdtable_used());
	cr_expect_eq(fdtable_top(), 1);
	object(NUMBER, 1, 1);
	cr_expect_eq(fdtable_top(), NUMBER + 1);
	object(3, 1, 1);
	fdtable_drop(NUMBER);
	cr_expect_eq(fdtable_top(), NUMBER + 1);
	cr_assert(fdtable_set_internal(NUMBER + 10));
	cr_expect_eq(fdtable_top(), NUMBER + 11);
}

Test(core_fdtable, what_was_found_stale_is_dropped_only_while_it_is_there)
{
	struct fdref old = object(NUMBER, 5, 5), next;

	next = object(NUMBER, 5, 6); /* another thread's, since the look */
	cr_expect_not(fdtable_drop_stale(NUMBER, old.entry));
	cr_expect_eq(fdtable_entry(NUMBER), next.entry);
	cr_assert(fdtable_pin(&next));
	cr_expect(fdtable_drop_stale(NUMBER, next.entry), "pins do not count");
	cr_expect(fdtable_foreign(NUMBER));
	cr_expect_not(fdtable_unpin(&next));
	cr_expect_not(fdtable_drop_stale(NUMBER, 0));
}

Test(core_fdtable, an_epoll_set_is_numbered_anew_only_while_it_is_there)
{
	uint64_t entry;

	cr_assert(fdtable_set_epoll(NUMBER, 1));
	entry = fdtable_entry(NUMBER);
	cr_expect(fdtable_change_epoll(NUMBER, entry, 2));
	cr_expect_eq(fdtable_epoll_id(NUMBER), 2);
	cr_expect_not(fdtable_change_epoll(NUMBER, entry, 3));
	cr_expect_not(fdtable_drop_stale(NUMBER, entry));
	cr_expect_eq(fdtable_epoll_id(NUMBER), 2);
	cr_expect_not(fdtable_change_epoll(FDTABLE_SIZE, 0, 3));
}
