/* munmap() of a ring while producers store and others poll: EFAULT and POLLERR, no SIGSEGV. */
#define _GNU_SOURCE
#include "crowdkit.h"
#include "testkit.h"

#include <signal.h>

TestSuite(asyncfd_unmapping, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

#ifdef __SANITIZE_ADDRESS__
enum { ROUNDS = 100 };
#else
enum { ROUNDS = 500 };
#endif

static void start(struct crowd *c)
{
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(pthread_create(&c->thread[i], NULL, produce, c), 0);
	cr_assert_eq(pthread_create(&c->thread[PRODUCERS], NULL, look, c), 0);
}

static void join(struct crowd *c)
{
	atomic_store(&c->over, true);
	for (int i = 0; i <= PRODUCERS; i++)
		cr_assert_eq(pthread_join(c->thread[i], NULL), 0);
}

static int drain(struct ring *r)
{
	struct asyncfd_result got;
	int n = 0;
	for (; asyncfd_take_result(r->head, &got); n++)
		if (!got.cookie || got.cookie > 3)
			cr_assert_fail("cookie %ju", (uintmax_t)got.cookie);
	return n;
}

static void wait_above(atomic_long *count, long before)
{
	for (int64_t end = tk_now_ms() + 20000; atomic_load(count) <= before; sched_yield())
		if (tk_now_ms() > end)
			cr_assert_fail("no more than %ld", before);
}

static void unmapped_under_load(bool head, bool array)
{
	struct ring r = ring_open(4096, 0);
	struct crowd c = {.file = r.file, .fd = r.fd, .may_fail = EFAULT};
	size_t bytes = 4096 * sizeof(*r.array);
	long stored = 0;
	start(&c);
	for (int i = 0; i < ROUNDS; i++) {
		wait_above(&c.stored, stored);
		if (head)
			cr_assert_eq(munmap(r.head, sizeof(*r.head)), 0);
		if (array)
			cr_assert_eq(munmap(r.array, bytes), 0);
		if (head) /* where the ring is full the array is not looked at */
			wait_above(&c.refused, atomic_load(&c.refused));
		cr_assert_eq(poll_now(r.fd, POLLIN) & POLLERR, POLLERR);
		struct ring next = ring_new(4096, 0);
		stored = atomic_load(&c.stored);
		cr_assert_eq(ring_try(r.fd, next.head), r.fd);
		if (!head)
			munmap(r.head, sizeof(*r.head));
		if (!array)
			munmap(r.array, bytes);
		next.fd = r.fd;
		next.file = r.file;
		r = next;
	}
	join(&c);
	drain(&r);
	ring_close(&r);
}

Test(asyncfd_unmapping, the_head_is_unmapped)
{
	unmapped_under_load(true, false);
}

Test(asyncfd_unmapping, the_array_is_unmapped)
{
	unmapped_under_load(false, true);
}

Test(asyncfd_unmapping, both_are_unmapped)
{
	unmapped_under_load(true, true);
}

/* Who sleeps is woken, and a set has it for as long as it is so. */
Test(asyncfd_unmapping, watchers_are_told)
{
	struct ring r = ring_open(4, 0), next = ring_new(4, 0);
	struct pollfd p = {r.fd, POLLIN, 0};
	struct waited wait = {.set = set_watching(r.fd, EPOLLIN, 1)};
	int set = set_watching(r.fd, EPOLLIN, 2);
	struct waiter polls, waits;
	waiter_start(&polls, call_poll, &p);
	waiter_start(&waits, call_epoll_wait, &wait);
	cr_assert_eq(munmap(r.array, 4 * sizeof(*r.array)), 0);
	cr_assert_eq(waiter_result(&polls), 1);
	cr_assert_eq(p.revents, POLLERR);
	cr_assert_eq(waiter_result(&waits), 1);
	cr_assert_eq(wait.events[0].events, EPOLLERR);
	cr_assert_eq(set_event(set), EPOLLERR);
	cr_assert_eq(set_event(set), EPOLLERR);
	cr_assert_eq(ring_try(r.fd, next.head), r.fd);
	cr_assert_eq(set_event(set), 0);
	cr_assert_eq(set_event(wait.set), 0);
	next.fd = r.fd;
	next.file = r.file;
	ring_add(&next, 1);
	cr_assert_eq(set_event(set), EPOLLIN);
	close(set);
	close(wait.set);
	munmap(r.head, sizeof(*r.head));
	ring_close(&next);
}

static atomic_long handled;

static void map_and_unmap(void)
{
	size_t page = (size_t)getpagesize();
	void *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || munmap(at, page))
		abort();
}

static void handle(int signal)
{
	(void)signal;
	map_and_unmap();
	atomic_fetch_add(&handled, 1);
}

static void *signal_them(void *arg)
{
	struct crowd *c = arg;
	while (!atomic_load(&c->over)) {
		long before = atomic_load(&handled);
		if (pthread_kill(c->thread[0], SIGUSR1))
			abort();
		while (atomic_load(&handled) == before && !atomic_load(&c->over))
			sched_yield();
	}
	return NULL;
}

/* What a handler unmaps is no ring: it waits for nobody, whatever it has interrupted. */
Test(asyncfd_unmapping, a_handler_unmaps_something_else, .timeout = 60)
{
	struct ring r = ring_open(4, 0), next = ring_new(4, 0);
	struct crowd c = {.thread[0] = pthread_self()};
	pthread_t other;
	signal(SIGUSR1, handle);
	cr_assert_eq(pthread_create(&other, NULL, signal_them, &c), 0);
	while (atomic_load(&handled) < 20 * ROUNDS) {
		map_and_unmap();
		cr_assert_eq(ring_try(r.fd, next.head), r.fd);
		cr_assert_eq(ring_try(r.fd, r.head), r.fd);
		if (asyncfd_add_results(r.file, &(struct asyncfd_result){.cookie = 1}, 1) == 1)
			drain(&r);
	}
	atomic_store(&c.over, true);
	cr_assert_eq(pthread_join(other, NULL), 0);
	ring_free(&next);
	ring_close(&r);
}
