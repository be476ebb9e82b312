/* An asyncfd's fds: dups, the last close, children who produce. */
#define _GNU_SOURCE
#include "mate.h"
#include "asynckit.h"
#include "testkit.h"

#include <fcntl.h>
#include <signal.h>

TestSuite(asyncfd_life, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static const struct asyncfd_result one = {.cookie = 1};

Test(asyncfd_life, no_fd_is_left)
{
	struct ring r = ring_open(8, 0);
	ring_add(&r, 2);
	close(r.fd);
	r.fd = -1;
	cr_assert_eq(ring_offer(&r, 1), -EBADFD);
	cr_assert_eq(ring_offer(&r, 3), -EBADFD);
	ring_expect(&r, 2);
	ring_expect_empty(&r);
	ring_close(&r);
}

/* Nothing stays behind either in a set or in a reference. */
Test(asyncfd_life, a_watch_is_not_an_fd)
{
	struct ring r = ring_open(8, 0);
	int set = set_watching(r.fd, EPOLLIN, 1);
	ring_add(&r, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	close(r.fd);
	r.fd = -1;
	cr_assert_eq(set_event(set), 0);
	cr_assert_eq(ring_offer(&r, 1), -EBADFD);
	close(set);
	ring_close(&r);
}

Test(asyncfd_life, a_dup_is_one)
{
	struct ring r = ring_open(8, 0);
	int copy = dup(r.fd), high = fcntl(r.fd, F_DUPFD_CLOEXEC, 200);
	close(r.fd);
	ring_add(&r, 1);
	cr_assert_eq(poll_now(copy, POLLIN), POLLIN);
	cr_assert_eq(poll_now(high, POLLIN), POLLIN);
	ring_expect(&r, 1);
	close(copy);
	ring_add(&r, 1);
	ring_expect(&r, 1);
	cr_assert_eq(dup2(0, high), high);
	cr_assert_eq(ring_offer(&r, 1), -EBADFD);
	close(high);
	r.fd = -1;
	ring_close(&r);
}

Test(asyncfd_life, a_dup_has_references_of_its_own)
{
	struct ring r = ring_open(8, 0);
	int copy = dup(r.fd);
	struct efd_file *other = ring_get(copy);
	cr_assert_eq(ring_put(other, &one, 1), 1);
	r.sent = 1;
	ring_add(&r, 1);
	efd_fput(r.file);
	r.file = other;
	cr_assert_eq(r.array[0].cookie, 1);
	cr_assert(ring_is_result(&r.array[1], 2));
	close(copy);
	ring_close(&r);
}

/* The number has gone to another asyncfd: references know theirs. */
Test(asyncfd_life, the_number_is_anothers_by_now)
{
	struct ring a = ring_open(4, 0), b = ring_open(4, 0);
	cr_assert_eq(dup2(b.fd, a.fd), a.fd);
	cr_assert_eq(ring_offer(&a, 1), -EBADFD);
	ring_add(&b, 1);
	cr_assert_eq(poll_now(a.fd, POLLIN), POLLIN);
	ring_expect(&b, 1);
	ring_close(&a);
	ring_add(&b, 1);
	ring_close(&b);
}

Test(asyncfd_life, an_fd_in_a_child_is_one)
{
	struct ring r = ring_open(8, 0);
	int fd = r.fd;
	struct mate child = mate_start(MATE_FORKED);
	close(r.fd);
	r.fd = -1;
	ring_add(&r, 2);
	cr_assert_eq(mate_poll(&child, fd, POLLIN), POLLIN);
	ring_expect(&r, 2);
	cr_assert_eq(mate_poll(&child, fd, POLLIN), 0);
	mate_close(&child, fd);
	cr_assert_eq(ring_offer(&r, 1), -EBADFD);
	mate_end(&child);
	ring_close(&r);
}

Test(asyncfd_life, a_child_that_is_killed_takes_its_fds_with_it)
{
	struct ring r = ring_open(8, 0);
	struct mate child = mate_start(MATE_FORKED);
	close(r.fd);
	r.fd = -1;
	ring_add(&r, 1);
	mate_kill(&child);
	cr_assert_eq(ring_offer(&r, 1), -EBADFD);
	ring_expect(&r, 1);
	ring_close(&r);
}

static int adds_ten(void *arg)
{
	struct ring *r = arg;
	for (int i = 0; i < 10; i++) {
		struct asyncfd_result result = ring_result(r->sent + 1 + (uint64_t)i);
		if (asyncfd_add_results(r->file, &result, 1) != 1)
			return 1;
	}
	efd_fput(r->file);
	return 0;
}

Test(asyncfd_life, a_child_produces)
{
	struct ring r = ring_open(32, 0);
	for (int i = 0; i < 5; i++) {
		ring_add(&r, 3);
		cr_assert_eq(child_reap(child_start(adds_ten, &r)), 0);
		r.sent += 10;
		ring_add(&r, 3);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
		ring_expect(&r, 16);
		cr_assert_eq(poll_now(r.fd, POLLIN), 0);
	}
	ring_close(&r);
}

static int adds_one_when_the_parent_sleeps(void *arg)
{
	struct ring *r = arg;
	tk_wait_process_asleep(getppid());
	return ring_put(r->file, &one, 1) == 1 ? 0 : 1;
}

/* In poll, in epoll by level, by edge. */
Test(asyncfd_life, a_child_wakes_its_parent)
{
	for (int way = 0; way < 3; way++) {
		struct epoll_event event;
		struct ring r = ring_open(4, 0);
		struct pollfd p = {r.fd, POLLIN, 0};
		int set = set_watching(r.fd, EPOLLIN | (way == 2 ? EPOLLET : 0), 1);
		pid_t pid = child_start(adds_one_when_the_parent_sleeps, &r);
		int n = way ? epoll_wait(set, &event, 1, 10000) : poll(&p, 1, 10000);
		cr_assert_eq(n, 1, "way %d", way);
		cr_assert_eq(child_reap(pid), 0);
		cr_assert_eq(r.array[0].cookie, 1);
		close(set);
		ring_close(&r);
	}
}

/* The ring is never full for long: it is mostly at work in it. */
static int adds_and_is_killed(void *arg)
{
	struct ring *r = arg;
	struct asyncfd_result got;
	for (;;) {
		ring_put(r->file, &one, 1);
		while (asyncfd_take_result(r->head, &got))
			;
	}
	return 0;
}

/* A producer that dies in the midst of it may leave a place that is never published; with another
 * ring the others go on. */
Test(asyncfd_life, a_child_that_is_killed_while_it_produces)
{
	int stuck = 0;
	for (int round = 0; round < 60; round++) {
		struct ring r = ring_open(64, 0), next = ring_new(64, 0);
		pid_t pid = child_start(adds_and_is_killed, &r);
		for (int64_t end = tk_now_ms() + 10000;
			__atomic_load_n(&r.head->reserved, 0) < 300u;)
			cr_assert(tk_now_ms() < end);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(child_reap(pid), -SIGKILL);
		cr_assert_eq(ring_put(r.file, &one, 1), 1);
		stuck += r.head->ikernel != (r.head->reserved & 63);
		cr_assert_eq(ring_try(r.fd, next.head), r.fd);
		next.fd = r.fd;
		next.file = r.file;
		ring_add(&next, 20);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
		ring_expect(&next, 20);
		ring_free(&r);
		ring_close(&next);
	}
	cr_log_info("%d of 60 rings were left with a gap", stuck);
}

static int sets_its_own(void *arg)
{
	struct ring *r = arg;
	struct ring own = ring_new(8, 0);
	if (ring_try(r->fd, own.head) != r->fd)
		return 1;
	own.file = r->file;
	return ring_offer(&own, 2) == 2 && own.head->ikernel == 2 ? 0 : 2;
}

/* A child that replaces the ring has its own then; no claim is made on what the parent sees. */
Test(asyncfd_life, a_child_sets_a_ring_of_its_own)
{
	struct ring r = ring_open(8, 0);
	ring_add(&r, 1);
	cr_assert_eq(child_reap(child_start(sets_its_own, &r)), 0);
	ring_expect(&r, 1);
	ring_expect_empty(&r);
	ring_close(&r);
}

Test(asyncfd_life, made_and_closed_often)
{
	for (int i = 0; i < 3000; i++) {
		static struct asyncfd_result array[4];
		static struct asyncfd_uring head;
		head = (struct asyncfd_uring){.ptr = (uintptr_t)array, .size = 4};
		int fd = asyncfd(-1, &head);
		struct efd_file *file = asyncfd_fget(fd);
		if (fd < 0 || !file)
			cr_assert_fail("round %d: errno %d", i, errno);
		if (i % 2)
			efd_fput(file);
		close(fd);
		if (i % 2 == 0)
			efd_fput(file);
	}
}
