/* splice, tee, vmsplice, sendfile and copy_file_range meet an eventfd at either end. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int from, to, file;

static void transfer_setup(void)
{
	const char text[64] = "0123456";
	int ends[2];
	tk_setup();
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	from = ends[0];
	to = ends[1];
	cr_assert_eq(write(to, text, sizeof(text)), (ssize_t)sizeof(text));
	file = tk_memory_file(0);
	cr_assert_eq(write(file, text, sizeof(text)), (ssize_t)sizeof(text));
	cr_assert_eq(lseek(file, 0, SEEK_SET), 0);
}

static void transfer_teardown(void)
{
	cr_assert_eq(close(from), 0);
	cr_assert_eq(close(to), 0);
	cr_assert_eq(close(file), 0);
	tk_teardown();
}

TestSuite(odd_transfer, .init = transfer_setup, .fini = transfer_teardown, .timeout = 20);

#define SAME_SPLICE(b, in, in_at, out, out_at, n, flags)                                           \
	SAME(b, splice(in, in_at, out, out_at, n, flags), SYS_splice, in, addr(in_at), out,        \
		addr(out_at), n, flags)

Test(odd_transfer, splice_into_a_pipe)
{
	struct both b = both_open(5, 0);
	SAME_SPLICE(b, fd, NULL, to, NULL, 8, 0);
	SAME_SPLICE(b, fd, NULL, to, NULL, 8, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	both_close(b);
}

Test(odd_transfer, splice_from_a_pipe)
{
	struct both b = both_open(5, 0);
	SAME_SPLICE(b, from, NULL, fd, NULL, 8, 0);
	SAME_SPLICE(b, from, NULL, fd, NULL, 8, SPLICE_F_NONBLOCK);
	both_close(b);
}

Test(odd_transfer, splice_with_files_and_itself)
{
	struct both b = both_open(5, 0);
	SAME_SPLICE(b, fd, NULL, file, NULL, 8, 0);
	SAME_SPLICE(b, file, NULL, fd, NULL, 8, 0);
	SAME_SPLICE(b, fd, NULL, fd, NULL, 8, 0);
	both_close(b);
}

Test(odd_transfer, splice_with_offsets)
{
	struct both b = both_open(5, 0);
	loff_t at = 0;
	SAME_SPLICE(b, fd, &at, to, NULL, 8, 0);
	SAME_SPLICE(b, from, NULL, fd, &at, 8, 0);
	SAME_SPLICE(b, from, &at, fd, NULL, 8, 0);
	cr_assert_eq(at, 0);
	both_close(b);
}

Test(odd_transfer, splice_of_nothing_and_with_bad_flags)
{
	struct both b = both_open(5, 0);
	SAME_SPLICE(b, fd, NULL, to, NULL, 0, 0);
	SAME_SPLICE(b, from, NULL, fd, NULL, 0, 0);
	SAME_SPLICE(b, fd, NULL, to, NULL, 8, 1U << 20);
	SAME_SPLICE(b, fd, NULL, -1, NULL, 8, 0);
	SAME_SPLICE(b, -1, NULL, fd, NULL, 8, 0);
	both_close(b);
}

#define SAME_TEE(b, in, out, n, flags) SAME(b, tee(in, out, n, flags), SYS_tee, in, out, n, flags)

Test(odd_transfer, tee)
{
	struct both b = both_open(5, 0);
	SAME_TEE(b, fd, to, 8, 0);
	SAME_TEE(b, from, fd, 8, 0);
	SAME_TEE(b, fd, fd, 8, SPLICE_F_NONBLOCK);
	SAME_TEE(b, fd, to, 0, 0);
	SAME_TEE(b, fd, to, 8, 1U << 20);
	both_close(b);
}

Test(odd_transfer, vmsplice)
{
	struct both b = both_open(5, 0);
	uint64_t value = 3;
	struct iovec iov = {&value, 8};
	SAME(b, vmsplice(fd, &iov, 1, 0), SYS_vmsplice, fd, addr(&iov), 1, 0);
	SAME(b, vmsplice(fd, &iov, 0, 0), SYS_vmsplice, fd, addr(&iov), 0, 0);
	SAME(b, vmsplice(fd, &iov, 1, 1U << 20), SYS_vmsplice, fd, addr(&iov), 1, 1U << 20);
	both_close(b);
}

#define SAME_SENDFILE(b, out, in, at, n)                                                           \
	SAME(b, sendfile(out, in, at, n), SYS_sendfile, out, in, addr(at), n)

Test(odd_transfer, sendfile_from_an_eventfd)
{
	struct both b = both_open(5, 0);
	off_t at = 0;
	SAME_SENDFILE(b, to, fd, NULL, 8);
	SAME_SENDFILE(b, file, fd, NULL, 8);
	SAME_SENDFILE(b, to, fd, &at, 8);
	SAME_SENDFILE(b, to, fd, NULL, 0);
	both_close(b);
}

Test(odd_transfer, sendfile_to_an_eventfd)
{
	struct both b = both_open(5, 0);
	off_t at = 0;
	SAME_SENDFILE(b, fd, file, &at, 8);
	at = 0;
	SAME_SENDFILE(b, fd, file, NULL, 8);
	SAME_SENDFILE(b, fd, file, NULL, 0);
	SAME_SENDFILE(b, fd, fd, NULL, 8);
	SAME_SENDFILE(b, fd, -1, NULL, 8);
	both_close(b);
}

Test(odd_transfer, sendfile64)
{
	struct both b = both_open(5, 0);
	SAME(b, sendfile64(to, fd, NULL, 8), SYS_sendfile, to, fd, 0, 8);
	SAME(b, sendfile64(fd, file, NULL, 8), SYS_sendfile, fd, file, 0, 8);
	both_close(b);
}

#define SAME_COPY(b, in, in_at, out, out_at, n, flags)                                             \
	SAME(b, copy_file_range(in, in_at, out, out_at, n, flags), SYS_copy_file_range, in,        \
		addr(in_at), out, addr(out_at), n, flags)

Test(odd_transfer, copy_file_range)
{
	struct both b = both_open(5, 0);
	off64_t at = 0;
	SAME_COPY(b, fd, NULL, file, NULL, 8, 0);
	SAME_COPY(b, file, NULL, fd, NULL, 8, 0);
	SAME_COPY(b, fd, NULL, to, NULL, 8, 0);
	SAME_COPY(b, file, &at, fd, NULL, 8, 0);
	SAME_COPY(b, fd, &at, file, NULL, 8, 0);
	SAME_COPY(b, fd, NULL, fd, NULL, 8, 0);
	SAME_COPY(b, fd, NULL, file, NULL, 8, 1);
	both_close(b);
}

Test(odd_transfer, pipes_and_files_among_themselves_still_work)
{
	off_t at = 0;
	int fd = new_eventfd(0, 0), out[2];
	cr_assert_eq(pipe2(out, O_NONBLOCK), 0);
	cr_assert_eq(splice(from, NULL, out[1], NULL, 8, 0), 8);
	cr_assert_eq(tee(from, out[1], 8, 0), 8);
	cr_assert_eq(sendfile(out[1], file, &at, 8), 8);
	assert_empty(fd);
	cr_assert_eq(close(out[0]), 0);
	cr_assert_eq(close(out[1]), 0);
	cr_assert_eq(close(fd), 0);
}
