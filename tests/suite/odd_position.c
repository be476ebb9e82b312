/* Calls that want a position or a file behind the number: libc answers as the kernel does. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

TestSuite(odd_position, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(odd_vector, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(odd_file, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static uint64_t value = 3;
static struct iovec iov = {&value, 8};

Test(odd_position, lseek)
{
	struct both b = both_open(5, 0);
	SAME(b, lseek(fd, 0, SEEK_SET), SYS_lseek, fd, 0, SEEK_SET);
	SAME(b, lseek(fd, 0, SEEK_CUR), SYS_lseek, fd, 0, SEEK_CUR);
	SAME(b, lseek(fd, 0, SEEK_END), SYS_lseek, fd, 0, SEEK_END);
	SAME(b, lseek(fd, 8, SEEK_SET), SYS_lseek, fd, 8, SEEK_SET);
	SAME(b, lseek(fd, -1, SEEK_SET), SYS_lseek, fd, -1, SEEK_SET);
	both_close(b);
}

Test(odd_position, lseek_with_odd_whence)
{
	struct both b = both_open(5, 0);
	SAME(b, lseek(fd, 0, SEEK_DATA), SYS_lseek, fd, 0, SEEK_DATA);
	SAME(b, lseek(fd, 0, SEEK_HOLE), SYS_lseek, fd, 0, SEEK_HOLE);
	SAME(b, lseek(fd, 0, 77), SYS_lseek, fd, 0, 77);
	SAME(b, lseek(fd, 0, -1), SYS_lseek, fd, 0, -1);
	both_close(b);
}

Test(odd_position, lseek64)
{
	struct both b = both_open(5, 0);
	SAME(b, lseek64(fd, 1LL << 40, SEEK_SET), SYS_lseek, fd, 1L << 40, SEEK_SET);
	SAME(b, lseek64(fd, 0, SEEK_CUR), SYS_lseek, fd, 0, SEEK_CUR);
	both_close(b);
}

Test(odd_position, pread)
{
	struct both b = both_open(5, 0);
	SAME(b, pread(fd, &value, 8, 0), SYS_pread64, fd, addr(&value), 8, 0);
	SAME(b, pread(fd, &value, 8, 8), SYS_pread64, fd, addr(&value), 8, 8);
	SAME(b, pread(fd, &value, 8, -1), SYS_pread64, fd, addr(&value), 8, -1);
	SAME(b, pread(fd, &value, 4, 0), SYS_pread64, fd, addr(&value), 4, 0);
	SAME(b, pread(fd, &value, 0, 0), SYS_pread64, fd, addr(&value), 0, 0);
	both_close(b);
}

Test(odd_position, pwrite)
{
	struct both b = both_open(5, 0);
	SAME(b, pwrite(fd, &value, 8, 0), SYS_pwrite64, fd, addr(&value), 8, 0);
	SAME(b, pwrite(fd, &value, 8, 8), SYS_pwrite64, fd, addr(&value), 8, 8);
	SAME(b, pwrite(fd, &value, 8, -1), SYS_pwrite64, fd, addr(&value), 8, -1);
	SAME(b, pwrite(fd, &value, 4, 0), SYS_pwrite64, fd, addr(&value), 4, 0);
	SAME(b, pwrite(fd, &value, 0, 0), SYS_pwrite64, fd, addr(&value), 0, 0);
	both_close(b);
}

Test(odd_position, pread_and_pwrite_with_bad_memory)
{
	struct both b = both_open(5, 0);
	void *volatile bad = NULL;
	SAME(b, pread(fd, bad, 8, 0), SYS_pread64, fd, addr(bad), 8, 0);
	SAME(b, pwrite(fd, bad, 8, 0), SYS_pwrite64, fd, addr(bad), 8, 0);
	SAME(b, pread(fd, bad, 8, -1), SYS_pread64, fd, addr(bad), 8, -1);
	both_close(b);
}

Test(odd_vector, preadv_and_pwritev)
{
	struct both b = both_open(5, 0);
	volatile int negative = -1;
	SAME(b, preadv(fd, &iov, 1, 0), SYS_preadv, fd, addr(&iov), 1, 0, 0);
	SAME(b, preadv(fd, &iov, 1, -1), SYS_preadv, fd, addr(&iov), 1, -1, -1);
	SAME(b, preadv(fd, &iov, negative, 0), SYS_preadv, fd, addr(&iov), -1, 0, 0);
	SAME(b, pwritev(fd, &iov, 1, 0), SYS_pwritev, fd, addr(&iov), 1, 0, 0);
	SAME(b, pwritev(fd, &iov, 1, -1), SYS_pwritev, fd, addr(&iov), 1, -1, -1);
	SAME(b, pwritev(fd, &iov, 0, 0), SYS_pwritev, fd, addr(&iov), 0, 0, 0);
	both_close(b);
}

static uint64_t unlike_before(void)
{
	uint64_t before = value;
	value = 0;
	return before;
}

Test(odd_vector, preadv2_at_the_current_position_is_a_read)
{
	struct both b = both_open(5, 0);
	SAME(b, preadv2(fd, &iov, 1, -1, 0), SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0);
	cr_assert_eq(unlike_before(), 5);
	both_close(b);
}

Test(odd_vector, preadv2_elsewhere)
{
	struct both b = both_open(5, 0);
	SAME(b, preadv2(fd, &iov, 1, 0, 0), SYS_preadv2, fd, addr(&iov), 1, 0, 0, 0);
	SAME(b, preadv2(fd, &iov, 1, 8, 0), SYS_preadv2, fd, addr(&iov), 1, 8, 0, 0);
	SAME(b, preadv2(fd, &iov, 1, -2, 0), SYS_preadv2, fd, addr(&iov), 1, -2, -1, 0);
	both_close(b);
}

Test(odd_vector, preadv2_with_RWF_NOWAIT)
{
	if (tk_lacks(SYS_preadv2))
		return;
	struct both b = both_open(5, 0);
	SAME(b, preadv2(fd, &iov, 1, -1, RWF_NOWAIT), SYS_preadv2, fd, addr(&iov), 1, -1, -1,
		RWF_NOWAIT);
	SAME(b, preadv2(fd, &iov, 1, -1, RWF_NOWAIT), SYS_preadv2, fd, addr(&iov), 1, -1, -1,
		RWF_NOWAIT);
	SAME(b, preadv2(fd, &iov, 1, 0, RWF_NOWAIT), SYS_preadv2, fd, addr(&iov), 1, 0, 0,
		RWF_NOWAIT);
	both_close(b);
}

Test(odd_vector, preadv2_with_each_flag)
{
	if (tk_lacks(SYS_preadv2))
		return;
	struct both b = both_open(5, EFD_SEMAPHORE | EFD_NONBLOCK);
	both_write(b, 100);
	for (int bit = 0; bit < 31; bit++)
		SAME(b, preadv2(fd, &iov, 1, -1, 1 << bit), SYS_preadv2, fd, addr(&iov), 1, -1, -1,
			1 << bit);
	both_close(b);
}

Test(odd_vector, pwritev2_at_the_current_position)
{
	struct both b = both_open(5, 0);
	value = 2;
	SAME(b, pwritev2(fd, &iov, 1, -1, 0), SYS_pwritev2, fd, addr(&iov), 1, -1, -1, 0);
	SAME(b, pwritev2(fd, &iov, 1, -1, RWF_NOWAIT), SYS_pwritev2, fd, addr(&iov), 1, -1, -1,
		RWF_NOWAIT);
	both_close(b);
}

Test(odd_vector, pwritev2_elsewhere)
{
	struct both b = both_open(5, 0);
	SAME(b, pwritev2(fd, &iov, 1, 0, 0), SYS_pwritev2, fd, addr(&iov), 1, 0, 0, 0);
	SAME(b, pwritev2(fd, &iov, 1, 8, RWF_DSYNC), SYS_pwritev2, fd, addr(&iov), 1, 8, 0,
		RWF_DSYNC);
	both_close(b);
}

Test(odd_vector, pwritev2_with_each_flag)
{
	if (tk_lacks(SYS_pwritev2))
		return;
	struct both b = both_open(5, EFD_NONBLOCK);
	for (int bit = 0; bit < 31; bit++)
		SAME(b, pwritev2(fd, &iov, 1, -1, 1 << bit), SYS_pwritev2, fd, addr(&iov), 1, -1,
			-1, 1 << bit);
	both_close(b);
}

Test(odd_vector, version_2_calls_with_bad_memory_or_counts)
{
	struct both b = both_open(5, 0);
	struct iovec bad = {(void *)1, 8};
	struct iovec *volatile nowhere = (void *)8;
	volatile int many = 1025;
	SAME(b, preadv2(fd, &bad, 1, -1, 0), SYS_preadv2, fd, addr(&bad), 1, -1, -1, 0);
	SAME(b, pwritev2(fd, &bad, 1, -1, 0), SYS_pwritev2, fd, addr(&bad), 1, -1, -1, 0);
	SAME(b, preadv2(fd, nowhere, 1, -1, 0), SYS_preadv2, fd, addr(nowhere), 1, -1, -1, 0);
	SAME(b, preadv2(fd, &iov, many, -1, 0), SYS_preadv2, fd, addr(&iov), 1025, -1, -1, 0);
	SAME(b, preadv2(fd, &iov, 0, -1, 0), SYS_preadv2, fd, addr(&iov), 0, -1, -1, 0);
	both_close(b);
}

Test(odd_file, fsync_and_its_kin)
{
	struct both b = both_open(5, 0);
	SAME(b, fsync(fd), SYS_fsync, fd);
	SAME(b, fdatasync(fd), SYS_fdatasync, fd);
	SAME(b, syncfs(fd), SYS_syncfs, fd);
	SAME(b, sync_file_range(fd, 0, 8, 0), SYS_sync_file_range, fd, 0, 8, 0);
	both_close(b);
}

Test(odd_file, ftruncate)
{
	struct both b = both_open(5, 0);
	SAME(b, ftruncate(fd, 0), SYS_ftruncate, fd, 0);
	SAME(b, ftruncate(fd, 8), SYS_ftruncate, fd, 8);
	SAME(b, ftruncate(fd, -1), SYS_ftruncate, fd, -1);
	SAME(b, ftruncate64(fd, 8), SYS_ftruncate, fd, 8);
	both_close(b);
}

Test(odd_file, fallocate)
{
	struct both b = both_open(5, 0);
	SAME(b, fallocate(fd, 0, 0, 8), SYS_fallocate, fd, 0, 0, 8);
	SAME(b, fallocate(fd, 0, -1, 8), SYS_fallocate, fd, 0, -1, 8);
	SAME(b, fallocate(fd, 0, 0, 0), SYS_fallocate, fd, 0, 0, 0);
	SAME(b, fallocate(fd, 1 << 20, 0, 8), SYS_fallocate, fd, 1 << 20, 0, 8);
	SAME(b, fallocate64(fd, FALLOC_FL_KEEP_SIZE, 0, 8), SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE,
		0, 8);
	both_close(b);
}

Test(odd_file, posix_fallocate)
{
	struct both b = both_open(5, 0);
	SAME(b, errno_from(posix_fallocate(fd, 0, 8)), SYS_fallocate, fd, 0, 0, 8);
	both_close(b);
}

Test(odd_file, posix_fadvise)
{
	struct both b = both_open(5, 0);
	SAME(b, errno_from(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL)), SYS_fadvise64, fd, 0, 0,
		POSIX_FADV_NORMAL);
	SAME(b, errno_from(posix_fadvise(fd, 0, 8, POSIX_FADV_DONTNEED)), SYS_fadvise64, fd, 0, 8,
		POSIX_FADV_DONTNEED);
	SAME(b, errno_from(posix_fadvise(fd, 0, 0, 99)), SYS_fadvise64, fd, 0, 0, 99);
	SAME(b, errno_from(posix_fadvise64(fd, 0, -1, 0)), SYS_fadvise64, fd, 0, -1, 0);
	both_close(b);
}

Test(odd_file, readahead)
{
	struct both b = both_open(5, 0);
	SAME(b, readahead(fd, 0, 8), SYS_readahead, fd, 0, 8);
	both_close(b);
}
