/* Eventfds and sets that are closed while others write or events are pending, and new ones under
 * the same numbers: events show in the right set only, and none of what is gone. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_reuse, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, SETS = 3, ROUNDS = 300 };

static const uint32_t interests[] = {IN, IN | EPOLLET, IN | EPOLLONESHOT};

/* The same number again and again, in one set after the other; events pending when it is closed. */
Test(fast_reuse, one_number_in_different_sets)
{
	int set[SETS];
	for (int i = 0; i < SETS; i++)
		set[i] = epoll_create1(0);
	for (int round = 0; round < ROUNDS; round++) {
		int fd = eventfd_at(round % 2), here = round % SETS;
		set_ctl(set[here], EPOLL_CTL_ADD, fd, interests[round % 5 % 3], 1);
		cr_assert_eq(set_event(set[here]), round % 2 ? IN : 0u);
		add_count(fd, 1);
		for (int i = 0; i < SETS; i++) {
			uint32_t shown = set_event(set[i]);
			bool spent = round % 2 && interests[round % 5 % 3] & EPOLLONESHOT;
			cr_assert_eq(shown, i == here && !spent ? IN : 0u, "round %d", round);
		}
		add_count(fd, 1);
		close(fd);
		for (int i = 0; i < SETS; i++)
			cr_assert_eq(set_event(set[i]), 0);
	}
	for (int i = 0; i < SETS; i++)
		close(set[i]);
}

/* Closed and made again while the event is pending: the new one is not in the set. */
static bool made_again(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	struct epoll_event event = {.events = IN};
	int old = f->fd;
	cr_assert_eq(close(old), 0);
	f->fd = eventfd(0, EFD_NONBLOCK);
	f->count = 0;
	f->watch[0].set = -1;
	bool good = flow_write(f) && HOLDS(set_event(w.set) == 0) &&
		    HOLDS(answer_of(epoll_ctl(w.set, EPOLL_CTL_MOD, f->fd, &event)) == -ENOENT) &&
		    HOLDS(answer_of(epoll_ctl(w.set, EPOLL_CTL_DEL, f->fd, &event)) == -ENOENT);
	return good && flow_add(f, 0, w.set, w.interest, w.data + 1) && flow_tells(f, 0) &&
	       flow_runs(f, 0);
}

Test(fast_reuse, the_new_one_is_not_watched)
{
	cr_assert(flow_each(FLOW_KINDS, made_again));
}

/* The set is closed and made again; the eventfd stays. */
static bool set_made_again(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	cr_assert_eq(close(w.set), 0);
	f->watch[0].set = -1;
	int set = epoll_create1(0);
	bool good = HOLDS(set_event(set) == 0) && flow_write(f) && HOLDS(set_event(set) == 0) &&
		    flow_add(f, 0, set, w.interest, 2) && flow_tells(f, 0) && flow_runs(f, 0);
	close(set);
	f->watch[0].set = -1;
	good = good && flow_write(f) && flow_read(f);
	return good && flow_add(f, 0, epoll_create1(0), w.interest, 3) && flow_runs(f, 0);
}

Test(fast_reuse, a_set_made_again)
{
	cr_assert(flow_each(FLOW_KINDS, set_made_again));
}

/* DEL and ADD with an event pending. */
static bool taken_out_and_back(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	int other = epoll_create1(0);
	bool good = true;
	for (int i = 0; good && i < 4; i++) {
		int from = i % 2 ? other : w.set, to = i % 2 ? w.set : other;
		good = flow_write(f) && HOLDS(epoll_ctl(from, EPOLL_CTL_DEL, f->fd, NULL) == 0) &&
		       HOLDS(set_event(from) == 0) && HOLDS(set_event(to) == 0) &&
		       flow_add(f, 0, to, w.interest, (uint64_t)i) && HOLDS(set_event(from) == 0) &&
		       flow_tells(f, 0) && flow_runs(f, 0);
	}
	close(other);
	return good;
}

Test(fast_reuse, moved_from_set_to_set)
{
	cr_assert(flow_each(FLOW_KINDS, taken_out_and_back));
}

/* Writers go on while the set is closed and made again. */
struct writers {
	int fd[4];
	atomic_bool over;
	atomic_long written;
};

static long write_on(void *arg)
{
	struct writers *w = arg;
	for (unsigned i = 0; !w->over; i++) {
		uint64_t one = 1;
		if (write(w->fd[i % 4], &one, sizeof(one)) != 8)
			return -1;
		w->written++;
	}
	return 0;
}

static void *writer(void *arg)
{
	return write_on(arg) ? arg : NULL;
}

/* Each new set sees all that is written after the ADD. */
static void look_at(struct writers *w, uint32_t interest)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 4; i++)
		set_ctl(set, EPOLL_CTL_ADD, w->fd[i], interest, (uint64_t)i);
	for (unsigned seen = 0; seen != 15;) {
		struct epoll_event events[8];
		int n = epoll_wait(set, events, 8, 10000);
		cr_assert(n >= 1 && n <= 4);
		for (int i = 0; i < n; i++) {
			cr_assert_eq(events[i].events, IN);
			seen |= 1u << events[i].data.u64;
			eventfd_t value;
			eventfd_read(w->fd[events[i].data.u64], &value);
		}
	}
	close(set);
}

Test(fast_reuse, sets_come_and_go_while_others_write)
{
	struct writers w = {.over = false};
	pthread_t thread[2];
	for (int i = 0; i < 4; i++)
		w.fd[i] = eventfd_at(0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, writer, &w), 0);
	for (int round = 0; round < ROUNDS; round++)
		look_at(&w, interests[round % 2]);
	w.over = true;
	for (int i = 0; i < 2; i++) {
		void *failed = &w;
		cr_assert_eq(pthread_join(thread[i], &failed), 0);
		cr_assert_null(failed);
	}
	for (int i = 0; i < 4; i++)
		close(w.fd[i]);
}

/* Objects come and go in a set whose loop sleeps; the one that stays wakes it. */
Test(fast_reuse, eventfds_come_and_go_under_a_sleeper)
{
	int last = eventfd_at(0), set = set_watching(last, IN, 99);
	struct waited wait = {.set = set};
	struct waiter w;
	waiter_start(&w, call_epoll_wait, &wait);
	for (int round = 0; round < ROUNDS; round++) {
		int fd = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fd, interests[round % 3], 1);
		if (round % 2)
			set_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
		close(fd);
	}
	cr_assert(waiter_sleeps(&w));
	add_count(last, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].data.u64, 99);
	close(set);
	close(last);
}

/* Every wait ends with an event of the object that is there now. */
Test(fast_reuse, a_loop_and_new_eventfds_all_the_time)
{
	int set = epoll_create1(0), before = -1;
	for (uint64_t round = 0; round < 5000; round++) {
		struct epoll_event events[4];
		int fd = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fd, interests[round % 3], round);
		add_count(fd, 1);
		if (before >= 0)
			close(before);
		int n = epoll_wait(set, events, 4, 10000);
		if (n != 1 || events[0].data.u64 != round || events[0].events != IN)
			cr_assert_fail("round %d: %d events", (int)round, n);
		if (round % 7)
			take_count(fd);
		before = fd;
	}
	close(before);
	close(set);
}
