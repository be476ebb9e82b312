/* Many fds, many threads, children: no event is lost, none is told without cause. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

TestSuite(eventpoll_many, .init = tk_setup, .fini = tk_teardown, .timeout = 180);

enum { WANTED = 10000, SPARE = 400, THREADS = 4, PATIENCE_MS = 10000 };
#ifdef __SANITIZE_ADDRESS__
enum { TURNS = 2000 };
#else
enum { TURNS = 20000 };
#endif

/* Half eventfds, half sockets: each i is made readable by a write to other[i]. */
struct crowd {
	int count, poller, set;
	int *fd, *other;
	unsigned *theirs, *ours;
	int limit;
};

static int room_for_fds(void)
{
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur > 1 << 20 ? 1 << 20 : (int)limit.rlim_cur;
}

static void both_add(struct crowd *c, int i, unsigned events)
{
	struct epoll_event event = {.events = events | EPOLLET, .data.u64 = (uint64_t)c->fd[i]};
	if (epoll_ctl(c->set, EPOLL_CTL_ADD, c->fd[i], &event))
		cr_assert_fail("epoll_ctl: errno %d", errno);
	poller_add(c->poller, c->fd[i], events);
}

static void crowd_open(struct crowd *c, unsigned events)
{
	c->limit = room_for_fds();
	c->count = c->limit - SPARE < WANTED ? c->limit - SPARE : WANTED;
	c->count -= c->count % 4;
	c->poller = poller_open(c->count);
	c->set = epoll_create1(EPOLL_CLOEXEC);
	c->fd = calloc((size_t)c->count, sizeof(int));
	c->other = calloc((size_t)c->count, sizeof(int));
	c->theirs = calloc((size_t)c->limit, sizeof(unsigned));
	c->ours = calloc((size_t)c->limit, sizeof(unsigned));
	for (int i = 0; i < c->count; i += 2) {
		if (i % 4) {
			int ends[2];
			if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
				cr_assert_fail("socket %d: errno %d", i, errno);
			c->fd[i] = c->other[i + 1] = ends[0];
			c->fd[i + 1] = c->other[i] = ends[1];
		} else {
			for (int k = i; k < i + 2; k++) {
				c->fd[k] = c->other[k] = eventfd(0, EFD_NONBLOCK);
				if (c->fd[k] < 0)
					cr_assert_fail("eventfd %d: errno %d", k, errno);
			}
		}
	}
	for (int i = 0; i < c->count; i++)
		both_add(c, i, events);
}

static void crowd_close(struct crowd *c)
{
	for (int i = 0; i < c->count; i++)
		close(c->fd[i]);
	cr_assert_eq(poller_event(c->poller, -1), 0);
	close(c->poller);
	close(c->set);
	free(c->fd);
	free(c->other);
	free(c->theirs);
	free(c->ours);
}

static void stir(struct crowd *c, int i)
{
	uint64_t one = 1;
	if (write(c->other[i], &one, sizeof(one)) != sizeof(one))
		cr_assert_fail("write to %d: errno %d", c->other[i], errno);
}

static void calm(struct crowd *c, int i)
{
	char bytes[4096];
	bool fake = c->fd[i] == c->other[i];
	if (read(c->fd[i], bytes, fake ? 8 : sizeof(bytes)) < 0 && errno != EAGAIN)
		cr_assert_fail("read of %d: errno %d", c->fd[i], errno);
}

static void compare(struct crowd *c, int active)
{
	struct epoll_event events[512];
	int n, all = 0;
	while ((n = epoll_wait(c->set, events, 512, 0)) > 0)
		for (int i = 0; i < n; i++, all++)
			c->theirs[events[i].data.u64] |= events[i].events;
	int ours = poller_collect(c->poller, c->ours, c->limit);
	if (ours != all || (active >= 0 && all != active))
		cr_assert_fail("%d events, epoll has %d, active are %d", ours, all, active);
	for (int i = 0; i < c->count; i++) {
		int fd = c->fd[i];
		if (c->theirs[fd] != c->ours[fd])
			cr_assert_fail(
				"fd %d: epoll %#x, eventpoll %#x", fd, c->theirs[fd], c->ours[fd]);
		c->theirs[fd] = c->ours[fd] = 0;
	}
}

static void stir_some(struct crowd *c, int active, uint64_t *seed)
{
	int start = (int)mask_below(seed, (unsigned)c->count), step = c->count / active;
	for (int k = 0; k < active; k++)
		stir(c, (start + k * step) % c->count);
	compare(c, active);
	compare(c, 0);
	for (int k = 0; k < active; k++)
		calm(c, (start + k * step) % c->count);
}

Test(eventpoll_many, ten_thousand_as_epoll_tells_them)
{
	static const int active[] = {1, 2, 100, 1000};
	struct crowd c;
	uint64_t seed = 3;
	crowd_open(&c, POLLIN);
	compare(&c, 0);
	for (int round = 0; round < 10; round++)
		for (size_t i = 0; i < ARRAY_LEN(active); i++)
			stir_some(&c, active[i], &seed);
	stir_some(&c, c.count, &seed);
	compare(&c, 0);
	crowd_close(&c);
}

Test(eventpoll_many, ten_thousand_that_are_writable_too)
{
	struct crowd c;
	uint64_t seed = 4;
	crowd_open(&c, POLLIN | POLLOUT);
	compare(&c, c.count);
	for (int round = 0; round < 5; round++) {
		for (int k = 0; k < 300; k++)
			stir(&c, (int)mask_below(&seed, (unsigned)c.count));
		compare(&c, -1);
		for (int k = 0; k < c.count; k++)
			if (k % 4 > 1)
				calm(&c, k);
		c.theirs[0] = c.ours[0] = 0;
	}
	crowd_close(&c);
}

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

Test(eventpoll_many, threads_that_write_in_turn)
{
	in_turn(false);
}

Test(eventpoll_many, threads_that_write_in_turn_to_sockets_too)
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

Test(eventpoll_many, threads_that_write_at_will)
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

Test(eventpoll_many, fds_that_come_and_go_meanwhile)
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
