/* read and write of mask eventfds: sizes, errors, bad memory, flags. */
#define _GNU_SOURCE
#include "askboth.h"
#include "badmem.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(mask_io, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(mask_io_memory, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(mask_io_flags, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { BIG = 4096 };

#define DATA UINT64_C(0x8123456789abcdef)

static const size_t short_sizes[] = {0, 1, 2, 4, 7, 8, 9, 11};
static const size_t long_sizes[] = {12, 13, 16, 20, 24, 100, BIG};

#define EACH(i, array) (size_t i = 0; i < sizeof(array) / sizeof(*(array)); i++)

Test(mask_io, starts_without_events_and_with_data_0)
{
	static const unsigned initvals[] = {0, 1, 5, 0x80000000, 0xffffffff};
	for
		EACH(i, initvals)
		{
			int fd = eventfd(initvals[i], EFD_MASK);
			cr_assert_geq(fd, 0);
			mask_expect(fd, 0, 0);
			cr_assert_eq(mask_poll(fd, 7), 0);
			cr_assert_eq(mask_select(fd, 7), 0);
			mask_close(fd);
		}
}

Test(mask_io, every_state_and_odd_data_come_back)
{
	static const uint64_t data[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63,
		UINT64_C(1) << 32, UINT32_MAX, DATA};
	int fd = mask_open(0);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		for
			EACH(i, data)
			{
				mask_put(fd, state, data[i]);
				for (int times = 0; times < 3; times++)
					mask_expect(fd, state, data[i]);
			}
	}
	mask_close(fd);
}

Test(mask_io, data_alone_may_change)
{
	int fd = mask_open(0);
	for (uint64_t i = 0; i < 100; i++) {
		mask_put(fd, 0, i * DATA);
		mask_expect(fd, 0, i * DATA);
	}
	mask_close(fd);
}

static void fill(char *buffer, uint32_t events)
{
	struct efd_mask mask = {events, DATA};
	memset(buffer, 0x5a, BIG);
	memcpy(buffer, &mask, sizeof(mask));
}

Test(mask_io, fewer_than_12_bytes_are_EINVAL)
{
	char buffer[BIG], before[BIG];
	int fd = mask_open(0);
	mask_put(fd, EPOLLPRI, 77);
	fill(buffer, EPOLLIN);
	memcpy(before, buffer, BIG);
	for
		EACH(i, short_sizes)
		{
			FAILS(write(fd, buffer, short_sizes[i]), EINVAL);
			FAILS(read(fd, buffer, short_sizes[i]), EINVAL);
			cr_assert_arr_eq(buffer, before, BIG);
			mask_expect(fd, EPOLLPRI, 77);
		}
	mask_close(fd);
}

Test(mask_io, more_than_12_bytes_count_as_12)
{
	char buffer[BIG];
	int fd = mask_open(0);
	for
		EACH(i, long_sizes)
		{
			uint32_t state = (uint32_t)(i + 1);
			fill(buffer, state);
			cr_assert_eq(write(fd, buffer, long_sizes[i]), 12);
			mask_expect(fd, state, DATA);
			memset(buffer, 0x33, BIG);
			cr_assert_eq(read(fd, buffer, long_sizes[i]), 12);
			struct efd_mask mask;
			memcpy(&mask, buffer, sizeof(mask));
			cr_assert(mask.events == state && mask.data == DATA);
			for (int b = 12; b < BIG; b++)
				cr_assert_eq(buffer[b], 0x33);
		}
	mask_close(fd);
}

Test(mask_io, unaligned_buffers)
{
	char buffer[64];
	int fd = mask_open(0);
	for (size_t at = 0; at < 32; at++) {
		struct efd_mask mask = {(uint32_t)at, at * DATA}, got;
		memcpy(buffer + at, &mask, sizeof(mask));
		cr_assert_eq(write(fd, buffer + at, 12), 12);
		memset(buffer, 0, sizeof(buffer));
		cr_assert_eq(read(fd, buffer + at, 12), 12);
		memcpy(&got, buffer + at, sizeof(got));
		cr_assert(got.events == at && got.data == at * DATA);
	}
	mask_close(fd);
}

Test(mask_io, other_events_are_EINVAL_and_change_nothing)
{
	int fd = mask_open(0), set = mask_watch(fd, 7 | EPOLLET, 1);
	mask_put(fd, EPOLLOUT, 78);
	mask_event(set, NULL);
	for (int bit = 5; bit < 32; bit++) {
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			long ret = mask_try_write(fd, 1U << bit | state, DATA);
			if (ret != -EINVAL)
				cr_assert_fail("bit %d with %#x: %ld", bit, state, ret);
		}
		mask_expect(fd, EPOLLOUT, 78);
		cr_assert_eq(mask_poll(fd, 7), EPOLLOUT);
		cr_assert_eq(mask_event(set, NULL), 0);
	}
	cr_assert_eq(mask_try_write(fd, UINT32_MAX, DATA), -EINVAL);
	mask_expect(fd, EPOLLOUT, 78);
	close(set);
	mask_close(fd);
}

Test(mask_io, eventfd_read_and_eventfd_write_are_too_short)
{
	int fd = mask_open(EFD_NONBLOCK);
	eventfd_t value = 5;
	mask_put(fd, EPOLLIN, 79);
	FAILS(eventfd_write(fd, 1), EINVAL);
	FAILS(eventfd_read(fd, &value), EINVAL);
	cr_assert_eq(value, 5);
	mask_expect(fd, EPOLLIN, 79);
	mask_close(fd);
}

Test(mask_io, by_raw_calls_through_syscall)
{
	int fd = (int)syscall(SYS_eventfd2, 9, EFD_MASK | EFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	struct efd_mask mask = {EPOLLPRI | EPOLLHUP, DATA};
	cr_assert_eq(syscall(SYS_write, fd, &mask, 12), 12);
	memset(&mask, 0, sizeof(mask));
	cr_assert_eq(syscall(SYS_read, fd, &mask, 100), 12);
	cr_assert(mask.events == (EPOLLPRI | EPOLLHUP) && mask.data == DATA);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	mask_close(fd);
}

/* Where a counter's answer is known, the error of a mask is the same for a size that is too short
 * for both. */
Test(mask_io_memory, a_short_size_with_a_bad_address_fails_as_a_counter_does)
{
	struct both b = {mask_open(0), (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0)};
	badmem_map();
	for (size_t i = 0; i < badmem_count; i++) {
		SAME(b, read(fd, badmem[i].addr, 4), SYS_read, fd, addr(badmem[i].addr), 4);
		SAME(b, write(fd, badmem[i].addr, 4), SYS_write, fd, addr(badmem[i].addr), 4);
		SAME(b, read(fd, badmem[i].addr, 0), SYS_read, fd, addr(badmem[i].addr), 0);
	}
	badmem_unmap();
	tk_raw_syscall(SYS_close, b.kernel, 0, 0, 0, 0, 0);
	mask_close(b.ours);
}

Test(mask_io_memory, a_bad_address_is_EFAULT_and_changes_nothing)
{
	int fd = mask_open(0);
	mask_put(fd, EPOLLIN | EPOLLERR, DATA);
	badmem_map();
	for (size_t i = 0; i < badmem_count; i++) {
		FAILS(read(fd, badmem[i].addr, 12), EFAULT);
		FAILS(read(fd, badmem[i].addr, 64), EFAULT);
		mask_expect(fd, EPOLLIN | EPOLLERR, DATA);
		if (badmem[i].readable)
			continue;
		FAILS(write(fd, badmem[i].addr, 12), EFAULT);
		FAILS(write(fd, badmem[i].addr, 64), EFAULT);
		mask_expect(fd, EPOLLIN | EPOLLERR, DATA);
	}
	badmem_unmap();
	mask_close(fd);
}

/* Nothing behind the 12 bytes is touched. */
Test(mask_io_memory, the_last_12_bytes_before_a_hole_will_do)
{
	int fd = mask_open(0);
	size_t page = (size_t)getpagesize();
	char *at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(at != MAP_FAILED);
	cr_assert_eq(munmap(at + page, page), 0);
	struct efd_mask mask = {EPOLLOUT, DATA}, *last = (struct efd_mask *)(at + page - 12);
	memcpy(last, &mask, 12);
	cr_assert_eq(write(fd, last, 12), 12);
	cr_assert_eq(write(fd, last, 4000), 12);
	memset(last, 0, 12);
	cr_assert_eq(read(fd, last, 4000), 12);
	memset(last, 0, 12);
	cr_assert_eq(read(fd, last, 12), 12);
	cr_assert(last->events == EPOLLOUT && last->data == DATA);
	FAILS(write(fd, at + page - 11, 12), EFAULT);
	FAILS(read(fd, at + page - 11, 12), EFAULT);
	mask_expect(fd, EPOLLOUT, DATA);
	munmap(at, page);
	mask_close(fd);
}

Test(mask_io_flags, close_on_exec_and_non_blocking)
{
	static const int flags[] = {0, EFD_CLOEXEC, EFD_NONBLOCK, EFD_CLOEXEC | EFD_NONBLOCK};
	for
		EACH(i, flags)
		{
			int fd = mask_open(flags[i]);
			cr_assert_eq(fcntl(fd, F_GETFD), flags[i] & EFD_CLOEXEC ? FD_CLOEXEC : 0);
			/* other files are opened with O_LARGEFILE, too */
			cr_assert_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND),
				O_RDWR | (flags[i] & EFD_NONBLOCK ? O_NONBLOCK : 0));
			mask_expect(fd, 0, 0);
			mask_put(fd, EPOLLIN, 3);
			mask_expect(fd, EPOLLIN, 3);
			mask_close(fd);
		}
}

Test(mask_io_flags, O_NONBLOCK_comes_and_goes_and_matters_not)
{
	int fd = mask_open(0), on = 1, off = 0;
	cr_assert_eq(ioctl(fd, FIONBIO, &on), 0);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	mask_expect(fd, 0, 0);
	cr_assert_eq(ioctl(fd, FIONBIO, &off), 0);
	cr_assert_not(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	int copy = dup(fd);
	cr_assert(fcntl(copy, F_GETFL) & O_NONBLOCK);
	mask_put(copy, EPOLLHUP, 4);
	mask_expect(fd, EPOLLHUP, 4);
	mask_close(copy);
	mask_close(fd);
}

Test(mask_io_flags, EFD_SEMAPHORE_and_initval_mean_nothing)
{
	int fd = eventfd(3, EFD_MASK | EFD_SEMAPHORE | EFD_NONBLOCK);
	cr_assert_geq(fd, 0);
	mask_expect(fd, 0, 0);
	mask_put(fd, EPOLLIN | EPOLLOUT, 5);
	for (int i = 0; i < 10; i++)
		mask_expect(fd, EPOLLIN | EPOLLOUT, 5);
	mask_close(fd);
}

Test(mask_io_flags, unknown_flags_are_EINVAL)
{
	for (int bit = 0; bit < 32; bit++) {
		int flag = (int)(1U << bit);
		if (flag & (EFD_MASK | EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC))
			continue;
		FAILS(eventfd(0, EFD_MASK | flag), EINVAL);
		FAILS(eventfd(0, EFD_MASK | EFD_CLOEXEC | EFD_SEMAPHORE | flag), EINVAL);
		FAILS(eventfd(0, flag), EINVAL);
	}
}

Test(mask_io_flags, counters_next_to_it_are_counters)
{
	int fd = mask_open(0), counter = new_eventfd(3, EFD_NONBLOCK);
	mask_put(fd, EPOLLPRI, 1);
	add(counter, 4);
	assert_count(counter, 7);
	mask_expect(fd, EPOLLPRI, 1);
	FAILS(write(counter, &(struct efd_mask){EPOLLIN, 0}, 4), EINVAL);
	mask_close(fd);
	cr_assert_eq(close(counter), 0);
}
