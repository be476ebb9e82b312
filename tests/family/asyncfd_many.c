/* Many producers at once, one consumer that sleeps where the ring is empty: every result once, and
 * each producer's in its order. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "asynckit.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

TestSuite(asyncfd_many, .init = tk_setup, .fini = tk_teardown, .timeout = 300);

enum { PRODUCERS = 4, BATCH = 16, PATIENCE_MS = 10000 };
#ifdef __SANITIZE_ADDRESS__
enum { MILLION = 50000, SOME = 5000 };
#else
enum { MILLION = 1000000, SOME = 60000 };
#endif

/* How the consumer waits. */
enum way { BY_POLL, BY_LEVEL, BY_EDGE, BY_ONCE, WAYS };

struct load {
	struct ring ring;
	uint64_t each, batch;
	enum way way;
	int set;
	atomic_int next;
	uint64_t seen[PRODUCERS + 1], total, waits;
};

static bool put_all(struct efd_file *file, uint64_t who, uint64_t each, uint64_t most)
{
	struct asyncfd_result batch[BATCH];
	uint64_t seed = who + 5, sent = 0;
	while (sent < each) {
		uint64_t n = 1 + mask_below(&seed, (unsigned)most);
		n = n < each - sent ? n : each - sent;
		for (uint64_t i = 0; i < n; i++)
			batch[i] =
				(struct asyncfd_result){sent + 1 + i, who, (int64_t)(sent + i), -7};
		int stored = asyncfd_add_results(file, batch, (int)n);
		if (stored < 0 || stored > (int)n)
			return false;
		sent += (uint64_t)stored;
		if (stored < (int)n)
			sched_yield();
	}
	return true;
}

static void *produce(void *arg)
{
	struct load *l = arg;
	if (!put_all(l->ring.file, (uint64_t)atomic_fetch_add(&l->next, 1), l->each, l->batch))
		abort();
	return NULL;
}

/* A wake-up that was lost ends here, and the test with it. */
static void wait_for_more(struct load *l)
{
	struct pollfd p = {l->ring.fd, POLLIN, 0};
	struct epoll_event event;
	l->waits++;
	if (l->way == BY_ONCE)
		set_ctl(l->set, EPOLL_CTL_MOD, l->ring.fd, EPOLLIN | EPOLLONESHOT, 1);
	int n = l->way == BY_POLL ? poll(&p, 1, PATIENCE_MS)
				  : epoll_wait(l->set, &event, 1, PATIENCE_MS);
	if (n != 1)
		cr_assert_fail(
			"asleep by way %d after %ju results: %d; iuser %u, ikernel %u of %u, "
			"polled %#x",
			(int)l->way, (uintmax_t)l->total, n, l->ring.head->iuser,
			l->ring.head->ikernel, l->ring.head->size, poll_now(l->ring.fd, POLLIN));
}

static void count(struct load *l, const struct asyncfd_result *got)
{
	uint64_t who = got->obj;
	if (who > PRODUCERS || got->cookie != l->seen[who] + 1 ||
		got->res != (int64_t)l->seen[who] || got->res2 != -7)
		cr_assert_fail(
			"result %ju of producer %ju", (uintmax_t)got->cookie, (uintmax_t)who);
	l->seen[who]++;
	l->total++;
}

static void consume(struct load *l, uint64_t all)
{
	struct asyncfd_result got;
	while (l->total < all) {
		if (asyncfd_take_result(l->ring.head, &got))
			count(l, &got);
		else
			wait_for_more(l);
	}
	if (asyncfd_take_result(l->ring.head, &got))
		cr_assert_fail("one more result");
}

static void begin(struct load *l, uint32_t size, enum way way)
{
	static const uint32_t events[WAYS] = {
		EPOLLIN, EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
	l->ring = ring_open(size, size / 2);
	l->way = way;
	l->set = set_watching(l->ring.fd, events[way], 1);
}

static void end(struct load *l)
{
	cr_assert_eq(poll_now(l->ring.fd, POLLIN), 0);
	close(l->set);
	ring_close(&l->ring);
}

static void run(uint32_t size, uint64_t each, uint64_t batch, enum way way)
{
	struct load l = {.each = each, .batch = batch};
	pthread_t thread[PRODUCERS];
	begin(&l, size, way);
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, produce, &l), 0);
	consume(&l, PRODUCERS * each);
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < PRODUCERS; i++)
		cr_assert_eq(l.seen[i], each);
	end(&l);
}

Test(asyncfd_many, four_times_a_million)
{
	run(1024, MILLION, BATCH, BY_LEVEL);
}

Test(asyncfd_many, four_times_a_million_one_by_one)
{
	run(1024, MILLION, 1, BY_POLL);
}

Test(asyncfd_many, four_times_a_million_by_edge)
{
	run(1024, MILLION, BATCH, BY_EDGE);
}

Test(asyncfd_many, one_shots)
{
	run(1024, SOME, BATCH, BY_ONCE);
	run(4, SOME, 2, BY_ONCE);
}

Test(asyncfd_many, small_rings)
{
	for (uint32_t size = 2; size <= 5; size++)
		run(size, SOME, 1 + size % 3, (enum way)(size % 3));
}

Test(asyncfd_many, rings_of_every_other_size)
{
	static const uint32_t sizes[] = {17, 64, 127, 4096, 65536};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		run(sizes[i], SOME, BATCH, (enum way)(i % 3));
}

/* One result at a time: the consumer is asleep for each of them. */
static int one_each_time_it_sleeps(void *arg)
{
	struct load *l = arg;
	pid_t parent = getppid();
	for (uint64_t i = 0; i < l->each; i++) {
		struct asyncfd_result one = {i + 1, 0, (int64_t)i, -7};
		tk_wait_process_asleep(parent);
		if (asyncfd_add_results(l->ring.file, &one, 1) != 1)
			return 1;
	}
	return 0;
}

Test(asyncfd_many, asleep_each_time)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct load l = {.each = 100};
		begin(&l, 4, way);
		pid_t pid = child_start(one_each_time_it_sleeps, &l);
		consume(&l, l.each);
		cr_assert_eq(child_reap(pid), 0);
		cr_assert_geq(l.waits, l.each - 1);
		end(&l);
	}
}

/* Children and this process's threads at once, in memory they share. */
static int produce_in_child(void *arg)
{
	struct load *l = arg;
	int who = atomic_load(&l->next);
	return put_all(l->ring.file, (uint64_t)who, l->each, l->batch) ? 0 : 1;
}

Test(asyncfd_many, threads_and_children)
{
	for (enum way way = 0; way < BY_ONCE; way++) {
		struct load l = {.each = SOME, .batch = 8};
		pid_t pid[2];
		pthread_t thread[2];
		begin(&l, 64, way);
		for (int i = 0; i < 2; i++) {
			atomic_store(&l.next, i);
			pid[i] = child_start(produce_in_child, &l);
		}
		atomic_store(&l.next, 2);
		for (int i = 0; i < 2; i++)
			cr_assert_eq(pthread_create(&thread[i], NULL, produce, &l), 0);
		consume(&l, 4 * l.each);
		for (int i = 0; i < 2; i++) {
			cr_assert_eq(pthread_join(thread[i], NULL), 0);
			cr_assert_eq(child_reap(pid[i]), 0);
		}
		end(&l);
	}
}

/* Producers in signal handlers, which interrupt producers, in several threads. The number of a
 * result is taken and stored with the signal blocked by its own handler, so it has an order. */
static struct load *handled;
static atomic_bool over;
static _Atomic uint64_t from_handler;

static void handler(int sig)
{
	int err = errno;
	uint64_t n = atomic_load(&from_handler);
	struct asyncfd_result one = {n + 1, PRODUCERS, (int64_t)n, -7};
	(void)sig;
	int stored = asyncfd_add_results(handled->ring.file, &one, 1);
	if (stored < 0)
		abort();
	atomic_store(&from_handler, n + (uint64_t)stored);
	errno = err;
}

/* Only one thread is pelted: the handler is one producer. */
static void *pelt(void *target)
{
	while (!atomic_load(&over)) {
		pthread_kill(*(pthread_t *)target, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

struct pelted {
	struct load *load;
	atomic_int done;
};

static void *produce_pelted(void *arg)
{
	struct pelted *p = arg;
	produce(p->load);
	while (atomic_load(&from_handler) < 100)
		sched_yield();
	atomic_store(&over, true);
	atomic_store(&p->done, 1);
	return NULL;
}

Test(asyncfd_many, signal_handlers_that_interrupt_a_producer)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct load l = {.each = SOME, .batch = 3};
	struct pelted p = {.load = &l};
	struct asyncfd_result got;
	pthread_t first, second, pelter;
	begin(&l, 32, BY_POLL);
	handled = &l;
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	cr_assert_eq(pthread_create(&first, NULL, produce_pelted, &p), 0);
	cr_assert_eq(pthread_create(&second, NULL, produce, &l), 0);
	cr_assert_eq(pthread_create(&pelter, NULL, pelt, &first), 0);
	while (!atomic_load(&p.done) || l.seen[0] + l.seen[1] < 2 * l.each) {
		if (asyncfd_take_result(l.ring.head, &got))
			count(&l, &got);
		else
			sched_yield();
	}
	cr_assert_eq(pthread_join(pelter, NULL), 0);
	cr_assert_eq(pthread_join(first, NULL), 0);
	cr_assert_eq(pthread_join(second, NULL), 0);
	while (asyncfd_take_result(l.ring.head, &got))
		count(&l, &got);
	cr_assert_eq(l.seen[PRODUCERS], atomic_load(&from_handler));
	signal(SIGUSR1, SIG_IGN);
	end(&l);
}
