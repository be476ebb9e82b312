/* Sizes and shapes of what read, write, readv and writev are given. The running kernel decides:
 * each call is made on its own eventfd too, and must give the same. */
#define _GNU_SOURCE
#include "efd.h"
#include "testkit.h"
#include "twin.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(rw, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { ROOM = 4096 };

static _Alignas(8) unsigned char room[ROOM];

static struct twin open_watching_room(unsigned initval, int flags)
{
	struct twin t = twin_open(initval, flags | EFD_NONBLOCK);
	memset(room, 0xa5, sizeof(room));
	twin_watch(&t, room, sizeof(room));
	return t;
}

static uint64_t value_at(size_t offset)
{
	uint64_t value;
	memcpy(&value, room + offset, sizeof(value));
	return value;
}

static void put_at(size_t offset, uint64_t value)
{
	memcpy(room + offset, &value, sizeof(value));
}

Test(rw, a_read_of_fewer_than_eight_bytes_is_einval_and_takes_nothing)
{
	struct twin t = open_watching_room(5, 0);
	for (size_t len = 0; len < 8; len++)
		cr_assert_eq(twin_read(&t, room, len), -EINVAL, "%zu bytes", len);
	cr_assert_eq(twin_drain(&t), 5);
	twin_close(&t);
}

Test(rw, a_short_read_is_einval_even_where_nothing_is_to_be_read)
{
	struct twin t = open_watching_room(0, 0);
	for (size_t len = 0; len < 8; len++)
		cr_assert_eq(twin_read(&t, room, len), -EINVAL, "%zu bytes", len);
	cr_assert_eq(twin_read(&t, room, 8), -EAGAIN);
	twin_close(&t);
}

Test(rw, a_short_read_and_write_do_not_block)
{
	int fd = efd_open(0, 0);
	uint64_t value = 1;
	cr_assert(read(fd, &value, 4) == -1 && errno == EINVAL);
	efd_add(fd, EFD_LIMIT);
	cr_assert(write(fd, &value, 4) == -1 && errno == EINVAL);
	efd_close(fd);
}

Test(rw, a_long_read_stores_eight_bytes_and_no_more)
{
	static const size_t lens[] = {9, 12, 16, 24, 1024, ROOM};
	struct twin t = open_watching_room(0, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		memset(room, 0xa5, sizeof(room));
		twin_add(&t, 40 + i);
		cr_assert_eq(twin_read(&t, room, lens[i]), 8);
		cr_assert_eq(value_at(0), 40 + i);
		cr_assert_eq(room[8], 0xa5);
		cr_assert_eq(twin_read(&t, room, lens[i]), -EAGAIN);
	}
	twin_close(&t);
}

Test(rw, a_read_of_1024_bytes_drains_as_libuv_does)
{
	struct twin t = open_watching_room(0, 0);
	for (uint64_t round = 1; round < 100; round++) {
		twin_add(&t, round);
		cr_assert_eq(twin_read(&t, room, 1024), 8);
		cr_assert_eq(value_at(0), round);
		cr_assert_eq(twin_read(&t, room, 1024), -EAGAIN);
	}
	twin_close(&t);
}

Test(rw, huge_lengths_answer_as_the_kernel_does)
{
	static const size_t lens[] = {INT_MAX, 1ul << 31, 1ul << 32, (1ul << 32) + 4, 1ul << 40,
		1ul << 46, 1ul << 47, SSIZE_MAX, (size_t)SSIZE_MAX + 1, SIZE_MAX - 8, SIZE_MAX};
	struct twin t = open_watching_room(0, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		twin_add(&t, 3);
		twin_read(&t, room, lens[i]);
		twin_write(&t, room, lens[i]);
		twin_drain(&t);
		twin_watch(&t, room, sizeof(room));
	}
	twin_close(&t);
}

Test(rw, unaligned_buffers_work)
{
	struct twin t = open_watching_room(0, 0);
	for (size_t offset = 0; offset < 16; offset++) {
		memset(room, 0xa5, sizeof(room));
		put_at(offset, 0x0102030405060708 + offset);
		cr_assert_eq(twin_write(&t, room + offset, 8), 8);
		cr_assert_eq(twin_read(&t, room + 100 + offset, 8), 8);
		cr_assert_eq(value_at(100 + offset), 0x0102030405060708 + offset);
	}
	twin_close(&t);
}

Test(rw, a_write_of_fewer_than_eight_bytes_is_einval)
{
	struct twin t = open_watching_room(0, 0);
	put_at(0, 1);
	for (size_t len = 0; len < 8; len++)
		cr_assert_eq(twin_write(&t, room, len), -EINVAL, "%zu bytes", len);
	cr_assert_eq(twin_drain(&t), 0);
	twin_close(&t);
}

Test(rw, a_write_of_more_than_eight_bytes_answers_as_the_kernel_does)
{
	struct twin t = open_watching_room(0, 0);
	put_at(0, 1);
	for (size_t len = 9; len < 40; len++)
		twin_write(&t, room, len);
	twin_write(&t, room, 1024);
	twin_write(&t, room, ROOM);
	twin_close(&t);
}

Test(rw, a_write_of_more_than_eight_bytes_at_the_limit_answers_as_the_kernel_does)
{
	struct twin t = open_watching_room(0, 0);
	twin_add(&t, EFD_LIMIT);
	put_at(0, 1);
	twin_write(&t, room, 16);
	put_at(0, UINT64_MAX);
	twin_write(&t, room, 16);
	cr_assert_eq(twin_drain(&t), EFD_LIMIT);
	twin_close(&t);
}

Test(rw, a_readv_scatters_the_count_over_its_buffers)
{
	struct twin t = open_watching_room(0, 0);
	for (size_t cut = 0; cut <= 8; cut++) {
		struct iovec iov[2] = {{room, cut}, {room + 64, 8 - cut}};
		memset(room, 0xa5, sizeof(room));
		twin_add(&t, 0x8877665544332211);
		cr_assert_eq(twin_readv(&t, iov, 2), 8);
	}
	twin_close(&t);
}

Test(rw, a_readv_of_single_bytes_with_empty_ones_between)
{
	struct twin t = open_watching_room(0, 0);
	struct iovec iov[17];
	for (int i = 0; i < 17; i++)
		iov[i] = (struct iovec){room + 3 * i, i & 1};
	twin_add(&t, 0x8877665544332211);
	cr_assert_eq(twin_readv(&t, iov, 17), 8);
	cr_assert_eq(room[3], 0x11);
	cr_assert_eq(room[4], 0xa5);
	cr_assert_eq(room[45], 0x88);
	twin_close(&t);
}

Test(rw, a_readv_needs_room_for_eight_bytes_in_all)
{
	struct twin t = open_watching_room(6, 0);
	struct iovec iov[3] = {{room, 3}, {room + 3, 3}, {room + 6, 1}};
	cr_assert_eq(twin_readv(&t, iov, 3), -EINVAL);
	cr_assert_eq(twin_readv(&t, iov, 1), -EINVAL);
	iov[2].iov_len = 2;
	cr_assert_eq(twin_readv(&t, iov, 3), 8);
	cr_assert_eq(value_at(0), 6);
	twin_close(&t);
}

Test(rw, a_readv_of_nothing_returns_zero_and_takes_nothing)
{
	struct twin t = open_watching_room(6, 0);
	struct iovec iov[2] = {{room, 0}, {NULL, 0}};
	for (int count = 0; count <= 2; count++)
		cr_assert_eq(twin_readv(&t, iov, count), 0);
	cr_assert_eq(twin_readv(&t, NULL, 0), 0);
	cr_assert_eq(twin_drain(&t), 6);
	for (int count = 0; count <= 2; count++)
		cr_assert_eq(twin_readv(&t, iov, count), 0);
	twin_close(&t);
}

Test(rw, a_readv_into_the_same_buffer_twice_keeps_the_later_bytes)
{
	struct twin t = open_watching_room(0, 0);
	struct iovec iov[2] = {{room, 4}, {room, 4}};
	twin_add(&t, 0x8877665544332211);
	cr_assert_eq(twin_readv(&t, iov, 2), 8);
	cr_assert_eq(room[0], 0x55);
	twin_close(&t);
}

Test(rw, a_long_readv_stores_eight_bytes_and_no_more)
{
	struct twin t = open_watching_room(9, EFD_SEMAPHORE);
	struct iovec iov[3] = {{room, 5}, {room + 5, 100}, {room + 105, 100}};
	for (int i = 0; i < 9; i++) {
		cr_assert_eq(twin_readv(&t, iov, 3), 8);
		cr_assert_eq(value_at(0), 1);
		cr_assert_eq(room[8], 0xa5);
	}
	cr_assert_eq(twin_readv(&t, iov, 3), -EAGAIN);
	twin_close(&t);
}

Test(rw, a_writev_writes_each_buffer_as_a_number_of_its_own)
{
	struct twin t = open_watching_room(0, 0);
	struct iovec iov[3] = {{room, 8}, {room + 8, 8}, {room + 16, 8}};
	put_at(0, 1);
	put_at(8, 20);
	put_at(16, 300);
	cr_assert_eq(twin_writev(&t, iov, 1), 8);
	cr_assert_eq(twin_writev(&t, iov, 3), 24);
	cr_assert_eq(twin_drain(&t), 322);
	twin_close(&t);
}

Test(rw, a_writev_does_not_gather_split_numbers)
{
	struct twin t = open_watching_room(0, 0);
	put_at(0, 1);
	for (size_t cut = 1; cut < 8; cut++) {
		struct iovec iov[2] = {{room, cut}, {room + cut, 8 - cut}};
		cr_assert_eq(twin_writev(&t, iov, 2), -EINVAL);
	}
	cr_assert_eq(twin_drain(&t), 0);
	twin_close(&t);
}

Test(rw, a_writev_with_buffers_of_all_lengths_answers_as_the_kernel_does)
{
	static const size_t lens[] = {0, 4, 8, 12, 16};
	enum { LENS = sizeof(lens) / sizeof(*lens) };
	struct twin t = open_watching_room(0, 0);
	put_at(0, 1);
	put_at(16, 2);
	put_at(32, 4);
	for (int i = 0; i < LENS * LENS * LENS; i++) {
		struct iovec iov[3] = {{room, lens[i % LENS]}, {room + 16, lens[i / LENS % LENS]},
			{room + 32, lens[i / LENS / LENS]}};
		twin_writev(&t, iov, 3);
		twin_writev(&t, iov, 2);
		twin_drain(&t);
	}
	twin_close(&t);
}

Test(rw, a_writev_that_fails_later_returns_what_was_written)
{
	struct twin t = open_watching_room(0, 0);
	struct iovec iov[3] = {{room, 8}, {room + 8, 8}, {room + 16, 8}};
	put_at(0, 1);
	put_at(8, UINT64_MAX);
	put_at(16, 4);
	cr_assert_eq(twin_writev(&t, iov, 3), 8);
	put_at(8, EFD_LIMIT);
	cr_assert_eq(twin_writev(&t, iov, 3), 8);
	cr_assert_eq(twin_drain(&t), 2);
	put_at(0, EFD_LIMIT);
	put_at(8, 0);
	cr_assert_eq(twin_writev(&t, iov, 3), 16);
	cr_assert_eq(twin_writev(&t, iov, 3), -EAGAIN);
	twin_close(&t);
}

Test(rw, a_writev_of_nothing_returns_zero)
{
	struct twin t = open_watching_room(0, 0);
	struct iovec iov[2] = {{room, 0}, {NULL, 0}};
	for (int count = 0; count <= 2; count++)
		cr_assert_eq(twin_writev(&t, iov, count), 0);
	cr_assert_eq(twin_writev(&t, NULL, 0), 0);
	twin_close(&t);
}

Test(rw, iov_max_buffers_are_taken_and_one_more_is_einval)
{
	static struct iovec iov[IOV_MAX + 1];
	struct twin t = open_watching_room(0, 0);
	for (int i = 0; i <= IOV_MAX; i++)
		iov[i] = (struct iovec){room + i, 1};
	twin_add(&t, 0x8877665544332211);
	cr_assert_eq(twin_readv(&t, iov, IOV_MAX + 1), -EINVAL);
	cr_assert_eq(twin_readv(&t, iov, IOV_MAX), 8);
	cr_assert_eq(value_at(0), 0x8877665544332211);
	put_at(0, 1);
	for (int i = 0; i <= IOV_MAX; i++)
		iov[i] = (struct iovec){room, 8};
	cr_assert_eq(twin_writev(&t, iov, IOV_MAX + 1), -EINVAL);
	cr_assert_eq(twin_writev(&t, iov, IOV_MAX), 8 * IOV_MAX);
	cr_assert_eq(twin_drain(&t), IOV_MAX);
	twin_close(&t);
}

Test(rw, absurd_buffer_counts_are_einval)
{
	static const int counts[] = {-1, INT_MIN, INT_MAX, IOV_MAX + 1};
	struct twin t = open_watching_room(1, 0);
	struct iovec iov = {room, 8};
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		cr_assert_eq(twin_readv(&t, &iov, counts[i]), -EINVAL);
		cr_assert_eq(twin_writev(&t, &iov, counts[i]), -EINVAL);
	}
	cr_assert_eq(twin_drain(&t), 1);
	twin_close(&t);
}

Test(rw, negative_and_huge_buffer_lengths_answer_as_the_kernel_does)
{
	static const size_t lens[] = {INT_MAX, 1ul << 31, 1ul << 32, 1ul << 46, 1ul << 47,
		SSIZE_MAX - 8, SSIZE_MAX, (size_t)SSIZE_MAX + 1, SIZE_MAX - 7, SIZE_MAX};
	struct twin t = open_watching_room(0, 0);
	put_at(64, 1);
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		struct iovec iov[3] = {{room, 8}, {room + 64, lens[i]}, {room + 128, 8}};
		for (int first = 0; first < 2; first++) {
			for (int count = 1; count <= 3 - first; count++) {
				twin_add(&t, 1);
				twin_readv(&t, iov + first, count);
				twin_writev(&t, iov + first, count);
			}
		}
		twin_drain(&t);
		twin_watch(&t, room, sizeof(room));
	}
	twin_close(&t);
}

Test(rw, random_readv_and_writev_shapes_answer_as_the_kernel_does)
{
	struct twin t = open_watching_room(0, EFD_SEMAPHORE);
	unsigned seed = 20071;
	for (int round = 0; round < 5000; round++) {
		struct iovec iov[6];
		int count = rand_r(&seed) % 7;
		for (int i = 0; i < count; i++)
			iov[i] = (struct iovec){room + 8 * (rand_r(&seed) % 500),
				rand_r(&seed) % 3 ? 8 : (size_t)(rand_r(&seed) % 20)};
		memset(room, 0, sizeof(room));
		for (size_t i = 0; i < 500; i++)
			put_at(8 * i, i % 5);
		if (rand_r(&seed) % 2)
			twin_readv(&t, iov, count);
		else
			twin_writev(&t, iov, count);
	}
	tk_raw_syscall(SYS_close, t.kernel, 0, 0, 0, 0, 0);
	efd_close(t.libc);
}
