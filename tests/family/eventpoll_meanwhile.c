/* Events flow while watches are modified, taken out and put back; from eventfd_signal and
 * asyncfd_add_results too. None may be lost: each producer goes on only when its last one was seen.
 */
#define _GNU_SOURCE
#include "asynckit.h"
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

TestSuite(eventpoll_meanwhile, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { MAKERS = 4, PATIENCE_MS = 10000 };
#ifdef __SANITIZE_ADDRESS__
enum { TURNS = 1000 };
#else
enum { TURNS = 10000 };
#endif

enum kind { WRITES, SIGNALS, RESULTS, SENDS, KINDS };

struct maker {
	enum kind kind;
	int fd, other; /* other: of a socket */
	struct ring ring;
	struct efd_file *file;
	_Atomic int seen;
	pthread_t thread;
};

static void make_one(struct maker *m)
{
	static const struct asyncfd_result one = {.cookie = 1};
	uint64_t value = 1;
	bool made = false;
	if (m->kind == WRITES)
		made = write(m->fd, &value, sizeof(value)) == sizeof(value);
	else if (m->kind == SIGNALS)
		made = eventfd_signal(m->file, 1) == 1;
	else if (m->kind == RESULTS)
		made = asyncfd_add_results(m->ring.file, &one, 1) == 1;
	else
		made = send(m->other, "x", 1, MSG_NOSIGNAL) == 1;
	if (!made)
		abort();
}

static void *make_in_turn(void *arg)
{
	struct maker *m = arg;
	for (int i = 0; i < TURNS; i++) {
		make_one(m);
		while (atomic_load(&m->seen) <= i)
			sched_yield();
	}
	return NULL;
}

/* What there is, 0 or 1. */
static int take(struct maker *m)
{
	struct asyncfd_result result;
	uint64_t value = 0;
	if (m->kind == RESULTS)
		return asyncfd_take_result(m->ring.head, &result);
	if (m->kind == SENDS)
		return recv(m->fd, &value, 8, MSG_DONTWAIT) > 0;
	return read(m->fd, &value, sizeof(value)) > 0 ? (int)value : 0;
}

static void maker_open(struct maker *m, enum kind kind)
{
	int ends[2];
	*m = (struct maker){.kind = kind, .other = -1};
	if (kind == RESULTS) {
		m->ring = ring_open(2, 0);
		m->fd = m->ring.fd;
	} else if (kind == SENDS) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		m->fd = ends[0];
		m->other = ends[1];
	} else {
		m->fd = eventfd_at(0);
		m->file = eventfd_fget(m->fd);
	}
}

static void maker_close(struct maker *m)
{
	cr_assert_eq(pthread_join(m->thread, NULL), 0);
	if (m->kind == RESULTS) {
		ring_close(&m->ring);
		return;
	}
	efd_fput(m->file);
	close(m->fd);
	if (m->other >= 0)
		close(m->other);
}

enum meddling { NOTHING, MODIFY, TAKE_OUT };

static void meddle(int poller, struct maker *m, enum meddling how)
{
	if (how == MODIFY)
		poller_mod(poller, m->fd, POLLIN);
	if (how != TAKE_OUT)
		return;
	poller_del(poller, m->fd);
	poller_add(poller, m->fd, POLLIN);
}

static struct maker *maker_of(struct maker *makers, int fd)
{
	for (int i = 0; i < MAKERS; i++)
		if (makers[i].fd == fd)
			return &makers[i];
	cr_assert_fail("an event of fd %d", fd);
	return NULL;
}

/* An event may be told twice where the watch was touched: there is nothing to take then. */
static void flow(struct maker *makers, int poller, enum meddling how)
{
	uint64_t seed = 11;
	for (int left = MAKERS * TURNS; left;) {
		const struct pollfd *events;
		int n = poller_wait(poller, &events, PATIENCE_MS);
		if (n <= 0)
			cr_assert_fail("%d with %d to come", n, left);
		for (int i = 0; i < n; i++) {
			struct maker *m = maker_of(makers, events[i].fd);
			int taken = take(m);
			if (taken > 1 || (!taken && how == NOTHING))
				cr_assert_fail("%d taken, kind %d", taken, (int)m->kind);
			atomic_fetch_add(&m->seen, taken);
			left -= taken;
		}
		if (how != NOTHING)
			meddle(poller, &makers[mask_below(&seed, MAKERS)], how);
	}
}

static void run(enum kind first, enum kind last, enum meddling how)
{
	static struct maker makers[MAKERS];
	int poller = poller_open(MAKERS);
	for (int i = 0; i < MAKERS; i++) {
		maker_open(&makers[i], first + (enum kind)(i % (int)(last - first + 1)));
		poller_add(poller, makers[i].fd, POLLIN);
	}
	for (int i = 0; i < MAKERS; i++)
		cr_assert_eq(pthread_create(&makers[i].thread, NULL, make_in_turn, &makers[i]), 0);
	flow(makers, poller, how);
	for (int i = 0; i < MAKERS; i++)
		maker_close(&makers[i]);
	cr_assert_eq(poller_event(poller, -1), 0);
	close(poller);
}

Test(eventpoll_meanwhile, signals)
{
	run(SIGNALS, SIGNALS, NOTHING);
}

Test(eventpoll_meanwhile, results)
{
	run(RESULTS, RESULTS, NOTHING);
}

Test(eventpoll_meanwhile, all_kinds)
{
	run(WRITES, SENDS, NOTHING);
}

Test(eventpoll_meanwhile, writes_while_watches_are_modified)
{
	run(WRITES, WRITES, MODIFY);
}

Test(eventpoll_meanwhile, all_kinds_while_watches_are_modified)
{
	run(WRITES, SENDS, MODIFY);
}

Test(eventpoll_meanwhile, writes_while_watches_are_taken_out)
{
	run(WRITES, WRITES, TAKE_OUT);
}

Test(eventpoll_meanwhile, all_kinds_while_watches_are_taken_out)
{
	run(WRITES, SENDS, TAKE_OUT);
}

/* An epoll set by edge, asleep for signals and results of threads that wait their turn. */
Test(eventpoll_meanwhile, an_epoll_set_by_edge)
{
	static struct maker makers[MAKERS];
	int set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < MAKERS; i++) {
		maker_open(&makers[i], SIGNALS + (enum kind)(i % 2));
		set_ctl(set, EPOLL_CTL_ADD, makers[i].fd, EPOLLIN | EPOLLET, (uint64_t)i);
	}
	for (int i = 0; i < MAKERS; i++)
		cr_assert_eq(pthread_create(&makers[i].thread, NULL, make_in_turn, &makers[i]), 0);
	for (int left = MAKERS * TURNS; left;) {
		struct epoll_event events[MAKERS];
		int n = epoll_wait(set, events, MAKERS, PATIENCE_MS);
		if (n <= 0)
			cr_assert_fail("%d with %d to come", n, left);
		for (int i = 0; i < n; i++) {
			struct maker *m = &makers[events[i].data.u64];
			if (take(m) != 1)
				cr_assert_fail("an event without cause, kind %d", (int)m->kind);
			atomic_fetch_add(&m->seen, 1);
			left--;
		}
	}
	for (int i = 0; i < MAKERS; i++)
		maker_close(&makers[i]);
	close(set);
}
