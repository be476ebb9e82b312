/* What a mask eventfd looks like from outside: fstat, /proc, fdinfo, and calls it has no use for.
 */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(mask_names, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { INFO_SIZE = 1024 };

/* A mask, and a counter of the kernel's. */
static struct both mask_and_counter(int flags)
{
	struct both b = {mask_open(flags), (int)tk_raw_syscall(SYS_eventfd2, 0, flags, 0, 0, 0, 0)};
	cr_assert_geq(b.kernel, 0);
	return b;
}

static void close_both(struct both b)
{
	tk_raw_syscall(SYS_close, b.kernel, 0, 0, 0, 0, 0);
	mask_close(b.ours);
}

static void read_info(const char *path, char text[INFO_SIZE])
{
	int info = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(info, 0, "%s", path);
	ssize_t n = read(info, text, INFO_SIZE - 1);
	cr_assert_gt(n, 0);
	text[n] = 0;
	cr_assert_eq(read(info, text + n, 1), 0);
	close(info);
}

static void expect_info(const char *path, uint32_t events)
{
	char text[INFO_SIZE], line[40];
	read_info(path, text);
	snprintf(line, sizeof(line), "\neventfd-mask: %x\n", events);
	cr_assert(strstr(text, line), "no '%s' in:\n%s", line, text);
	cr_assert_not(strstr(text, "eventfd-count"), "%s", text);
}

static const char *own_info(int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return path;
}

Test(mask_names, fdinfo_shows_the_events)
{
	int fd = mask_open(0), copy = dup(fd);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		mask_set(fd, state);
		expect_info(own_info(fd), state);
		expect_info(own_info(copy), state);
	}
	mask_close(copy);
	mask_close(fd);
}

/* The lines of every file are the kernel's own: of the position, the flags, the mount. */
Test(mask_names, fdinfo_begins_as_a_counters)
{
	static const int flags[] = {0, EFD_NONBLOCK, EFD_CLOEXEC, EFD_NONBLOCK | EFD_CLOEXEC};
	for (int i = 0; i < 4; i++) {
		struct both b = mask_and_counter(flags[i]);
		char ours[INFO_SIZE], kernel[INFO_SIZE];
		read_info(own_info(b.ours), ours);
		read_info(own_info(b.kernel), kernel);
		char *end = strstr(kernel, "eventfd-count:");
		cr_assert(end);
		cr_assert(!strncmp(ours, kernel, (size_t)(end - kernel)), "%s\nnot\n%s", ours,
			kernel);
		close_both(b);
	}
}

Test(mask_names, fdinfo_of_and_from_other_processes)
{
	int fd = mask_open(0);
	char path[64];
	struct mate child = mate_start(MATE_FORKED), other = mate_start(MATE_STRANGER);
	int there = mate_hand(&other, fd);
	mate_write(&child, fd, EPOLLPRI | EPOLLHUP, 1);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", child.pid, fd);
	expect_info(path, EPOLLPRI | EPOLLHUP);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", other.pid, there);
	mask_set(fd, EPOLLOUT);
	expect_info(path, EPOLLOUT);
	mate_end(&child);
	mate_end(&other);
	mask_close(fd);
}

Test(mask_names, fdinfo_of_a_counter_stays_as_it_is)
{
	char text[INFO_SIZE];
	int fd = mask_open(0), counter = new_eventfd(3, 0);
	read_info(own_info(counter), text);
	cr_assert(strstr(text, "eventfd-count:                3\n"));
	cr_assert_not(strstr(text, "eventfd-mask"));
	cr_assert_eq(close(counter), 0);
	mask_close(fd);
}

Test(mask_names, the_link_in_proc_names_an_eventfd)
{
	struct both b = mask_and_counter(0);
	char path[64], ours[64] = "", kernel[64] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b.ours);
	cr_assert_gt(readlink(path, ours, sizeof(ours) - 1), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b.kernel);
	cr_assert_gt(readlink(path, kernel, sizeof(kernel) - 1), 0);
	cr_assert_str_eq(ours, kernel);
	close_both(b);
}

Test(mask_names, fstat_is_a_counters)
{
	struct both b = mask_and_counter(0);
	struct stat ours, kernel;
	cr_assert_eq(fstat(b.ours, &ours), 0);
	cr_assert_eq(fstat(b.kernel, &kernel), 0);
	cr_assert_eq(ours.st_mode, kernel.st_mode);
	cr_assert_eq(ours.st_dev, kernel.st_dev);
	cr_assert_eq(ours.st_nlink, kernel.st_nlink);
	cr_assert_eq(ours.st_size, kernel.st_size);
	cr_assert_eq(ours.st_rdev, kernel.st_rdev);
	cr_assert_eq(ours.st_blksize, kernel.st_blksize);
	close_both(b);
}

/* Calls that have nothing to do with an eventfd fail as on a counter. */
Test(mask_names, calls_it_has_no_use_for_fail_as_a_counters)
{
	struct both b = mask_and_counter(0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), n = 0, ends[2];
	long page = getpagesize();
	cr_assert_eq(pipe(ends), 0);
	SAME(b, mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
		SYS_mmap, 0, page, PROT_READ, MAP_SHARED, fd, 0);
	SAME(b, ioctl(fd, FIONREAD, &n), SYS_ioctl, fd, FIONREAD, addr(&n));
	SAME(b, ioctl(fd, TIOCGWINSZ, &n), SYS_ioctl, fd, TIOCGWINSZ, addr(&n));
	SAME(b, sendfile(null, fd, NULL, 12), SYS_sendfile, null, fd, 0, 12);
	SAME(b, splice(fd, NULL, ends[1], NULL, 4, 0), SYS_splice, fd, 0, ends[1], 0, 4, 0);
	SAME(b, tee(fd, ends[1], 12, 0), SYS_tee, fd, ends[1], 12, 0);
	SAME(b, fallocate(fd, 0, 0, 12), SYS_fallocate, fd, 0, 0, 12);
	SAME(b, fchdir(fd), SYS_fchdir, fd);
	SAME(b, isatty(fd) ? 0 : -1, SYS_ioctl, fd, TCGETS, addr(&(char[64]){0}));
	close(ends[0]);
	close(ends[1]);
	close(null);
	mask_expect(b.ours, 0, 0);
	close_both(b);
}

/* The lowest number that is free, as for every file. */
Test(mask_names, its_number_is_the_lowest)
{
	int first = tk_lowest_free(), a = mask_open(0);
	int second = tk_lowest_free(), b = mask_open(0);
	int third = tk_lowest_free(), c = mask_open(0);
	cr_assert(a == first && b == second && c == third);
	mask_close(b);
	cr_assert_eq(mask_open(0), b);
	mask_close(a);
	cr_assert_eq(new_eventfd(0, 0), a);
	cr_assert_eq(close(a), 0);
	mask_close(b);
	mask_close(c);
}
