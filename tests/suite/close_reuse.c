/* A number that was an eventfd and is now something else is that something else, whoever made it
 * and however the eventfd was closed. */
#define _GNU_SOURCE
#include "askboth.h"
#include "fdmakers.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

TestSuite(close_reuse, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void close_by_libc(int fd)
{
	cr_assert_eq(close(fd), 0);
}

static void close_behind_libcs_back(int fd)
{
	cr_assert_eq(tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0), 0);
}

static void assert_answers_as_kernel_knows_it(int number)
{
	struct both b = {number, number};
	char zero[8] = {0};
	struct stat st;
	struct timespec now = {0};
	struct pollfd p = {.fd = number, .events = POLLIN | POLLOUT | POLLPRI};
	SAME(b, fcntl(fd, F_GETFL), SYS_fcntl, fd, F_GETFL);
	SAME(b, fcntl(fd, F_GETFD), SYS_fcntl, fd, F_GETFD);
	SAME(b, lseek(fd, 0, SEEK_CUR), SYS_lseek, fd, 0, SEEK_CUR);
	SAME(b, write(fd, zero, 0), SYS_write, fd, addr(zero), 0);
	SAME(b, pread(fd, zero, 0, 0), SYS_pread64, fd, addr(zero), 0, 0);
	SAME(b, fstat(fd, &st), SYS_fstat, fd, addr(&st));
	cr_assert_eq(poll(&p, 1, 0), tk_raw_syscall(SYS_ppoll, addr(&p), 1, addr(&now), 0, 0, 0));
}

static void assert_empty_read_as_kernel_knows_it(int number)
{
	struct both b = {number, number};
	char zero[8];
	SAME(b, read(fd, zero, 0), SYS_read, fd, addr(zero), 0);
}

static void assert_link_as_kernel_knows_it(int number)
{
	char name[64], by_libc[256] = "", by_kernel[256] = "";
	snprintf(name, sizeof(name), "/proc/self/fd/%d", number);
	cr_assert_gt(readlink(name, by_libc, 255), 0);
	tk_raw_syscall(SYS_readlinkat, AT_FDCWD, addr(name), addr(by_kernel), 255, 0, 0);
	cr_assert_str_eq(by_libc, by_kernel);
	cr_assert_str_neq(by_libc, "anon_inode:[eventfd]");
}

static void assert_is_a_file(int number)
{
	char back[9] = "";
	cr_assert_eq(write(number, "ABCDEFGH", 8), 8);
	cr_assert_eq(lseek(number, 0, SEEK_CUR), 8);
	struct stat st;
	cr_assert_eq(fstat(number, &st), 0);
	cr_assert_eq(st.st_size, 8);
	if ((fcntl(number, F_GETFL) & O_ACCMODE) != O_RDWR)
		return;
	cr_assert_eq(pread(number, back, 8, 0), 8);
	cr_assert_str_eq(back, "ABCDEFGH");
	cr_assert_eq(lseek(number, 0, SEEK_SET), 0);
	cr_assert_eq(read(number, back, 3), 3);
}

static void assert_is_a_channel(int number)
{
	char got[16] = "";
	cr_assert_eq(write(fd_other, "abc", 3), 3);
	cr_assert_eq(read(number, got, sizeof(got)), 3);
	cr_assert_str_eq(got, "abc");
}

/* A timer or a signalfd on a kernel without them: the kernel knows a FIFO there. */
static bool stands_in(const struct fd_maker *maker, int number)
{
	char name[64], link[256] = "";
	struct stat libc, kernel;
	cr_assert_eq(fstat(number, &libc), 0);
	cr_assert_eq(tk_raw_syscall(SYS_fstat, number, addr(&kernel), 0, 0, 0, 0), 0);
	if (maker->kind != FD_ELSE || !S_ISFIFO(kernel.st_mode) || S_ISFIFO(libc.st_mode))
		return false;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", number);
	cr_assert_gt(readlink(name, link, 255), 0);
	cr_assert(!strcmp(link, "anon_inode:[timerfd]") || !strcmp(link, "anon_inode:[signalfd]"));
	return true;
}

static void assert_is_made(const struct fd_maker *maker, int number)
{
	if (stands_in(maker, number))
		return;
	assert_answers_as_kernel_knows_it(number);
	assert_link_as_kernel_knows_it(number);
	if (maker->kind != FD_ELSE)
		assert_empty_read_as_kernel_knows_it(number);
	if (maker->kind == FD_FILE)
		assert_is_a_file(number);
	if (maker->kind == FD_CHANNEL)
		assert_is_a_channel(number);
}

static void release(const struct fd_maker *maker, int number)
{
	if (maker->release)
		maker->release(number);
	else
		cr_assert_eq(close(number), 0);
}

static void number_is_what_the_maker_made(const struct fd_maker *maker, void (*close_it)(int))
{
	fd_makers_prepare();
	int first = new_eventfd(5, EFD_NONBLOCK), second = new_eventfd(6, 0);
	cr_assert_lt(first, second);
	close_it(first);
	close_it(second);
	int made = maker->make(first);
	if (made < 0) {
		fd_makers_finish();
		cr_skip_test("no %s here", maker->name);
	}
	cr_assert_eq(made, first, "%s returns %d, not %d", maker->name, made, first);
	assert_is_made(maker, made);
	release(maker, made);
	int again = new_eventfd(9, 0);
	cr_assert_eq(again, first);
	assert_count(again, 9);
	cr_assert_eq(close(again), 0);
	fd_makers_finish();
}

static struct criterion_test_params each_maker(void)
{
	int *index = cr_malloc(sizeof(int) * (size_t)fd_maker_count);
	for (int i = 0; i < fd_maker_count; i++)
		index[i] = i;
	return cr_make_param_array(int, index, (size_t)fd_maker_count, NULL);
}

ParameterizedTestParameters(close_reuse, a_closed_eventfds_number_belongs_to_its_next_maker)
{
	return each_maker();
}

ParameterizedTest(int *index, close_reuse, a_closed_eventfds_number_belongs_to_its_next_maker)
{
	number_is_what_the_maker_made(&fd_makers[*index], close_by_libc);
}

ParameterizedTestParameters(close_reuse, also_when_it_was_closed_behind_libcs_back)
{
	return each_maker();
}

ParameterizedTest(int *index, close_reuse, also_when_it_was_closed_behind_libcs_back)
{
	number_is_what_the_maker_made(&fd_makers[*index], close_behind_libcs_back);
}

Test(close_reuse, a_raw_kernel_eventfd_on_the_number_has_its_own_count)
{
	int old = new_eventfd(5, 0), copy = dup(old);
	cr_assert_eq(close(old), 0);
	cr_assert_eq(tk_raw_syscall(SYS_eventfd2, 70, 0, 0, 0, 0, 0), old);
	add(old, 1);
	assert_count(old, 71);
	assert_count(copy, 5);
	cr_assert_eq(close(old), 0);
	cr_assert_eq(close(copy), 0);
}

Test(close_reuse, an_eventfd_made_after_a_raw_close_is_a_new_one)
{
	int old = new_eventfd(5, EFD_SEMAPHORE), copy = dup(old);
	close_behind_libcs_back(old);
	int fresh = new_eventfd(8, 0);
	cr_assert_eq(fresh, old);
	assert_count(fresh, 8);
	assert_count(copy, 1);
	cr_assert_eq(close(fresh), 0);
	cr_assert_eq(close(copy), 0);
}

Test(close_reuse, a_copy_put_on_a_number_closed_behind_libcs_back_is_the_copy)
{
	int old = new_eventfd(5, 0), other = new_eventfd(40, 0);
	close_behind_libcs_back(old);
	cr_assert_eq(dup(other), old);
	add(old, 2);
	assert_count(other, 42);
	cr_assert_eq(close(old), 0);
	cr_assert_eq(close(other), 0);
}

Test(close_reuse, a_number_back_and_forth_between_file_and_eventfd)
{
	int number = new_eventfd(0, 0);
	for (unsigned int i = 1; i <= 50; i++) {
		cr_assert_eq(close(number), 0);
		cr_assert_eq(tk_memory_file(0), number);
		assert_is_a_file(number);
		cr_assert_eq(close(number), 0);
		cr_assert_eq(new_eventfd(i, 0), number);
		assert_count(number, i);
	}
	cr_assert_eq(close(number), 0);
}
