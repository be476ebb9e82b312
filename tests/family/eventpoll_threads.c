/* Threads that make events: none is lost, none is told without cause. */
#define _GNU_SOURCE
#include "pollerkit.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

TestSuite(eventpoll_threads, .init = tk_setup, .fini = tk_teardown, .timeout = 180);

enum { THREADS = 4, PATIENCE_MS = 10000 };
#ifdef __SANITIZE_ADDRESS__
enum { TURNS = 2000 };
#else
enum { TURNS = 20000 };
#endif

/* Each fd has its turn: a thread writes it, and writes again once its event was seen. An event that
 * is lost stops it, and the wait ends without one. */
struct turns {
	int fd[THREADS], other[THREADS];
	_Atomic int seen[THREADS];
	atomic_int next;
};

static void *write_in_turn(void *arg)
{
	struct turns *t = arg;
	int me = atomic_fetch_add(&t->next, 1);
	uint64_t one = 1;
	for (int i = 0; i < TURNS; i++) {
		if (write(t->other[me], &one, sizeof(one)) != sizeof(one))
			abort();
		while (atomic_load(&t->seen[me]) <= i)
			sched_yield();
	}
	return NULL;
}

static void see_all(struct turns *t, int poller)
{
	for (int left = THREADS * TURNS; left;) {
		const struct pollfd *events;
		int n = poller_wait(poller, &events, PATIENCE_MS);
		if (n <= 0)
			cr_assert_fail("%d with %d events to come", n, left);
		for (int i = 0; i < n; i++) {
			uint64_t value;
			int me = 0;
			while (t->fd[me] != events[i].fd)
				me++;
			if (events[i].revents != POLLIN || read(t->fd[me], &value, 8) != 8)
				cr_assert_fail("%#x", (unsigned)events[i].revents);
			atomic_fetch_add(&t->seen[me], 1);
			left--;
		}
	}
}

static void in_turn(bool sockets)
{
	static struct turns t;
	pthread_t thread[THREADS];
	int poller = poller_open(THREADS);
	for (int i = 0; i < THREADS; i++) {
		int ends[2];
		if (sockets && i % 2) {
			cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
			t.fd[i] = ends[0];
			t.other[i] = ends[1];
		} else {
			t.fd[i] = t.other[i] = eventfd_at(0);
		}
		poller_add(poller, t.fd[i], POLLIN);
	}
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, write_in_turn, &t), 0);
	see_all(&t, poller);
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
		if (t.fd[i] != t.other[i])
			close(t.other[i]);
		close(t.fd[i]);
	}
	close(poller);
}

Test(eventpoll_threads, threads_that_write_in_turn)
{
	in_turn(false);
}

Test(eventpoll_threads, threads_that_write_in_turn_to_sockets_too)
{
	in_turn(true);
}

/* Threads that write as they like: the sum is right, and after the last event nothing is left. */
static void *write_at_will(void *arg)
{
	int fd = *(int *)arg;
	uint64_t one = 1;
	for (int i = 0; i < TURNS; i++)
		if (write(fd, &one, sizeof(one)) != sizeof(one))
			abort();
	return NULL;
}

Test(eventpoll_threads, threads_that_write_at_will)
{
	int fd[THREADS], poller = poller_open(THREADS);
	pthread_t thread[THREADS];
	for (int i = 0; i < THREADS; i++) {
		fd[i] = eventfd_at(0);
		poller_add(poller, fd[i], POLLIN);
	}
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, write_at_will, &fd[i]), 0);
	for (uint64_t sum = 0, value; sum < (uint64_t)THREADS * TURNS;) {
		const struct pollfd *events;
		int n = poller_wait(poller, &events, PATIENCE_MS);
		if (n <= 0)
			cr_assert_fail("%d after %ju", n, (uintmax_t)sum);
		for (int i = 0; i < n; i++)
			if (read(events[i].fd, &value, 8) == 8)
				sum += value;
	}
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(thread[i], NULL), 0);
		close(fd[i]);
	}
	close(poller);
}

/* fds come and go in one thread while events of others flow in another. */
static void *churn(void *arg)
{
	struct {
		int poller;
		atomic_bool over;
	} *c = arg;
	for (int i = 0; !atomic_load(&c->over); i++) {
		int fd = eventfd(1, EFD_NONBLOCK);
		if (fd < 0 || eventpoll_ctl(c->poller, EPOLL_CTL_ADD, fd, POLLPRI))
			abort();
		if (i % 2 && eventpoll_ctl(c->poller, EPOLL_CTL_DEL, fd, 0))
			abort();
		close(fd);
	}
	return NULL;
}

Test(eventpoll_threads, fds_that_come_and_go_meanwhile)
{
	struct {
		int poller;
		atomic_bool over;
	} c = {.poller = poller_open(4)};
	int fd = eventfd_at(0);
	pthread_t thread;
	poller_add(c.poller, fd, POLLIN);
	cr_assert_eq(pthread_create(&thread, NULL, churn, &c), 0);
	for (int i = 0; i < TURNS; i++) {
		const struct pollfd *events;
		add_count(fd, 1);
		int n = poller_wait(c.poller, &events, PATIENCE_MS);
		if (n != 1 || events[0].fd != fd || events[0].revents != POLLIN)
			cr_assert_fail("turn %d: %d", i, n);
		take_count(fd);
	}
	atomic_store(&c.over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	close(c.poller);
	close(fd);
}
