/* Each operation gives what the system call of its name gives; and what asyncfd_submit refuses. */
#define _GNU_SOURCE
#include "submitkit.h"

#include <string.h>
#include <sys/eventfd.h>

TestSuite(submit_ops, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static int64_t or_errno(long ret)
{
	return ret < 0 ? -errno : ret;
}

static struct asyncfd_op op_rw(int code, int fd, void *buf, size_t len, int64_t offset)
{
	return (struct asyncfd_op){
		.code = code, .fd = fd, .buf = buf, .len = len, .offset = offset};
}

static struct asyncfd_op op_fd(int code, int fd)
{
	return (struct asyncfd_op){.code = code, .fd = fd};
}

static struct asyncfd_op op_open(int dir, const char *path, int flags, unsigned mode)
{
	return (struct asyncfd_op){
		.code = ASYNCFD_OPENAT, .fd = dir, .path = path, .flags = flags, .mode = mode};
}

static struct asyncfd_op op_statx(int dir, const char *path, int flags, unsigned mask, void *st)
{
	return (struct asyncfd_op){.code = ASYNCFD_STATX,
		.fd = dir,
		.path = path,
		.flags = flags,
		.mode = mask,
		.buf = st};
}

/* Files of all kinds, and a number that is not open. */
enum { FILES = 9 };

static void open_files(int fds[FILES])
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	fds[0] = submit_file();
	cr_assert_eq(pwrite(fds[0], "0123456789", 10, 0), 10);
	fds[1] = open("/dev/null", O_RDONLY);
	fds[2] = open("/dev/null", O_WRONLY);
	fds[3] = open("/", O_RDONLY | O_DIRECTORY);
	fds[4] = ends[0];
	fds[5] = ends[1];
	fds[6] = eventfd(1, EFD_NONBLOCK);
	fds[7] = -1;
	fds[8] = 1 << 20;
}

static void close_files(int fds[FILES])
{
	for (int i = 0; i < 7; i++)
		cr_assert_eq(close(fds[i]), 0);
}

Test(submit_ops, reads_and_writes)
{
	static const struct {
		size_t len;
		int64_t offset;
	} ranges[] = {{0, 0}, {1, 0}, {10, 0}, {20, 5}, {10, 10}, {10, 1000}, {10, -1},
		{10, INT64_MIN}, {(size_t)-1, 0}};
	struct submit_ring ring = submit_open(8);
	char mine[32], theirs[32];
	int fds[FILES];
	open_files(fds);
	for (int f = 0; f < FILES; f++) {
		for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
			size_t len = ranges[r].len;
			int64_t at = ranges[r].offset, got, wanted;
			memset(mine, 'm', sizeof(mine)), memset(theirs, 'm', sizeof(theirs));
			wanted = or_errno(pread(fds[f], theirs, len, at));
			got = submit_one(&ring, op_rw(ASYNCFD_PREAD, fds[f], mine, len, at));
			if (got != wanted || memcmp(mine, theirs, sizeof(mine)) != 0)
				cr_assert_fail("pread, file %d, range %zu: %jd instead of %jd", f,
					r, (intmax_t)got, (intmax_t)wanted);
			if (at > 100 || len > sizeof(mine))
				continue;
			wanted = or_errno(pwrite(fds[f], "abcdefghijklmnopqrstuvwxyz", len, at));
			got = submit_one(&ring, op_rw(ASYNCFD_PWRITE, fds[f],
							"abcdefghijklmnopqrstuvwxyz", len, at));
			if (got != wanted)
				cr_assert_fail("pwrite, file %d, range %zu: %jd instead of %jd", f,
					r, (intmax_t)got, (intmax_t)wanted);
		}
	}
	cr_assert_eq(pread(fds[0], mine, 32, 0), 25);
	cr_assert_eq(memcmp(mine, "abcdeabcdeabcdefghijpqrst", 25), 0, "%.25s", mine);
	close_files(fds);
	submit_close(&ring);
}

Test(submit_ops, bad_buffers)
{
	struct submit_ring ring = submit_open(8);
	int fd = submit_file();
	void *bad[] = {NULL, (void *)16, (void *)-1};
	cr_assert_eq(write(fd, "0123456789", 10), 10);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(submit_one(&ring, op_rw(ASYNCFD_PREAD, fd, bad[i], 5, 0)), -EFAULT);
		cr_assert_eq(submit_one(&ring, op_rw(ASYNCFD_PWRITE, fd, bad[i], 5, 0)), -EFAULT);
		cr_assert_eq(submit_one(&ring, op_open(AT_FDCWD, bad[i], O_RDONLY, 0)), -EFAULT);
		cr_assert_eq(submit_one(&ring, op_statx(AT_FDCWD, "/", 0, 1, bad[i])), -EFAULT);
	}
	close(fd);
	submit_close(&ring);
}

Test(submit_ops, syncs)
{
	struct submit_ring ring = submit_open(8);
	int fds[FILES];
	open_files(fds);
	for (int f = 0; f < FILES; f++) {
		cr_assert_eq(
			submit_one(&ring, op_fd(ASYNCFD_FSYNC, fds[f])), or_errno(fsync(fds[f])));
		cr_assert_eq(submit_one(&ring, op_fd(ASYNCFD_FDATASYNC, fds[f])),
			or_errno(fdatasync(fds[f])));
	}
	close_files(fds);
	submit_close(&ring);
}

Test(submit_ops, opens_and_closes)
{
	struct submit_ring ring = submit_open(8);
	char dir[] = "/tmp/submit-XXXXXX";
	struct stat st;
	cr_assert(mkdtemp(dir));
	int base = open(dir, O_RDONLY | O_DIRECTORY), lowest;
	umask(022);
	/* the first wait asks the kernel a few things, which takes numbers for an instant */
	cr_assert_eq(submit_one(&ring, op_open(base, "none", O_RDONLY, 0)), -ENOENT);
	lowest = tk_lowest_free();
	int fd = (int)submit_one(
		&ring, op_open(base, "file", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640));
	cr_assert_eq(fd, lowest);
	cr_assert(!fstat(fd, &st) && (st.st_mode & 0777) == 0640);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(submit_one(&ring, op_open(base, "file", O_CREAT | O_EXCL, 0)), -EEXIST);
	cr_assert_eq(submit_one(&ring, op_open(base, "none", O_RDONLY, 0)), -ENOENT);
	cr_assert_eq(submit_one(&ring, op_open(base, "file", O_DIRECTORY, 0)), -ENOTDIR);
	cr_assert_eq(submit_one(&ring, op_open(fd, "file", O_RDONLY, 0)), -ENOTDIR);
	cr_assert_eq(submit_one(&ring, op_open(-1, "file", O_RDONLY, 0)), -EBADF);
	lowest = tk_lowest_free();
	cr_assert_eq(submit_one(&ring, op_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0)), lowest);
	cr_assert_eq(submit_one(&ring, op_fd(ASYNCFD_CLOSE, lowest)), 0);
	cr_assert_eq(submit_one(&ring, op_fd(ASYNCFD_CLOSE, fd)), 0);
	cr_assert_eq(submit_one(&ring, op_fd(ASYNCFD_CLOSE, fd)), -EBADF);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	cr_assert(!unlinkat(base, "file", 0) && !rmdir(dir));
	close(base);
	submit_close(&ring);
}

/* An eventfd of the library's is closed as by close(): its number is nobody's. */
Test(submit_ops, eventfds_are_closed_whole)
{
	struct submit_ring ring = submit_open(8);
	int fd = eventfd(0, 0), copy = dup(fd);
	uint64_t value = 1;
	cr_assert_eq(submit_one(&ring, op_fd(ASYNCFD_CLOSE, fd)), 0);
	cr_assert(write(fd, &value, sizeof(value)) == -1 && errno == EBADF);
	cr_assert_eq(write(copy, &value, sizeof(value)), 8);
	cr_assert_eq(open("/dev/null", O_WRONLY), fd);
	cr_assert_eq(write(fd, &value, sizeof(value)), 8);
	cr_assert(read(copy, &value, sizeof(value)) == 8 && value == 1);
	close(fd), close(copy);
	submit_close(&ring);
}

Test(submit_ops, statx_tells_the_same)
{
	struct submit_ring ring = submit_open(8);
	int fds[FILES];
	struct statx mine, theirs;
	open_files(fds);
	for (int f = 0; f < FILES; f++) {
		memset(&mine, 0, sizeof(mine)), memset(&theirs, 0, sizeof(theirs));
		cr_assert_eq(submit_one(&ring, op_statx(fds[f], "", AT_EMPTY_PATH,
						       STATX_SIZE | STATX_INO, &mine)),
			or_errno(
				statx(fds[f], "", AT_EMPTY_PATH, STATX_SIZE | STATX_INO, &theirs)));
		cr_assert_eq(memcmp(&mine, &theirs, sizeof(mine)), 0, "file %d", f);
		cr_assert_eq(submit_one(&ring, op_statx(fds[f], "tmp", 0, STATX_INO, &mine)),
			or_errno(statx(fds[f], "tmp", 0, STATX_INO, &theirs)));
		cr_assert_eq(memcmp(&mine, &theirs, sizeof(mine)), 0, "file %d", f);
	}
	cr_assert_eq(submit_one(&ring, op_statx(AT_FDCWD, "/", 1 << 30, 0, &mine)), -EINVAL);
	cr_assert_eq(submit_one(&ring, op_statx(AT_FDCWD, "/none", 0, 0, &mine)), -ENOENT);
	close_files(fds);
	submit_close(&ring);
}

Test(submit_ops, what_is_refused)
{
	struct submit_ring ring = submit_open(64);
	struct asyncfd_op ops[4];
	int file = submit_file(), counter = eventfd(0, 0), gone = dup(0);
	int threads = submit_threads();
	close(gone);
	for (int i = 0; i < 4; i++)
		ops[i] = (struct asyncfd_op){.cookie = 1, .code = ASYNCFD_FSYNC, .fd = file};
	cr_assert_eq(submit_try(-1, ops, 1), -EBADF);
	cr_assert_eq(submit_try(gone, ops, 1), -EBADF);
	cr_assert_eq(submit_try(1 << 20, ops, 1), -EBADF);
	cr_assert_eq(submit_try(file, ops, 1), -EINVAL);
	cr_assert_eq(submit_try(counter, ops, 1), -EINVAL);
	cr_assert_eq(submit_try(ring.fd, ops, -1), -EINVAL);
	cr_assert_eq(submit_try(ring.fd, NULL, 1), -EFAULT);
	cr_assert_eq(submit_try(ring.fd, (void *)16, 4), -EFAULT);
	cr_assert_eq(submit_try(ring.fd, NULL, 0), 0);
	cr_assert_eq(submit_try(ring.fd, ops, 0), 0);
	cr_assert_eq(submit_threads(), threads); /* nothing was to be done yet */
	for (int code = -1; code < 10; code++) {
		ops[0].code = code;
		if (code < ASYNCFD_PREAD || code > ASYNCFD_STATX)
			cr_assert_eq(submit_try(ring.fd, ops, 4), -EINVAL);
	}
	ops[0].code = ASYNCFD_FSYNC;
	ops[0].cookie = 0;
	cr_assert_eq(submit_try(ring.fd, ops, 4), -EINVAL);
	ops[0].cookie = 1;
	ops[2].cookie = 0;
	cr_assert_eq(submit_try(ring.fd, ops, 4), 2);
	ops[2].cookie = 1;
	ops[3].code = 99;
	cr_assert_eq(submit_try(ring.fd, ops, 4), 3);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(submit_take(&ring).res, 0);
	cr_assert_eq(poll(&(struct pollfd){.fd = ring.fd, .events = POLLIN}, 1, 0), 0);
	close(file), close(counter);
	submit_close(&ring);
}

/* The array ends where memory ends. */
Test(submit_ops, as_many_as_can_be_read)
{
	struct submit_ring ring = submit_open(64);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct asyncfd_op *ops = (struct asyncfd_op *)(void *)(pages + 4096) - 2;
	cr_assert_eq(munmap(pages + 4096, 4096), 0);
	ops[0] = ops[1] = (struct asyncfd_op){.cookie = 1, .code = ASYNCFD_FSYNC, .fd = -1};
	cr_assert_eq(submit_try(ring.fd, ops, 5), 2);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(submit_take(&ring).res, -EBADF);
	munmap(pages, 4096);
	submit_close(&ring);
}
