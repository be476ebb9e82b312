/* /proc/.../fdinfo/N of an eventfd reads as the kernel's own would, by every way to open it. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(proc_info, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(proc_info_ways, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(proc_info_others, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { INFO_SIZE = 1024 };

static const char *info_path(int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return path;
}

static void read_and_close(int info, char text[INFO_SIZE])
{
	cr_assert_geq(info, 0, "%s", strerror(errno));
	ssize_t n = read(info, text, INFO_SIZE - 1);
	cr_assert_gt(n, 0);
	text[n] = 0;
	cr_assert_eq(read(info, text + n, 1), 0);
	cr_assert_eq(close(info), 0);
}

static void info_by_libc(int fd, char text[INFO_SIZE])
{
	read_and_close(open(info_path(fd), O_RDONLY), text);
}

static void info_by_kernel(int fd, char text[INFO_SIZE])
{
	long info = tk_raw_syscall(SYS_openat, AT_FDCWD, addr(info_path(fd)), O_RDONLY, 0, 0, 0);
	cr_assert_geq(info, 0);
	long n = tk_raw_syscall(SYS_read, info, addr(text), INFO_SIZE - 1, 0, 0, 0);
	cr_assert_gt(n, 0);
	text[n] = 0;
	tk_raw_syscall(SYS_close, info, 0, 0, 0, 0, 0);
}

/* The id is the object's own; what else there is must be the same. */
static void hide_id(char *text)
{
	char *id = strstr(text, "eventfd-id:");
	if (!id)
		return;
	for (char *c = id + strlen("eventfd-id:"); *c != '\n'; c++)
		*c = '.';
}

static void assert_same_lines(char *ours, char *kernel)
{
	char *save_ours, *save_kernel;
	hide_id(ours);
	hide_id(kernel);
	char *a = strtok_r(ours, "\n", &save_ours), *b = strtok_r(kernel, "\n", &save_kernel);
	while (a && b && !strncmp(a, b, strcspn(b, ":") + 1)) {
		bool id = !strncmp(a, "eventfd-id:", strlen("eventfd-id:"));
		cr_assert(id || !strcmp(a, b), "'%s', not '%s'", a, b);
		a = strtok_r(NULL, "\n", &save_ours);
		b = strtok_r(NULL, "\n", &save_kernel);
	}
	cr_assert(!a && !b, "'%s', not '%s'", a ? a : "", b ? b : "");
}

static void assert_same_info(struct both b)
{
	char ours[INFO_SIZE], kernel[INFO_SIZE];
	info_by_libc(b.ours, ours);
	info_by_kernel(b.kernel, kernel);
	assert_same_lines(ours, kernel);
}

static void assert_info_shows(int fd, const char *line)
{
	char text[INFO_SIZE];
	info_by_libc(fd, text);
	cr_assert(strstr(text, line), "no '%s' in:\n%s", line, text);
}

Test(proc_info, is_the_kernels_for_a_plain_one)
{
	struct both b = both_open(5, 0);
	assert_same_info(b);
	both_close(b);
}

Test(proc_info, is_the_kernels_for_every_flag)
{
	const int flags[] = {EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, EFD_CLOEXEC | EFD_NONBLOCK,
		EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE};
	for (unsigned int i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		struct both b = both_open(i, flags[i]);
		assert_same_info(b);
		both_close(b);
	}
}

Test(proc_info, follows_writes_and_reads)
{
	struct both b = both_open(0, 0);
	uint64_t value;
	assert_same_info(b);
	both_write(b, 0xabcdef);
	assert_same_info(b);
	assert_info_shows(b.ours, "eventfd-count:           abcdef\n");
	SAME(b, read(fd, &value, 8), SYS_read, fd, addr(&value), 8);
	assert_same_info(b);
	both_write(b, UINT64_MAX - 1);
	assert_same_info(b);
	assert_info_shows(b.ours, "eventfd-count: fffffffffffffffe\n");
	both_close(b);
}

Test(proc_info, follows_the_flags)
{
	struct both b = both_open(0, 0);
	SAME(b, fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND), SYS_fcntl, fd, F_SETFL,
		O_NONBLOCK | O_APPEND);
	SAME(b, fcntl(fd, F_SETFD, FD_CLOEXEC), SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	assert_same_info(b);
	SAME(b, fcntl(fd, F_SETFL, 0), SYS_fcntl, fd, F_SETFL, 0);
	SAME(b, fcntl(fd, F_SETFD, 0), SYS_fcntl, fd, F_SETFD, 0);
	assert_same_info(b);
	both_close(b);
}

static long id_of(int fd)
{
	char text[INFO_SIZE];
	info_by_libc(fd, text);
	char *id = strstr(text, "eventfd-id:");
	return id ? strtol(id + strlen("eventfd-id:"), NULL, 10) : -1;
}

Test(proc_info, id_is_one_objects_own)
{
	int a = new_eventfd(0, 0), b = new_eventfd(0, 0), copy = dup(a);
	if (id_of(a) >= 0)
		cr_assert_neq(id_of(a), id_of(b));
	cr_assert_eq(id_of(a), id_of(copy));
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(b), 0);
	cr_assert_eq(close(copy), 0);
}

Test(proc_info, of_a_copy_shows_the_copys_own_close_on_exec)
{
	int a = new_eventfd(0, EFD_CLOEXEC), copy = dup(a);
	assert_info_shows(a, "flags:\t02000002\n");
	assert_info_shows(copy, "flags:\t02\n");
	cr_assert_eq(close(a), 0);
	cr_assert_eq(close(copy), 0);
}

static void check_way(int (*way)(const char *path))
{
	struct both b = both_open(0x77, 0);
	char ours[INFO_SIZE], kernel[INFO_SIZE];
	info_by_kernel(b.kernel, kernel);
	read_and_close(way(info_path(b.ours)), ours);
	assert_same_lines(ours, kernel);
	both_close(b);
}

/* The stream is closed, a copy of its number goes on. */
static int number_of(FILE *stream)
{
	cr_assert(stream, "%s", strerror(errno));
	int fd = dup(fileno(stream));
	cr_assert_eq(fclose(stream), 0);
	return fd;
}

#define WAY(name, expression)                                                                      \
	static int way_##name(const char *path)                                                    \
	{                                                                                          \
		return (int)(expression);                                                          \
	}                                                                                          \
	Test(proc_info_ways, name)                                                                 \
	{                                                                                          \
		check_way(way_##name);                                                             \
	}

WAY(open, open(path, O_RDONLY))
WAY(open64, open64(path, O_RDONLY | O_CLOEXEC))
WAY(openat, openat(AT_FDCWD, path, O_RDONLY))
WAY(openat64, openat64(AT_FDCWD, path, O_RDONLY))
WAY(openat_ignores_its_directory, openat(-1, path, O_RDONLY))
WAY(fopen, number_of(fopen(path, "r")))
WAY(fopen_close_on_exec, number_of(fopen(path, "re")))
WAY(fopen64, number_of(fopen64(path, "r")))
/* libc's own freopen needs dup3 */
WAY(freopen, number_of(tk_lacks(SYS_dup3) ? fopen(path, "r")
					  : freopen(path, "r", fopen("/dev/null", "r"))))
WAY(freopen64, number_of(tk_lacks(SYS_dup3) ? fopen64(path, "r")
					    : freopen64(path, "r", fopen("/dev/null", "r"))))
WAY(sys_openat, syscall(SYS_openat, AT_FDCWD, path, O_RDONLY))
#ifdef SYS_open
WAY(sys_open, syscall(SYS_open, path, O_RDONLY))
#endif

Test(proc_info_ways, fgets_line_by_line)
{
	int fd = new_eventfd(0x99, 0);
	char line[128];
	bool found = false;
	FILE *stream = fopen(info_path(fd), "r");
	cr_assert(stream);
	while (fgets(line, sizeof(line), stream))
		found |= !strcmp(line, "eventfd-count:               99\n");
	cr_assert(found && feof(stream));
	cr_assert_eq(fclose(stream), 0);
	cr_assert_eq(close(fd), 0);
}

static void shows_by_path(const char *form, int first, int fd)
{
	char path[96], text[INFO_SIZE];
	snprintf(path, sizeof(path), form, first, fd);
	read_and_close(open(path, O_RDONLY), text);
	cr_assert(strstr(text, "eventfd-count:               3c\n"), "%s:\n%s", path, text);
}

Test(proc_info_ways, by_process_and_thread)
{
	int fd = new_eventfd(0x3c, 0), tid = (int)syscall(SYS_gettid);
	shows_by_path("/proc/%d/fdinfo/%d", getpid(), fd);
	shows_by_path("/proc/self/task/%d/fdinfo/%d", tid, fd);
	shows_by_path("/proc/thread-self/../%d/fdinfo/%d", tid, fd);
	cr_assert_eq(close(fd), 0);
}

Test(proc_info_ways, below_a_directory_fd)
{
	int fd = new_eventfd(0x3c, 0), dir = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY);
	char number[16], text[INFO_SIZE];
	snprintf(number, sizeof(number), "%d", fd);
	read_and_close(openat(dir, number, O_RDONLY), text);
	cr_assert(strstr(text, "eventfd-count:               3c\n"), "%s", text);
	cr_assert_eq(close(dir), 0);
	cr_assert_eq(close(fd), 0);
}

Test(proc_info_others, in_small_pieces)
{
	int fd = new_eventfd(5, 0), info = open(info_path(fd), O_RDONLY);
	char whole[INFO_SIZE], pieces[INFO_SIZE] = "";
	size_t n = 0;
	info_by_libc(fd, whole);
	for (ssize_t got; (got = read(info, pieces + n, 7)) > 0;)
		n += (size_t)got;
	cr_assert_str_eq(pieces, whole);
	cr_assert_eq(close(info), 0);
	cr_assert_eq(close(fd), 0);
}

Test(proc_info_others, read_again_from_the_start_shows_the_new_count)
{
	int fd = new_eventfd(5, 0), info = open(info_path(fd), O_RDONLY);
	char text[INFO_SIZE] = "";
	cr_assert_gt(read(info, text, INFO_SIZE - 1), 0);
	add(fd, 1);
	cr_assert_eq(lseek(info, 0, SEEK_SET), 0);
	cr_assert_gt(read(info, text, INFO_SIZE - 1), 0);
	cr_assert(strstr(text, "eventfd-count:                6\n"), "%s", text);
	cr_assert_eq(close(info), 0);
	cr_assert_eq(close(fd), 0);
}

Test(proc_info_others, is_an_ordinary_read_only_file)
{
	int fd = new_eventfd(5, 0), lowest = tk_lowest_free();
	int info = open(info_path(fd), O_RDONLY | O_CLOEXEC);
	struct stat st;
	cr_assert_eq(info, lowest);
	cr_assert_eq(fcntl(info, F_GETFL) & O_ACCMODE, O_RDONLY);
	cr_assert_eq(fcntl(info, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fstat(info, &st), 0);
	cr_assert(S_ISREG(st.st_mode));
	FAILS(write(info, &(uint64_t){1}, 8), EBADF);
	cr_assert_eq(close(info), 0);
	info = open(info_path(fd), O_RDONLY);
	cr_assert_eq(fcntl(info, F_GETFD), 0);
	cr_assert_eq(close(info), 0);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(proc_info_others, opened_with_odd_flags)
{
	struct both b = both_open(5, 0);
	char kernel[64];
	const int flags[] = {O_RDONLY | O_DIRECTORY, O_RDONLY | O_CREAT | O_EXCL};
	snprintf(kernel, sizeof(kernel), "/proc/self/fdinfo/%d", b.kernel);
	for (unsigned int i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		SAME(b, open(info_path(fd), flags[i], 0600), SYS_openat, AT_FDCWD, addr(kernel),
			flags[i], 0600);
	both_close(b);
}

Test(proc_info_others, of_a_closed_number_is_ENOENT)
{
	int fd = new_eventfd(5, 0);
	cr_assert_eq(close(fd), 0);
	FAILS(open(info_path(fd), O_RDONLY), ENOENT);
	FAILS((intptr_t)fopen(info_path(fd), "r") - 1, ENOENT);
}

Test(proc_info_others, of_an_ordinary_number_is_untouched)
{
	int ends[2], eventfd_number = new_eventfd(5, 0);
	char ours[INFO_SIZE], kernel[INFO_SIZE];
	cr_assert_eq(close(eventfd_number), 0);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(ends[0], eventfd_number);
	info_by_libc(ends[0], ours);
	info_by_kernel(ends[0], kernel);
	cr_assert_str_eq(ours, kernel);
	cr_assert_not(strstr(ours, "eventfd"));
	cr_assert_eq(close(ends[0]), 0);
	cr_assert_eq(close(ends[1]), 0);
}
