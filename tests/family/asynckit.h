/* Steps with an asyncfd and its ring, asserted. */
#ifndef ASYNCKIT_H
#define ASYNCKIT_H

#include "pair.h"

#include <efdshim/asyncfd.h>
#include <efdshim/eventfd.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The head and the array have each a mapping of their own, shared with children. */
struct ring {
	int fd;
	struct efd_file *file;
	struct asyncfd_uring *head;
	struct asyncfd_result *array;
	uint64_t sent, taken; /* ring_add numbers the results, ring_expect asks for them in order */
};

enum { RING_ERRNO = 2323, RING_MOST = 1 << 17 };

/* Shared memory, far from where mmap looks on its own, each at an address of its own: what is
 * unmapped stays so. A page that was never mapped follows it. */
static inline void *ring_memory(size_t bytes)
{
	static uintptr_t next = 0x300000000000;
	size_t page = (size_t)getpagesize();
	void *at = mmap((void *)next, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)next)
		cr_assert_fail("mmap: errno %d", errno);
	next += (bytes + page - 1) / page * page + page;
	return at;
}

/* `size` bytes that end where nothing is mapped. */
static inline void *ring_last_bytes(size_t size)
{
	size_t page = (size_t)getpagesize();
	return (char *)ring_memory(page) + page - size;
}

static inline void *ring_unmapped(void)
{
	return ring_last_bytes(0);
}

/* Memory alone: no fd yet. Both cursors stand at `start`. */
static inline struct ring ring_new(uint32_t size, uint32_t start)
{
	struct ring r = {.fd = -1};
	r.head = ring_memory(sizeof(*r.head));
	r.array = ring_memory(size * sizeof(*r.array));
	*r.head = (struct asyncfd_uring){
		.ptr = (uintptr_t)r.array, .iuser = start, .size = size, .ikernel = start};
	return r;
}

static inline void ring_free(struct ring *r)
{
	munmap(r->array, r->head->size * sizeof(*r->array));
	munmap(r->head, sizeof(*r->head));
}

/* asyncfd(): the fd or -errno; -4095 where it succeeds and touches errno. */
static inline int ring_try(int ufd, struct asyncfd_uring *head)
{
	errno = RING_ERRNO;
	int fd = asyncfd(ufd, head);
	if (fd == -1)
		return -errno;
	return errno == RING_ERRNO ? fd : -4095;
}

static inline struct efd_file *ring_get(int fd)
{
	errno = RING_ERRNO;
	struct efd_file *file = asyncfd_fget(fd);
	if (!file || errno != RING_ERRNO)
		cr_assert_fail("asyncfd_fget: errno %d", errno);
	return file;
}

static inline struct ring ring_open(uint32_t size, uint32_t start)
{
	struct ring r = ring_new(size, start);
	r.fd = ring_try(-1, r.head);
	if (r.fd < 0)
		cr_assert_fail("asyncfd: %d", r.fd);
	r.file = ring_get(r.fd);
	return r;
}

static inline void ring_close(struct ring *r)
{
	efd_fput(r->file);
	if (r->fd >= 0 && close(r->fd))
		cr_assert_fail("close: errno %d", errno);
	ring_free(r);
}

/* How many were stored, or -errno. */
static inline int ring_put(struct efd_file *file, const struct asyncfd_result *results, int n)
{
	errno = RING_ERRNO;
	int ret = asyncfd_add_results(file, results, n);
	if (ret == -1)
		return -errno;
	return errno == RING_ERRNO ? ret : -4095;
}

/* Result number `i`, from 1 on: each field tells it. */
static inline struct asyncfd_result ring_result(uint64_t i)
{
	return (struct asyncfd_result){
		.cookie = i, .obj = ~i, .res = (int64_t)(i * 3), .res2 = -(int64_t)i};
}

static inline bool ring_is_result(const struct asyncfd_result *r, uint64_t i)
{
	struct asyncfd_result want = ring_result(i);
	return !memcmp(r, &want, sizeof(want));
}

/* Hands in the next `n` numbers; how many were stored. */
static inline int ring_offer(struct ring *r, int n)
{
	static struct asyncfd_result results[RING_MOST];
	for (int i = 0; i < n; i++)
		results[i] = ring_result(r->sent + 1 + (uint64_t)i);
	int ret = ring_put(r->file, results, n);
	if (ret > 0)
		r->sent += (uint64_t)ret;
	return ret;
}

static inline void ring_add(struct ring *r, int n)
{
	int ret = ring_offer(r, n);
	if (ret != n)
		cr_assert_fail("%d results: %d stored", n, ret);
}

/* Takes the next `n` out: they are the right ones. */
static inline void ring_expect(struct ring *r, int n)
{
	for (int i = 0; i < n; i++) {
		struct asyncfd_result got;
		if (!asyncfd_take_result(r->head, &got))
			cr_assert_fail("%d results instead of %d", i, n);
		r->taken++;
		if (!ring_is_result(&got, r->taken))
			cr_assert_fail("result %ju where %ju is expected", (uintmax_t)got.cookie,
				(uintmax_t)r->taken);
	}
}

static inline void ring_expect_empty(struct ring *r)
{
	struct asyncfd_result got;
	if (asyncfd_take_result(r->head, &got))
		cr_assert_fail("result %ju where none is expected", (uintmax_t)got.cookie);
}

#endif
