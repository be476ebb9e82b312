/* The numbers of an eventfd and of its set in the middle of traffic: duplicated, closed, replaced.
 */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_numbers, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, HIGH = 100 };

/* Every way to a second number. */
static int by_dup(int fd)
{
	return dup(fd);
}

static int by_dup2(int fd)
{
	return dup2(fd, HIGH);
}

static int by_dup3(int fd)
{
	return dup3(fd, HIGH, O_CLOEXEC);
}

static int by_fcntl(int fd)
{
	return fcntl(fd, F_DUPFD, HIGH);
}

static int by_fcntl_cloexec(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int (*const ways[])(int fd) = {by_dup, by_dup2, by_dup3, by_fcntl, by_fcntl_cloexec};
static size_t way;

static void each_way(int kinds, flow_run run)
{
	for (way = 0; way < ARRAY_LEN(ways); way++)
		cr_assert(flow_each(kinds, run), "way %zu", way);
}

static long control(int set, int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};
	return answer_of(epoll_ctl(set, op, fd, &event));
}

/* Traffic through either number of the eventfd. */
static bool two_numbers(struct flow *f)
{
	int first = f->fd, second = ways[way](f->fd);
	bool good = HOLDS(second >= 0) && flow_tells(f, 0);
	for (int i = 0; good && i < 4; i++) {
		f->fd = i % 2 ? first : second;
		good = flow_write(f) && flow_tells(f, 0);
		f->fd = i % 2 ? second : first;
		good = good && flow_write(f) && flow_tells(f, 0) && flow_read(f) &&
		       flow_tells(f, 0);
		f->fd = first;
		good = good && (!f->watch[0].fired || flow_arm(f, 0));
	}
	good = good && HOLDS(control(f->watch[0].set, EPOLL_CTL_MOD, second, IN) == -ENOENT) &&
	       HOLDS(control(f->watch[0].set, EPOLL_CTL_DEL, second, IN) == -ENOENT);
	close(second);
	return good && flow_runs(f, 0);
}

Test(fast_numbers, of_the_eventfd)
{
	each_way(FLOW_KINDS, two_numbers);
}

/* The watch lives on, and cannot be reached by any number. */
static bool watched_number_closed(struct flow *f)
{
	int first = f->fd, second = ways[way](f->fd), set = f->watch[0].set;
	cr_assert_eq(close(first), 0);
	f->fd = second;
	bool good = flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) && flow_tells(f, 0) &&
		    flow_read(f) && flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0);
	good = good && HOLDS(control(set, EPOLL_CTL_DEL, first, 0) == -EBADF) &&
	       HOLDS(control(set, EPOLL_CTL_MOD, first, IN) == -EBADF) &&
	       HOLDS(control(set, EPOLL_CTL_DEL, second, 0) == -ENOENT) && flow_write(f) &&
	       flow_tells(f, 0);
	int again = dup2(second, first);
	cr_assert_eq(again, first);
	good = good && HOLDS(control(set, EPOLL_CTL_DEL, second, 0) == -ENOENT) && flow_write(f) &&
	       flow_tells(f, 0);
	f->fd = first;
	good = good && flow_arm(f, 0) && flow_runs(f, 0);
	close(second);
	return good && flow_runs(f, 0);
}

Test(fast_numbers, the_watched_one_is_closed_and_comes_back)
{
	each_way(FLOW_FAST_KINDS, watched_number_closed);
}

/* All numbers are closed while events are pending: none of them is told. */
static bool all_closed(struct flow *f)
{
	struct epoll_event events[4];
	int first = f->fd, second = ways[way](f->fd), set = f->watch[0].set;
	bool good = flow_write(f);
	cr_assert_eq(close(first), 0);
	cr_assert_eq(close(second), 0);
	f->fd = -1;
	return good && HOLDS(epoll_wait(set, events, 4, 0) == 0) &&
	       HOLDS(control(set, EPOLL_CTL_DEL, first, 0) == -EBADF);
}

Test(fast_numbers, all_of_them_closed_while_events_are_pending)
{
	each_way(FLOW_KINDS, all_closed);
}

/* Another object comes to the watched number: the watch is gone with the one before. */
static bool replaced(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	struct flow *other = flow_open(IN);
	bool good = flow_write(f) && flow_write(other);
	cr_assert_eq(dup2(other->fd, f->fd), f->fd);
	f->count = other->count;
	f->watch[0].set = -1;
	good = good && HOLDS(set_event(w.set) == 0) && flow_tells(other, 0) &&
	       HOLDS(control(w.set, EPOLL_CTL_DEL, f->fd, 0) == -ENOENT);
	good = good && flow_add(f, 0, w.set, w.interest, w.data + 9) && flow_tells(f, 0) &&
	       flow_tells(other, 0);
	cr_assert_eq(close(other->fd), 0);
	other->fd = -1;
	good = good && HOLDS(flow_due(other, 0)) && flow_tells(other, 0);
	flow_close(other);
	return good && flow_runs(f, 0);
}

Test(fast_numbers, another_eventfd_at_the_watched_number)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, replaced));
}

static bool replaced_by_pipe(struct flow *f)
{
	int pipefd[2], copy = dup(f->fd), first = f->fd;
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	cr_assert_eq(dup2(pipefd[0], first), first);
	f->fd = copy;
	bool good = flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) &&
		    HOLDS(control(f->watch[0].set, EPOLL_CTL_DEL, first, 0) == -ENOENT) &&
		    flow_read(f) && flow_tells(f, 0);
	close(copy);
	good = good && HOLDS(set_event(f->watch[0].set) == 0);
	f->fd = first;
	close(pipefd[0]);
	close(pipefd[1]);
	return good;
}

Test(fast_numbers, a_pipe_at_the_watched_number)
{
	cr_assert(flow_each(FLOW_KINDS, replaced_by_pipe));
}

/* Traffic by either number of the set. */
static bool two_numbers_of_set(struct flow *f)
{
	int second = ways[way](f->watch[0].set);
	struct flow_watch *w = &f->watch[0];
	bool good = HOLDS(second >= 0);
	for (int i = 0; good && i < 3; i++)
		good = flow_tells_by(f, 0, second) && flow_tells(f, 0) && flow_write(f) &&
		       flow_tells(f, 0) && flow_tells_by(f, 0, second) && flow_write(f) &&
		       flow_tells_by(f, 0, second) && flow_read(f) && flow_tells(f, 0);
	good = good && HOLDS(control(second, EPOLL_CTL_ADD, f->fd, IN) == -EEXIST);
	cr_assert_eq(close(w->set), 0);
	w->set = second;
	good = good && flow_arm(f, 0) && flow_runs(f, 0) &&
	       HOLDS(control(second, EPOLL_CTL_DEL, f->fd, 0) == 0) &&
	       flow_add(f, 0, second, w->interest, 3);
	return good && flow_runs(f, 0);
}

Test(fast_numbers, of_the_set)
{
	each_way(FLOW_KINDS, two_numbers_of_set);
}

/* A new set at the number of the old one, which has another number still or none. */
static bool set_replaced(struct flow *f, bool keep)
{
	struct flow_watch w = f->watch[0];
	int copy = keep ? dup(w.set) : -1, other = epoll_create1(0);
	bool good = flow_write(f);
	cr_assert_eq(dup2(other, w.set), w.set);
	close(other);
	good = good && HOLDS(set_event(w.set) == 0) &&
	       HOLDS(control(w.set, EPOLL_CTL_MOD, f->fd, IN) == -ENOENT) && flow_write(f) &&
	       HOLDS(set_event(w.set) == 0);
	f->watch[0].set = copy;
	good = good && (!keep || flow_tells(f, 0));
	good = good && flow_add(f, 1, w.set, w.interest, 12) && flow_tells(f, 1) && flow_runs(f, 1);
	return good && (!keep || (flow_tells(f, 0) && flow_runs(f, 0)));
}

static bool set_replaced_for_good(struct flow *f)
{
	return set_replaced(f, false);
}

static bool set_replaced_but_kept(struct flow *f)
{
	return set_replaced(f, true);
}

Test(fast_numbers, another_set_at_the_number_of_the_set)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, set_replaced_for_good));
	cr_assert(flow_each(FLOW_FAST_KINDS, set_replaced_but_kept));
}

/* A sleeper by one number is woken, though that number is closed meanwhile. */
static bool closed_under_sleeper(struct flow *f)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (f->watch[0].interest & OUT)
		return true;
	int copy = dup(f->watch[0].set);
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, call_epoll_wait, &wait);
	cr_assert_eq(close(wait.set), 0);
	f->watch[0].set = copy;
	good = HOLDS(waiter_sleeps(&w)) && good && flow_write(f);
	good = HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	return good && flow_runs(f, 0);
}

Test(fast_numbers, the_number_in_use_is_closed_under_a_sleeper)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, closed_under_sleeper));
}
