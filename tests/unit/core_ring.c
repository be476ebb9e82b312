/* The ring as a state machine: what its steps do in any order, and what it makes of heads that are
 * not sound. */
#include "unit.h"

#include "core/ring.h"

TestSuite(core_ring, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { MOST = 64 };

static struct asyncfd_uring head;
static struct asyncfd_result places[MOST];
static struct ring ring;

static void look(void)
{
	cr_assert_eq(ring_look(&head, &ring), 0);
}

static void begin_at(uint32_t size, uint32_t at)
{
	memset(places, 0, sizeof(places));
	head = (struct asyncfd_uring){
		.ptr = (uintptr_t)places, .size = size, .iuser = at, .ikernel = at};
	cr_assert_eq(ring_check(&head), 0);
	ring_start(&head);
	look();
}

static struct asyncfd_result result(uint64_t cookie)
{
	return (struct asyncfd_result){cookie, ~cookie, (int64_t)cookie, -1};
}

static void write_one(uint32_t at, uint64_t cookie)
{
	struct asyncfd_result one = result(cookie);

	ring_write(&ring, at, &one, 1);
}

static int add_one(uint64_t cookie)
{
	struct asyncfd_result one = result(cookie);

	return ring_add(&ring, &one, 1);
}

static void take(uint64_t cookie)
{
	struct asyncfd_result taken, wanted = result(cookie);

	cr_assert_eq(asyncfd_take_result(&head, &taken), 1);
	cr_assert_eq(memcmp(&taken, &wanted, sizeof(taken)), 0, "%ju, not %ju",
		(uintmax_t)taken.cookie, (uintmax_t)cookie);
}

static void expect_empty(void)
{
	struct asyncfd_result taken;

	cr_assert_eq(asyncfd_take_result(&head, &taken), 0);
	cr_assert(!ring_holds(&ring));
}

Test(core_ring, it_holds_one_less_than_its_size)
{
	for (uint32_t size = 2; size <= MOST; size++) {
		for (uint32_t at = 0; at < size; at++) {
			begin_at(size, at);
			expect_empty();
			for (uint32_t i = 1; i < size; i++)
				cr_assert_eq(add_one(i), 1);
			cr_assert_eq(add_one(99), 0);
			cr_assert(ring_holds(&ring));
			for (uint32_t i = 1; i < size; i++)
				take(i);
			expect_empty();
		}
	}
}

Test(core_ring, results_show_in_the_order_of_their_places)
{
	uint32_t first, second, third;

	begin_at(8, 6);
	cr_assert_eq(ring_reserve(&ring, 2, &first), 2);
	cr_assert_eq(ring_reserve(&ring, 1, &second), 1);
	cr_assert_eq(ring_reserve(&ring, 9, &third), 4);
	write_one(third, 4);
	ring_publish(&ring);
	expect_empty();
	write_one(second, 3);
	ring_publish(&ring);
	expect_empty();
	write_one(first, 1);
	ring_publish(&ring);
	take(1);
	expect_empty();
	write_one((first + 1) % 8, 2);
	ring_publish(&ring); /* those of the others, too */
	take(2);
	take(3);
	take(4);
	expect_empty();
}

Test(core_ring, a_place_is_the_consumers_until_its_cookie_is_cleared)
{
	begin_at(2, 0);
	for (uint64_t i = 1; i < 20; i++) {
		uint32_t at = head.iuser;

		cr_assert_eq(add_one(i), 1);
		head.iuser = (at + 1) % 2; /* first, and the cookie later */
		if (i > 1)
			cr_assert(!ring_holds(&ring));
		cr_assert_eq(add_one(i + 1), 1); /* the other place */
		cr_assert_eq(add_one(77), 0);
		places[at].cookie = 0;
		cr_assert_eq(add_one(77), 0); /* the last one free */
		take(i + 1);
	}
}

Test(core_ring, so_are_those_of_several_that_are_cleared_later)
{
	begin_at(4, 0);
	for (uint64_t i = 1; i < 4; i++)
		cr_assert_eq(add_one(i), 1);
	head.iuser = 2;
	cr_assert_eq(add_one(4), 1); /* place 3 */
	cr_assert_eq(add_one(77), 0);
	places[0].cookie = 0;
	cr_assert_eq(add_one(5), 1);
	places[1].cookie = 0;
	cr_assert_eq(add_one(77), 0); /* the last one free */
	for (uint64_t i = 3; i < 6; i++)
		take(i);
	expect_empty();
}

Test(core_ring, an_iuser_about_to_be_wrapped_is_zero)
{
	begin_at(4, 0);
	for (uint64_t i = 1; i < 4; i++)
		cr_assert_eq(add_one(i), 1);
	take(1);
	take(2);
	take(3);
	cr_assert_eq(head.iuser, 3);
	cr_assert_eq(add_one(4), 1);
	places[3].cookie = 0;
	head.iuser = 4;
	cr_assert(!ring_holds(&ring));
	for (uint64_t i = 5; i < 8; i++)
		cr_assert_eq(add_one(i), 1);
	cr_assert_eq(add_one(8), 0);
	head.iuser = 0;
	take(5);
	take(6);
	take(7);
	expect_empty();
}

Test(core_ring, no_iuser_makes_it_give_a_place_twice)
{
	static const uint32_t garbage[] = {0, 1, 5, 7, 8, 9, 1000, UINT32_MAX};

	for (size_t g = 0; g < sizeof(garbage) / sizeof(garbage[0]); g++) {
		int all = 0, count;
		uint32_t first;

		begin_at(8, 3);
		head.iuser = garbage[g];
		while ((count = ring_reserve(&ring, 3, &first)) > 0)
			all += count;
		cr_assert_eq(count, 0);
		cr_assert_leq(all, 7);
	}
}

/* The running number begins anew behind the last lap that fits. */
Test(core_ring, laps_begin_anew)
{
	static const uint32_t sizes[] = {2, 3, 5, 7, 16, 63, 64};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint32_t size = sizes[s];
		uint64_t turn = (1ull << 32) - (1ull << 32) % size;

		begin_at(size, 1 % size);
		head.reserved = (uint32_t)(turn - size + 1 % size);
		for (uint64_t i = 1; i < 5 * size; i++) {
			cr_assert_eq(add_one(i), 1);
			take(i);
		}
		expect_empty();
		cr_assert_lt(head.reserved, 5 * size);
		cr_assert_eq(head.reserved % size, head.ikernel);
	}
}

Test(core_ring, heads_that_are_not_sound)
{
	struct asyncfd_result one = result(1);

	begin_at(3, 0);
	head.reserved = UINT32_MAX; /* 3 laps of it do not fit */
	cr_assert_eq(ring_add(&ring, &one, 1), -EFAULT);
	begin_at(3, 0);
	head.ikernel = 3;
	cr_assert_eq(ring_look(&head, &ring), EFAULT);
	cr_assert_eq(ring_add(&ring, &one, 1), -EFAULT);
	cr_assert_eq(ring_check(&head), EINVAL);
	begin_at(3, 0);
	head.ptr = 0;
	cr_assert_eq(ring_look(&head, &ring), EFAULT);
	cr_assert_eq(ring_check(&head), EFAULT);
	head.ptr = (uintptr_t)places + 1;
	cr_assert_eq(ring_check(&head), EINVAL);
	head.ptr = UINT64_MAX - 7;
	cr_assert_eq(ring_check(&head), EFAULT);
	head.ptr = (uintptr_t)places;
	head.size = 1;
	cr_assert_eq(ring_look(&head, &ring), EFAULT);
	cr_assert_eq(ring_check(&head), EINVAL);
	head.size = UINT32_MAX;
	cr_assert_eq(ring_check(&head), EFAULT);
	cr_assert_eq(ring_look(NULL, &ring), EFAULT);
}

Test(core_ring, a_cookie_that_became_0_does_not_stop_the_ring)
{
	uint32_t first;

	begin_at(4, 0);
	cr_assert_eq(ring_reserve(&ring, 1, &first), 1);
	write_one(first, 0);
	ring_publish(&ring);
	cr_assert_eq(places[first].cookie, 1);
	cr_assert(ring_holds(&ring));
}

Test(core_ring, places_of_producers_that_are_gone_are_free_again)
{
	uint32_t first;

	begin_at(8, 5);
	cr_assert_eq(add_one(1), 1);
	cr_assert_eq(ring_reserve(&ring, 3, &first), 3);
	write_one((first + 1) % 8, 2);
	ring_abandon(&ring);
	for (uint64_t i = 2; i < 8; i++)
		cr_assert_eq(add_one(i), 1);
	cr_assert_eq(add_one(8), 0);
	for (uint64_t i = 1; i < 8; i++)
		take(i);
	expect_empty();
}
