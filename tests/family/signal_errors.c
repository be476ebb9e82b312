/* eventfd_fget, efd_fput and eventfd_signal: what they refuse, what they return. */
#define _GNU_SOURCE
#include "signalkit.h"
#include "testkit.h"

#include <dirent.h>
#include <efdshim/asyncfd.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(signal_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static void refused(int fd, int err)
{
	errno = 0;
	cr_assert_null(eventfd_fget(fd), "fd %d is taken", fd);
	cr_assert_eq(errno, err, "fd %d: errno %d, not %d", fd, errno, err);
}

/* An asyncfd whose ring is never used. */
static int an_asyncfd(void)
{
	static struct asyncfd_result results[4];
	static struct asyncfd_uring ring;
	ring = (struct asyncfd_uring){.ptr = (uintptr_t)results, .size = 4};
	int fd = asyncfd(-1, &ring);
	cr_assert(fd >= 0, "asyncfd: errno %d", errno);
	return fd;
}

Test(signal_errors, numbers_that_are_not_open)
{
	int fd = eventfd_at(0);
	close(fd);
	refused(fd, EBADF);
	refused(-1, EBADF);
	refused(INT_MIN, EBADF);
	refused(INT_MAX, EBADF);
}

Test(signal_errors, the_number_of_an_eventfd_that_was_closed_while_referenced)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	close(fd);
	refused(fd, EBADF);
	signal_put(file);
	refused(fd, EBADF);
}

Test(signal_errors, pipes_and_sockets)
{
	int ends[2], socks[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	for (int i = 0; i < 2; i++) {
		refused(ends[i], EINVAL);
		refused(socks[i], EINVAL);
		close(ends[i]);
		close(socks[i]);
	}
}

Test(signal_errors, files_and_epoll_sets)
{
	int file = tk_memory_file(O_CLOEXEC), set = epoll_create1(EPOLL_CLOEXEC);
	refused(file, EINVAL);
	refused(set, EINVAL);
	close(file);
	close(set);
}

Test(signal_errors, a_mask_eventfd)
{
	int fd = eventfd(0, EFD_MASK);
	cr_assert(fd >= 0);
	refused(fd, EINVAL);
	close(fd);
}

Test(signal_errors, an_asyncfd_by_eventfd_fget)
{
	int fd = an_asyncfd();
	refused(fd, EINVAL);
	close(fd);
}

Test(signal_errors, an_eventfd_of_the_kernel)
{
	int fd = (int)tk_raw_syscall(SYS_eventfd2, 0, 0, 0, 0, 0, 0);
	cr_assert(fd >= 0);
	refused(fd, EINVAL);
	tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

Test(signal_errors, counts_below_zero_change_nothing)
{
	int fd = eventfd_at(5);
	struct efd_file *file = signal_get(fd);
	cr_assert_eq(signal_try(file, -1), -EINVAL);
	cr_assert_eq(signal_try(file, INT_MIN), -EINVAL);
	cr_assert_eq(take_count(fd), 5);
	cr_assert_eq(signal_try(file, -1), -EINVAL);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	signal_put(file);
	close(fd);
}

Test(signal_errors, counts_below_zero_of_a_full_counter)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(signal_try(file, -1), -EINVAL);
	cr_assert_eq(take_count(fd), COUNT_FULL);
	signal_put(file);
	close(fd);
}

Test(signal_errors, a_signal_to_an_asyncfd)
{
	int fd = an_asyncfd();
	struct efd_file *file = asyncfd_fget(fd);
	cr_assert(file);
	cr_assert_eq(signal_try(file, 1), -EINVAL);
	cr_assert_eq(poll_now(fd, POLLIN), 0);
	efd_fput(file);
	close(fd);
}

Test(signal_errors, no_file_at_all)
{
	cr_assert_eq(signal_try(NULL, 1), -EINVAL);
	signal_put(NULL);
}

Test(signal_errors, returns_what_was_added)
{
	static const int counts[] = {0, 1, 2, 1000, INT_MAX, INT_MAX, 0, INT_MAX};
	uint64_t sum = 0;
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		signal_add(file, counts[i]);
		sum += (uint64_t)counts[i];
	}
	cr_assert_eq(take_count(fd), sum);
	signal_put(file);
	close(fd);
}

Test(signal_errors, every_flavour_of_eventfd_is_taken)
{
	for (int i = 0; i < 8; i++) {
		int fd = eventfd(7, (i & 1 ? EFD_SEMAPHORE : 0) | (i & 2 ? EFD_NONBLOCK : 0) |
					    (i & 4 ? EFD_CLOEXEC : 0));
		struct efd_file *file = signal_get(fd);
		signal_add(file, 3);
		cr_assert_eq(take_count(fd), i & 1 ? 1 : 10);
		signal_put(file);
		close(fd);
	}
}

Test(signal_errors, references_are_put_in_any_order)
{
	int fd = eventfd_at(0), copy = dup(fd);
	struct efd_file *file[3] = {signal_get(fd), signal_get(copy), signal_get(fd)};
	for (int i = 0; i < 3; i++)
		signal_add(file[i], 1);
	signal_put(file[1]);
	signal_add(file[0], 10);
	signal_add(file[2], 10);
	signal_put(file[0]);
	signal_add(file[2], 100);
	signal_put(file[2]);
	cr_assert_eq(take_count(copy), 123);
	close(fd);
	close(copy);
}

static int count_open(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	cr_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void get_and_put(int times)
{
	for (int i = 0; i < times; i++) {
		int fd = eventfd_at(0);
		struct efd_file *file = signal_get(fd), *more = signal_get(fd);
		signal_add(file, 1);
		if (i % 2)
			close(fd);
		signal_put(more);
		signal_put(file);
		if (i % 2 == 0)
			close(fd);
	}
}

/* Also the fds that the library keeps for itself. */
Test(signal_errors, what_a_reference_takes_is_given_back)
{
	get_and_put(100);
	int before = count_open();
	get_and_put(2000);
	cr_assert_leq(count_open(), before);
}

Test(signal_errors, many_eventfds_with_references_at_once)
{
	enum { MANY = 300 };
	int fds[MANY];
	struct efd_file *files[MANY];
	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd_at(0);
		files[i] = signal_get(fds[i]);
	}
	for (int i = 0; i < MANY; i++)
		signal_add(files[i], i + 1);
	for (int i = 0; i < MANY; i++) {
		cr_assert_eq(take_count(fds[i]), (uint64_t)i + 1);
		signal_put(files[i]);
		close(fds[i]);
	}
}

Test(signal_errors, a_table_that_is_full_is_told)
{
	struct efd_file *file;
	int fd = eventfd_at(0), got = 0, dups[2048];
	errno = 0;
	file = signal_get(fd);
	signal_put(file);
	for (; got < 2048 && (dups[got] = dup(fd)) >= 0;)
		got++;
	file = eventfd_fget(fd); /* there may be room for the library's own */
	if (file)
		efd_fput(file);
	else
		cr_assert(errno == EMFILE || errno == ENFILE || errno == ENOMEM, "errno %d", errno);
	while (got)
		close(dups[--got]);
	file = signal_get(fd);
	signal_put(file);
	close(fd);
}
