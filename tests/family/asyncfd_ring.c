/* The ring: order, wrap-around, fullness, and what may stand in it. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "asynckit.h"
#include "testkit.h"

#include <limits.h>

TestSuite(asyncfd_ring, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static const uint32_t sizes[] = {2, 3, 4, 5, 7, 8, 64, 127, 128, 129, 1000, 4096, 65536};

static void each_size(void (*check)(struct ring *r, int size))
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct ring r = ring_open(sizes[i], 0);
		check(&r, (int)sizes[i]);
		ring_close(&r);
	}
}

static void one_by_one(struct ring *r, int size)
{
	for (int i = 0; i < 2 * size + 3; i++) {
		ring_add(r, 1);
		cr_expect(r->head->ikernel == (uint32_t)(i + 1) % (uint32_t)size);
		ring_expect(r, 1);
	}
	ring_expect_empty(r);
}

Test(asyncfd_ring, one_by_one_round_and_round)
{
	for (uint32_t size = 2; size < 70; size++) {
		struct ring r = ring_open(size, 0);
		one_by_one(&r, (int)size);
		ring_close(&r);
	}
}

/* Full with size - 1: one place stays free. */
static void filled_at_once(struct ring *r, int size)
{
	for (int round = 0; round < 5; round++) {
		cr_assert_eq(ring_offer(r, size + 3), size - 1);
		cr_assert_eq(ring_offer(r, 1), 0);
		cr_assert_neq(r->head->ikernel, r->head->iuser);
		ring_expect(r, size - 1);
		ring_expect_empty(r);
	}
}

Test(asyncfd_ring, filled_at_once)
{
	each_size(filled_at_once);
}

static void filled_by_parts(struct ring *r, int size)
{
	int part = size / 3 + 1, room = size - 1;
	while (room) {
		int want = part < room ? part : room;
		cr_assert_eq(ring_offer(r, part), want);
		room -= want;
	}
	cr_assert_eq(ring_offer(r, part), 0);
	ring_expect(r, 1);
	cr_assert_eq(ring_offer(r, part + 1), 1);
	ring_expect(r, size - 1);
	ring_expect_empty(r);
}

Test(asyncfd_ring, filled_by_parts)
{
	each_size(filled_by_parts);
}

Test(asyncfd_ring, random_amounts)
{
	uint64_t seed = 7;
	for (size_t i = 0; i < ARRAY_LEN(sizes) - 2; i++) {
		unsigned size = sizes[i];
		struct ring r = ring_open(size, 0);
		int inside = 0;
		for (int step = 0; step < 2000; step++) {
			int n = (int)mask_below(&seed, size + 2), room = (int)size - 1 - inside;
			int stored = ring_offer(&r, n);
			if (stored != (n < room ? n : room))
				cr_assert_fail(
					"size %u: %d of %d stored, room %d", size, stored, n, room);
			inside += stored;
			n = (int)mask_below(&seed, (unsigned)inside + 1);
			ring_expect(&r, n);
			inside -= n;
		}
		ring_expect(&r, inside);
		ring_expect_empty(&r);
		ring_close(&r);
	}
}

Test(asyncfd_ring, a_ring_that_starts_in_the_middle)
{
	for (uint32_t start = 0; start < 5; start++) {
		struct ring r = ring_open(5, start);
		ring_add(&r, 1);
		cr_assert_eq(r.array[start].cookie, 1);
		cr_assert_eq(ring_offer(&r, 9), 3);
		ring_expect(&r, 4);
		ring_close(&r);
	}
}

Test(asyncfd_ring, a_ring_that_has_something_in_it_at_first)
{
	struct ring r = ring_new(8, 0);
	r.array[0] = ring_result(1);
	r.array[1] = ring_result(2);
	r.head->ikernel = 2;
	r.sent = 2;
	r.fd = ring_try(-1, r.head);
	r.file = ring_get(r.fd);
	cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
	cr_assert_eq(ring_offer(&r, 9), 5);
	ring_expect(&r, 7);
	cr_assert_eq(poll_now(r.fd, POLLIN), 0);
	ring_close(&r);
}

/* The consumer has moved on, but has not cleared the place: it is not stored over. */
Test(asyncfd_ring, a_cookie_that_was_not_cleared_blocks)
{
	struct ring r = ring_open(4, 0);
	ring_add(&r, 3);
	__atomic_store_n(&r.head->iuser, 3, __ATOMIC_RELEASE);
	cr_assert_eq(poll_now(r.fd, POLLIN), 0);
	ring_add(&r, 1);
	cr_assert_eq(ring_offer(&r, 1), 0);
	cr_assert(ring_is_result(&r.array[0], 1));
	__atomic_store_n(&r.array[0].cookie, 0, __ATOMIC_RELEASE);
	cr_assert_eq(ring_offer(&r, 2), 1);
	__atomic_store_n(&r.array[1].cookie, 0, __ATOMIC_RELEASE);
	cr_assert_eq(ring_offer(&r, 2), 1);
	r.taken = 3;
	ring_expect(&r, 3);
	ring_close(&r);
}

/* A cookie in a place that was never used. */
Test(asyncfd_ring, a_cookie_that_stands_ahead_stops_a_batch)
{
	struct ring r = ring_open(8, 0);
	r.array[3].cookie = 4711;
	cr_assert_eq(ring_offer(&r, 7), 3);
	cr_assert_eq(r.head->ikernel, 3);
	cr_assert_eq(ring_offer(&r, 7), 0);
	cr_assert_eq(r.array[3].cookie, 4711);
	ring_expect(&r, 3);
	cr_assert_eq(ring_offer(&r, 1), 0);
	r.array[3].cookie = 0;
	cr_assert_eq(ring_offer(&r, 9), 7);
	ring_expect(&r, 7);
	ring_close(&r);
}

/* iuser moved, cookies cleared: in either order, by the consumer's own plain stores. */
Test(asyncfd_ring, a_consumer_that_takes_many_and_moves_once)
{
	struct ring r = ring_open(8, 0);
	for (int round = 0; round < 20; round++) {
		ring_add(&r, 5);
		uint32_t at = r.head->iuser;
		for (uint32_t i = 0; i < 5; i++) {
			struct asyncfd_result *place = &r.array[(at + i) % 8];
			cr_assert(ring_is_result(place, ++r.taken));
			place->cookie = 0;
		}
		cr_assert_eq(ring_offer(&r, 9), 2);
		__atomic_store_n(&r.head->iuser, (at + 5) % 8, __ATOMIC_RELEASE);
		ring_expect(&r, 2);
		cr_assert_eq(poll_now(r.fd, POLLIN), 0);
	}
	ring_close(&r);
}

/* The fields are carried as they are, whatever they say. */
Test(asyncfd_ring, values_are_the_producers)
{
	static const struct asyncfd_result values[] = {
		{1, 0, 0, 0},
		{UINT64_MAX, UINT64_MAX, INT64_MIN, INT64_MAX},
		{UINT64_C(1) << 63, 1, -EIO, -1},
		{UINT64_C(1) << 32, 0xffffffff, INT64_MAX, INT64_MIN},
	};
	struct ring r = ring_open(5, 2);
	struct asyncfd_result got;
	cr_assert_eq(ring_put(r.file, values, 4), 4);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(asyncfd_take_result(r.head, &got), 1);
		cr_assert_eq(memcmp(&got, &values[i], sizeof(got)), 0);
	}
	cr_assert_eq(asyncfd_take_result(r.head, &got), 0);
	ring_close(&r);
}

Test(asyncfd_ring, two_asyncfds_do_not_mix)
{
	struct ring a = ring_open(4, 0), b = ring_open(8, 5);
	ring_add(&a, 2);
	cr_assert_eq(poll_now(b.fd, POLLIN), 0);
	ring_add(&b, 6);
	ring_expect(&a, 2);
	cr_assert_eq(poll_now(a.fd, POLLIN), 0);
	cr_assert_eq(poll_now(b.fd, POLLIN), POLLIN);
	ring_expect(&b, 6);
	ring_close(&a);
	ring_close(&b);
}

/* The head and the array are as before when the fd is gone, and may be used anew. */
Test(asyncfd_ring, the_memory_serves_again)
{
	struct ring r = ring_open(4, 1);
	for (int i = 0; i < 100; i++) {
		ring_add(&r, 2);
		efd_fput(r.file);
		close(r.fd);
		r.fd = ring_try(-1, r.head);
		cr_assert(r.fd >= 0);
		r.file = ring_get(r.fd);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
		ring_expect(&r, 2);
	}
	ring_close(&r);
}

Test(asyncfd_ring, many_asyncfds)
{
	enum { MANY = 200 };
	static struct ring r[MANY];
	for (int i = 0; i < MANY; i++)
		r[i] = ring_open(2 + (uint32_t)i, 0);
	for (int i = 0; i < MANY; i++)
		ring_add(&r[i], 1 + i);
	for (int i = 0; i < MANY; i++)
		ring_expect(&r[i], 1 + i);
	for (int i = 0; i < MANY; i++)
		ring_close(&r[i]);
}
