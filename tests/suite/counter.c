/* eventfd(2): how it is made, what it counts, where it stops. */
#define _GNU_SOURCE
#include "efd.h"
#include "testkit.h"
#include "twin.h"

#include <criterion/criterion.h>
#include <efdshim/eventfd.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(counter, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int lowest_free_fd(void)
{
	int fd = dup(STDIN_FILENO);
	cr_assert(fd >= 0);
	close(fd);
	return fd;
}

Test(counter, every_combination_of_flags_shows_in_getfl_and_getfd)
{
	static const int known[3] = {EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE};
	for (int bits = 0; bits < 8; bits++) {
		int flags = 0;
		for (int i = 0; i < 3; i++)
			flags |= bits & (1 << i) ? known[i] : 0;
		int fd = efd_open(1, flags);
		int fl = O_RDWR | (flags & EFD_NONBLOCK ? O_NONBLOCK : 0);
		cr_assert_eq(fcntl(fd, F_GETFL), fl, "flags %#x: %#x", flags, fcntl(fd, F_GETFL));
		cr_assert_eq(fcntl(fd, F_GETFD), flags & EFD_CLOEXEC ? FD_CLOEXEC : 0);
		efd_close(fd);
	}
}

Test(counter, every_other_flag_bit_is_einval)
{
	static const int with[3] = {0, EFD_SEMAPHORE, EFD_CLOEXEC | EFD_NONBLOCK};
	/* the last is the shim's own, of which tests/mask tells */
	const unsigned known = EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE | EFD_MASK;
	for (int bit = 0; bit < 32; bit++) {
		if (known & (1u << bit))
			continue;
		for (int i = 0; i < 3; i++) {
			int flags = (int)((1u << bit) | (unsigned)with[i]);
			errno = 0;
			cr_assert_eq(eventfd(0, flags), -1, "flags %#x", flags);
			cr_assert_eq(errno, EINVAL, "flags %#x: errno %d", flags, errno);
		}
	}
}

Test(counter, a_refused_eventfd_takes_no_number)
{
	int before = lowest_free_fd();
	for (int i = 0; i < 100; i++)
		cr_assert_eq(eventfd(0, -1), -1);
	cr_assert_eq(lowest_free_fd(), before);
}

Test(counter, initval_is_the_first_count)
{
	static const unsigned values[] = {1, 2, INT_MAX, INT_MAX + 1u, UINT_MAX};
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		int fd = efd_open(values[i], 0);
		efd_expect(fd, values[i]);
		efd_expect_empty(fd);
		efd_close(fd);
	}
}

Test(counter, initval_zero_is_empty)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(counter, initval_and_writes_add_up)
{
	int fd = efd_open(UINT_MAX, 0);
	efd_add(fd, 1);
	efd_add(fd, 0x100000000);
	efd_expect(fd, 0x200000000);
	efd_close(fd);
}

Test(counter, a_read_takes_everything)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	for (uint64_t round = 1; round < 1000; round++) {
		efd_add(fd, round);
		efd_add(fd, round << 20);
		efd_expect(fd, round + (round << 20));
		efd_expect_empty(fd);
	}
	efd_close(fd);
}

Test(counter, two_eventfds_count_apart)
{
	int a = efd_open(1, 0), b = efd_open(2, 0);
	efd_add(a, 10);
	efd_add(b, 20);
	efd_expect(a, 11);
	efd_expect(b, 22);
	efd_expect_empty(a);
	efd_expect_empty(b);
	efd_close(a);
	efd_close(b);
}

Test(counter, three_hundred_eventfds_count_apart)
{
	enum { MANY = 300, TIMES = 500 };
	int fds[MANY];
	for (unsigned i = 0; i < MANY; i++)
		fds[i] = efd_open(i + 1, EFD_NONBLOCK);
	for (unsigned i = 0; i < MANY; i++)
		efd_add(fds[i], TIMES);
	for (unsigned i = 0; i < MANY; i++) {
		efd_expect(fds[i], i + 1 + TIMES);
		efd_close(fds[i]);
	}
}

Test(counter, a_new_eventfd_knows_nothing_of_the_closed_one)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = efd_open(i & 1, i & 2 ? EFD_SEMAPHORE : 0);
		efd_add(fd, 1000);
		efd_close(fd);
		int next = efd_open(0, 0);
		cr_assert_eq(next, fd);
		efd_expect_empty(next);
		efd_add(next, 3);
		efd_expect(next, 3);
		efd_close(next);
	}
}

Test(counter, the_lowest_free_number_is_used)
{
	int fds[4], gap;
	for (int i = 0; i < 4; i++)
		fds[i] = dup(STDIN_FILENO);
	gap = fds[1];
	close(fds[1]);
	close(fds[3]);
	int first = efd_open(0, 0);
	int second = efd_open(0, EFD_CLOEXEC);
	cr_assert_eq(first, gap);
	cr_assert_eq(second, fds[3]);
	close(fds[0]);
	close(fds[2]);
	efd_close(first);
	cr_assert_eq(lowest_free_fd(), fds[0]);
	efd_close(second);
}

Test(counter, number_zero_is_used_where_it_is_free)
{
	int saved = dup(STDIN_FILENO);
	close(STDIN_FILENO);
	int fd = eventfd(7, 0);
	cr_assert_eq(fd, 0);
	efd_expect(fd, 7);
	cr_assert_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}

Test(counter, the_last_free_number_is_enough_and_then_it_is_emfile)
{
	struct rlimit old, low;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)lowest_free_fd() + 1;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	int fd = eventfd(5, 0);
	errno = 0;
	int refused = eventfd(5, 0);
	int err = errno;
	setrlimit(RLIMIT_NOFILE, &old);
	cr_assert_eq(fd, (int)low.rlim_cur - 1);
	cr_assert_eq(refused, -1);
	cr_assert_eq(err, EMFILE);
	efd_expect(fd, 5);
	efd_close(fd);
}

Test(counter, the_limit_is_two_below_two_to_the_64)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	efd_add(fd, EFD_LIMIT);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	efd_expect(fd, EFD_LIMIT);
	efd_add(fd, EFD_LIMIT - 1);
	efd_add(fd, 1);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

Test(counter, an_add_that_overflows_is_eagain_and_changes_nothing)
{
	static const uint64_t too_much[] = {EFD_LIMIT, EFD_LIMIT - 9, 1ull << 63};
	int fd = efd_open(0, EFD_NONBLOCK);
	for (size_t i = 0; i < sizeof(too_much) / sizeof(*too_much); i++) {
		uint64_t held = UINT64_MAX - too_much[i];
		efd_add(fd, held);
		cr_assert_eq(efd_try_write(fd, too_much[i]), -EAGAIN);
		efd_add(fd, too_much[i] - 1);
		efd_expect(fd, EFD_LIMIT);
	}
	efd_close(fd);
}

Test(counter, writing_uint64_max_is_einval_at_any_count)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	cr_assert_eq(efd_try_write(fd, UINT64_MAX), -EINVAL);
	efd_expect_empty(fd);
	efd_add(fd, EFD_LIMIT);
	cr_assert_eq(efd_try_write(fd, UINT64_MAX), -EINVAL);
	efd_expect(fd, EFD_LIMIT);
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
	cr_assert_eq(efd_try_write(fd, UINT64_MAX), -EINVAL);
	efd_close(fd);
}

Test(counter, writing_zero_adds_nothing_and_wants_no_room)
{
	int fd = efd_open(0, 0);
	efd_add(fd, 0);
	efd_expect_empty(fd);
	efd_add(fd, EFD_LIMIT);
	efd_add(fd, 0);
	efd_expect(fd, EFD_LIMIT);
	efd_close(fd);
}

Test(counter, a_semaphore_gives_one_at_a_time)
{
	int fd = efd_open(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	efd_expect(fd, 1);
	efd_expect(fd, 1);
	efd_add(fd, 2);
	for (int i = 0; i < 3; i++)
		efd_expect(fd, 1);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(counter, a_semaphore_at_the_limit_has_room_for_one_after_a_read)
{
	int fd = efd_open(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	efd_add(fd, EFD_LIMIT);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	efd_expect(fd, 1);
	cr_assert_eq(efd_try_write(fd, 2), -EAGAIN);
	efd_add(fd, 1);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	efd_close(fd);
}

Test(counter, a_read_of_nothing_is_eagain_and_leaves_the_buffer_alone)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t value = 0x1122334455667788;
	cr_assert_eq(efd_try_read(fd, &value), -EAGAIN);
	cr_assert_eq(value, 0x1122334455667788);
	efd_close(fd);
}

Test(counter, eventfd_read_and_eventfd_write_move_the_count)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	eventfd_t value = 0;
	errno = 12345;
	cr_assert_eq(eventfd_write(fd, 40), 0);
	cr_assert_eq(eventfd_write(fd, 2), 0);
	cr_assert_eq(eventfd_read(fd, &value), 0);
	cr_assert_eq(errno, 12345);
	cr_assert_eq(value, 42);
	efd_close(fd);
}

Test(counter, eventfd_read_and_eventfd_write_fail_as_read_and_write_do)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	eventfd_t value = 77;
	cr_assert(eventfd_read(fd, &value) == -1 && errno == EAGAIN);
	cr_assert_eq(value, 77);
	cr_assert(eventfd_write(fd, UINT64_MAX) == -1 && errno == EINVAL);
	cr_assert_eq(eventfd_write(fd, EFD_LIMIT), 0);
	cr_assert(eventfd_write(fd, 1) == -1 && errno == EAGAIN);
	efd_close(fd);
	cr_assert(eventfd_read(fd, &value) == -1 && errno == EBADF);
	cr_assert(eventfd_write(fd, 1) == -1 && errno == EBADF);
}

Test(counter, eventfd_read_and_eventfd_write_work_on_a_pipe)
{
	int p[2];
	eventfd_t value = 0;
	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(eventfd_write(p[1], UINT64_MAX), 0);
	cr_assert_eq(eventfd_read(p[0], &value), 0);
	cr_assert_eq(value, UINT64_MAX);
	cr_assert_eq(write(p[1], "four", 4), 4);
	errno = 12345;
	cr_assert_eq(eventfd_read(p[0], &value), -1);
	cr_assert_eq(errno, 12345);
	close(p[0]);
	close(p[1]);
}

Test(counter, closed_and_absurd_numbers_are_ebadf)
{
	int closed = efd_open(9, 0);
	efd_close(closed);
	const int bad[] = {closed, -1, INT_MIN, INT_MAX, 1 << 20};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint64_t value = 1;
		struct iovec iov = {&value, sizeof(value)};
		cr_assert_eq(efd_try_read(bad[i], &value), -EBADF);
		cr_assert_eq(efd_try_write(bad[i], 1), -EBADF);
		cr_assert(readv(bad[i], &iov, 1) == -1 && errno == EBADF);
		cr_assert(writev(bad[i], &iov, 1) == -1 && errno == EBADF);
		cr_assert(close(bad[i]) == -1 && errno == EBADF);
	}
}

Test(counter, setfl_keeps_the_flags_that_the_kernel_keeps)
{
	struct twin t = twin_open(1, 0);
	for (int bit = 0; bit < 31; bit++) {
		for (int extra = 0; extra < 2; extra++) {
			twin_setfl(&t, (1 << bit) | (extra ? O_NONBLOCK : 0));
			long kernel = tk_raw_syscall(SYS_fcntl, t.kernel, F_GETFL, 0, 0, 0, 0);
			int libc = fcntl(t.libc, F_GETFL);
			cr_assert_eq(libc, kernel, "bit %d: %#x, not %#lx", bit, libc, kernel);
		}
	}
	twin_close(&t);
}
