/* An eventpoll whose fds come and go while a thread waits: no edge of one that stays is lost, and
 * the count is right in the end. */
#define _GNU_SOURCE
#include "eventpoll_steps.h"
#include "testkit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

TestSuite(eventpoll_churn, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { STAYING = 4, COMING = 16, MOST = STAYING + COMING + 1, EDGES = 2000 };

static int set, stop_fd, staying[STAYING];
static atomic_int told[STAYING]; /* edges heard of */
static atomic_bool stop;

static int index_of(int fd)
{
	for (int i = 0; i < STAYING; i++) {
		if (staying[i] == fd)
			return i;
	}
	return -1;
}

static void *wait_on(void *unused)
{
	const struct pollfd *events;
	bool over = false;
	while (!over) {
		int n = eventpoll_wait(set, &events, 20000);
		cr_assert_gt(n, 0, "%d, errno %d", n, errno);
		for (int i = 0; i < n; i++) {
			int staying_one = index_of(events[i].fd);
			over = over || events[i].fd == stop_fd;
			if (staying_one >= 0)
				atomic_fetch_add(&told[staying_one], 1);
		}
	}
	return unused;
}

/* Each edge is awaited, so that none is told with another. */
static void *make_edges(void *arg)
{
	int i = *(int *)arg;
	for (int edge = 1; edge <= EDGES; edge++) {
		put(staying[i]);
		while (atomic_load(&told[i]) < edge)
			sched_yield();
		cr_assert_eq(atomic_load(&told[i]), edge);
	}
	return NULL;
}

struct passing {
	int fd;
	bool in;
};

static void change(struct passing *one, unsigned how)
{
	switch (how % 4) {
	case 0:
		close(one->fd);
		one->fd = fake();
		one->in = false;
		/* fall through */
	case 1:
		if (!one->in)
			add(set, one->fd, POLLIN);
		one->in = true;
		break;
	case 2:
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, one->fd, POLLIN), one->in ? 0 : ENOENT);
		break;
	default:
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, one->fd, 0), one->in ? 0 : ENOENT);
		one->in = false;
	}
	put(one->fd);
}

static void *come_and_go(void *arg)
{
	struct passing *passing = arg;
	for (unsigned i = 0; !atomic_load(&stop); i++)
		change(&passing[i * 7 % COMING], i / 3 + i * i);
	return NULL;
}

/* As many as maxfds are in, and no one more. */
static void expect_full(struct passing *passing)
{
	int extra = fake(), filler[MOST], n = 0, in = STAYING + 1;
	for (int i = 0; i < COMING; i++)
		in += passing[i].in;
	for (; in < MOST; in++)
		add(set, filler[n++] = fake(), POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, extra, POLLIN), ENOSPC);
	close(extra);
	while (n)
		close(filler[--n]);
}

Test(eventpoll_churn, while_a_thread_waits)
{
	struct passing passing[COMING];
	int numbers[STAYING];
	pthread_t waiter, comer, makers[STAYING];
	set = create(MOST);
	add(set, stop_fd = fake(), POLLIN);
	for (int i = 0; i < COMING; i++)
		passing[i] = (struct passing){.fd = fake()};
	for (int i = 0; i < STAYING; i++)
		add(set, staying[i] = fake(), POLLIN);
	pthread_create(&waiter, NULL, wait_on, NULL);
	pthread_create(&comer, NULL, come_and_go, passing);
	for (int i = 0; i < STAYING; i++) {
		numbers[i] = i;
		pthread_create(&makers[i], NULL, make_edges, &numbers[i]);
	}
	for (int i = 0; i < STAYING; i++)
		pthread_join(makers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(comer, NULL);
	put(stop_fd);
	pthread_join(waiter, NULL);
	expect_full(passing);
	for (int i = 0; i < COMING; i++)
		close(passing[i].fd);
	for (int i = 0; i < STAYING; i++)
		close(staying[i]);
	close_all(set, stop_fd, -1);
}
