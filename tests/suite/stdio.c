/* Streams on top of an eventfd: what fdopen, fclose and freopen do to the number, and data. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(stdio, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(stdio_data, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static FILE *stream_on(int fd, const char *mode)
{
	errno = ERRNO_CANARY;
	FILE *stream = fdopen(fd, mode);
	cr_assert(stream, "fdopen: %s", strerror(errno));
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_eq(fileno(stream), fd);
	return stream;
}

static void assert_is_null_device(int fd)
{
	struct stat st;
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert(S_ISCHR(st.st_mode));
	cr_assert_eq(write(fd, "abc", 3), 3);
}

static void closes_the_number(const char *mode)
{
	int fd = new_eventfd(5, 0);
	cr_assert_eq(fclose(stream_on(fd, mode)), 0);
	assert_closed(fd);
	int file = open("/dev/null", O_RDWR);
	cr_assert_eq(file, fd);
	assert_is_null_device(file);
	cr_assert_eq(close(file), 0);
}

Test(stdio, fclose_closes_the_number_fdopened_to_read)
{
	closes_the_number("r");
}

Test(stdio, fclose_closes_the_number_fdopened_to_write)
{
	closes_the_number("w");
}

Test(stdio, fclose_closes_the_number_fdopened_to_do_both)
{
	closes_the_number("r+");
}

Test(stdio, fclose_leaves_a_copy_alive)
{
	int fd = new_eventfd(5, 0), copy = dup(fd);
	cr_assert_eq(fclose(stream_on(fd, "r+")), 0);
	add(copy, 1);
	assert_count(copy, 6);
	cr_assert_eq(close(copy), 0);
}

Test(stdio, a_number_closed_by_fclose_goes_to_the_next_eventfd)
{
	int fd = new_eventfd(5, EFD_SEMAPHORE);
	cr_assert_eq(fclose(stream_on(fd, "r+")), 0);
	int fresh = new_eventfd(8, 0);
	cr_assert_eq(fresh, fd);
	assert_count(fresh, 8);
	cr_assert_eq(close(fresh), 0);
}

Test(stdio, fdopen_leaves_count_and_flags)
{
	int fd = new_eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
	FILE *stream = stream_on(fd, "r+");
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_count(fd, 5);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio, fdopen_to_append_sets_O_APPEND)
{
	int fd = new_eventfd(5, 0);
	FILE *stream = stream_on(fd, "a");
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_APPEND);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio, fdopen_with_a_bad_mode_leaves_the_number_open)
{
	int fd = new_eventfd(5, 0);
	FAILS((intptr_t)fdopen(fd, "x") - 1, EINVAL);
	assert_count(fd, 5);
	cr_assert_eq(close(fd), 0);
}

Test(stdio, fdopen_of_a_closed_number_is_EBADF)
{
	int fd = new_eventfd(5, 0);
	cr_assert_eq(close(fd), 0);
	FAILS((intptr_t)fdopen(fd, "r") - 1, EBADF);
}

Test(stdio, fclose_after_the_number_was_closed_is_EBADF)
{
	int fd = new_eventfd(5, 0);
	FILE *stream = stream_on(fd, "r");
	cr_assert_eq(close(fd), 0);
	FAILS(fclose(stream), EBADF);
}

Test(stdio, freopen_puts_the_file_on_a_number)
{
	int fd = new_eventfd(5, 0), copy = dup(fd);
	FILE *stream = freopen("/dev/null", "r+", stream_on(fd, "r+"));
	cr_assert(stream);
	cr_assert_eq(fileno(stream), fd);
	assert_is_null_device(fd);
	assert_count(copy, 5);
	cr_assert_eq(fclose(stream), 0);
	cr_assert_eq(close(copy), 0);
}

Test(stdio, freopen64_puts_the_file_on_a_number)
{
	int fd = new_eventfd(5, 0);
	FILE *stream = freopen64("/dev/null", "r+", stream_on(fd, "r+"));
	cr_assert(stream);
	cr_assert_eq(fileno(stream), fd);
	assert_is_null_device(fd);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio, freopen_that_fails_has_closed_the_number)
{
	int fd = new_eventfd(5, 0), copy = dup(fd);
	FILE *stream = stream_on(fd, "r+");
	FAILS((intptr_t)freopen("/nonexistent/file", "r", stream) - 1, ENOENT);
	assert_closed(fd);
	assert_count(copy, 5);
	fclose(stream);
	cr_assert_eq(close(copy), 0);
}

Test(stdio, a_stream_opened_where_an_eventfd_was_is_a_file)
{
	int fd = new_eventfd(5, 0);
	cr_assert_eq(close(fd), 0);
	FILE *stream = fopen("/dev/null", "r+");
	cr_assert_eq(fileno(stream), fd);
	assert_is_null_device(fd);
	cr_assert_eq(fclose(stream), 0);
	assert_closed(fd);
}

Test(stdio, fclose_of_a_file_whose_number_was_an_eventfd_closed_behind_libcs_back)
{
	char text[16] = "";
	int fd = new_eventfd(5, 0);
	cr_assert_eq(tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0), 0);
	FILE *stream = tmpfile();
	cr_assert_eq(fileno(stream), fd);
	cr_assert_gt(fprintf(stream, "hello"), 0);
	cr_assert_eq(fflush(stream), 0);
	cr_assert_eq(pread(fd, text, 15, 0), 5);
	cr_assert_str_eq(text, "hello");
	cr_assert_eq(fclose(stream), 0);
	assert_closed(fd);
	int fresh = new_eventfd(7, 0);
	cr_assert_eq(fresh, fd);
	assert_count(fresh, 7);
	cr_assert_eq(close(fresh), 0);
}

Test(stdio, an_eventfd_dup2ed_over_a_streams_number_is_closed_with_the_stream)
{
	FILE *stream = fopen("/dev/null", "r");
	int number = fileno(stream), fd = new_eventfd(5, 0);
	cr_assert_eq(dup2(fd, number), number);
	assert_count(number, 5);
	cr_assert_eq(fclose(stream), 0);
	assert_closed(number);
	add(fd, 1);
	assert_count(fd, 1);
	cr_assert_eq(close(fd), 0);
}

Test(stdio_data, fwrite_of_eight_bytes_adds)
{
	int fd = new_eventfd(5, 0);
	FILE *stream = stream_on(fd, "w");
	uint64_t value = 6;
	cr_assert_eq(fwrite(&value, 8, 1, stream), 1);
	cr_assert_eq(fflush(stream), 0);
	assert_count(fd, 11);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio_data, fclose_flushes_what_was_written)
{
	int fd = new_eventfd(0, 0), copy = dup(fd);
	FILE *stream = stream_on(fd, "w");
	uint64_t value = 6;
	cr_assert_eq(fwrite(&value, 8, 1, stream), 1);
	cr_assert_eq(fclose(stream), 0);
	assert_count(copy, 6);
	cr_assert_eq(close(copy), 0);
}

Test(stdio_data, fread_takes_the_count)
{
	int fd = new_eventfd(5, EFD_NONBLOCK);
	FILE *stream = stream_on(fd, "r");
	uint64_t value = 0;
	cr_assert_eq(fread(&value, 8, 1, stream), 1);
	cr_assert_eq(value, 5);
	assert_empty(fd);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio_data, fread_unbuffered_takes_one_count_after_the_other)
{
	int fd = new_eventfd(5, EFD_NONBLOCK);
	FILE *stream = stream_on(fd, "r");
	uint64_t value = 0;
	cr_assert_eq(setvbuf(stream, NULL, _IONBF, 0), 0);
	cr_assert_eq(fread(&value, 8, 1, stream), 1);
	add(fd, 9);
	cr_assert_eq(fread(&value, 8, 1, stream), 1);
	cr_assert_eq(value, 9);
	cr_assert_eq(fread(&value, 8, 1, stream), 0);
	cr_assert(ferror(stream));
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(fclose(stream), 0);
}

Test(stdio_data, fwrite_of_a_short_text_is_an_error)
{
	int fd = new_eventfd(5, 0);
	FILE *stream = stream_on(fd, "w");
	cr_assert_eq(fwrite("abc", 3, 1, stream), 1);
	FAILS(fflush(stream), EINVAL);
	cr_assert(ferror(stream));
	assert_count(fd, 5);
	fclose(stream);
}

Test(stdio, fileno_of_a_stream_whose_number_is_an_eventfd_by_dup2)
{
	FILE *stream = fopen("/dev/null", "w");
	int number = fileno(stream), fd = new_eventfd(5, 0);
	uint64_t value = 0;

	cr_assert_eq(dup2(fd, number), number);
	cr_assert_eq(fileno(stream), number);
	cr_assert_eq(read(number, &value, 8), 8);
	cr_assert_eq(value, 5);
	cr_assert_eq(fclose(stream), 0);
	cr_assert_eq(close(fd), 0);
}
