/* libc's syscall(): making, using and closing an eventfd by number. Waiting is in syscalls_wait.c.
 */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(syscalls, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static const unsigned long high_bits = 0xdead00000000UL;

static int by_syscall(long fd)
{
	cr_assert_geq(fd, 0, "%s", strerror(errno));
	return (int)fd;
}

#ifdef SYS_eventfd
Test(syscalls, eventfd_takes_no_flags)
{
	int fd = by_syscall(syscall(SYS_eventfd, 5, EFD_NONBLOCK | EFD_CLOEXEC | 0xff00));
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}
#endif

Test(syscalls, eventfd2)
{
	errno = ERRNO_CANARY;
	int fd = by_syscall(syscall(SYS_eventfd2, 5, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE));
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_count(fd, 1);
	add(fd, 2);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls, eventfd2_with_other_flags_is_EINVAL)
{
	FAILS(syscall(SYS_eventfd2, 5, 4), EINVAL);
	FAILS(syscall(SYS_eventfd2, 5, EFD_CLOEXEC | 0x100), EINVAL);
	FAILS(syscall(SYS_eventfd2, 5, -1), EINVAL);
}

Test(syscalls, eventfd2_takes_the_low_half_of_each_argument)
{
	int fd = by_syscall(syscall(SYS_eventfd2, high_bits | 5, high_bits | EFD_NONBLOCK));
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(syscalls, an_fd_is_the_low_half_of_its_argument)
{
	int fd = new_eventfd(5, 0);
	uint64_t value = 1;
	cr_assert_eq(syscall(SYS_write, high_bits | (unsigned int)fd, &value, 8), 8);
	cr_assert_eq(syscall(SYS_read, high_bits | (unsigned int)fd, &value, 8), 8);
	cr_assert_eq(value, 6);
	cr_assert_eq(syscall(SYS_close, high_bits | (unsigned int)fd), 0);
	assert_closed(fd);
}

Test(syscalls, read_and_write)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	uint64_t value = 2, all = UINT64_MAX;
	SAME_SYSCALL(b, SYS_write, fd, addr(&value), 8);
	SAME_SYSCALL(b, SYS_write, fd, addr(&value), 7);
	SAME_SYSCALL(b, SYS_write, fd, addr(&value), 0);
	SAME_SYSCALL(b, SYS_write, fd, addr(&all), 8);
	SAME_SYSCALL(b, SYS_read, fd, addr(&value), 7);
	SAME_SYSCALL(b, SYS_read, fd, addr(&value), 8);
	cr_assert_eq(value, 7);
	SAME_SYSCALL(b, SYS_read, fd, addr(&value), 8);
	both_close(b);
}

Test(syscalls, read_and_write_with_bad_memory)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	SAME_SYSCALL(b, SYS_read, fd, 0, 8);
	SAME_SYSCALL(b, SYS_read, fd, 8, 8);
	SAME_SYSCALL(b, SYS_write, fd, 0, 8);
	SAME_SYSCALL(b, SYS_write, fd, -4096, 8);
	both_close(b);
}

Test(syscalls, readv)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	uint32_t halves[2] = {0, 9};
	struct iovec iov[2] = {{&halves[0], 4}, {&halves[1], 4}};
	SAME_SYSCALL(b, SYS_readv, fd, addr(iov), 1);
	SAME_SYSCALL(b, SYS_readv, fd, addr(iov), 2);
	cr_assert(halves[0] == 5 && halves[1] == 0);
	SAME_SYSCALL(b, SYS_readv, fd, addr(iov), 2);
	SAME_SYSCALL(b, SYS_readv, fd, addr(iov), -1);
	both_close(b);
}

Test(syscalls, writev)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	uint64_t values[2] = {3, 4};
	struct iovec whole[2] = {{&values[0], 8}, {&values[1], 8}};
	struct iovec halves[2] = {{&values[0], 4}, {(char *)values + 4, 4}};
	struct iovec uneven[2] = {{&values[0], 8}, {&values[1], 4}};
	SAME_SYSCALL(b, SYS_writev, fd, addr(whole), 1);
	SAME_SYSCALL(b, SYS_writev, fd, addr(whole), 2);
	SAME_SYSCALL(b, SYS_writev, fd, addr(halves), 2);
	SAME_SYSCALL(b, SYS_writev, fd, addr(uneven), 2);
	both_close(b);
}

Test(syscalls, positional_reads_and_writes)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	uint64_t value = 3;
	struct iovec iov = {&value, 8};
	SAME_SYSCALL(b, SYS_pwrite64, fd, addr(&value), 8, 0);
	SAME_SYSCALL(b, SYS_pwritev, fd, addr(&iov), 1, 0, 0);
	SAME_SYSCALL(b, SYS_pread64, fd, addr(&value), 8, 0);
	SAME_SYSCALL(b, SYS_preadv, fd, addr(&iov), 1, 0, 0);
	SAME_SYSCALL(b, SYS_pread64, fd, addr(&value), 8, -1);
	both_close(b);
}

Test(syscalls, preadv2_and_pwritev2)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	uint64_t value = 3;
	struct iovec iov = {&value, 8};
	SAME_SYSCALL(b, SYS_pwritev2, fd, addr(&iov), 1, -1, -1, 0);
	SAME_SYSCALL(b, SYS_pwritev2, fd, addr(&iov), 1, 0, 0, 0);
	SAME_SYSCALL(b, SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0x40000000);
	SAME_SYSCALL(b, SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0);
	SAME_SYSCALL(b, SYS_preadv2, fd, addr(&iov), 1, -1, -1, 0);
	both_close(b);
}

Test(syscalls, close)
{
	int fd = new_eventfd(5, 0);
	cr_assert_eq(syscall(SYS_close, fd), 0);
	assert_closed(fd);
	FAILS(syscall(SYS_close, fd), EBADF);
	cr_assert_eq(open("/dev/null", O_RDWR), fd);
	cr_assert_eq(write(fd, "abc", 3), 3);
	cr_assert_eq(syscall(SYS_close, fd), 0);
}

#ifdef SYS_close_range
Test(syscalls, close_range)
{
	int a = new_eventfd(5, 0), b = new_eventfd(6, 0);
	cr_assert_eq(syscall(SYS_close_range, b, b, 4), 0);
	cr_assert_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	FAILS(syscall(SYS_close_range, b, a, 0), EINVAL);
	cr_assert_eq(syscall(SYS_close_range, b, b, 0), 0);
	assert_closed(b);
	assert_count(a, 5);
	cr_assert_eq(close(a), 0);
}
#endif

Test(syscalls, dup_and_dup3)
{
	int a = new_eventfd(5, EFD_CLOEXEC), b = by_syscall(syscall(SYS_dup, a));
	cr_assert_eq(fcntl(b, F_GETFD), 0);
	add(b, 1);
	cr_assert_eq(syscall(SYS_dup3, a, 90, O_CLOEXEC), 90);
	cr_assert_eq(fcntl(90, F_GETFD), FD_CLOEXEC);
	assert_count(90, 6);
	FAILS(syscall(SYS_dup3, a, a, 0), EINVAL);
	FAILS(syscall(SYS_dup3, a, 91, 1), EINVAL);
	FAILS(syscall(SYS_dup, -1), EBADF);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
	cr_assert_eq(close(90), 0);
}

#ifdef SYS_dup2
Test(syscalls, dup2)
{
	int a = new_eventfd(5, EFD_CLOEXEC), b = new_eventfd(50, 0);
	cr_assert_eq(syscall(SYS_dup2, a, a), a);
	cr_assert_eq(syscall(SYS_dup2, a, b), b);
	assert_count(b, 5);
	FAILS(syscall(SYS_dup2, a, -1), EBADF);
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
}
#endif

Test(syscalls, dup3_of_a_file_onto_an_eventfd_makes_it_the_file)
{
	int fd = new_eventfd(5, 0), null = open("/dev/null", O_RDWR);
	cr_assert_eq(syscall(SYS_dup3, null, fd, 0), fd);
	cr_assert_eq(write(fd, "abc", 3), 3);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(close(null), 0);
}

Test(syscalls, fcntl)
{
	struct both b = both_open(5, 0);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_GETFL);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_GETFD);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_GETPIPE_SZ);
	SAME_SYSCALL(b, SYS_fcntl, fd, 999);
	int copy = by_syscall(syscall(SYS_fcntl, b.ours, F_DUPFD_CLOEXEC, 70));
	cr_assert_eq(copy, 70);
	cr_assert_eq(fcntl(copy, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(close(copy), 0);
	both_close(b);
}

Test(syscalls, ioctl)
{
	struct both b = both_open(5, 0);
	int on = 1;
	SAME_SYSCALL(b, SYS_ioctl, fd, FIONBIO, addr(&on));
	SAME_SYSCALL(b, SYS_fcntl, fd, F_GETFL);
	SAME_SYSCALL(b, SYS_ioctl, fd, FIOCLEX);
	SAME_SYSCALL(b, SYS_fcntl, fd, F_GETFD);
	SAME_SYSCALL(b, SYS_ioctl, fd, FIONCLEX);
	SAME_SYSCALL(b, SYS_ioctl, fd, FIONREAD, addr(&on));
	SAME_SYSCALL(b, SYS_ioctl, fd, FIONBIO, 8);
	both_close(b);
}

Test(syscalls, lseek_fsync_and_ftruncate)
{
	struct both b = both_open(5, 0);
	SAME_SYSCALL(b, SYS_lseek, fd, 0, SEEK_CUR);
	SAME_SYSCALL(b, SYS_lseek, fd, 8, SEEK_SET);
	SAME_SYSCALL(b, SYS_fsync, fd);
	SAME_SYSCALL(b, SYS_fdatasync, fd);
	SAME_SYSCALL(b, SYS_ftruncate, fd, 0);
	SAME_SYSCALL(b, SYS_fallocate, fd, 0, 0, 8);
	both_close(b);
}

static void assert_alike(const struct stat *ours, const struct stat *kernel)
{
	cr_assert_eq(ours->st_mode, kernel->st_mode);
	cr_assert_eq(ours->st_ino, kernel->st_ino);
	cr_assert_eq(ours->st_dev, kernel->st_dev);
}

Test(syscalls, fstat_newfstatat_and_statx)
{
	struct both b = both_open(5, 0);
	struct stat ours, kernel;
	struct statx oursx, kernelx;
	SAME(b, syscall(SYS_fstat, fd, &ours), SYS_fstat, fd, addr(&kernel));
	assert_alike(&ours, &kernel);
	SAME(b, syscall(SYS_newfstatat, fd, "", &ours, AT_EMPTY_PATH), SYS_newfstatat, fd, addr(""),
		addr(&kernel), AT_EMPTY_PATH);
	assert_alike(&ours, &kernel);
	SAME(b, syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_ALL, &oursx), SYS_statx, fd,
		addr(""), AT_EMPTY_PATH, STATX_ALL, addr(&kernelx));
	if (!tk_lacks(SYS_statx)) {
		cr_assert_eq(oursx.stx_mode, kernelx.stx_mode);
		cr_assert_eq(oursx.stx_ino, kernelx.stx_ino);
	}
	both_close(b);
}

static const char *path_of(const char *kind, int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/self/%s/%d", kind, fd);
	return path;
}

Test(syscalls, readlinkat)
{
	int fd = new_eventfd(5, 0);
	char text[64] = "";
	cr_assert_eq(syscall(SYS_readlinkat, AT_FDCWD, path_of("fd", fd), text, 64), 20);
	cr_assert_str_eq(text, "anon_inode:[eventfd]");
	cr_assert_eq(close(fd), 0);
}

#ifdef SYS_readlink
Test(syscalls, readlink)
{
	int fd = new_eventfd(5, 0);
	char text[64] = "";
	cr_assert_eq(syscall(SYS_readlink, path_of("fd", fd), text, 64), 20);
	cr_assert_str_eq(text, "anon_inode:[eventfd]");
	cr_assert_eq(close(fd), 0);
}
#endif

static void assert_shows_count(int info, const char *expected)
{
	char text[512] = "";
	cr_assert_gt(syscall(SYS_read, info, text, sizeof(text) - 1), 0);
	cr_assert(strstr(text, expected), "%s", text);
	cr_assert_eq(close(info), 0);
}

Test(syscalls, openat_of_fdinfo_and_link)
{
	int fd = new_eventfd(0xbeef, 0);
	int info = by_syscall(syscall(SYS_openat, AT_FDCWD, path_of("fdinfo", fd), O_RDONLY));
	assert_shows_count(info, "eventfd-count:             beef\n");
	FAILS(syscall(SYS_openat, AT_FDCWD, path_of("fd", fd), O_RDWR), ENXIO);
	cr_assert_eq(close(fd), 0);
}

#ifdef SYS_open
Test(syscalls, open_of_fdinfo_and_link)
{
	int fd = new_eventfd(0xbeef, 0);
	int info = by_syscall(syscall(SYS_open, path_of("fdinfo", fd), O_RDONLY));
	assert_shows_count(info, "eventfd-count:             beef\n");
	FAILS(syscall(SYS_open, path_of("fd", fd), O_RDWR), ENXIO);
	cr_assert_eq(close(fd), 0);
}
#endif

Test(syscalls, splice_tee_and_sendfile)
{
	struct both b = both_open(5, EFD_NONBLOCK);
	int ends[2], file = tk_memory_file(0);
	cr_assert_eq(write(file, "12345678", 8), 8);
	cr_assert_eq(lseek(file, 0, SEEK_SET), 0);
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	cr_assert_eq(write(ends[1], "1234567812345678", 16), 16);
	SAME_SYSCALL(b, SYS_splice, fd, 0, ends[1], 0, 8, 0);
	SAME_SYSCALL(b, SYS_splice, ends[0], 0, fd, 0, 8, 0);
	SAME_SYSCALL(b, SYS_tee, fd, ends[1], 8, 0);
	SAME_SYSCALL(b, SYS_sendfile, fd, file, 0, 8);
	SAME_SYSCALL(b, SYS_sendfile, ends[1], fd, 0, 8);
	cr_assert_eq(close(file), 0);
	cr_assert_eq(close(ends[0]), 0);
	cr_assert_eq(close(ends[1]), 0);
	both_close(b);
}

Test(syscalls, what_is_no_business_of_eventfds_passes_through)
{
	errno = ERRNO_CANARY;
	cr_assert_eq(syscall(SYS_getpid), getpid());
	void *page = (void *)syscall(
		SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(page, MAP_FAILED);
	memset(page, 1, 4096);
	cr_assert_eq(syscall(SYS_munmap, page, 4096), 0);
	cr_assert_eq(errno, ERRNO_CANARY);
	FAILS(syscall(100000), ENOSYS);
	FAILS(syscall(-1L), ENOSYS);
}
