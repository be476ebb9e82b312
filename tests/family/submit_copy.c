/* asyncfd_submit at work: a large file is copied by operations of which some fail. */
#define _GNU_SOURCE
#include "submitkit.h"

#include <string.h>
#include <sys/epoll.h>

TestSuite(submit_copy, .init = tk_setup, .fini = tk_teardown, .timeout = 300);

enum { CHUNK = 256 << 10, DEPTH = 32, SOURCE_MIB = 256, FAILING = 16 };

static void fill_words(uint64_t *words, uint64_t seed)
{
	for (int i = 0; i < CHUNK / 8; i++)
		words[i] = (seed * CHUNK + (uint64_t)i) * 0x9e3779b97f4a7c15ull;
}

static int make_source(int chunks)
{
	static uint64_t words[CHUNK / 8];
	int fd = submit_file();
	for (int i = 0; i < chunks; i++) {
		fill_words(words, (uint64_t)i);
		cr_assert_eq(write(fd, words, CHUNK), CHUNK);
	}
	return fd;
}

static void assert_copied(int fd, int chunks)
{
	static uint64_t wanted[CHUNK / 8], got[CHUNK / 8];
	for (int i = 0; i < chunks; i++) {
		fill_words(wanted, (uint64_t)i);
		cr_assert_eq(pread(fd, got, CHUNK, (off_t)i * CHUNK), CHUNK);
		if (memcmp(wanted, got, CHUNK) != 0)
			cr_assert_fail("chunk %d differs", i);
	}
	cr_assert_eq(lseek(fd, 0, SEEK_END), (off_t)chunks * CHUNK);
}

/* obj says which buffer, the cookie which chunk and whether it is written. */
struct copy {
	struct submit_ring ring;
	int from, to, closed, chunks, begun, done, failed;
	char *buffers, *nowhere;
};

enum { READING = 1, WRITING = 2, HOPELESS = 3 };

static uint64_t cookie_of(int chunk, int stage)
{
	return (uint64_t)chunk << 2 | (unsigned)stage;
}

static void send(struct copy *copy, int buffer, int chunk, int stage)
{
	struct asyncfd_op op = {
		.cookie = cookie_of(chunk, stage),
		.obj = (uint64_t)buffer,
		.code = stage == WRITING ? ASYNCFD_PWRITE : ASYNCFD_PREAD,
		.fd = stage == WRITING ? copy->to : copy->from,
		.buf = copy->buffers + (size_t)buffer * CHUNK,
		.len = CHUNK,
		.offset = (int64_t)chunk * CHUNK,
	};
	submit(&copy->ring, &op, 1);
}

static void next_chunk(struct copy *copy, int buffer)
{
	if (copy->begun < copy->chunks)
		send(copy, buffer, copy->begun++, READING);
}

/* The obj is what the result is to be. */
static void send_failing(struct copy *copy)
{
	struct asyncfd_op ops[] = {
		{.code = ASYNCFD_PREAD, .fd = copy->closed, .obj = EBADF, .buf = copy->buffers},
		{.code = ASYNCFD_PWRITE, .fd = copy->closed, .obj = EBADF, .buf = copy->buffers},
		{.code = ASYNCFD_PREAD, .fd = copy->from, .obj = EFAULT, .buf = copy->nowhere},
		{.code = ASYNCFD_PWRITE, .fd = copy->to, .obj = EFAULT, .buf = copy->nowhere},
		{.code = ASYNCFD_FSYNC, .fd = copy->closed, .obj = EBADF},
	};
	for (int i = 0; i < 5; i++) {
		ops[i].cookie = cookie_of(i, HOPELESS);
		ops[i].len = 4096;
	}
	submit(&copy->ring, ops, 5);
}

static void take(struct copy *copy)
{
	struct asyncfd_result result = submit_take(&copy->ring);
	int stage = result.cookie & 3, chunk = (int)(result.cookie >> 2);
	if (stage == HOPELESS) {
		cr_assert_eq(result.res, -(int64_t)result.obj);
		copy->failed++;
		return;
	}
	cr_assert_eq(result.res, CHUNK);
	if (stage == READING)
		send(copy, (int)result.obj, chunk, WRITING);
	else
		next_chunk(copy, (int)result.obj);
	copy->done += stage == WRITING;
}

static void copy_file(uint32_t size, int mib)
{
	struct copy copy = {.chunks = mib * (1 << 20) / CHUNK, .closed = dup(0)};
	copy.ring = submit_open(size);
	copy.from = make_source(copy.chunks);
	copy.to = submit_file();
	copy.buffers = malloc((size_t)DEPTH * CHUNK);
	copy.nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	close(copy.closed);
	for (int i = 0; i < DEPTH; i++)
		next_chunk(&copy, i);
	for (int i = 0; i < FAILING; i++)
		send_failing(&copy);
	while (copy.done < copy.chunks || copy.failed < 5 * FAILING)
		take(&copy);
	cr_assert_eq(
		submit_one(&copy.ring, (struct asyncfd_op){.code = ASYNCFD_FSYNC, .fd = copy.to}),
		0);
	cr_assert_eq(copy.begun, copy.chunks);
	assert_copied(copy.to, copy.chunks);
	munmap(copy.nowhere, 4096);
	free(copy.buffers);
	close(copy.from), close(copy.to);
	submit_close(&copy.ring);
}

Test(submit_copy, a_file_of_256_mib)
{
	copy_file(64, SOURCE_MIB);
}

/* All results but one wait for room. */
Test(submit_copy, through_the_smallest_ring)
{
	copy_file(2, 16);
}

/* The results are told of by edges. */
Test(submit_copy, by_edge_triggered_epoll)
{
	enum { OPS = 20000, BATCH = 50 };
	struct submit_ring ring = submit_open(64);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int set = epoll_create1(0), fd = submit_file(), sent = 0, taken = 0;
	struct asyncfd_op ops[BATCH];
	struct asyncfd_result result;
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ring.fd, &event), 0);
	while (taken < OPS) {
		for (int i = 0; sent - taken < BATCH && sent < OPS; i++) {
			sent++;
			ops[i] = (struct asyncfd_op){.cookie = (uint64_t)sent,
				.code = ASYNCFD_PWRITE,
				.fd = fd,
				.buf = "x",
				.len = 1,
				.offset = sent};
			submit(&ring, &ops[i], 1);
		}
		cr_assert_eq(epoll_wait(set, &event, 1, SUBMIT_LIMIT_MS), 1);
		for (; asyncfd_take_result(ring.head, &result); taken++)
			cr_assert_eq(result.res, 1);
	}
	cr_assert_eq(lseek(fd, 0, SEEK_END), OPS + 1);
	close(set), close(fd);
	submit_close(&ring);
}
