/* Addresses that cannot be stored to or loaded from: EFAULT, as the kernel gives it. */
#define _GNU_SOURCE
#include "badmem.h"
#include "efd.h"
#include "testkit.h"
#include "twin.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

TestSuite(badaddr, .init = setup, .fini = teardown, .timeout = 20);

static const size_t lens[] = {0, 1, 4, 7, 8, 9, 16, 1024};
enum { LENS = sizeof(lens) / sizeof(*lens) };

static void read_everywhere(unsigned initval, int flags, uint64_t fill)
{
	struct twin t = twin_open(initval, flags | EFD_NONBLOCK);
	for (size_t i = 0; i < badmem_count; i++) {
		for (int l = 0; l < LENS; l++) {
			twin_add(&t, fill);
			twin_watch(&t, badmem[i].before, badmem[i].before_len);
			long ret = twin_read(&t, badmem[i].addr, lens[l]);
			cr_assert(ret < 0, "%s, %zu bytes: %ld", badmem[i].what, lens[l], ret);
			twin_watch(&t, NULL, 0);
			twin_drain(&t);
		}
	}
	twin_close(&t);
}

Test(badaddr, a_read_into_bad_memory_answers_as_the_kernel_does)
{
	read_everywhere(0, 0, 0x8877665544332211);
}

Test(badaddr, a_read_of_nothing_into_bad_memory_answers_as_the_kernel_does)
{
	read_everywhere(0, 0, 0);
}

Test(badaddr, a_semaphore_read_into_bad_memory_answers_as_the_kernel_does)
{
	read_everywhere(0, EFD_SEMAPHORE, 3);
}

Test(badaddr, a_read_that_faults_has_taken_the_count)
{
	int fd = efd_open(7, EFD_NONBLOCK);
	cr_assert_eq(efd_try_read(fd, badmem_unmapped()), -EFAULT);
	efd_expect_empty(fd);
	efd_add(fd, 8);
	cr_assert_eq(efd_try_read(fd, badmem_none()), -EFAULT);
	efd_expect_empty(fd);
	efd_add(fd, 9);
	cr_assert_eq(efd_try_read(fd, badmem_readonly()), -EFAULT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(badaddr, a_semaphore_read_that_faults_has_taken_one)
{
	int fd = efd_open(3, EFD_NONBLOCK | EFD_SEMAPHORE);
	cr_assert_eq(efd_try_read(fd, badmem_null()), -EFAULT);
	efd_expect(fd, 1);
	efd_expect(fd, 1);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(badaddr, a_read_into_the_kernels_half_takes_nothing)
{
	int fd = efd_open(7, EFD_NONBLOCK);
	uint64_t *volatile top = (uint64_t *)-8, *volatile last = (uint64_t *)-1;
	cr_assert_eq(efd_try_read(fd, top), -EFAULT);
	cr_assert_eq(efd_try_read(fd, last), -EFAULT);
	efd_expect(fd, 7);
	cr_assert_eq(efd_try_read(fd, top), -EFAULT);
	cr_assert_eq(efd_try_read(fd, badmem_null()), -EAGAIN);
	efd_close(fd);
}

Test(badaddr, a_blocking_read_into_the_kernels_half_does_not_wait)
{
	int fd = efd_open(0, 0);
	uint64_t *volatile top = (uint64_t *)-8;
	cr_assert_eq(efd_try_read(fd, top), -EFAULT);
	cr_assert(read(fd, top, 4) == -1 && errno == EFAULT);
	cr_assert(read(fd, badmem_null(), 4) == -1 && errno == EINVAL);
	efd_close(fd);
}

Test(badaddr, a_write_from_bad_memory_answers_as_the_kernel_does)
{
	struct twin t = twin_open(5, EFD_NONBLOCK);
	for (size_t i = 0; i < badmem_count; i++) {
		for (int l = 0; l < LENS; l++)
			twin_write(&t, badmem[i].addr, lens[l]);
	}
	twin_close(&t);
}

Test(badaddr, a_write_that_faults_adds_nothing)
{
	int fd = efd_open(5, 0);
	cr_assert(write(fd, badmem_null(), 8) == -1 && errno == EFAULT);
	cr_assert(write(fd, badmem_unmapped(), 8) == -1 && errno == EFAULT);
	cr_assert(write(fd, badmem_none(), 8) == -1 && errno == EFAULT);
	efd_expect(fd, 5);
	efd_close(fd);
}

Test(badaddr, a_write_from_bad_memory_at_the_limit_does_not_wait)
{
	int fd = efd_open(0, 0);
	efd_add(fd, EFD_LIMIT);
	cr_assert(write(fd, badmem_unmapped(), 8) == -1 && errno == EFAULT);
	cr_assert(write(fd, badmem_none(), 8) == -1 && errno == EFAULT);
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

Test(badaddr, a_write_from_readonly_memory_works)
{
	static const uint64_t constant = 30;
	int fd = efd_open(0, EFD_NONBLOCK);
	cr_assert_eq(write(fd, &constant, 8), 8);
	cr_assert_eq(write(fd, badmem_readonly(), 8), 8);
	efd_expect(fd, 30 + BADMEM_READONLY_VALUE);
	efd_close(fd);
}

Test(badaddr, a_readv_into_good_and_bad_memory_answers_as_the_kernel_does)
{
	static const size_t first[] = {0, 4, 8, 12};
	static unsigned char good[64];
	struct twin t = twin_open(0, EFD_NONBLOCK);
	for (size_t i = 0; i < badmem_count; i++) {
		for (int l = 0; l < 4 * LENS; l++) {
			struct iovec iov[3] = {{good, first[l / LENS]},
				{badmem[i].addr, lens[l % LENS]}, {good + 32, 8}};
			twin_add(&t, 0x8877665544332211);
			twin_watch(&t, good, sizeof(good));
			twin_readv(&t, iov, 2);
			twin_readv(&t, iov, 3);
			twin_drain(&t);
			twin_readv(&t, iov, 3);
		}
	}
	twin_close(&t);
}

Test(badaddr, a_writev_from_good_and_bad_memory_answers_as_the_kernel_does)
{
	static const size_t first[] = {0, 4, 8, 12};
	uint64_t good[2] = {1, 2};
	struct twin t = twin_open(0, EFD_NONBLOCK);
	for (size_t i = 0; i < badmem_count; i++) {
		for (int l = 0; l < 4 * LENS; l++) {
			struct iovec iov[3] = {{good, first[l / LENS]},
				{badmem[i].addr, lens[l % LENS]}, {good, 8}};
			twin_writev(&t, iov, 2);
			twin_writev(&t, iov, 3);
			twin_drain(&t);
		}
	}
	twin_close(&t);
}

Test(badaddr, a_writev_that_faults_later_returns_what_was_written)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t one = 1;
	struct iovec iov[3] = {{&one, 8}, {badmem_unmapped(), 8}, {&one, 8}};
	cr_assert_eq(writev(fd, iov, 3), 8);
	efd_expect(fd, 1);
	iov[1].iov_base = (void *)-8;
	cr_assert(writev(fd, iov, 3) == -1 && errno == EFAULT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(badaddr, bad_arrays_of_buffers_answer_as_the_kernel_does)
{
	static const int counts[] = {0, 1, 2, 5, IOV_MAX, IOV_MAX + 1, -1};
	struct twin t = twin_open(6, EFD_NONBLOCK);
	for (size_t i = 0; i < badmem_count; i++) {
		if (badmem[i].readable)
			continue;
		for (int c = 0; c < 7; c++) {
			twin_readv(&t, badmem[i].addr, counts[c]);
			twin_writev(&t, badmem[i].addr, counts[c]);
		}
	}
	cr_assert_eq(twin_drain(&t), 6);
	twin_close(&t);
}

Test(badaddr, an_array_that_runs_into_a_bad_page_is_efault_from_its_first_bad_entry_on)
{
	uint64_t value = 4;
	struct twin t = twin_open(0, EFD_NONBLOCK);
	struct iovec *iov = (struct iovec *)badmem_none() - 3;
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){&value, 8};
	cr_assert_eq(twin_writev(&t, iov, 3), 24);
	cr_assert_eq(twin_writev(&t, iov, 4), -EFAULT);
	cr_assert_eq(twin_readv(&t, iov, 4), -EFAULT);
	cr_assert_eq(twin_readv(&t, iov, 3), 8);
	cr_assert_eq(value, 12);
	twin_close(&t);
}

Test(badaddr, eventfd_read_into_bad_memory_is_efault)
{
	int fd = efd_open(7, EFD_NONBLOCK);
	eventfd_t *volatile top = (eventfd_t *)-8;
	cr_assert(eventfd_read(fd, top) == -1 && errno == EFAULT);
	cr_assert(eventfd_read(fd, badmem_null()) == -1 && errno == EFAULT);
	efd_expect_empty(fd);
	cr_assert(eventfd_read(fd, badmem_null()) == -1 && errno == EAGAIN);
	efd_add(fd, 1);
	cr_assert(eventfd_read(fd, badmem_readonly()) == -1 && errno == EFAULT);
	cr_assert(eventfd_read(fd, badmem_none()) == -1 && errno == EAGAIN);
	efd_close(fd);
}

Test(badaddr, a_closed_fd_is_ebadf_whatever_the_address)
{
	int fd = efd_open(7, EFD_NONBLOCK);
	efd_close(fd);
	for (size_t i = 0; i < badmem_count; i++) {
		cr_assert(read(fd, badmem[i].addr, 8) == -1 && errno == EBADF);
		cr_assert(write(fd, badmem[i].addr, 8) == -1 && errno == EBADF);
		cr_assert(readv(fd, badmem[i].addr, 1) == -1 && errno == EBADF);
		cr_assert(writev(fd, badmem[i].addr, 1) == -1 && errno == EBADF);
	}
}

Test(badaddr, a_fault_leaves_the_fd_as_good_as_before)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	for (uint64_t round = 1; round < 300; round++) {
		const struct badmem *bad = &badmem[round % badmem_count];
		cr_assert_eq(efd_try_read(fd, bad->addr) >= 0, 0);
		efd_add(fd, round);
		efd_expect(fd, round);
	}
	efd_close(fd);
}
