/* Forks while producers store, and the last fd closed under them. */
#define _GNU_SOURCE
#include "crowdkit.h"
#include "testkit.h"

#include <signal.h>
#include <sys/wait.h>

TestSuite(asyncfd_races, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

#ifdef __SANITIZE_ADDRESS__
enum { ROUNDS = 100 };
#else
enum { ROUNDS = 500 };
#endif

static void start(struct crowd *c, bool looks)
{
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(pthread_create(&c->thread[i], NULL, produce, c), 0);
	cr_assert_eq(pthread_create(&c->thread[PRODUCERS], NULL, looks ? look : produce, c), 0);
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

/* The last fd goes while producers store: EBADFD from then on, and what was stored is there. */
Test(asyncfd_races, the_last_fd_is_closed)
{
	for (int i = 0; i < ROUNDS / 5; i++) {
		struct ring r = ring_open(64, 0);
		struct crowd c = {.file = r.file, .fd = r.fd, .may_fail = EBADFD};
		long taken = 0;
		start(&c, false);
		while (taken < 100)
			taken += drain(&r);
		close(r.fd);
		r.fd = -1;
		wait_above(&c.refused, 0);
		join(&c);
		taken += drain(&r);
		cr_assert_eq(taken, atomic_load(&c.stored));
		ring_close(&r);
	}
}

static int adds_one(void *arg)
{
	static const struct asyncfd_result one = {.cookie = 3};
	struct crowd *c = arg;
	for (;;) {
		int ret = asyncfd_add_results(c->file, &one, 1);
		if (ret)
			return ret == 1 ? 0 : 1;
		sched_yield();
	}
}

/* A child is born while threads are in the midst of storing: it can store, and poll, and make an
 * asyncfd of its own. */
Test(asyncfd_races, forks_while_producers_store)
{
	struct ring r = ring_open(256, 0);
	struct crowd c = {.file = r.file, .fd = r.fd};
	long children = 0, taken = 0;
	start(&c, true);
	for (int i = 0; i < ROUNDS / 5; i++) {
		pid_t pid = child_start(adds_one, &c);
		int status = 0;
		pid_t done;
		while ((done = waitpid(pid, &status, WNOHANG)) == 0) {
			taken += drain(&r);
			sched_yield();
		}
		cr_assert(done == pid && status == 0, "status %#x", status);
		children++;
	}
	atomic_store(&c.over, true);
	join(&c);
	taken += drain(&r);
	cr_assert_eq(taken, atomic_load(&c.stored) + children);
	ring_close(&r);
}

static int makes_its_own(void *arg)
{
	struct crowd *c = arg;
	struct ring own = ring_new(8, 0);
	struct pollfd p = {.events = POLLIN};
	struct asyncfd_result one = {.cookie = 1};
	p.fd = asyncfd(-1, own.head);
	struct efd_file *file = asyncfd_fget(p.fd), *old = asyncfd_fget(c->fd);
	if (p.fd < 0 || !file || !old || poll(&p, 1, 0) != 0)
		return 1;
	if (asyncfd_add_results(file, &one, 1) != 1 || poll(&p, 1, 0) != 1)
		return 2;
	int eventfd_too = eventfd(0, 0);
	struct efd_file *event = eventfd_fget(eventfd_too);
	if (!event || eventfd_signal(event, 3) != 3)
		return 3;
	efd_fput(event);
	efd_fput(file);
	efd_fput(old);
	return close(p.fd) || close(eventfd_too) ? 4 : 0;
}

static void *make_and_close(void *arg)
{
	static struct asyncfd_result array[4];
	static struct asyncfd_uring head;
	struct crowd *c = arg;
	while (!atomic_load(&c->over)) {
		head = (struct asyncfd_uring){.ptr = (uintptr_t)array, .size = 4};
		int fd = asyncfd(-1, &head);
		struct efd_file *file = asyncfd_fget(fd);
		if (!file)
			abort();
		efd_fput(file);
		close(fd);
	}
	return NULL;
}

/* The same while another thread makes asyncfds and references: whatever it holds just then, the
 * child is not stopped by it. */
Test(asyncfd_races, forks_while_asyncfds_are_made)
{
	struct ring r = ring_open(8, 0);
	struct crowd c = {.file = r.file, .fd = r.fd};
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, make_and_close, &c), 0);
	for (int i = 0; i < ROUNDS / 2; i++) {
		int ret = child_reap(child_start(makes_its_own, &c));
		cr_assert_eq(ret, 0, "%d in round %d", ret, i);
	}
	atomic_store(&c.over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	ring_close(&r);
}
