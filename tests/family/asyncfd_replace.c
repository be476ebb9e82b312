/* A ring that takes the place of another: what was stored stays there, the rest goes here. */
#define _GNU_SOURCE
#include "asynckit.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

TestSuite(asyncfd_replace, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { PRODUCERS = 4 };
#ifdef __SANITIZE_ADDRESS__
enum { EACH = 10000 };
#else
enum { EACH = 100000 };
#endif

static void replace(struct ring *r, struct ring *next)
{
	int fd = ring_try(r->fd, next->head);
	if (fd != r->fd)
		cr_assert_fail("asyncfd: %d, not %d", fd, r->fd);
	next->fd = r->fd;
	next->file = r->file;
	next->sent = next->taken = r->sent;
}

Test(asyncfd_replace, the_old_one_keeps_what_it_has)
{
	struct ring a = ring_open(4, 0), b = ring_new(8, 5);
	ring_add(&a, 2);
	replace(&a, &b);
	ring_add(&b, 7);
	cr_assert_eq(a.head->ikernel, 2);
	ring_expect(&a, 2);
	ring_expect_empty(&a);
	ring_expect(&b, 7);
	ring_free(&a);
	ring_close(&b);
}

Test(asyncfd_replace, the_fd_shows_the_new_one)
{
	struct ring a = ring_open(4, 0), b = ring_new(4, 0), c = ring_new(4, 0);
	ring_add(&a, 1);
	int set = set_watching(a.fd, EPOLLIN, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	replace(&a, &b);
	cr_assert_eq(poll_now(b.fd, POLLIN), 0);
	cr_assert_eq(set_event(set), 0);
	ring_add(&b, 1);
	cr_assert_eq(poll_now(b.fd, POLLIN), POLLIN);
	cr_assert_eq(set_event(set), EPOLLIN);
	ring_expect(&b, 1);
	cr_assert_eq(set_event(set), 0);
	c.array[0] = ring_result(b.sent + 1); /* handed over with something in it */
	c.head->ikernel = 1;
	replace(&b, &c);
	cr_assert_eq(poll_now(c.fd, POLLIN), POLLIN);
	cr_assert_eq(set_event(set), EPOLLIN);
	ring_expect(&c, 1);
	cr_assert_eq(set_event(set), 0);
	close(set);
	ring_free(&a);
	ring_free(&b);
	ring_close(&c);
}

Test(asyncfd_replace, a_full_one_by_an_empty_one)
{
	struct ring a = ring_open(2, 0), b = ring_new(65536, 65535);
	cr_assert_eq(ring_offer(&a, 5), 1);
	replace(&a, &b);
	ring_add(&b, 65535);
	cr_assert_eq(ring_offer(&b, 1), 0);
	ring_expect(&a, 1);
	ring_expect(&b, 65535);
	ring_free(&a);
	ring_close(&b);
}

/* The memory of the old one is the program's again: it may be unmapped. */
Test(asyncfd_replace, the_old_ones_memory_goes)
{
	struct ring r = ring_open(4, 0);
	int set = set_watching(r.fd, EPOLLIN, 1);
	for (uint32_t i = 0; i < 200; i++) {
		struct ring next = ring_new(2 + i % 7, 0);
		ring_add(&r, 1);
		replace(&r, &next);
		ring_expect(&r, 1);
		ring_free(&r);
		r = next;
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), EPOLLIN);
		ring_expect(&r, 1);
		cr_assert_eq(set_event(set), 0);
	}
	close(set);
	ring_close(&r);
}

Test(asyncfd_replace, by_itself)
{
	struct ring r = ring_open(4, 0);
	ring_add(&r, 2);
	cr_assert_eq(ring_try(r.fd, r.head), r.fd);
	ring_add(&r, 1);
	cr_assert_eq(ring_offer(&r, 1), 0);
	ring_expect(&r, 3);
	ring_close(&r);
}

/* The same head, which the program has given another array. */
Test(asyncfd_replace, by_itself_of_another_size)
{
	struct ring a = ring_open(4, 0), b = ring_new(7, 0);
	for (int i = 0; i < 20; i++) {
		struct ring *next = i % 2 ? &a : &b;
		for (int k = 0; k <= i; k++) {
			ring_add(&a, 1);
			ring_expect(&a, 1);
		}
		a.head->iuser = a.head->ikernel = 0;
		a.head->ptr = (uintptr_t)next->array;
		a.head->size = i % 2 ? 4 : 7;
		cr_assert_eq(ring_try(a.fd, a.head), a.fd);
		ring_add(&a, i % 2 ? 3 : 6);
		cr_assert_eq(ring_offer(&a, 1), 0);
		ring_expect(&a, i % 2 ? 3 : 6);
	}
	ring_free(&b);
	ring_close(&a);
}

Test(asyncfd_replace, to_and_fro)
{
	struct ring a = ring_open(4, 0), b = ring_new(4, 0);
	for (int i = 0; i < 50; i++) {
		ring_add(&a, 1);
		replace(&a, &b);
		ring_add(&b, 1);
		ring_expect(&a, 1);
		ring_expect(&b, 1);
		replace(&b, &a);
	}
	ring_free(&b);
	ring_close(&a);
}

Test(asyncfd_replace, through_a_dup)
{
	struct ring a = ring_open(4, 0), b = ring_new(4, 0);
	int copy = dup(a.fd);
	cr_assert_eq(ring_try(copy, b.head), copy);
	b.file = a.file;
	b.fd = a.fd;
	ring_add(&b, 2);
	cr_assert_eq(poll_now(a.fd, POLLIN), POLLIN);
	ring_expect_empty(&a);
	ring_expect(&b, 2);
	close(copy);
	ring_free(&a);
	ring_close(&b);
}

/* Who sleeps is woken by what is stored in the new one. */
Test(asyncfd_replace, under_one_who_sleeps)
{
	struct ring a = ring_open(4, 0), b = ring_new(4, 0);
	struct pollfd p = {a.fd, POLLIN, 0};
	struct waited wait = {.set = set_watching(a.fd, EPOLLIN | EPOLLET, 1)};
	struct waiter polls, waits;
	waiter_start(&polls, call_poll, &p);
	waiter_start(&waits, call_epoll_wait, &wait);
	replace(&a, &b);
	ring_add(&b, 1);
	cr_assert_eq(waiter_result(&polls), 1);
	cr_assert_eq(waiter_result(&waits), 1);
	cr_assert_eq(wait.events[0].events, EPOLLIN);
	ring_expect(&b, 1);
	close(wait.set);
	ring_free(&a);
	ring_close(&b);
}

enum { ALL = PRODUCERS * EACH };

/* Under load: producers number their own results. */
struct load {
	struct efd_file *file;
	atomic_int next, running;
	uint64_t seen[PRODUCERS]; /* the last number of each */
	uint64_t total;
	bool wrong;
};

static void *produce(void *arg)
{
	struct load *l = arg;
	uint64_t who = (uint64_t)atomic_fetch_add(&l->next, 1), sent = 0;
	while (sent < EACH) {
		struct asyncfd_result batch[5];
		int n = sent + 5 <= EACH ? (int)(sent % 5) + 1 : 1;
		for (int i = 0; i < n; i++)
			batch[i] = (struct asyncfd_result){
				.cookie = sent + 1 + (uint64_t)i, .obj = who};
		int stored = asyncfd_add_results(l->file, batch, n);
		if (stored < 0)
			abort();
		sent += (uint64_t)stored;
		if (stored < n)
			sched_yield();
	}
	atomic_fetch_sub(&l->running, 1);
	return NULL;
}

static void take_all(struct load *l, struct asyncfd_uring *head)
{
	struct asyncfd_result got;
	while (asyncfd_take_result(head, &got)) {
		l->total++;
		if (got.obj >= PRODUCERS || got.cookie != l->seen[got.obj] + 1)
			l->wrong = true;
		else
			l->seen[got.obj]++;
	}
}

static void wait_for_more(int fd, struct load *l)
{
	struct pollfd p = {fd, POLLIN, 0};
	if (poll(&p, 1, atomic_load(&l->running) ? 10000 : 0) == 0 && atomic_load(&l->running))
		l->wrong = true;
}

static void replaced_under_load(uint32_t size, int takes_before)
{
	struct load l = {.running = PRODUCERS};
	struct ring r = ring_open(size, 0);
	pthread_t thread[PRODUCERS];
	int replaced = 0;
	l.file = r.file;
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, produce, &l), 0);
	while (l.total < ALL && !l.wrong) {
		for (int i = 0; i < takes_before && l.total < ALL; i++) {
			wait_for_more(r.fd, &l);
			take_all(&l, r.head);
		}
		struct ring next = ring_new(size, (uint32_t)replaced % size);
		replace(&r, &next);
		take_all(&l, r.head); /* what it kept comes before the rest */
		ring_free(&r);
		r = next;
		replaced++;
	}
	for (int i = 0; i < PRODUCERS && !l.wrong; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	cr_assert_not(l.wrong, "after %ju results and %d rings", (uintmax_t)l.total, replaced);
	ring_expect_empty(&r);
	cr_assert_gt(replaced, 3);
	ring_close(&r);
}

Test(asyncfd_replace, under_load_small_rings)
{
	replaced_under_load(2, 50);
}

Test(asyncfd_replace, under_load)
{
	replaced_under_load(64, 3);
}

Test(asyncfd_replace, under_load_great_rings)
{
	replaced_under_load(4096, 1);
}
