/* readv and writev of mask eventfds, and reads and writes at a position. */
#define _GNU_SOURCE
#include "askboth.h"
#include "badmem.h"
#include "maskkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

TestSuite(mask_vector, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(mask_position, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { PARTS = 4, ROOM = 64 };

#define DATA UINT64_C(0x8123456789abcdef)

static const size_t too_short[][PARTS] = {
	{11}, {4, 4}, {1, 1, 1, 1}, {8}, {0, 0, 11}, {5, 6}, {4, 8}, {3, 5, 4}, {11, 12}};

static int cut(const size_t lengths[PARTS], char *buffer, struct iovec iov[PARTS])
{
	for (int i = 0; i < PARTS; i++)
		iov[i] = (struct iovec){buffer + i * ROOM, lengths[i]};
	return PARTS;
}

/* Each part is a read of its own, as in the patch: of a longer part 12 bytes are filled in, and it
 * is the last. */
static void read_parts(int fd, const size_t lengths[PARTS], int filled)
{
	char buffer[PARTS * ROOM];
	struct iovec iov[PARTS];
	size_t touched = 0;
	memset(buffer, 0x3c, sizeof(buffer));
	cut(lengths, buffer, iov);
	cr_assert_eq(readv(fd, iov, PARTS), filled * 12);
	for (int i = 0; i < PARTS; i++) {
		struct efd_mask mask;
		memcpy(&mask, buffer + i * ROOM, sizeof(mask));
		if (i < filled)
			cr_assert(mask.events == (EPOLLPRI | EPOLLOUT) && mask.data == DATA);
	}
	for (size_t b = 0; b < sizeof(buffer); b++)
		touched += buffer[b] != 0x3c;
	cr_assert_leq(touched, (size_t)filled * 12);
}

Test(mask_vector, readv_reads_part_after_part)
{
	static const struct {
		size_t lengths[PARTS];
		int filled;
	} cases[] = {{{12}, 1}, {{12, 12}, 2}, {{12, 12, 12, 12}, 4}, {{20}, 1}, {{20, 12}, 1},
		{{12, 11, 12}, 1}, {{12, 20, 12}, 2}, {{12, 4, 8}, 1}};
	int fd = mask_open(0);
	mask_put(fd, EPOLLPRI | EPOLLOUT, DATA);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		read_parts(fd, cases[i].lengths, cases[i].filled);
	mask_close(fd);
}

Test(mask_vector, readv_of_fewer_bytes_is_EINVAL)
{
	int fd = mask_open(0);
	for (size_t i = 0; i < sizeof(too_short) / sizeof(*too_short); i++) {
		char buffer[PARTS * ROOM] = {0};
		struct iovec iov[PARTS];
		cut(too_short[i], buffer, iov);
		FAILS(readv(fd, iov, PARTS), EINVAL);
		FAILS(writev(fd, iov, PARTS), EINVAL);
	}
	mask_expect(fd, 0, 0);
	mask_close(fd);
}

/* Each part is a write of its own: what was written before one that fails stays. */
static void write_parts(
	int fd, const uint32_t *events, const size_t *lengths, int count, long want, uint32_t last)
{
	char buffer[PARTS * ROOM] = {0};
	struct iovec iov[PARTS];
	for (int i = 0; i < count; i++) {
		struct efd_mask mask = {events[i], DATA + (uint64_t)i};
		memcpy(buffer + i * ROOM, &mask, sizeof(mask));
		iov[i] = (struct iovec){buffer + i * ROOM, lengths[i]};
	}
	mask_put(fd, 0, 1);
	errno = 0;
	long ret = writev(fd, iov, count);
	cr_assert_eq(ret == -1 ? -errno : ret, want, "writev of %d parts: %ld (%d), not %ld", count,
		ret, errno, want);
	struct efd_mask mask = mask_get(fd);
	cr_assert_eq(mask.events, last, "%#x, not %#x", mask.events, last);
	cr_assert_eq(mask.data, want > 0 ? DATA + (uint64_t)(want / 12 - 1) : 1);
}

#define PARTS_OF(...) ((const size_t[]){__VA_ARGS__})

Test(mask_vector, writev_writes_part_after_part)
{
	static const uint32_t good[] = {1, 2, 4, 8}, second_bad[] = {1, 32, 4, 8},
			      first_bad[] = {64, 1, 2, 4};
	int fd = mask_open(0);
	write_parts(fd, good, PARTS_OF(12), 1, 12, 1);
	write_parts(fd, good, PARTS_OF(12, 12), 2, 24, 2);
	write_parts(fd, good, PARTS_OF(12, 12, 12, 12), 4, 48, 8);
	write_parts(fd, good, PARTS_OF(12, 4), 2, 12, 1);
	write_parts(fd, good, PARTS_OF(12, 12, 11), 3, 24, 2);
	write_parts(fd, good, PARTS_OF(4, 8), 2, -EINVAL, 0);
	write_parts(fd, good, PARTS_OF(4, 12), 2, -EINVAL, 0);
	write_parts(fd, second_bad, PARTS_OF(12, 12, 12), 3, 12, 1);
	write_parts(fd, first_bad, PARTS_OF(12, 12), 2, -EINVAL, 0);
	/* of a longer one 12 bytes are written, so it is the last */
	write_parts(fd, good, PARTS_OF(20, 12), 2, 12, 1);
	write_parts(fd, good, PARTS_OF(12, 20, 12), 3, 24, 2);
	mask_close(fd);
}

/* Empty parts, as the running kernel treats them with a counter's 8 bytes. */
Test(mask_vector, empty_parts_are_treated_as_a_counters)
{
	static const int whole[][PARTS] = {{0}, {0, 1}, {1, 0}, {1, 0, 1}, {0, 0, 1}, {1, 0, 0, 1},
		{0, 0, 0, 0}, {1, 1, 0, 0}};
	int counter = (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0), fd = mask_open(0);
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
		uint64_t one = 1;
		struct efd_mask mask = {EPOLLIN, DATA};
		struct iovec eight[PARTS], twelve[PARTS];
		for (int p = 0; p < PARTS; p++) {
			eight[p] = (struct iovec){&one, whole[i][p] ? 8 : 0};
			twelve[p] = (struct iovec){&mask, whole[i][p] ? 12 : 0};
		}
		long kernel = tk_raw_syscall(SYS_writev, counter, addr(eight), PARTS, 0, 0, 0);
		long ours = writev(fd, twelve, PARTS);
		ours = ours == -1 ? -errno : ours;
		cr_assert_eq(ours, kernel > 0 ? kernel / 8 * 12 : kernel,
			"case %zu: %ld, a counter %ld", i, ours, kernel);
		struct iovec nothing[2] = {{&one, 0}, {&one, 0}};
		kernel = tk_raw_syscall(SYS_readv, counter, addr(nothing), 2, 0, 0, 0);
		ours = readv(fd, nothing, 2);
		cr_assert_eq(ours == -1 ? -errno : ours, kernel);
	}
	tk_raw_syscall(SYS_close, counter, 0, 0, 0, 0, 0);
	mask_close(fd);
}

/* The number of parts is checked before anything else, as ever. */
Test(mask_vector, odd_counts_and_addresses_fail_as_a_counters)
{
	struct both b = {mask_open(0), (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0)};
	char room[ROOM];
	struct iovec iov = {room, 4}, huge = {room, (size_t)-1};
	/* not for the compiler to see */
	volatile int negative = -1, many = 1025;
	badmem_map();
	void *bad = badmem_unmapped();
	SAME(b, readv(fd, &iov, 0), SYS_readv, fd, addr(&iov), 0);
	SAME(b, writev(fd, &iov, 0), SYS_writev, fd, addr(&iov), 0);
	SAME(b, readv(fd, &iov, negative), SYS_readv, fd, addr(&iov), negative);
	SAME(b, writev(fd, &iov, negative), SYS_writev, fd, addr(&iov), negative);
	SAME(b, readv(fd, &iov, many), SYS_readv, fd, addr(&iov), many);
	SAME(b, writev(fd, &iov, many), SYS_writev, fd, addr(&iov), many);
	SAME(b, readv(fd, bad, 1), SYS_readv, fd, addr(bad), 1);
	SAME(b, writev(fd, bad, 1), SYS_writev, fd, addr(bad), 1);
	SAME(b, readv(fd, &huge, 1), SYS_readv, fd, addr(&huge), 1);
	SAME(b, writev(fd, &huge, 1), SYS_writev, fd, addr(&huge), 1);
	badmem_unmap();
	tk_raw_syscall(SYS_close, b.kernel, 0, 0, 0, 0, 0);
	mask_close(b.ours);
}

Test(mask_vector, bad_parts_are_EFAULT)
{
	struct efd_mask mask = {EPOLLIN, DATA};
	int fd = mask_open(0);
	mask_put(fd, EPOLLPRI, 5);
	badmem_map();
	void *bad = badmem_unmapped();
	struct iovec alone = {bad, 12};
	struct iovec second[2] = {{&mask, 12}, {bad, 12}};
	FAILS(readv(fd, &alone, 1), EFAULT);
	FAILS(writev(fd, &alone, 1), EFAULT);
	cr_assert_eq(readv(fd, second, 2), 12);
	cr_assert_eq(mask.data, 5);
	mask_expect(fd, EPOLLPRI, 5);
	mask = (struct efd_mask){EPOLLIN, DATA};
	cr_assert_eq(writev(fd, second, 2), 12);
	mask_expect(fd, EPOLLIN, DATA);
	badmem_unmap();
	mask_close(fd);
}

/* A write is an edge; two in one call are two, but a set tells them as one. */
Test(mask_vector, writev_wakes)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLPRI | EPOLLET, 1);
	struct efd_mask first = {EPOLLPRI, 1}, last = {EPOLLPRI | EPOLLHUP, 2};
	struct iovec iov[2] = {{&first, 12}, {&last, 12}};
	cr_assert_eq(writev(fd, iov, 2), 24);
	cr_assert_eq(mask_event(set, NULL), EPOLLPRI | EPOLLHUP);
	cr_assert_eq(mask_event(set, NULL), 0);
	cr_assert_eq(writev(fd, iov, 1), 12);
	cr_assert_eq(mask_event(set, NULL), EPOLLPRI);
	close(set);
	mask_close(fd);
}

/* Neither has a position. */
Test(mask_position, as_a_counter)
{
	struct both b = {mask_open(0), (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0)};
	char room[4];
	struct iovec iov = {room, 4};
	SAME(b, lseek(fd, 0, SEEK_SET), SYS_lseek, fd, 0, SEEK_SET);
	SAME(b, lseek(fd, 12, SEEK_SET), SYS_lseek, fd, 12, SEEK_SET);
	SAME(b, lseek(fd, 0, SEEK_CUR), SYS_lseek, fd, 0, SEEK_CUR);
	SAME(b, lseek(fd, 0, SEEK_END), SYS_lseek, fd, 0, SEEK_END);
	SAME(b, lseek(fd, 0, 99), SYS_lseek, fd, 0, 99);
	SAME(b, pread(fd, room, 4, 0), SYS_pread64, fd, addr(room), 4, 0);
	SAME(b, pread(fd, room, 4, -1), SYS_pread64, fd, addr(room), 4, -1);
	SAME(b, pwrite(fd, room, 4, 0), SYS_pwrite64, fd, addr(room), 4, 0);
	SAME(b, preadv(fd, &iov, 1, 0), SYS_preadv, fd, addr(&iov), 1, 0, 0);
	SAME(b, pwritev(fd, &iov, 1, 0), SYS_pwritev, fd, addr(&iov), 1, 0, 0);
	SAME(b, ftruncate(fd, 0), SYS_ftruncate, fd, 0);
	SAME(b, fsync(fd), SYS_fsync, fd);
	tk_raw_syscall(SYS_close, b.kernel, 0, 0, 0, 0, 0);
	mask_close(b.ours);
}

/* With a whole mask: where a counter has no position, a mask has none either. */
Test(mask_position, pread_and_pwrite_of_12_bytes)
{
	int counter = (int)tk_raw_syscall(SYS_eventfd2, 1, 0, 0, 0, 0, 0), fd = mask_open(0);
	struct efd_mask mask = {EPOLLIN, DATA};
	uint64_t value = 1;
	long kernel = tk_raw_syscall(SYS_pread64, counter, addr(&value), 8, 0, 0, 0);
	long ours = pread(fd, &mask, 12, 0);
	cr_assert_eq(ours == -1 ? -errno : ours, kernel == 8 ? 12 : kernel);
	mask = (struct efd_mask){EPOLLIN, DATA};
	value = 1;
	kernel = tk_raw_syscall(SYS_pwrite64, counter, addr(&value), 8, 0, 0, 0);
	ours = pwrite(fd, &mask, 12, 0);
	cr_assert_eq(ours == -1 ? -errno : ours, kernel == 8 ? 12 : kernel);
	mask_expect(fd, kernel == 8 ? EPOLLIN : 0, kernel == 8 ? DATA : 0);
	tk_raw_syscall(SYS_close, counter, 0, 0, 0, 0, 0);
	mask_close(fd);
}

/* preadv2 and pwritev2 at position -1 are readv and writev, with the flags a counter takes. */
Test(mask_position, preadv2_and_pwritev2_at_none)
{
	int fd = mask_open(0);
	struct efd_mask mask = {EPOLLIN | EPOLLERR, DATA}, got = {0, 0};
	struct iovec to = {&mask, 12}, from = {&got, 12};
	cr_assert_eq(pwritev2(fd, &to, 1, -1, 0), 12);
	cr_assert_eq(preadv2(fd, &from, 1, -1, 0), 12);
	cr_assert(got.events == mask.events && got.data == DATA);
	struct both b = {fd, (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0)};
	char room[4] = "";
	struct iovec four = {room, 4};
	static const int flags[] = {RWF_NOWAIT, RWF_HIPRI, RWF_APPEND, 1 << 20};
	/* a read of a mask takes the flags that a write of any eventfd takes */
	for (int i = 0; i < 4; i++) {
		SAME(b, preadv2(fd, &four, 1, -1, flags[i]), SYS_pwritev2, fd, addr(&four), 1, -1,
			-1, flags[i]);
		SAME(b, pwritev2(fd, &four, 1, -1, flags[i]), SYS_pwritev2, fd, addr(&four), 1, -1,
			-1, flags[i]);
	}
	tk_raw_syscall(SYS_close, b.kernel, 0, 0, 0, 0, 0);
	mask_close(fd);
}
