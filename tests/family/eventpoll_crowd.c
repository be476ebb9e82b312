/* Ten thousand fds, half eventfds and half sockets, against an epoll set with EPOLLET. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

TestSuite(eventpoll_crowd, .init = tk_setup, .fini = tk_teardown, .timeout = 180);

enum { WANTED = 10000, SPARE = 400 };

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

Test(eventpoll_crowd, ten_thousand_as_epoll_tells_them)
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

Test(eventpoll_crowd, ten_thousand_that_are_writable_too)
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
	}
	crowd_close(&c);
}
