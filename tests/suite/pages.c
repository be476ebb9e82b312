/* Memory that was good once and is not any more, or is again: what was learnt about a page must
 * not outlive it. */
#define _GNU_SOURCE
#include "efd.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <string.h>
#include <unistd.h>

TestSuite(pages, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

/* Far from where mmap looks on its own: what is unmapped here stays so. */
#define FAR_AWAY ((void *)0x210000000000)

enum { PAGE = 4096, OFTEN = 100 };

static uint64_t *map_at(void *where, int prot)
{
	void *p = mmap(where, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	cr_assert_eq(p, where);
	return p;
}

static void unmap(void *p)
{
	cr_assert_eq(munmap(p, PAGE), 0);
}

static void protect(void *p, int prot)
{
	cr_assert_eq(mprotect(p, PAGE, prot), 0);
}

/* Both ways, often enough that a shortcut would be taken. */
static void use(int fd, void *p)
{
	for (uint64_t i = 1; i <= OFTEN; i++) {
		uint64_t value = 0;
		memcpy(p, &i, sizeof(i));
		cr_assert_eq(write(fd, p, 8), 8);
		memcpy(p, &value, sizeof(value));
		cr_assert_eq(efd_try_read(fd, p), 8);
		memcpy(&value, p, sizeof(value));
		cr_assert_eq(value, i);
	}
}

static void expect_no_store(int fd, uint64_t *p)
{
	efd_add(fd, 5);
	long ret = efd_try_read(fd, p);
	cr_assert_eq(ret, -EFAULT, "read: %ld", ret);
	efd_expect_empty(fd);
}

static void expect_no_load(int fd, const uint64_t *p)
{
	errno = 0;
	cr_assert_eq(write(fd, p, 8), -1);
	cr_assert_eq(errno, EFAULT);
	efd_expect_empty(fd);
}

Test(pages, a_good_page_made_prot_none_is_efault_and_good_again_later)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 5; round++) {
		use(fd, p);
		protect(p, PROT_NONE);
		expect_no_store(fd, p);
		expect_no_load(fd, p);
		protect(p, PROT_READ | PROT_WRITE);
	}
	use(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_good_page_made_readonly_can_be_written_from_but_not_read_into)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	use(fd, p);
	protect(p, PROT_READ);
	expect_no_store(fd, p);
	cr_assert_eq(write(fd, p, 8), 8);
	expect_no_store(fd, p);
	protect(p, PROT_READ | PROT_WRITE);
	use(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_page_first_met_by_a_write_is_not_thereby_good_for_a_read)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ);
	for (int i = 0; i < OFTEN; i++)
		cr_assert_eq(write(fd, p, 8), 8);
	expect_no_store(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_good_page_that_was_unmapped_is_efault_and_good_when_mapped_again)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	for (int round = 0; round < 5; round++) {
		uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
		use(fd, p);
		unmap(p);
		expect_no_store(fd, p);
		expect_no_load(fd, p);
	}
	efd_close(fd);
}

Test(pages, a_bad_page_becomes_good)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = FAR_AWAY;
	for (int i = 0; i < OFTEN; i++)
		expect_no_store(fd, p);
	map_at(p, PROT_READ | PROT_WRITE);
	use(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_good_page_mapped_over_is_efault)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	use(fd, p);
	map_at(p, PROT_NONE);
	expect_no_store(fd, p);
	expect_no_load(fd, p);
	map_at(p, PROT_READ);
	expect_no_store(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_page_that_moved_is_efault_where_it_was)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	uint64_t *there = (uint64_t *)((char *)p + 16 * PAGE);
	use(fd, p);
	cr_assert_eq(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there), (void *)there);
	expect_no_store(fd, p);
	expect_no_load(fd, p);
	use(fd, there);
	unmap(there);
	efd_close(fd);
}

Test(pages, a_mapping_that_shrank_is_efault_past_its_end)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	void *p = mmap(FAR_AWAY, 2 * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	cr_assert_eq(p, FAR_AWAY);
	uint64_t *second = (uint64_t *)((char *)p + PAGE);
	use(fd, second);
	cr_assert_eq(mremap(p, 2 * PAGE, PAGE, 0), p);
	expect_no_store(fd, second);
	expect_no_load(fd, second);
	use(fd, p);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_good_array_of_buffers_that_was_unmapped_is_efault)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	struct iovec *iov = (struct iovec *)map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	uint64_t value = 3;
	*iov = (struct iovec){&value, 8};
	for (int i = 0; i < OFTEN; i++) {
		cr_assert_eq(writev(fd, iov, 1), 8);
		cr_assert_eq(readv(fd, iov, 1), 8);
	}
	unmap(iov);
	cr_assert(writev(fd, iov, 1) == -1 && errno == EFAULT);
	efd_add(fd, 9);
	cr_assert(readv(fd, iov, 1) == -1 && errno == EFAULT);
	efd_expect(fd, 9);
	efd_close(fd);
}

Test(pages, a_good_buffer_of_a_readv_that_was_unmapped_is_efault)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE), value = 1;
	struct iovec iov[2] = {{&value, 4}, {p, 4}};
	for (int i = 0; i < OFTEN; i++) {
		efd_add(fd, 1);
		cr_assert_eq(readv(fd, iov, 2), 8);
	}
	unmap(p);
	efd_add(fd, 2);
	cr_assert(readv(fd, iov, 2) == -1 && errno == EFAULT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(pages, only_one_of_two_good_pages_goes_bad)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	uint64_t *next = map_at((char *)p + PAGE, PROT_READ | PROT_WRITE);
	uint64_t *across = (uint64_t *)((char *)next - 4);
	use(fd, p);
	use(fd, next);
	use(fd, across);
	unmap(next);
	use(fd, p);
	expect_no_store(fd, across);
	expect_no_load(fd, across);
	expect_no_store(fd, next);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_page_that_nobody_touched_yet_is_good)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	cr_assert_eq(write(fd, p, 8), 8);
	efd_expect_empty(fd);
	uint64_t *other = map_at((char *)p + PAGE, PROT_READ | PROT_WRITE);
	efd_add(fd, 6);
	cr_assert_eq(efd_try_read(fd, other), 8);
	cr_assert_eq(*other, 6);
	unmap(p);
	unmap(other);
	efd_close(fd);
}

Test(pages, a_page_discarded_by_madvise_is_good)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 10; round++) {
		use(fd, p);
		cr_assert_eq(madvise(p, PAGE, MADV_DONTNEED), 0);
	}
	efd_add(fd, 6);
	cr_assert_eq(efd_try_read(fd, p), 8);
	cr_assert_eq(*p, 6);
	unmap(p);
	efd_close(fd);
}

Test(pages, the_stack_may_grow_into_the_buffer)
{
	char here;
	uint64_t *below = (uint64_t *)(((uintptr_t)&here & ~(uintptr_t)7) - 400 * 1024);
	int fd = efd_open(6, EFD_NONBLOCK);
	cr_assert_eq(efd_try_read(fd, below), 8);
	cr_assert_eq(*below, 6);
	efd_close(fd);
}

Test(pages, a_write_from_where_the_stack_did_not_grow_yet_adds_zero)
{
	char here;
	uint64_t *below = (uint64_t *)(((uintptr_t)&here & ~(uintptr_t)7) - 400 * 1024);
	int fd = efd_open(6, EFD_NONBLOCK);
	cr_assert_eq(write(fd, below, 8), 8);
	efd_expect(fd, 6);
	efd_close(fd);
}

Test(pages, a_freed_thread_stack_is_not_taken_for_the_next_ones)
{
	int fd = efd_open(0, 0);
	for (uint64_t i = 1; i < 100; i++) {
		struct task t;
		task_start(&t, task_read, fd, 0);
		efd_add(fd, i);
		cr_assert_eq(task_join(&t), 8);
		cr_assert_eq(t.value, i);
	}
	efd_close(fd);
}

static void *unmap_in_thread(void *p)
{
	return (void *)(intptr_t)munmap(p, PAGE);
}

Test(pages, a_good_page_unmapped_by_another_thread_is_efault)
{
	int fd = efd_open(0, EFD_NONBLOCK);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	pthread_t thread;
	void *result;
	use(fd, p);
	cr_assert_eq(pthread_create(&thread, NULL, unmap_in_thread, p), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_assert_null(result);
	expect_no_store(fd, p);
	expect_no_load(fd, p);
	efd_close(fd);
}

static ssize_t read_into_far_away(struct task *t)
{
	return read(t->fd, FAR_AWAY, 8);
}

Test(pages, a_blocked_read_into_bad_memory_waits_and_then_takes_the_count)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, read_into_far_away, fd, 0);
	efd_add(fd, 7);
	cr_assert_eq(task_join(&t), -EFAULT);
	efd_expect_empty(fd);
	efd_close(fd);
}

Test(pages, a_page_that_turns_good_under_a_blocked_read_is_stored_to)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, read_into_far_away, fd, 0);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	efd_add(fd, 7);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(*p, 7);
	unmap(p);
	efd_close(fd);
}

Test(pages, a_page_unmapped_under_a_blocked_read_is_efault)
{
	struct task t;
	int fd = efd_open(0, 0);
	uint64_t *p = map_at(FAR_AWAY, PROT_READ | PROT_WRITE);
	task_start_blocked(&t, read_into_far_away, fd, 0);
	unmap(p);
	efd_add(fd, 7);
	cr_assert_eq(task_join(&t), -EFAULT);
	efd_expect_empty(fd);
	efd_close(fd);
}
