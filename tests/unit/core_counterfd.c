/* read and write of a fake fd by plain calls, as far as nobody has to wait. */
#include "unit.h"

#include <sys/eventfd.h>
#include <sys/uio.h>

#include "badmem.h"
#include "core/counter.h"
#include "core/counterfd.h"
#include "core/fdio.h"
#include "core/stats.h"
#include "sys/raw.h"

static void setup(void)
{
	unit_setup();
	badmem_map();
}

static void teardown(void)
{
	badmem_unmap();
	unit_teardown();
}

TestSuite(core_counterfd, .init = setup, .fini = teardown, .timeout = 20);

static struct outcome put(const struct fdref *ref, uint64_t value)
{
	return counterfd_write(ref, &value, sizeof(value));
}

static void check_put(const struct fdref *ref, uint64_t value, int err)
{
	struct outcome outcome = put(ref, value);

	cr_assert_eq(outcome.err, err, "err %d", outcome.err);
	cr_assert_eq(outcome.value, err ? -1 : 8);
}

static void check_get(const struct fdref *ref, uint64_t value, int err)
{
	uint64_t got = 0;
	struct outcome outcome = counterfd_read(ref, &got, sizeof(got));

	cr_assert_eq(outcome.err, err, "err %d", outcome.err);
	cr_assert_eq(outcome.value, err ? -1 : 8);
	cr_assert_eq(got, value);
}

Test(core_counterfd, a_read_gives_what_was_there_from_the_start)
{
	struct fdref ref = unit_object(7, EFD_NONBLOCK);

	check_get(&ref, 7, 0);
	check_get(&ref, 0, EAGAIN);
	unit_close(ref);
}

Test(core_counterfd, a_read_gives_the_sum_of_all_writes)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);

	for (uint64_t i = 1; i <= 10; i++)
		check_put(&ref, i, 0);
	check_get(&ref, 55, 0);
	check_get(&ref, 0, EAGAIN);
	unit_close(ref);
}

Test(core_counterfd, a_semaphore_gives_one_at_a_time)
{
	struct fdref ref = unit_object(2, EFD_NONBLOCK | EFD_SEMAPHORE);

	check_get(&ref, 1, 0);
	check_get(&ref, 1, 0);
	check_get(&ref, 0, EAGAIN);
	check_put(&ref, 1, 0);
	check_get(&ref, 1, 0);
	unit_close(ref);
}

Test(core_counterfd, a_write_ends_at_the_limit)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);

	check_put(&ref, COUNTER_LIMIT, 0);
	check_put(&ref, 0, 0);
	check_put(&ref, 1, EAGAIN);
	check_get(&ref, COUNTER_LIMIT, 0);
	check_put(&ref, UINT64_MAX, EINVAL);
	check_get(&ref, 0, EAGAIN);
	unit_close(ref);
}

Test(core_counterfd, a_buffer_below_eight_bytes_is_refused)
{
	struct fdref ref = unit_object(7, EFD_NONBLOCK);
	uint64_t word = 1;

	for (size_t n = 0; n < 8; n++) {
		cr_expect_eq(counterfd_read(&ref, &word, n).err, EINVAL);
		cr_expect_eq(counterfd_write(&ref, &word, n).err, EINVAL);
	}
	check_get(&ref, 7, 0);
	unit_close(ref);
}

Test(core_counterfd, a_longer_buffer_is_read_into_at_its_beginning)
{
	struct fdref ref = unit_object(7, EFD_NONBLOCK);
	uint64_t words[2] = {1, 2};
	struct outcome outcome = counterfd_read(&ref, words, sizeof(words));

	cr_expect_eq(outcome.value, 8);
	cr_expect_eq(words[0], 7);
	cr_expect_eq(words[1], 2);
	unit_close(ref);
}

Test(core_counterfd, a_longer_write_does_what_the_kernel_does)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);
	int kernel = raw_eventfd(0, EFD_NONBLOCK);
	uint64_t words[2] = {5, 6};
	long expected = raw_write(kernel, words, sizeof(words));
	struct outcome outcome = counterfd_write(&ref, words, sizeof(words));

	cr_expect_eq(outcome.err ? -outcome.err : outcome.value, expected);
	raw_close(kernel);
	unit_close(ref);
}

Test(core_counterfd, a_buffer_need_not_be_aligned)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);
	char bytes[16];
	uint64_t value = 0x0102030405060708;

	for (int at = 0; at < 8; at++) {
		memcpy(bytes + at, &value, 8);
		cr_assert_eq(counterfd_write(&ref, bytes + at, 8).value, 8);
		memset(bytes, 0, sizeof(bytes));
		cr_assert_eq(counterfd_read(&ref, bytes + at, 8).value, 8);
		cr_assert_arr_eq(bytes + at, &value, 8);
	}
	unit_close(ref);
}

static long kernel_answer(bool reading, uint64_t count, void *address, size_t n)
{
	int fd = raw_eventfd((unsigned)count, EFD_NONBLOCK);
	long ret = reading ? raw_read(fd, address, n) : raw_write(fd, address, n);

	raw_close(fd);
	return ret;
}

static long answer(struct outcome outcome)
{
	return outcome.err ? -outcome.err : outcome.value;
}

Test(core_counterfd, bad_memory_is_answered_as_by_the_kernel)
{
	static const size_t lengths[] = {0, 7, 8, 9, 4096, SIZE_MAX};
	struct fdref ref = unit_object(0, EFD_NONBLOCK);

	for (size_t i = 0; i < badmem_count * 6; i++) {
		void *at = badmem[i / 6].addr;
		size_t n = lengths[i % 6];

		for (uint64_t count = 0; count < 2; count++) {
			atomic_store(&ref.object->count, count);
			cr_expect_eq(answer(counterfd_read(&ref, at, n)),
				kernel_answer(true, count, at, n), "read %zu of %s, count %lu", n,
				badmem[i / 6].what, count);
			atomic_store(&ref.object->count, count);
			cr_expect_eq(answer(counterfd_write(&ref, at, n)),
				kernel_answer(false, count, at, n), "write %zu of %s, count %lu", n,
				badmem[i / 6].what, count);
		}
	}
	unit_close(ref);
}

Test(core_counterfd, a_read_into_bad_memory_has_taken_the_count)
{
	struct fdref ref = unit_object(7, EFD_NONBLOCK);

	cr_expect_eq(counterfd_read(&ref, badmem_none(), 8).err, EFAULT);
	check_get(&ref, 0, EAGAIN);
	unit_close(ref);
}

Test(core_counterfd, errno_is_left_alone)
{
	struct fdref ref = unit_object(1, EFD_NONBLOCK);
	uint64_t word = 1;

	errno = 4321;
	counterfd_read(&ref, &word, 8);
	counterfd_read(&ref, &word, 8);
	counterfd_write(&ref, &word, 8);
	counterfd_write(&ref, badmem_none(), 8);
	cr_expect_eq(errno, 4321);
	unit_close(ref);
}

Test(core_counterfd, unwatched_reads_and_writes_cost_no_system_call)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);

	check_put(&ref, 1, 0);
	check_get(&ref, 1, 0);
	stats_on = true;
	for (int i = 0; i < 1000; i++) {
		check_put(&ref, 1, 0);
		check_get(&ref, 1, 0);
	}
	cr_expect_eq(atomic_load(&stats[STATS_SYSCALLS]), 0);
	cr_expect_eq(atomic_load(&stats[STATS_AVOIDED]), 2000);
	cr_expect_eq(atomic_load(&stats[STATS_READS]), 1000);
	cr_expect_eq(atomic_load(&stats[STATS_WRITES]), 1000);
	unit_close(ref);
}

Test(core_counterfd, the_fifo_is_empty_while_nobody_watches)
{
	struct fdref ref = unit_object(3, EFD_NONBLOCK);

	check_put(&ref, 1, 0);
	cr_expect_eq(unit_poll(ref.fd, POLLIN), 0);
	unit_close(ref);
}

Test(core_counterfd, readv_scatters_one_value)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);
	uint64_t value = 0x0102030405060708;
	char bytes[16] = {0};
	struct iovec iov[4] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 4}, {bytes + 7, 9}};
	int kernel = raw_eventfd(0, EFD_NONBLOCK);
	char expected[16] = {0};
	struct iovec theirs[4] = {
		{expected, 3}, {expected + 3, 0}, {expected + 3, 4}, {expected + 7, 9}};

	check_put(&ref, value, 0);
	raw_write(kernel, &value, 8);
	cr_expect_eq(answer(fdio_readv(&ref, iov, 4, false)),
		raw_syscall3(SYS_readv, kernel, (long)theirs, 4));
	cr_expect_arr_eq(bytes, expected, 16);
	raw_close(kernel);
	unit_close(ref);
}

Test(core_counterfd, writev_is_a_write_for_each_segment)
{
	struct fdref ref = unit_object(0, EFD_NONBLOCK);
	uint64_t words[3] = {1, 2, UINT64_MAX};
	struct iovec iov[3] = {{&words[0], 8}, {&words[1], 8}, {&words[2], 8}};
	struct iovec split[2] = {{words, 4}, {(char *)words + 4, 4}};

	cr_expect_eq(answer(fdio_writev(&ref, iov, 2)), 16);
	check_get(&ref, 3, 0);
	cr_expect_eq(answer(fdio_writev(&ref, iov, 3)), 16);
	check_get(&ref, 3, 0);
	cr_expect_eq(answer(fdio_writev(&ref, split, 2)), -EINVAL);
	cr_expect_eq(answer(fdio_writev(&ref, iov, 0)), 0);
	unit_close(ref);
}

Test(core_counterfd, bad_vectors_are_answered_as_by_the_kernel)
{
	uint64_t word = 1;
	struct iovec good = {&word, 8}, bad = {badmem_unmapped(), 8}, huge = {&word, SIZE_MAX};
	const struct {
		struct iovec *iov;
		int count;
	} cases[] = {{&good, -1}, {&good, 1025}, {badmem_null(), 1}, {badmem_unmapped(), 1},
		{&bad, 1}, {&huge, 1}, {badmem_null(), 0}};
	struct fdref ref = unit_object(1, EFD_NONBLOCK);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct iovec *iov = cases[i].iov;
		int count = cases[i].count, kernel = raw_eventfd(1, EFD_NONBLOCK);

		atomic_store(&ref.object->count, 1);
		cr_expect_eq(answer(fdio_writev(&ref, iov, count)),
			raw_syscall3(SYS_writev, kernel, (long)iov, count), "case %zu", i);
		cr_expect_eq(answer(fdio_readv(&ref, iov, count, false)),
			raw_syscall3(SYS_readv, kernel, (long)iov, count), "case %zu", i);
		raw_close(kernel);
	}
	unit_close(ref);
}

Test(core_counterfd, a_read_that_may_not_wait_does_not)
{
	struct fdref ref = unit_object(0, 0);
	uint64_t word;
	struct iovec iov = {&word, 8};

	cr_expect_eq(fdio_readv(&ref, &iov, 1, true).err, EAGAIN);
	cr_expect_eq(counterfd_take(&ref, true, &word), EAGAIN);
	unit_close(ref);
}
