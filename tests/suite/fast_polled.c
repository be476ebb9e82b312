/* poll and select of a set itself, in the middle of traffic: it is readable where it would tell
 * something, and asking takes nothing away. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

TestSuite(fast_polled, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, LIMIT_S = 10 };

/* Every way to ask one fd: 1 readable, 0 not. They sleep where `sleep` says so. */
static int by_poll(int fd, bool sleep)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
	int n = poll(&p, 1, sleep ? LIMIT_S * 1000 : 0);
	return n == 1 && p.revents == POLLIN ? 1 : n;
}

static int by_ppoll(int fd, bool sleep)
{
	struct timespec limit = {.tv_sec = sleep ? LIMIT_S : 0};
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	int n = ppoll(&p, 1, &limit, NULL);
	return n == 1 && p.revents == POLLIN ? 1 : n;
}

static int by_select(int fd, bool sleep)
{
	struct timeval limit = {.tv_sec = sleep ? LIMIT_S : 0};
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	int n = select(fd + 1, &in, &out, NULL, &limit);
	return n == 1 && FD_ISSET(fd, &in) ? 1 : n;
}

static int by_pselect(int fd, bool sleep)
{
	struct timespec limit = {.tv_sec = sleep ? LIMIT_S : 0};
	fd_set in;
	FD_ZERO(&in);
	FD_SET(fd, &in);
	int n = pselect(fd + 1, &in, NULL, NULL, &limit, NULL);
	return n == 1 && FD_ISSET(fd, &in) ? 1 : n;
}

static int (*const ways[])(int fd, bool sleep) = {by_poll, by_ppoll, by_select, by_pselect};
static size_t way;

static bool readable(struct flow *f, bool sleep)
{
	return HOLDS(ways[way](f->watch[0].set, sleep) == (flow_due(f, 0) != 0));
}

static bool asked(struct flow *f)
{
	bool good = readable(f, false) && readable(f, false) && flow_tells(f, 0);
	for (int i = 0; good && i < 3; i++)
		good = readable(f, false) && flow_write(f) && readable(f, false) &&
		       readable(f, flow_due(f, 0)) && flow_tells(f, 0) && readable(f, false) &&
		       flow_write(f) && flow_read(f) && readable(f, false) &&
		       (!f->watch[0].fired || flow_arm(f, 0)) && readable(f, false);
	return good && flow_runs(f, 0);
}

Test(fast_polled, asking_without_sleeping)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(FLOW_KINDS, asked), "way %zu", way);
}

static long sleep_on(void *set)
{
	return ways[way](*(int *)set, true);
}

/* Asleep in poll on the set when a write comes. */
static bool asleep(struct flow *f)
{
	struct waiter w;
	int set = f->watch[0].set;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, sleep_on, &set);
	good = good && flow_write(f);
	return HOLDS(waiter_result(&w) == 1) && good && readable(f, false) && flow_tells(f, 0) &&
	       readable(f, false) && flow_runs(f, 0);
}

Test(fast_polled, asleep_and_woken)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(FLOW_FAST_KINDS, asleep), "way %zu", way);
}

/* One thread sleeps in the set, one in poll of it, in either order: the write wakes both. */
static bool both_asleep(struct flow *f, bool poll_first)
{
	struct waiter loop, poller;
	struct waited wait = {.set = f->watch[0].set};
	int set = wait.set;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	if (poll_first)
		waiter_start(&poller, sleep_on, &set);
	waiter_start(&loop, call_epoll_wait, &wait);
	if (!poll_first)
		waiter_start(&poller, sleep_on, &set);
	good = good && flow_write(f);
	good = HOLDS(waiter_result(&loop) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	if (good && !flow_due(f, 0))
		good = (!f->watch[0].fired || flow_arm(f, 0)) && flow_write(f);
	return HOLDS(waiter_result(&poller) == 1) && good && flow_runs(f, 0);
}

static bool poller_second(struct flow *f)
{
	return both_asleep(f, false);
}

static bool poller_first(struct flow *f)
{
	return both_asleep(f, true);
}

Test(fast_polled, beside_a_loop_that_sleeps)
{
	for (way = 0; way < ARRAY_LEN(ways); way++) {
		cr_assert(flow_each(FLOW_FAST_KINDS, poller_second), "way %zu", way);
		cr_assert(flow_each(FLOW_FAST_KINDS, poller_first), "way %zu", way);
	}
}

/* The loop goes on while another thread sleeps in poll of a set that tells nothing. */
static bool poller_in_vain(struct flow *f)
{
	struct waiter w;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	if (!flow_ready_for_more(f, 0))
		return false;
	int set = epoll_create1(0);
	bool good = flow_add(f, 1, set, f->watch[0].interest | EPOLLONESHOT, 9) && flow_write(f) &&
		    flow_tells(f, 1) && flow_tells(f, 0);
	waiter_start(&w, sleep_on, &set);
	good = good && flow_runs(f, 0) && HOLDS(waiter_sleeps(&w)) && flow_write(f) &&
	       HOLDS(waiter_sleeps(&w)) && flow_arm(f, 1);
	return HOLDS(waiter_result(&w) == 1) && good && flow_runs(f, 1) && flow_runs(f, 0);
}

Test(fast_polled, a_set_with_nothing_to_tell_is_slept_on)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(FLOW_FAST_KINDS, poller_in_vain), "way %zu", way);
}

/* The set, its eventfd and a pipe in one poll. */
static bool asked_together(struct flow *f)
{
	int pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	for (int i = 0; i < 4; i++) {
		struct pollfd p[] = {{f->watch[0].set, POLLIN, 0}, {f->fd, POLLIN | POLLOUT, 0},
			{pipefd[0], POLLIN, 0}};
		int want = 1 + (flow_due(f, 0) != 0) + (i > 1);
		cr_assert_eq(poll(p, 3, i % 2 ? 1000 : 0), want);
		cr_assert_eq(p[0].revents, flow_due(f, 0) ? POLLIN : 0);
		cr_assert_eq(p[1].revents, (f->count ? POLLIN : 0) | POLLOUT);
		cr_assert_eq(p[2].revents, i > 1 ? POLLIN : 0);
		cr_assert(flow_tells(f, 0));
		if (i == 1)
			cr_assert_eq(write(pipefd[1], "x", 1), 1);
	}
	close(pipefd[0]);
	close(pipefd[1]);
	return flow_runs(f, 0);
}

Test(fast_polled, together_with_other_fds)
{
	cr_assert(flow_each(FLOW_KINDS, asked_together));
}
