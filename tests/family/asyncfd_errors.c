/* asyncfd() and asyncfd_fget(): what they refuse, and that a refusal changes nothing. */
#define _GNU_SOURCE
#include "badmem.h"
#include "asynckit.h"
#include "testkit.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

TestSuite(asyncfd_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

/* Both ways: as a new fd's ring, and as one to replace, whose ring goes on working. */
static void refused(struct asyncfd_uring *head, int err, const char *what)
{
	struct ring old = ring_open(4, 0);
	int lowest = tk_lowest_free(), ret = ring_try(-1, head);
	cr_assert_eq(ret, -err, "%s: %d for a new one", what, ret);
	cr_assert_eq(tk_lowest_free(), lowest);
	ret = ring_try(old.fd, head);
	cr_assert_eq(ret, -err, "%s: %d to replace one", what, ret);
	ring_add(&old, 3);
	cr_assert_eq(poll_now(old.fd, POLLIN), POLLIN);
	ring_expect(&old, 3);
	ring_close(&old);
}

Test(asyncfd_errors, fds_that_are_not_open)
{
	struct ring r = ring_new(4, 0);
	int fd = dup(0);
	close(fd);
	cr_assert_eq(ring_try(fd, r.head), -EBADF);
	cr_assert_eq(ring_try(-2, r.head), -EBADF);
	cr_assert_eq(ring_try(INT_MIN, r.head), -EBADF);
	cr_assert_eq(ring_try(INT_MAX, r.head), -EBADF);
	ring_free(&r);
}

Test(asyncfd_errors, fds_that_are_no_asyncfds)
{
	struct ring r = ring_new(4, 0);
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	int fds[] = {ends[0], ends[1], eventfd(0, 0), eventfd(0, EFD_MASK), epoll_create1(0),
		tk_memory_file(0), socket(AF_UNIX, SOCK_STREAM, 0)};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		cr_assert(fds[i] >= 0);
		cr_assert_eq(ring_try(fds[i], r.head), -EINVAL, "fd %zu", i);
		errno = 0;
		cr_assert_null(asyncfd_fget(fds[i]));
		cr_assert_eq(errno, EINVAL, "fd %zu: errno %d", i, errno);
		close(fds[i]);
	}
	ring_free(&r);
}

Test(asyncfd_errors, fget_of_what_is_not_open)
{
	struct ring r = ring_open(4, 0);
	int fd = r.fd;
	close(fd);
	r.fd = -1;
	static const int numbers[] = {-1, INT_MIN, INT_MAX};
	for (size_t i = 0; i <= ARRAY_LEN(numbers); i++) {
		errno = 0;
		cr_assert_null(asyncfd_fget(i ? numbers[i - 1] : fd));
		cr_assert_eq(errno, EBADF);
	}
	ring_close(&r);
}

Test(asyncfd_errors, sizes_and_cursors)
{
	struct ring r = ring_new(4, 0);
	static const struct {
		uint32_t size, ikernel;
		const char *what;
	} bad[] = {{0, 0, "size 0"}, {1, 0, "size 1"}, {4, 4, "ikernel 4 of 4"},
		{4, UINT32_MAX, "ikernel of all ones"}, {2, 3, "ikernel 3 of 2"}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r.head->size = bad[i].size;
		r.head->ikernel = bad[i].ikernel;
		refused(r.head, EINVAL, bad[i].what);
	}
	r.head->size = 4;
	ring_free(&r);
}

Test(asyncfd_errors, pointers_that_are_not_aligned)
{
	struct ring r = ring_new(4, 0);
	for (uint64_t off = 1; off < 8; off++) {
		r.head->ptr = (uintptr_t)r.array + off;
		refused(r.head, EINVAL, "the array");
	}
	r.head->ptr = (uintptr_t)r.array;
	for (size_t off = 1; off < 8; off++) {
		char *at = (char *)r.head + 64 + off;
		memcpy(at, r.head, sizeof(*r.head));
		refused((void *)at, EINVAL, "the head");
	}
	ring_free(&r);
}

Test(asyncfd_errors, heads_that_are_not_there)
{
	struct ring r = ring_new(4, 0);
	refused(NULL, EFAULT, "null");
	refused(ring_unmapped(), EFAULT, "unmapped");
	refused((void *)~(uintptr_t)7, EFAULT, "the last bytes there are");
	refused(page_of(PROT_NONE), EFAULT, "no access");
	refused(page_read_only(r.head, sizeof(*r.head)), EFAULT, "read-only");
	char *end = ring_last_bytes(16); /* less than a head */
	memcpy(end, r.head, 16);
	refused((void *)end, EFAULT, "half a head");
	ring_free(&r);
}

static void refused_array(const void *array, uint32_t size, const char *what)
{
	struct asyncfd_uring *head = page_of(PROT_READ | PROT_WRITE);
	*head = (struct asyncfd_uring){.ptr = (uintptr_t)array, .size = size};
	refused(head, EFAULT, what);
	munmap(head, (size_t)getpagesize());
}

Test(asyncfd_errors, arrays_that_are_not_there)
{
	static const char zeros[128];
	enum { RESULT = sizeof(struct asyncfd_result) };
	refused_array(NULL, 4, "null");
	refused_array(ring_unmapped(), 4, "unmapped");
	refused_array(page_of(PROT_NONE), 4, "no access");
	refused_array(page_read_only(zeros, 4 * RESULT), 4, "read-only");
	refused_array(ring_last_bytes(4 * RESULT), 5, "one place too few");
	refused_array(ring_last_bytes(4 * RESULT), 100000, "many too few");
	refused_array(ring_last_bytes(4 * RESULT - 8), 4, "half a place too few");
	refused_array(ring_last_bytes(4 * RESULT), UINT32_MAX, "the greatest size");
	refused_array((void *)(UINT64_MAX - 127), 4, "the last bytes there are");
	refused_array((void *)(UINT64_MAX - 127), UINT32_MAX, "beyond the last byte");
	refused_array((void *)(UINT64_C(1) << 63), 4, "the kernel's half");
}

/* A hole amid two good pages. */
Test(asyncfd_errors, an_array_with_a_hole)
{
	size_t page = (size_t)getpagesize();
	char *at = ring_memory(3 * page);
	cr_assert_eq(munmap(at + page, page), 0);
	refused_array(at, (uint32_t)(3 * page / sizeof(struct asyncfd_result)), "a hole");
	munmap(at, 3 * page);
}

Test(asyncfd_errors, arrays_that_just_fit)
{
	enum { RESULT = sizeof(struct asyncfd_result) };
	struct ring r = ring_new(4, 0);
	r.head->ptr = (uintptr_t)ring_last_bytes(4 * RESULT);
	struct asyncfd_uring *head = ring_last_bytes(sizeof(*head));
	*head = *r.head;
	int fd = ring_try(-1, head);
	cr_assert(fd >= 0);
	struct ring used = {.fd = fd, .head = head, .file = ring_get(fd)};
	ring_add(&used, 3);
	ring_expect(&used, 3);
	efd_fput(used.file);
	close(fd);
	ring_free(&r);
}

Test(asyncfd_errors, results_that_are_refused)
{
	struct ring r = ring_open(8, 0), *ring = &r;
	struct asyncfd_result good[2] = {ring_result(1), ring_result(2)}, bad = {0};
	cr_assert_eq(ring_put(r.file, good, -1), -EINVAL);
	cr_assert_eq(ring_put(r.file, good, INT_MIN), -EINVAL);
	cr_assert_eq(ring_put(r.file, &bad, 1), -EINVAL);
	cr_assert_eq(ring_put(NULL, good, 1), -EINVAL);
	cr_assert_eq(ring_put(r.file, good, 0), 0);
	cr_assert_eq(ring_put(r.file, ring_unmapped(), 1), -EFAULT);
	cr_assert_eq(ring_put(r.file, NULL, 1), -EFAULT);
	ring_expect_empty(ring);
	cr_assert_eq(poll_now(r.fd, POLLIN), 0);
	ring_add(ring, 7);
	ring_expect(ring, 7);
	ring_close(ring);
}

/* Refused at once, or where it stands: in no case is it in the ring. */
Test(asyncfd_errors, a_cookie_of_0_among_good_ones)
{
	struct ring r = ring_open(8, 0);
	struct asyncfd_result some[3] = {ring_result(1), {0}, ring_result(3)};
	int ret = ring_put(r.file, some, 3);
	cr_assert(ret == 1 || ret == -EINVAL, "%d", ret);
	if (ret == 1)
		ring_expect(&r, 1);
	ring_expect_empty(&r);
	ring_close(&r);
}

Test(asyncfd_errors, results_to_an_eventfd)
{
	int fd = eventfd_at(0);
	struct efd_file *file = eventfd_fget(fd);
	struct asyncfd_result one = ring_result(1);
	cr_assert(file);
	cr_assert_eq(ring_put(file, &one, 1), -EINVAL);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	efd_fput(file);
	close(fd);
}

Test(asyncfd_errors, it_is_an_fd_that_cannot_be_read_or_written)
{
	struct ring r = ring_open(4, 0);
	char bytes[64] = {0};
	cr_assert_eq(fcntl(r.fd, F_GETFD), 0);
	cr_assert_eq(fcntl(r.fd, F_SETFD, FD_CLOEXEC), 0);
	cr_assert_eq(fcntl(r.fd, F_GETFD), FD_CLOEXEC);
	for (int full = 0; full < 2; full++) {
		cr_assert_eq(answer_of(read(r.fd, bytes, sizeof(bytes))), -EINVAL);
		cr_assert_eq(answer_of(write(r.fd, bytes, sizeof(bytes))), -EINVAL);
		cr_assert_eq(answer_of(read(r.fd, bytes, 8)), -EINVAL);
		cr_assert_eq(answer_of(write(r.fd, bytes, 8)), -EINVAL);
		if (!full)
			ring_add(&r, 3);
	}
	ring_expect(&r, 3);
	ring_close(&r);
}
