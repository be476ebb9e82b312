/* Random calls on two timers at once: the program's, and one of the kernel's that is used by system
 * call instructions, which nothing stands in front of. Both expire at times of one grid and are
 * asked halfway between, so that the answers must be the same. */
#define _GNU_SOURCE
#include "timerkit.h"

#include <stdlib.h>

TestSuite(timer_random, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { STEPS = 400 };
#define GRID (6 * MS)

struct both {
	int fd, kernel; /* the timers */
	int set, kernel_set;
	uint32_t watch;
	unsigned random;
	int64_t start, slack; /* how far the two may lie apart */
	int compared;
};

static unsigned pick(struct both *b, unsigned n)
{
	b->random = b->random * 1103515245 + 12345;
	return (b->random >> 16) % n;
}

static long raw(long nr, long a, long b, long c, long d)
{
	return tk_raw_syscall(nr, a, b, c, d, 0, 0);
}

/* Whether it is far from the grid's next line: then nothing expires while we ask. */
static bool quiet(const struct both *b)
{
	int64_t at = (now() - b->start) % GRID;
	return at > GRID / 5 && at < GRID * 4 / 5;
}

static void to_the_middle(struct both *b)
{
	do {
		int64_t lines = (now() - b->start) / GRID;
		sleep_until(b->start + lines * GRID + GRID * 3 / 2);
	} while (!quiet(b));
}

/* What is left must differ by no more than the time that the asking took. */
static void same_setting(
	const struct both *b, struct itimerspec a, struct itimerspec k, int64_t apart)
{
	int64_t differ = ns_of(k.it_value) - ns_of(a.it_value);
	cr_assert_eq(ns_of(a.it_interval), ns_of(k.it_interval));
	cr_assert_eq(ns_of(a.it_value) == 0, ns_of(k.it_value) == 0, "%lld and %lld left",
		(long long)ns_of(a.it_value), (long long)ns_of(k.it_value));
	cr_assert(llabs(differ) <= apart + b->slack, "%lld ns apart", (long long)differ);
}

/* A one-shot or periodic one, whose first expiration may lie behind us. */
static struct itimerspec random_setting(struct both *b, bool absolute)
{
	int64_t line = b->start + (now() - b->start) / GRID * GRID, ahead = 1 + pick(b, 5);
	int64_t value = absolute ? line + (ahead - 3) * GRID : line + ahead * GRID - now();
	return spec(pick(b, 6) ? value : 0, pick(b, 2) ? (1 + pick(b, 3)) * GRID : 0);
}

static bool set_both(struct both *b)
{
	bool absolute = pick(b, 4);
	struct itimerspec to = random_setting(b, absolute), old, kernel_old;
	int64_t before = now();
	long k = raw(SYS_timerfd_settime, b->kernel, absolute, (long)&to, (long)&kernel_old);
	long s = timerfd_settime(b->fd, absolute, &to, &old);
	int64_t took = now() - before;
	if (!quiet(b))
		return false;
	cr_assert_eq(s, k);
	same_setting(b, old, kernel_old, took);
	b->slack = absolute ? 0 : took;
	return true;
}

static bool get_both(struct both *b)
{
	struct itimerspec is, kernel_is;
	int64_t before = now();
	cr_assert_eq(raw(SYS_timerfd_gettime, b->kernel, (long)&kernel_is, 0, 0), 0);
	is = get_timer(b->fd);
	int64_t took = now() - before;
	if (!quiet(b))
		return false;
	same_setting(b, is, kernel_is, took);
	return true;
}

static bool read_both(struct both *b)
{
	uint64_t value = 0;
	long k = raw(SYS_read, b->kernel, (long)&value, 8, 0);
	int64_t s = read_timer(b->fd);
	if (!quiet(b))
		return false;
	cr_assert_eq(s, k < 0 ? k : (long)value, "%lld read, not %lld", (long long)s,
		k < 0 ? (long long)k : (long long)value);
	return true;
}

static bool poll_both(struct both *b)
{
	struct pollfd p = {b->kernel, POLLIN | POLLOUT | POLLPRI, 0};
	struct timespec none = {0, 0};
	raw(SYS_ppoll, (long)&p, 1, (long)&none, 0);
	int s = polled_timer(b->fd, p.events, 0);
	if (!quiet(b))
		return false;
	cr_assert_eq(s, p.revents);
	return true;
}

static bool look_at_sets(struct both *b)
{
	struct epoll_event event = {0, {0}};
	long k = tk_raw_syscall(SYS_epoll_pwait, b->kernel_set, (long)&event, 1, 0, 0, 0);
	uint32_t s = told(b->set, 0);
	if (!quiet(b))
		return false;
	cr_assert_eq(s, k ? event.events : 0, "%#x told, not %#x", s, event.events);
	return true;
}

static bool watch_anew(struct both *b)
{
	struct epoll_event event = {.events = b->watch};
	raw(SYS_epoll_ctl, b->kernel_set, EPOLL_CTL_MOD, b->kernel, (long)&event);
	cr_assert_eq(epoll_ctl(b->set, EPOLL_CTL_MOD, b->fd, &event), 0);
	return quiet(b);
}

static void begin(struct both *b)
{
	struct epoll_event event = {.events = b->watch};
	b->start = now();
	b->fd = new_timer(TFD_NONBLOCK);
	b->kernel = (int)raw(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0);
	b->set = new_set_of(b->fd, b->watch, 0);
	b->kernel_set = (int)raw(SYS_epoll_create1, 0, 0, 0, 0);
	cr_assert_eq(raw(SYS_epoll_ctl, b->kernel_set, EPOLL_CTL_ADD, b->kernel, (long)&event), 0);
	b->slack = 0;
}

static void end(struct both *b)
{
	close(b->set);
	close(b->fd);
	raw(SYS_close, b->kernel_set, 0, 0, 0);
	raw(SYS_close, b->kernel, 0, 0, 0);
}

typedef bool (*step)(struct both *);

/* A step that was not quiet leaves the two in states that may differ: they begin anew. */
static void walk(uint32_t watch, unsigned seed, const step *steps, unsigned n)
{
	struct both b = {.random = seed, .watch = watch};
	if (raw(SYS_timerfd_create, -1, 0, 0, 0) == -ENOSYS)
		return; /* nothing to compare with */
	begin(&b);
	for (int i = 0; i < STEPS; i++) {
		step next = steps[pick(&b, n)];
		if (!quiet(&b) || pick(&b, 3) == 0)
			to_the_middle(&b);
		if (next(&b)) {
			b.compared++;
		} else {
			end(&b);
			begin(&b);
		}
	}
	end(&b);
	cr_assert_gt(b.compared, STEPS / 4, "the machine was never quiet enough");
}

static const step all[] = {set_both, get_both, read_both, poll_both, look_at_sets};
/* The kernel goes on with a late timer when it is asked for its time, too, which edges would tell.
 */
static const step untold[] = {
	set_both, read_both, poll_both, look_at_sets, look_at_sets, watch_anew};

Test(timer_random, by_level)
{
	walk(EPOLLIN, 1, all, 5);
	walk(EPOLLIN | EPOLLOUT, 2, all, 5);
}

Test(timer_random, by_edge)
{
	walk(EPOLLIN | EPOLLET, 3, untold, 6);
	walk(EPOLLIN | EPOLLOUT | EPOLLET, 4, untold, 6);
}

Test(timer_random, one_shot)
{
	walk(EPOLLIN | EPOLLONESHOT, 5, untold, 6);
	walk(EPOLLIN | EPOLLET | EPOLLONESHOT, 6, untold, 6);
}
