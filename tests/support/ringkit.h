/* Rings of asyncfd, asserted. */
#ifndef RINGKIT_H
#define RINGKIT_H

#include <efdshim/asyncfd.h>
#include <efdshim/eventfd.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* A ring with its fd and a reference to it. */
struct kit_ring {
	struct asyncfd_uring *head;
	struct asyncfd_result *places;
	uint32_t size;
	int fd;
	struct efd_file *file;
};

/* Head and array in one mapping; `flags` MAP_PRIVATE or MAP_SHARED. */
static inline struct asyncfd_uring *ring_map(uint32_t size, int flags)
{
	size_t bytes = 4096 + size * sizeof(struct asyncfd_result);
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(at, MAP_FAILED);
	struct asyncfd_uring *head = (struct asyncfd_uring *)at;
	head->ptr = (uintptr_t)(at + 4096);
	head->size = size;
	return head;
}

static inline void ring_unmap(struct asyncfd_uring *head)
{
	cr_assert_eq(munmap(head, 4096 + head->size * sizeof(struct asyncfd_result)), 0);
}

static inline struct kit_ring ring_open(uint32_t size, int flags)
{
	struct kit_ring ring = {.head = ring_map(size, flags), .size = size};

	ring.places = (struct asyncfd_result *)(uintptr_t)ring.head->ptr;
	ring.fd = asyncfd(-1, ring.head);
	cr_assert(ring.fd >= 0, "asyncfd: errno %d", errno);
	ring.file = asyncfd_fget(ring.fd);
	cr_assert(ring.file, "asyncfd_fget: errno %d", errno);
	return ring;
}

static inline void ring_close(struct kit_ring *ring)
{
	efd_fput(ring->file);
	cr_assert_eq(close(ring->fd), 0);
	ring_unmap(ring->head);
}

/* Stores results with the cookies first, first + 1, ...; how many, or -errno. */
static inline int ring_try(struct efd_file *file, uint64_t first, int n)
{
	struct asyncfd_result results[64];

	for (int i = 0; i < n && i < 64; i++)
		results[i] = (struct asyncfd_result){
			first + (uint64_t)i, ~first, (int64_t)first, -(int64_t)first};
	int ret = asyncfd_add_results(file, results, n);
	return ret < 0 ? -errno : ret;
}

static inline void ring_put(struct efd_file *file, uint64_t first, int n)
{
	int ret = ring_try(file, first, n);

	if (ret != n)
		cr_assert_fail("%d results: %d", n, ret);
}

/* The next result is there, and its cookie this one. */
static inline void ring_take(struct asyncfd_uring *head, uint64_t cookie)
{
	struct asyncfd_result result = {0};

	cr_assert_eq(asyncfd_take_result(head, &result), 1, "no result");
	cr_assert_eq(
		result.cookie, cookie, "%ju, not %ju", (uintmax_t)result.cookie, (uintmax_t)cookie);
}

static inline void ring_expect_empty(struct asyncfd_uring *head)
{
	struct asyncfd_result result;

	cr_assert_eq(asyncfd_take_result(head, &result), 0);
}

/* What poll shows now. */
static inline short ring_poll(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};

	cr_assert(poll(&entry, 1, 0) >= 0);
	return entry.revents;
}

static inline void ring_watch(int set, int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = 77};

	cr_assert_eq(epoll_ctl(set, op, fd, &event), 0, "epoll_ctl: errno %d", errno);
}

/* What the set reports now, 0 for nothing. */
static inline uint32_t ring_event(int set)
{
	struct epoll_event event = {0};
	int n = epoll_wait(set, &event, 1, 0);

	cr_assert(n >= 0);
	cr_assert(!n || event.data.u64 == 77);
	return n ? event.events : 0;
}

#endif
