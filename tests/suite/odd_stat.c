/* What the stat family tells about an eventfd is what it tells about the kernel's. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

TestSuite(odd_stat, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void assert_same_stat(const struct stat *ours, const struct stat *kernel)
{
	cr_assert_eq(
		ours->st_mode, kernel->st_mode, "mode %o, not %o", ours->st_mode, kernel->st_mode);
	cr_assert_eq(ours->st_dev, kernel->st_dev);
	cr_assert_eq(ours->st_ino, kernel->st_ino);
	cr_assert_eq(ours->st_size, kernel->st_size);
	cr_assert_eq(ours->st_nlink, kernel->st_nlink);
	cr_assert_eq(ours->st_uid, kernel->st_uid);
	cr_assert_eq(ours->st_gid, kernel->st_gid);
	cr_assert_eq(ours->st_rdev, kernel->st_rdev);
	cr_assert_eq(ours->st_blksize, kernel->st_blksize);
	cr_assert_eq(ours->st_blocks, kernel->st_blocks);
}

Test(odd_stat, fstat)
{
	struct both b = both_open(5, 0);
	struct stat ours, kernel;
	SAME(b, fstat(fd, &ours), SYS_fstat, fd, addr(&kernel));
	assert_same_stat(&ours, &kernel);
	both_close(b);
}

Test(odd_stat, fstat_of_a_copy_and_of_another)
{
	struct both b = both_open(5, 0);
	int copy = dup(b.ours), other = new_eventfd(0, EFD_SEMAPHORE);
	struct stat ours, again;
	cr_assert_eq(fstat(copy, &ours), 0);
	cr_assert_eq(tk_raw_syscall(SYS_fstat, b.kernel, addr(&again), 0, 0, 0, 0), 0);
	assert_same_stat(&ours, &again);
	cr_assert_eq(fstat(other, &again), 0);
	assert_same_stat(&ours, &again);
	cr_assert_eq(close(copy), 0);
	cr_assert_eq(close(other), 0);
	both_close(b);
}

Test(odd_stat, fstat64)
{
	struct both b = both_open(5, 0);
	struct stat64 ours;
	struct stat kernel;
	SAME(b, fstat64(fd, &ours), SYS_fstat, fd, addr(&kernel));
	cr_assert_eq(ours.st_mode, kernel.st_mode);
	cr_assert_eq(ours.st_ino, kernel.st_ino);
	cr_assert_eq(ours.st_dev, kernel.st_dev);
	both_close(b);
}

Test(odd_stat, __fxstat)
{
	struct both b = both_open(5, 0);
	struct stat ours, kernel;
	int (*fxstat)(int, int, struct stat *) = dlsym(RTLD_DEFAULT, "__fxstat");
	if (fxstat) {
		SAME(b, fxstat(1, fd, &ours), SYS_fstat, fd, addr(&kernel));
		assert_same_stat(&ours, &kernel);
	}
	both_close(b);
}

Test(odd_stat, fstat_with_bad_memory)
{
	struct both b = both_open(5, 0);
	struct stat *volatile bad = (void *)8;
	SAME(b, fstat(fd, bad), SYS_fstat, fd, addr(bad));
	both_close(b);
}

Test(odd_stat, fstatat_of_the_number_itself)
{
	struct both b = both_open(5, 0);
	struct stat ours, kernel;
	SAME(b, fstatat(fd, "", &ours, AT_EMPTY_PATH), SYS_newfstatat, fd, addr(""), addr(&kernel),
		AT_EMPTY_PATH);
	assert_same_stat(&ours, &kernel);
	SAME(b, fstatat(fd, "", &ours, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW), SYS_newfstatat, fd,
		addr(""), addr(&kernel), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	assert_same_stat(&ours, &kernel);
	both_close(b);
}

Test(odd_stat, fstatat_with_names)
{
	struct both b = both_open(5, 0);
	struct stat st;
	SAME(b, fstatat(fd, "", &st, 0), SYS_newfstatat, fd, addr(""), addr(&st), 0);
	SAME(b, fstatat(fd, "x", &st, 0), SYS_newfstatat, fd, addr("x"), addr(&st), 0);
	SAME(b, fstatat(fd, "/", &st, 0), SYS_newfstatat, fd, addr("/"), addr(&st), 0);
	SAME(b, fstatat(fd, "", &st, 1 << 30), SYS_newfstatat, fd, addr(""), addr(&st), 1 << 30);
	both_close(b);
}

static void assert_same_statx(const struct statx *ours, const struct statx *kernel)
{
	cr_assert_eq(ours->stx_mask, kernel->stx_mask, "mask %x, not %x", ours->stx_mask,
		kernel->stx_mask);
	cr_assert_eq(ours->stx_mode, kernel->stx_mode);
	cr_assert_eq(ours->stx_ino, kernel->stx_ino);
	cr_assert_eq(ours->stx_size, kernel->stx_size);
	cr_assert_eq(ours->stx_nlink, kernel->stx_nlink);
	cr_assert_eq(ours->stx_dev_major, kernel->stx_dev_major);
	cr_assert_eq(ours->stx_dev_minor, kernel->stx_dev_minor);
	cr_assert_eq(ours->stx_attributes, kernel->stx_attributes);
}

Test(odd_stat, statx_of_the_number_itself)
{
	if (tk_lacks(SYS_statx))
		return;
	struct both b = both_open(5, 0);
	const unsigned int masks[] = {STATX_BASIC_STATS, STATX_ALL, STATX_MODE, 0};
	for (unsigned int i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		struct statx ours, kernel;
		SAME(b, statx(fd, "", AT_EMPTY_PATH, masks[i], &ours), SYS_statx, fd, addr(""),
			AT_EMPTY_PATH, masks[i], addr(&kernel));
		assert_same_statx(&ours, &kernel);
	}
	both_close(b);
}

Test(odd_stat, statx_errors)
{
	struct both b = both_open(5, 0);
	struct statx st;
	struct statx *volatile bad = (void *)8;
	SAME(b, statx(fd, "", 0, STATX_ALL, &st), SYS_statx, fd, addr(""), 0, STATX_ALL, addr(&st));
	SAME(b, statx(fd, "x", 0, STATX_ALL, &st), SYS_statx, fd, addr("x"), 0, STATX_ALL,
		addr(&st));
	SAME(b, statx(fd, "", AT_EMPTY_PATH, STATX_ALL, bad), SYS_statx, fd, addr(""),
		AT_EMPTY_PATH, STATX_ALL, addr(bad));
	SAME(b, statx(fd, "", AT_EMPTY_PATH, 1U << 31, &st), SYS_statx, fd, addr(""), AT_EMPTY_PATH,
		1U << 31, addr(&st));
	both_close(b);
}

Test(odd_stat, fstatfs)
{
	struct both b = both_open(5, 0);
	struct statfs ours, kernel;
	SAME(b, fstatfs(fd, &ours), SYS_fstatfs, fd, addr(&kernel));
	cr_assert_eq(ours.f_type, kernel.f_type, "type %lx", (unsigned long)ours.f_type);
	cr_assert_eq(ours.f_bsize, kernel.f_bsize);
	cr_assert_eq(ours.f_blocks, kernel.f_blocks);
	cr_assert_eq(ours.f_namelen, kernel.f_namelen);
	both_close(b);
}

Test(odd_stat, fstatvfs)
{
	struct both b = both_open(5, 0);
	struct statvfs ours;
	struct statfs kernel;
	SAME(b, fstatvfs(fd, &ours), SYS_fstatfs, fd, addr(&kernel));
	cr_assert_eq(ours.f_blocks, kernel.f_blocks);
	cr_assert_eq(ours.f_namemax, (unsigned long)kernel.f_namelen);
	both_close(b);
}

Test(odd_stat, ordinary_files_stay_themselves)
{
	int null = open("/dev/null", O_RDWR), fd = new_eventfd(0, 0);
	struct stat st;
	cr_assert_eq(fstat(null, &st), 0);
	cr_assert(S_ISCHR(st.st_mode));
	cr_assert_eq(dup2(fd, null), null);
	cr_assert_eq(fstat(null, &st), 0);
	cr_assert_not(S_ISCHR(st.st_mode));
	cr_assert_eq(close(null), 0);
	cr_assert_eq(close(fd), 0);
}

Test(odd_stat, lstat_of_the_link_in_proc)
{
	struct both b = both_open(5, 0);
	char ours[64], kernel[64];
	struct stat st, link;
	snprintf(ours, sizeof(ours), "/proc/self/fd/%d", b.ours);
	snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", b.kernel);
	cr_assert_eq(lstat(ours, &link), 0);
	tk_raw_syscall(
		SYS_newfstatat, AT_FDCWD, addr(kernel), addr(&st), AT_SYMLINK_NOFOLLOW, 0, 0);
	cr_assert_eq(link.st_mode, st.st_mode);
	cr_assert_eq(link.st_size, st.st_size);
	both_close(b);
}
