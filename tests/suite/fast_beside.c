/* What else is done with a watched eventfd and its set in the middle of traffic: blocked reads and
 * writes, poll of the eventfd, other names of the calls, other ways to close. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

TestSuite(fast_beside, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT };

static void set_blocking(const struct flow *f, bool on)
{
	cr_assert_eq(fcntl(f->fd, F_SETFL, on ? 0 : O_NONBLOCK), 0);
}

/* A reader that is blocked takes the count of a write; the watch tells what is left. */
static bool blocked_reader(struct flow *f)
{
	struct task reader;
	uint64_t one = 1;
	bool good = flow_ready_for_more(f, 0);
	set_blocking(f, true);
	task_start_blocked(&reader, task_read, f->fd, 0);
	good = good && flow_tells(f, 0) && HOLDS(write(f->fd, &one, sizeof(one)) == 8);
	good = HOLDS(task_join(&reader) == 8 && reader.value == 1) && good;
	flow_wrote(f);
	flow_was_read(f);
	set_blocking(f, false);
	return good && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_beside, a_blocked_reader)
{
	cr_assert(flow_each(FLOW_KINDS, blocked_reader));
}

/* A writer that is blocked at the limit writes once the count is taken: that is an event. */
static bool blocked_writer(struct flow *f)
{
	struct task writer;
	uint64_t most = COUNT_LIMIT, got;
	bool good = flow_ready_for_more(f, 0) && HOLDS(write(f->fd, &most, sizeof(most)) == 8);
	flow_wrote(f);
	f->count = most;
	set_blocking(f, true);
	task_start_blocked(&writer, task_write, f->fd, 1);
	good = good && flow_tells(f, 0) && flow_tells(f, 0);
	good = good && HOLDS(read(f->fd, &got, sizeof(got)) == 8 && got == most);
	good = HOLDS(task_join(&writer) == 8) && good;
	flow_was_read(f);
	flow_wrote(f);
	set_blocking(f, false);
	return good && flow_tells(f, 0) && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_beside, a_blocked_writer)
{
	cr_assert(flow_each(FLOW_KINDS, blocked_writer));
}

/* A thread sleeps in poll of the eventfd itself, another one in its set: a write wakes both. */
static long poll_it(void *fd)
{
	struct pollfd p = {*(int *)fd, POLLIN, 0};
	return poll(&p, 1, -1) == 1 ? p.revents : -1;
}

static long select_it(void *fd)
{
	fd_set in;
	FD_ZERO(&in);
	FD_SET(*(int *)fd, &in);
	return select(*(int *)fd + 1, &in, NULL, NULL, NULL) == 1 ? POLLIN : -1;
}

static bool polled_beside(struct flow *f, long (*call)(void *), bool loop_sleeps)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter poller, loop;
	if (f->watch[0].interest & OUT)
		return true;
	bool good = flow_ready_for_more(f, 0);
	if (loop_sleeps)
		waiter_start(&loop, call_epoll_wait, &wait);
	waiter_start(&poller, call, &f->fd);
	good = good && flow_write(f);
	good = HOLDS(waiter_result(&poller) == POLLIN) && good;
	if (loop_sleeps)
		good = HOLDS(waiter_result(&loop) == 1) && good &&
		       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	return good && flow_tells(f, 0) && flow_runs(f, 0);
}

static bool polled_alone(struct flow *f)
{
	return polled_beside(f, poll_it, false) && polled_beside(f, select_it, false);
}

static bool polled_and_looped(struct flow *f)
{
	return polled_beside(f, poll_it, true) && polled_beside(f, select_it, true);
}

Test(fast_beside, a_poll_of_the_eventfd)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, polled_alone));
	cr_assert(flow_each(FLOW_FAST_KINDS, polled_and_looped));
}

/* The other names of read and write. */
static bool by_other_names(struct flow *f)
{
	eventfd_t value = 1;
	struct iovec iov = {&value, sizeof(value)};
	bool good = flow_ready_for_more(f, 0);
	for (int way = 0; good && way < 4; way++) {
		long n = way == 0   ? eventfd_write(f->fd, 1) + 8
			 : way == 1 ? writev(f->fd, &iov, 1)
			 : way == 2 ? syscall(SYS_write, f->fd, &value, 8ul)
				    : dprintf(f->fd, "%s", "\001\002\003\004\005\006\007\010");
		flow_wrote(f);
		good = HOLDS(n == 8) && flow_tells(f, 0) && flow_tells(f, 0);
		n = way == 0   ? eventfd_read(f->fd, &value) + 8
		    : way == 1 ? readv(f->fd, &iov, 1)
			       : syscall(SYS_read, f->fd, &value, 8ul);
		flow_was_read(f);
		value = 1;
		good = good && HOLDS(n == 8) && flow_tells(f, 0) &&
		       (!f->watch[0].fired || flow_arm(f, 0));
	}
	return good && flow_runs(f, 0);
}

Test(fast_beside, other_names_of_read_and_write)
{
	cr_assert(flow_each(FLOW_KINDS, by_other_names));
}

#ifndef SYS_epoll_wait /* not every processor has it */
#define SYS_epoll_wait SYS_epoll_pwait
#endif

/* The other names of epoll_wait and epoll_ctl. */
static bool waits_by_syscall(struct flow *f, int way)
{
	struct epoll_event e = {0};
	struct timespec now = {0};
	int set = f->watch[0].set;
	long n = way == 0   ? syscall(SYS_epoll_wait, set, &e, 1, 0, NULL, 8ul)
		 : way == 1 ? syscall(SYS_epoll_pwait, set, &e, 1, 0, NULL, 8ul)
		 : way == 2 ? syscall(SYS_epoll_pwait2, set, &e, 1, &now, NULL, 8ul)
			    : epoll_pwait2(set, &e, 1, &now, NULL);
	return HOLDS(n >= 0) && flow_saw(f, 0, n ? e.events : 0, e.data.u64);
}

static bool by_syscall(struct flow *f)
{
	struct flow_watch *w = &f->watch[0];
	bool good = true;
	for (int way = 0; good && way < 4; way++) {
		struct epoll_event e = {.events = w->interest, .data.u64 = w->data};
		good = waits_by_syscall(f, way) && waits_by_syscall(f, way) && flow_write(f) &&
		       waits_by_syscall(f, way) && flow_tells(f, 0) &&
		       HOLDS(syscall(SYS_epoll_ctl, w->set, EPOLL_CTL_MOD, f->fd, &e) == 0);
		flow_armed(f, 0);
		good = good && waits_by_syscall(f, way) &&
		       HOLDS(syscall(SYS_epoll_ctl, w->set, EPOLL_CTL_DEL, f->fd, NULL) == 0) &&
		       HOLDS(syscall(SYS_epoll_ctl, w->set, EPOLL_CTL_ADD, f->fd, &e) == 0);
		flow_armed(f, 0);
		good = good && flow_tells(f, 0) && flow_runs(f, 0);
	}
	return good;
}

Test(fast_beside, the_calls_by_syscall)
{
	cr_assert(flow_each(FLOW_KINDS, by_syscall));
}

/* Other ways to close, with an event pending. */
static void by_close_range(int fd)
{
	cr_assert_eq(close_range((unsigned)fd, (unsigned)fd, 0), 0);
}

static void by_fclose(int fd)
{
	FILE *file = fdopen(fd, "w");
	cr_assert(file);
	cr_assert_eq(fclose(file), 0);
}

static void by_syscall_close(int fd)
{
	cr_assert_eq(syscall(SYS_close, fd), 0);
}

static void by_dup2_of_other(int fd)
{
	int null = open("/dev/null", O_RDWR);
	cr_assert_eq(dup2(null, fd), fd);
	close(null);
	close(fd);
}

static void (*const closers[])(int fd) = {
	by_close_range, by_fclose, by_syscall_close, by_dup2_of_other};
static size_t closer;

static bool closed(struct flow *f)
{
	int set = f->watch[0].set, fd = f->fd, again;
	bool good = flow_write(f);
	closers[closer](fd);
	good = good && HOLDS(set_event(set) == 0);
	again = eventfd(0, EFD_NONBLOCK);
	f->fd = again;
	f->count = 0;
	f->watch[0].set = -1;
	good = good && flow_write(f) && HOLDS(set_event(set) == 0) &&
	       flow_add(f, 0, set, f->watch[0].interest, 5) && flow_runs(f, 0);
	closers[closer](set);
	f->watch[0].set = -1;
	return good && flow_write(f) && flow_add(f, 0, epoll_create1(0), f->watch[0].interest, 6) &&
	       flow_runs(f, 0);
}

Test(fast_beside, other_ways_to_close)
{
	for (closer = 0; closer < ARRAY_LEN(closers); closer++)
		cr_assert(flow_each(FLOW_FAST_KINDS, closed), "way %zu", closer);
}

/* Flags that change nothing about the watch. */
static bool flags_change(struct flow *f)
{
	int on = 1, off = 0;
	return HOLDS(ioctl(f->fd, FIONBIO, &off) == 0) && flow_tells(f, 0) &&
	       HOLDS(ioctl(f->fd, FIONBIO, &on) == 0) && flow_write(f) && flow_tells(f, 0) &&
	       HOLDS(fcntl(f->fd, F_SETFD, FD_CLOEXEC) == 0) &&
	       HOLDS(fcntl(f->watch[0].set, F_SETFD, FD_CLOEXEC) == 0) && flow_runs(f, 0) &&
	       HOLDS(fcntl(f->watch[0].set, F_SETFL, O_NONBLOCK) == 0) && flow_runs(f, 0);
}

Test(fast_beside, flags)
{
	cr_assert(flow_each(FLOW_KINDS, flags_change));
}
