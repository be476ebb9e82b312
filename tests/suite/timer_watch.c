/* poll, select and epoll of timers, asleep before they expire and looking afterwards. */
#define _GNU_SOURCE
#include "task.h"
#include "timerkit.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>

TestSuite(timer_watch, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { IN = EPOLLIN, OUT = EPOLLOUT, ET = EPOLLET };

/* It has expired, and the kernel or the library has seen it. */
static void expire(int fd)
{
	set_timer(fd, TFD_TIMER_ABSTIME, 1, 0);
	cr_assert_eq(polled_timer(fd, POLLIN, LIMIT_MS), POLLIN);
}

Test(timer_watch, a_timer_is_never_writable)
{
	int fd = new_timer(TFD_NONBLOCK);
	const short all = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDHUP;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(polled_timer(fd, POLLOUT, 0), 0);
		cr_assert_eq(polled_timer(fd, POLLOUT, 15), 0);
		cr_assert_eq(polled_timer(fd, all, 0), i ? POLLIN : 0);
		cr_assert_eq(polled_timer(fd, all, 15), i ? POLLIN : 0);
		cr_assert_eq(polled_timer(fd, POLLRDNORM, 0), 0);
		expire(fd);
	}
	close(fd);
}

Test(timer_watch, poll_sleeps_until_it_expires)
{
	int fd = new_timer(TFD_NONBLOCK);
	for (int i = 0; i < 10; i++) {
		int64_t start = now();
		set_timer(fd, 0, (1 + i) * MS, 0);
		cr_assert_eq(polled_timer(fd, POLLIN | POLLOUT, i % 2 ? -1 : LIMIT_MS), POLLIN);
		cr_assert_geq(now() - start, (1 + i) * MS);
		cr_assert_eq(polled_timer(fd, POLLIN, 0), POLLIN);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_eq(polled_timer(fd, POLLIN, 0), 0);
	}
	close(fd);
}

Test(timer_watch, several_in_one_poll)
{
	enum { TIMERS = 20 };
	struct pollfd p[TIMERS + 1];
	int64_t start = now();
	int seen = 0;
	for (int i = 0; i < TIMERS; i++) {
		p[i] = (struct pollfd){.fd = new_timer(TFD_NONBLOCK), .events = POLLIN};
		set_timer(p[i].fd, TFD_TIMER_ABSTIME, start + (TIMERS - i) * MS, 0);
	}
	p[TIMERS] = (struct pollfd){.fd = eventfd(0, 0), .events = POLLIN};
	while (seen < TIMERS) {
		cr_assert_geq(poll(p, TIMERS + 1, LIMIT_MS), 1);
		cr_assert_eq(p[TIMERS].revents, 0);
		for (int i = 0; i < TIMERS; i++) {
			if (!p[i].revents)
				continue;
			cr_assert_geq(now(), start + (TIMERS - i) * MS);
			cr_assert_eq(read_timer(p[i].fd), 1);
			seen++;
		}
	}
	for (int i = 0; i <= TIMERS; i++)
		close(p[i].fd);
}

Test(timer_watch, select)
{
	int fd = new_timer(TFD_NONBLOCK);
	struct timeval none = {0, 0}, long_time = {LIMIT_MS / 1000, 0};
	for (int i = 0; i < 3; i++) {
		fd_set in, out, except;
		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_ZERO(&except);
		FD_SET(fd, &in), FD_SET(fd, &out), FD_SET(fd, &except);
		cr_assert_eq(select(fd + 1, &in, &out, &except, &none), 0);
		FD_SET(fd, &in), FD_SET(fd, &out), FD_SET(fd, &except);
		set_timer(fd, 0, 10 * MS, 0);
		cr_assert_eq(select(fd + 1, &in, &out, &except, i ? &long_time : NULL), 1);
		cr_assert(FD_ISSET(fd, &in) && !FD_ISSET(fd, &out) && !FD_ISSET(fd, &except));
		cr_assert_eq(read_timer(fd), 1);
	}
	close(fd);
}

Test(timer_watch, epoll_by_level)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN | OUT | EPOLLPRI, 5);
	cr_assert_eq(told(set, 0), 0);
	cr_assert_eq(told(set, 10), 0);
	for (int i = 0; i < 10; i++) {
		int64_t start = now();
		set_timer(fd, 0, (1 + i) * MS, 0);
		cr_assert_eq(told(set, i % 2 ? -1 : LIMIT_MS), IN);
		cr_assert_geq(now() - start, (1 + i) * MS);
		cr_assert_eq(told(set, 0), IN);
		cr_assert_eq(told(set, -1), IN);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_eq(told(set, 0), 0);
	}
	expire(fd);
	set_timer(fd, 0, 0, 0);
	cr_assert_eq(told(set, 0), 0);
	close(set);
	close(fd);
}

Test(timer_watch, epoll_by_edge)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN | OUT | ET, 5);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(told(set, 0), 0);
		set_timer(fd, 0, 2 * MS, i % 2 ? MS : 0);
		cr_assert_eq(told(set, LIMIT_MS), IN);
		/* not read: it does not tell of the next ones */
		cr_assert_eq(told(set, 5), 0);
		if (i % 3)
			cr_assert_geq(read_timer(fd), 1);
		set_timer(fd, 0, 0, 0);
		cr_assert_eq(told(set, 0), 0);
	}
	close(set);
	close(fd);
}

Test(timer_watch, epoll_by_edge_of_a_periodic_one)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN | ET, 5);
	int64_t first = now() + MS, all = 0;
	set_timer(fd, TFD_TIMER_ABSTIME, first, MS);
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(told(set, LIMIT_MS), IN);
		all += read_timer(fd);
		cr_assert_leq(all, (now() - first) / MS + 1);
	}
	cr_assert_geq(all, 50);
	close(set);
	close(fd);
}

Test(timer_watch, one_shot_watches)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN | EPOLLONESHOT, 5);
	struct epoll_event again = {.events = IN | EPOLLONESHOT};
	for (int i = 0; i < 5; i++) {
		set_timer(fd, 0, 2 * MS, i % 2 ? MS : 0);
		cr_assert_eq(told(set, LIMIT_MS), IN);
		cr_assert_eq(told(set, 5), 0);
		if (i % 3)
			cr_assert_geq(read_timer(fd), 1);
		set_timer(fd, 0, 0, 0);
		cr_assert_eq(epoll_ctl(set, EPOLL_CTL_MOD, fd, &again), 0);
		cr_assert_eq(told(set, 0), 0);
	}
	close(set);
	close(fd);
}

Test(timer_watch, watches_made_late)
{
	const uint32_t kinds[] = {
		IN, IN | ET, IN | EPOLLONESHOT, IN | EPOLLEXCLUSIVE, OUT, 0, OUT | ET};
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = new_timer(TFD_NONBLOCK);
		set_timer(fd, TFD_TIMER_ABSTIME, 1, 0);
		sleep_until(now() + 2 * MS);
		int set = new_set_of(fd, kinds[i], 5);
		cr_assert_eq(told(set, 0), kinds[i] & IN);
		cr_assert_eq(read_timer(fd), 1);
		set_timer(fd, 0, MS, 0);
		cr_assert_eq(told(set, kinds[i] & IN ? LIMIT_MS : 20),
			kinds[i] & EPOLLONESHOT ? 0 : kinds[i] & IN);
		close(set);
		close(fd);
	}
}

Test(timer_watch, modified_and_removed_watches)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, OUT, 5);
	struct epoll_event event = {.events = IN, .data.u64 = 6};
	expire(fd);
	cr_assert_eq(told(set, 0), 0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), 0);
	cr_assert_eq(told(set, 0), IN);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), 0);
	cr_assert_eq(told(set, 0), 0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), -1);
	cr_assert_eq(errno, ENOENT);
	close(set);
	close(fd);
}

Test(timer_watch, nested_and_polled_sets)
{
	for (int edge = 0; edge < 2; edge++) {
		int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN | (edge ? ET : 0), 5);
		int outer = new_set_of(set, IN, 6);
		for (int i = 0; i < 3; i++) {
			set_timer(fd, 0, 3 * MS, 0);
			cr_assert_eq(told(outer, LIMIT_MS), IN);
			cr_assert_eq(polled_timer(set, POLLIN, 0), POLLIN);
			cr_assert_eq(told(set, 0), IN);
			cr_assert_eq(read_timer(fd), 1);
			cr_assert_eq(told(outer, 0), 0);
			set_timer(fd, 0, 3 * MS, 0);
			cr_assert_eq(polled_timer(set, POLLIN, LIMIT_MS), POLLIN);
			cr_assert_eq(read_timer(fd), 1);
			cr_assert_eq(polled_timer(set, POLLIN, 0), 0);
		}
		close(outer);
		close(set);
		close(fd);
	}
}

Test(timer_watch, in_two_sets)
{
	int fd = new_timer(TFD_NONBLOCK);
	int a = new_set_of(fd, IN, 5), b = new_set_of(fd, IN | ET, 6), c = new_set_of(fd, IN, 7);
	for (int i = 0; i < 3; i++) {
		set_timer(fd, 0, MS, 0);
		cr_assert_eq(told(a, LIMIT_MS), IN);
		cr_assert_eq(told(b, LIMIT_MS), IN);
		cr_assert_eq(told(c, LIMIT_MS), IN);
		cr_assert_eq(told(b, 0), 0);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_eq(told(a, 0) | told(b, 0) | told(c, 0), 0);
	}
	close(a), close(b), close(c);
	close(fd);
}

Test(timer_watch, beside_other_fds)
{
	int fd = new_timer(TFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK), ends[2];
	int set = new_set_of(fd, IN, 1);
	struct epoll_event event = {.events = IN, .data.u64 = 2}, events[4];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, other, &event), 0);
	event.data.u64 = 3;
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
	for (int i = 0; i < 5; i++) {
		set_timer(fd, 0, 2 * MS, 0);
		cr_assert_eq(epoll_wait(set, events, 4, LIMIT_MS), 1);
		cr_assert_eq(events[0].data.u64, 1);
		cr_assert_eq(eventfd_write(other, 1), 0);
		cr_assert_eq(write(ends[1], "x", 1), 1);
		cr_assert_eq(epoll_wait(set, events, 4, LIMIT_MS), 3);
		uint64_t value;
		char byte;
		cr_assert(eventfd_read(other, &value) == 0 && read(ends[0], &byte, 1) == 1);
		cr_assert_eq(read_timer(fd), 1);
		cr_assert_eq(epoll_wait(set, events, 4, 0), 0);
	}
	close(set), close(other), close(ends[0]), close(ends[1]);
	close(fd);
}

/* In t->value the set, or none: then poll. */
static ssize_t wait_for(struct task *t)
{
	struct epoll_event event;
	if (t->value)
		return epoll_wait((int)t->value, &event, 1, -1);
	struct pollfd p = {.fd = t->fd, .events = POLLIN};
	return poll(&p, 1, -1);
}

Test(timer_watch, set_by_another_thread_while_one_sleeps)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN, 5);
	for (int i = 0; i < 10; i++) {
		struct task t;
		if (i & 2)
			set_timer(fd, 0, 3600 * SECOND, 0);
		task_start_blocked(&t, wait_for, fd, i & 1 ? (uint64_t)set : 0);
		set_timer(fd, 0, i & 4 ? 100 * SECOND : 7200 * SECOND, 0);
		task_wait_asleep(&t);
		set_timer(fd, 0, 2 * MS, 0);
		cr_assert_eq(task_join(&t), 1);
		cr_assert_eq(read_timer(fd), 1);
	}
	close(set);
	close(fd);
}

Test(timer_watch, after_a_long_idle_time)
{
	int fd = new_timer(TFD_NONBLOCK), set = new_set_of(fd, IN, 5);
	for (int i = 0; i < 2; i++) {
		set_timer(fd, 0, MS, 0);
		cr_assert_eq(told(set, LIMIT_MS), IN);
		cr_assert_eq(read_timer(fd), 1);
		sleep_until(now() + 2200 * MS);
	}
	struct task t;
	task_start_blocked(&t, wait_for, fd, (uint64_t)set);
	sleep_until(now() + 1500 * MS);
	set_timer(fd, 0, MS, 0);
	cr_assert_eq(task_join(&t), 1);
	close(set);
	close(fd);
}

Test(timer_watch, many_timers)
{
	enum { TIMERS = 300 };
	int fds[TIMERS], set = epoll_create1(0);
	int64_t start = now() + 5 * MS, counts[TIMERS] = {0}, reads = 0;
	for (int i = 0; i < TIMERS; i++) {
		struct epoll_event event = {
			.events = IN | (i % 2 ? ET : 0), .data.u32 = (uint32_t)i};
		fds[i] = new_timer(TFD_NONBLOCK);
		cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event), 0);
		set_timer(fds[i], TFD_TIMER_ABSTIME, start, (10 + i % 7) * MS);
	}
	while (now() < start + 200 * MS) {
		struct epoll_event events[64];
		int n = epoll_wait(set, events, 64, LIMIT_MS);
		cr_assert_gt(n, 0);
		for (int j = 0; j < n; j++, reads++)
			counts[events[j].data.u32] += read_timer(fds[events[j].data.u32]);
	}
	for (int i = 0; i < TIMERS; i++) {
		int64_t interval = (10 + i % 7) * MS;
		int64_t least = (now() - start) / interval + 1, more = read_timer(fds[i]);
		counts[i] += more > 0 ? more : 0;
		int64_t most = (now() - start) / interval + 1;
		cr_assert(counts[i] >= least && counts[i] <= most, "%d: %lld of %lld", i,
			(long long)counts[i], (long long)least);
		close(fds[i]);
	}
	close(set);
}
