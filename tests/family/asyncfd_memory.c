/* Rings that cannot be read: POLLERR, EFAULT, and never a SIGSEGV. */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "mate.h"
#include "reexec.h"
#include "asynckit.h"
#include "testkit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TestSuite(asyncfd_memory, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { TO_READ = 1, TO_WRITE = 2, TO_ALL = 7 };

static void expect_error(int fd)
{
	int set = set_watching(fd, EPOLLIN, 1), none = set_watching(fd, 0, 1);
	cr_assert_eq(poll_now(fd, POLLIN) & POLLERR, POLLERR);
	cr_assert_eq(poll_now(fd, 0), POLLERR);
	cr_assert_eq(mask_select(fd, TO_ALL), TO_READ | TO_WRITE);
	cr_assert_eq(set_event(set) & EPOLLERR, EPOLLERR);
	cr_assert_eq(set_event(none), EPOLLERR);
	close(set);
	close(none);
}

static void expect_broken(struct ring *r)
{
	struct asyncfd_result one = ring_result(1);
	int ret = ring_put(r->file, &one, 1);
	cr_assert_eq(ret, -EFAULT, "%d", ret);
	expect_error(r->fd);
	expect_error(r->fd);
}

/* A good ring in its place makes all well again. */
static void expect_mended(struct ring *r)
{
	struct ring next = ring_new(4, 0);
	cr_assert_eq(ring_try(r->fd, next.head), r->fd);
	next.fd = r->fd;
	next.file = r->file;
	cr_assert_eq(poll_now(next.fd, POLLIN), 0);
	ring_add(&next, 3);
	cr_assert_eq(poll_now(next.fd, POLLIN), POLLIN);
	ring_expect(&next, 3);
	ring_close(&next);
}

static void break_and_mend(void (*break_it)(struct ring *r), bool with_results)
{
	struct ring r = ring_open(1000, 0);
	ring_add(&r, with_results ? 10 : 0);
	break_it(&r);
	expect_broken(&r);
	expect_mended(&r);
}

static void unmap_head(struct ring *r)
{
	cr_assert_eq(munmap(r->head, sizeof(*r->head)), 0);
}

static void unmap_array(struct ring *r)
{
	cr_assert_eq(munmap(r->array, 1000 * sizeof(*r->array)), 0);
}

static void unmap_both(struct ring *r)
{
	unmap_head(r);
	unmap_array(r);
}

/* Only the page where the next result goes. */
static void unmap_first_page(struct ring *r)
{
	cr_assert_eq(munmap(r->array, (size_t)getpagesize()), 0);
}

Test(asyncfd_memory, an_unmapped_head)
{
	break_and_mend(unmap_head, false);
	break_and_mend(unmap_head, true);
}

Test(asyncfd_memory, an_unmapped_array)
{
	break_and_mend(unmap_array, false);
	break_and_mend(unmap_array, true);
}

Test(asyncfd_memory, both_unmapped)
{
	break_and_mend(unmap_both, false);
	break_and_mend(unmap_both, true);
}

Test(asyncfd_memory, a_part_of_the_array)
{
	break_and_mend(unmap_first_page, false);
	break_and_mend(unmap_first_page, true);
}

static void set_ikernel(struct ring *r)
{
	r->head->ikernel = r->head->size;
}

static void set_ikernel_high(struct ring *r)
{
	r->head->ikernel = UINT32_MAX;
}

static void set_null(struct ring *r)
{
	r->head->ptr = 0;
}

Test(asyncfd_memory, a_cursor_beyond_the_array)
{
	break_and_mend(set_ikernel, false);
	break_and_mend(set_ikernel, true);
	break_and_mend(set_ikernel_high, true);
}

Test(asyncfd_memory, a_null_array)
{
	break_and_mend(set_null, false);
	break_and_mend(set_null, true);
}

/* munmap() elsewhere leaves the ring alone. */
Test(asyncfd_memory, other_memory_that_is_unmapped)
{
	struct ring r = ring_open(1000, 0);
	for (int i = 0; i < 20; i++) {
		void *other = ring_memory(1 << 16);
		ring_add(&r, 1);
		cr_assert_eq(munmap(other, 1 << 16), 0);
		ring_add(&r, 1);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
	}
	ring_expect(&r, 40);
	ring_close(&r);
}

/* A munmap() that fails has unmapped nothing. */
Test(asyncfd_memory, a_munmap_that_fails)
{
	struct ring r = ring_open(1000, 0);
	cr_assert_eq(munmap((char *)r.array + 8, (size_t)getpagesize()), -1);
	cr_assert_eq(munmap(r.array, 0), -1);
	ring_add(&r, 999);
	ring_expect(&r, 999);
	ring_close(&r);
}

Test(asyncfd_memory, results_that_straddle_the_end_of_what_is_readable)
{
	enum { RESULT = sizeof(struct asyncfd_result) };
	struct ring r = ring_open(8, 0);
	struct asyncfd_result *two = ring_last_bytes(2 * RESULT);
	two[0] = ring_result(1);
	two[1] = ring_result(2);
	int ret = ring_put(r.file, two, 3);
	cr_assert(ret == -EFAULT || ret == 2, "%d", ret);
	ring_expect(&r, ret == 2 ? 2 : 0);
	ring_expect_empty(&r);
	r.sent = r.taken;
	ring_add(&r, 7);
	ring_expect(&r, 7);
	ring_close(&r);
}

/* A sleeper is told when the ring goes: by poll at the latest when it is called again. */
Test(asyncfd_memory, a_level_watch_after_the_ring_was_unmapped)
{
	struct ring r = ring_open(1000, 0);
	int set = set_watching(r.fd, EPOLLIN, 1);
	ring_add(&r, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	unmap_both(&r);
	cr_assert(set_event(set) & EPOLLERR);
	expect_mended(&r);
	close(set);
}

/* The ring is its process's: to others it is one that cannot be read. */
static void unreadable_to(enum mate_kind kind)
{
	struct mate m = mate_start(kind == MATE_EXECED ? MATE_FORKED : kind);
	struct ring r = ring_open(4, 0);
	struct mate late = {0};
	if (kind == MATE_EXECED) { /* started with the fd */
		mate_end(&m);
		late = mate_start(kind);
		m = late;
	}
	int there = mate_hand(&m, r.fd);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(mate_poll(&m, there, POLLIN) & POLLERR, POLLERR);
		int set = mate_new_set(&m);
		mate_ctl(&m, EPOLL_CTL_ADD, set, there, EPOLLIN, 1);
		cr_assert_eq(mate_event(&m, set, NULL) & EPOLLERR, EPOLLERR);
		mate_close(&m, set);
		ring_add(&r, 1);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
	}
	mate_close(&m, there);
	mate_end(&m);
	ring_expect(&r, 2);
	ring_close(&r);
}

Test(asyncfd_memory, another_program_cannot_read_it)
{
	unreadable_to(MATE_EXECED);
}

Test(asyncfd_memory, a_stranger_cannot_read_it)
{
	unreadable_to(MATE_STRANGER);
}

Test(asyncfd_memory, a_child_forked_before_cannot_read_it)
{
	unreadable_to(MATE_PEER);
}

/* EFDSHIM_STRICT=1: memory that went by a raw system call. */
ROLE(strict)
{
	struct asyncfd_uring *head =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct asyncfd_result *array =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct asyncfd_result one = {.cookie = 1};
	struct pollfd p = {.events = POLLIN};
	*head = (struct asyncfd_uring){.ptr = (uintptr_t)array, .size = 8};
	p.fd = asyncfd(-1, head);
	struct efd_file *file = asyncfd_fget(p.fd);
	CHECK(p.fd >= 0 && file);
	CHECK(asyncfd_add_results(file, &one, 1) == 1);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	tk_raw_syscall(SYS_munmap, arg[0] ? (long)head : (long)array, 4096, 0, 0, 0, 0);
	CHECK(asyncfd_add_results(file, &one, 1) == -1 && errno == EFAULT);
	CHECK(poll(&p, 1, 0) == 1);
	CHECK(p.revents & POLLERR);
	efd_fput(file);
	CHECK(close(p.fd) == 0);
}

Test(asyncfd_memory, what_went_by_a_raw_system_call_when_strict)
{
	cr_assert_eq(setenv("EFDSHIM_STRICT", "1", 1), 0);
	in_role("strict 0");
	in_role("strict 1");
}
