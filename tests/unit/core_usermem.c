#include "unit.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "badmem.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "sys/raw.h"

static void setup(void)
{
	tk_setup();
	badmem_map();
}

static void teardown(void)
{
	badmem_unmap();
	tk_teardown();
}

TestSuite(core_usermem, .init = setup, .fini = teardown, .timeout = 20);

enum { PAGE = 1 << USERMEM_PAGE_BITS };

static char *map_pages(size_t pages, int prot)
{
	char *map = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(map, MAP_FAILED);
	return map;
}

/* System calls made for pages since the last time. */
static uint64_t asked(void)
{
	stats_on = true;
	return atomic_exchange(&stats[STATS_SYSCALLS], 0);
}

Test(core_usermem, good_memory_can_be_loaded_and_stored)
{
	static char data[3 * PAGE];
	static const char constant[] = "constant";
	char stack[16], *heap = malloc(100);

	cr_expect(usermem_loadable(data, sizeof(data)));
	cr_expect(usermem_storable(data, sizeof(data)));
	cr_expect(usermem_storable(stack, sizeof(stack)));
	cr_expect(usermem_storable(heap, 100));
	cr_expect(usermem_loadable(constant, sizeof(constant)));
	free(heap);
}

/* What the kernel's own eventfd finds there. */
static bool kernel_loads(const void *address)
{
	int fd = raw_eventfd(0, EFD_NONBLOCK);
	long ret = raw_write(fd, address, 8);

	raw_close(fd);
	return ret != -EFAULT;
}

static bool kernel_stores(void *address)
{
	int fd = raw_eventfd(1, EFD_NONBLOCK);
	long ret = raw_read(fd, address, 8);

	raw_close(fd);
	return ret != -EFAULT;
}

Test(core_usermem, it_agrees_with_the_kernel_about_bad_memory)
{
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < badmem_count; i++) {
			void *at = badmem[i].addr;

			cr_expect_not(usermem_storable(at, 8), "%s", badmem[i].what);
			cr_expect_not(kernel_stores(at), "%s", badmem[i].what);
			cr_expect_eq(
				usermem_loadable(at, 8), kernel_loads(at), "%s", badmem[i].what);
		}
	}
}

Test(core_usermem, nothing_can_be_done_anywhere)
{
	for (size_t i = 0; i < badmem_count; i++) {
		cr_expect(usermem_loadable(badmem[i].addr, 0), "%s", badmem[i].what);
		cr_expect(usermem_storable(badmem[i].addr, 0), "%s", badmem[i].what);
	}
}

Test(core_usermem, an_end_beyond_all_addresses_is_refused)
{
	cr_expect_not(usermem_loadable(badmem_null(), SIZE_MAX));
	cr_expect_not(usermem_storable(&badmem, SIZE_MAX));
	cr_expect_not(usermem_loadable((void *)-16, 32));
}

Test(core_usermem, every_page_of_a_range_counts)
{
	char *map = map_pages(5, PROT_READ | PROT_WRITE);

	for (int bad = 0; bad < 5; bad++) {
		cr_assert_eq(mprotect(map + bad * PAGE, PAGE, PROT_READ), 0);
		usermem_forget();
		cr_expect_not(usermem_storable(map, 5 * PAGE));
		cr_expect(usermem_loadable(map, 5 * PAGE));
		cr_expect(usermem_storable(map, (size_t)bad * PAGE));
		cr_assert_eq(mprotect(map + bad * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	}
	munmap(map, 5 * PAGE);
}

Test(core_usermem, a_page_is_asked_about_once)
{
	char *map = map_pages(1, PROT_READ | PROT_WRITE);

	asked();
	cr_expect(usermem_storable(map, 8));
	cr_expect_eq(asked(), 1);
	for (size_t at = 0; at <= PAGE - 8; at += 8)
		cr_expect(usermem_storable(map + at, 8));
	cr_expect_eq(asked(), 0);
	munmap(map, PAGE);
}

Test(core_usermem, leave_to_load_is_none_to_store)
{
	char *map = map_pages(1, PROT_READ);

	cr_expect(usermem_loadable(map, 8));
	cr_expect_not(usermem_storable(map, 8));
	asked();
	cr_expect(usermem_loadable(map, 8));
	cr_expect_eq(asked(), 0);
	munmap(map, PAGE);
}

Test(core_usermem, a_page_keeps_both_leaves)
{
	char *map = map_pages(1, PROT_READ | PROT_WRITE);

	cr_expect(usermem_loadable(map, 8));
	cr_expect(usermem_storable(map, 8));
	asked();
	cr_expect(usermem_loadable(map, 8));
	cr_expect(usermem_storable(map, 8));
	cr_expect_eq(asked(), 0);
	munmap(map, PAGE);
}

Test(core_usermem, a_range_over_two_known_pages_needs_no_system_call)
{
	char *map = map_pages(2, PROT_READ | PROT_WRITE);

	cr_expect(usermem_storable(map, 2 * PAGE));
	asked();
	cr_expect(usermem_storable(map + PAGE - 3, 8));
	cr_expect_eq(asked(), 0);
	munmap(map, 2 * PAGE);
}

Test(core_usermem, as_many_pages_are_remembered_as_there_is_room_for)
{
	char *map = map_pages(2 * USERMEM_REMEMBERED, PROT_READ | PROT_WRITE);

	cr_expect(usermem_storable(map, USERMEM_REMEMBERED * PAGE));
	asked();
	cr_expect(usermem_storable(map, USERMEM_REMEMBERED * PAGE));
	cr_expect_eq(asked(), 0);
	cr_expect(usermem_storable(map, 2 * USERMEM_REMEMBERED * PAGE));
	cr_expect_eq(asked(), USERMEM_REMEMBERED);
	munmap(map, 2 * USERMEM_REMEMBERED * PAGE);
}

Test(core_usermem, two_pages_that_share_a_place_do_not_drive_each_other_out)
{
	char *map = map_pages(USERMEM_REMEMBERED + 1, PROT_READ | PROT_WRITE);
	char *other = map + (size_t)USERMEM_REMEMBERED * PAGE;

	usermem_forget();
	cr_assert(usermem_storable(map, 8) && usermem_storable(other, 8));
	asked();
	for (int i = 0; i < 10; i++)
		cr_assert(usermem_storable(map, 8) && usermem_storable(other, 8));
	cr_expect_eq(asked(), 0);
	munmap(map, (USERMEM_REMEMBERED + 1) * PAGE);
}

Test(core_usermem, nor_do_neighbours)
{
	char *map = map_pages(4, PROT_READ | PROT_WRITE);

	for (int first = 0; first < 3; first++) {
		char *page = map + first * PAGE;

		usermem_forget();
		cr_assert(usermem_storable(page, 8) && usermem_storable(page + PAGE, 8));
		asked();
		for (int i = 0; i < 10; i++)
			cr_assert(usermem_storable(page, 8) && usermem_storable(page + PAGE, 8));
		cr_expect_eq(asked(), 0);
	}
	munmap(map, 4 * PAGE);
}

Test(core_usermem, a_page_that_takes_anothers_place_has_its_own_leave)
{
	char *map = map_pages(USERMEM_REMEMBERED + 1, PROT_READ | PROT_WRITE);
	char *last = map + USERMEM_REMEMBERED * PAGE;

	cr_assert_eq(mprotect(last, PAGE, PROT_READ), 0);
	cr_expect(usermem_storable(map, 8));
	cr_expect(usermem_loadable(last, 8));
	cr_expect_not(usermem_storable(last, 8));
	cr_expect(usermem_storable(map, 8));
	munmap(map, (USERMEM_REMEMBERED + 1) * PAGE);
}

Test(core_usermem, changed_mappings_are_noticed)
{
	char *map = map_pages(1, PROT_READ | PROT_WRITE);

	cr_expect(usermem_storable(map, 8));
	cr_assert_eq(mprotect(map, PAGE, PROT_READ), 0);
	usermem_forget();
	cr_expect_not(usermem_storable(map, 8));
	cr_expect(usermem_loadable(map, 8));
	cr_assert_eq(mprotect(map, PAGE, PROT_NONE), 0);
	usermem_forget();
	cr_expect_not(usermem_loadable(map, 8));
	cr_assert_eq(mprotect(map, PAGE, PROT_READ | PROT_WRITE), 0);
	usermem_forget();
	cr_expect(usermem_storable(map, 8));
	munmap(map, PAGE);
	usermem_forget();
	cr_expect_not(usermem_loadable(map, 8));
}

struct gone {
	pthread_barrier_t known, forgotten;
	char *map;
	bool still_good;
};

static void *ask_twice(void *arg)
{
	struct gone *gone = arg;

	usermem_storable(gone->map, 8);
	pthread_barrier_wait(&gone->known);
	pthread_barrier_wait(&gone->forgotten);
	gone->still_good = usermem_storable(gone->map, 8);
	return NULL;
}

Test(core_usermem, mappings_changed_by_one_thread_are_noticed_by_another)
{
	struct gone gone = {.map = map_pages(1, PROT_READ | PROT_WRITE)};
	pthread_t thread;

	pthread_barrier_init(&gone.known, NULL, 2);
	pthread_barrier_init(&gone.forgotten, NULL, 2);
	pthread_create(&thread, NULL, ask_twice, &gone);
	pthread_barrier_wait(&gone.known);
	munmap(gone.map, PAGE);
	usermem_forget();
	pthread_barrier_wait(&gone.forgotten);
	pthread_join(thread, NULL);
	cr_expect_not(gone.still_good);
}

Test(core_usermem, asking_whether_memory_can_be_stored_to_changes_nothing)
{
	char *map = map_pages(1, PROT_READ | PROT_WRITE);

	memset(map, 0xa5, PAGE);
	cr_expect(usermem_storable(map, PAGE));
	for (int i = 0; i < PAGE; i++)
		cr_assert_eq((unsigned char)map[i], 0xa5);
	munmap(map, PAGE);
}

Test(core_usermem, a_store_stores_all)
{
	char *map = map_pages(2, PROT_READ | PROT_WRITE);
	uint64_t value = 0x1122334455667788, found;

	cr_expect(usermem_store(map + PAGE - 3, &value, 8));
	memcpy(&found, map + PAGE - 3, 8);
	cr_expect_eq(found, value);
	munmap(map, 2 * PAGE);
}

Test(core_usermem, a_store_into_a_bad_page_stores_what_comes_before_it)
{
	char *map = map_pages(2, PROT_READ | PROT_WRITE);

	cr_assert_eq(mprotect(map + PAGE, PAGE, PROT_NONE), 0);
	usermem_forget();
	cr_expect_not(usermem_store(map + PAGE - 3, "abcdefgh", 8));
	cr_expect_arr_eq(map + PAGE - 4, "\0abc", 4);
	munmap(map, 2 * PAGE);
}

Test(core_usermem, a_store_from_a_bad_page_on_stores_nothing)
{
	char *map = map_pages(2, PROT_READ | PROT_WRITE);

	cr_assert_eq(mprotect(map, PAGE, PROT_READ), 0);
	usermem_forget();
	cr_expect_not(usermem_store(map + PAGE - 3, "abcdefgh", 8));
	cr_expect_arr_eq(map + PAGE - 3, "\0\0\0\0\0\0\0\0", 8);
	munmap(map, 2 * PAGE);
}

/* The kernel keeps a megabyte free below a stack. */
Test(core_usermem, the_stack_may_grow_for_a_store)
{
	enum { BELOW = 1000 };
	char *map = map_pages(BELOW + 1, PROT_NONE), *stack = map + BELOW * PAGE;

	cr_assert_eq(munmap(map, (BELOW + 1) * PAGE), 0);
	cr_assert_eq(mmap(stack, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0),
		stack);
	cr_expect(usermem_storable(stack - 8, 8));
	cr_expect(usermem_loadable(stack - 2 * PAGE, 8));
	munmap(map, (BELOW + 1) * PAGE);
}

Test(core_usermem, only_the_programs_addresses_are_in_range)
{
	cr_expect(usermem_in_range(badmem_null(), 8));
	cr_expect(usermem_in_range(badmem_unmapped(), 8));
	cr_expect(usermem_in_range((void *)0x7fffffffe000, 0x1000));
	cr_expect_not(usermem_in_range((void *)-8, 8));
	cr_expect_not(usermem_in_range((void *)0xffff800000000000, 8));
	cr_expect_not(usermem_in_range((void *)0x8000000000000000, 8));
	cr_expect_not(usermem_in_range((void *)16, SIZE_MAX));
}

Test(core_usermem, asking_leaves_errno_alone)
{
	errno = 4321;
	usermem_storable(badmem_unmapped(), 8);
	usermem_loadable(badmem_null(), 8);
	usermem_in_range((void *)-8, 8);
	cr_expect_eq(errno, 4321);
}
