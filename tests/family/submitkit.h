/* Operations handed to asyncfd_submit, and their results; asserted. */
#ifndef SUBMITKIT_H
#define SUBMITKIT_H

#include "testkit.h"

#include <efdshim/asyncfd.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SUBMIT_ERRNO = 4321, SUBMIT_LIMIT_MS = 20000 };

struct submit_ring {
	int fd;
	struct asyncfd_uring *head;
	size_t bytes;
};

static inline struct submit_ring submit_open(uint32_t size)
{
	struct submit_ring ring = {.bytes = 4096 + size * sizeof(struct asyncfd_result)};
	char *at =
		mmap(NULL, ring.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(at, MAP_FAILED);
	ring.head = (struct asyncfd_uring *)at;
	*ring.head = (struct asyncfd_uring){.ptr = (uintptr_t)(at + 4096), .size = size};
	ring.fd = asyncfd(-1, ring.head);
	if (ring.fd < 0)
		cr_assert_fail("asyncfd: errno %d", errno);
	return ring;
}

/* The memory stays: the library may look at it for a moment longer. */
static inline void submit_close(struct submit_ring *ring)
{
	cr_assert_eq(close(ring->fd), 0);
}

/* How many were accepted, or -errno. */
static inline int submit_try(int fd, const struct asyncfd_op *ops, int n)
{
	errno = SUBMIT_ERRNO;
	int ret = asyncfd_submit(fd, ops, n);
	if (ret == -1)
		return -errno;
	return errno == SUBMIT_ERRNO ? ret : -4095;
}

static inline void submit(struct submit_ring *ring, const struct asyncfd_op *ops, int n)
{
	int ret = submit_try(ring->fd, ops, n);
	if (ret != n)
		cr_assert_fail("%d operations: %d", n, ret);
}

/* The next result, as soon as poll tells of it. */
static inline struct asyncfd_result submit_take(struct submit_ring *ring)
{
	struct pollfd entry = {.fd = ring->fd, .events = POLLIN};
	struct asyncfd_result result;
	while (!asyncfd_take_result(ring->head, &result)) {
		int n = poll(&entry, 1, SUBMIT_LIMIT_MS);
		if (n != 1 || entry.revents != POLLIN)
			cr_assert_fail("poll: %d, revents %x", n, entry.revents);
	}
	return result;
}

/* What one operation gives. */
static inline int64_t submit_one(struct submit_ring *ring, struct asyncfd_op op)
{
	op.cookie = 77;
	op.obj = 88;
	submit(ring, &op, 1);
	struct asyncfd_result result = submit_take(ring);
	if (result.cookie != 77 || result.obj != 88 || result.res2 != 0)
		cr_assert_fail("another's result: cookie %ju", (uintmax_t)result.cookie);
	return result.res;
}

/* A file that has no name. */
static inline int submit_file(void)
{
	char name[] = "/tmp/submit-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	cr_assert(fd >= 0 && !unlink(name));
	return fd;
}

static inline void submit_pause(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	nanosleep(&pause, NULL);
}

static inline int submit_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Until the library's threads have gone. */
static inline void submit_wait_threads(int wanted)
{
	for (int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS; submit_threads() != wanted;) {
		if (tk_now_ms() > end)
			cr_assert_fail("%d threads instead of %d", submit_threads(), wanted);
		submit_pause();
	}
}

/* Until the file is so long. */
static inline void submit_wait_size(int fd, off_t size)
{
	struct stat st;
	for (int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS; !fstat(fd, &st) && st.st_size < size;) {
		if (tk_now_ms() > end)
			cr_assert_fail(
				"%jd bytes instead of %jd", (intmax_t)st.st_size, (intmax_t)size);
		submit_pause();
	}
}

#endif
