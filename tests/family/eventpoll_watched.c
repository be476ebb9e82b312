/* The eventpoll's own fd in poll, select, epoll sets and other eventpolls: POLLIN while events
 * wait. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "mate.h"
#include "pollerkit.h"
#include "testkit.h"

#include <sys/eventfd.h>

TestSuite(eventpoll_watched, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { TO_READ = 1, TO_ALL = 7, ALL = POLLIN | POLLOUT | POLLPRI };

struct scene {
	bool fake;
	int fd, other, poller;
};

static struct scene scene_open(bool fake)
{
	int ends[2];
	struct scene s = {.fake = fake, .other = -1};
	if (fake) {
		s.fd = eventfd(0, EFD_NONBLOCK);
	} else {
		cr_assert_eq(pipe(ends), 0);
		s.fd = ends[0];
		s.other = ends[1];
	}
	s.poller = poller_of(s.fd, POLLIN);
	return s;
}

static void scene_close(struct scene *s)
{
	close(s->poller);
	close(s->fd);
	if (s->other >= 0)
		close(s->other);
}

static void happen(struct scene *s)
{
	if (s->fake)
		add_count(s->fd, 1);
	else
		cr_assert_eq(write(s->other, "x", 1), 1);
}

static void expect_waiting(struct scene *s, bool waiting)
{
	cr_assert_eq(poll_now(s->poller, ALL), waiting ? POLLIN : 0);
	cr_assert_eq(mask_select(s->poller, TO_ALL), waiting ? TO_READ : 0);
}

Test(eventpoll_watched, poll_and_select)
{
	for (int fake = 0; fake < 2; fake++) {
		struct scene s = scene_open(fake);
		expect_waiting(&s, false);
		for (int i = 0; i < 5; i++) {
			happen(&s);
			expect_waiting(&s, true);
			expect_waiting(&s, true);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
			expect_waiting(&s, false);
		}
		scene_close(&s);
	}
}

Test(eventpoll_watched, the_state_on_add_waits_too)
{
	int fd = eventfd_at(1), poller = poller_of(fd, POLLIN);
	cr_assert_eq(poll_now(poller, POLLIN), POLLIN);
	poller_del(poller, fd);
	cr_assert_eq(poll_now(poller, POLLIN), 0);
	poller_add(poller, fd, POLLIN);
	cr_assert_eq(poll_now(poller, POLLIN), POLLIN);
	close(fd);
	cr_assert_eq(poll_now(poller, POLLIN), 0);
	close(poller);
}

Test(eventpoll_watched, in_an_epoll_set)
{
	for (int fake = 0; fake < 2; fake++) {
		struct scene s = scene_open(fake);
		int set = set_watching(s.poller, EPOLLIN | EPOLLOUT, 7);
		cr_assert_eq(set_event(set), 0);
		for (int i = 0; i < 5; i++) {
			happen(&s);
			cr_assert_eq(set_event(set), EPOLLIN);
			cr_assert_eq(set_event(set), EPOLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
			cr_assert_eq(set_event(set), 0);
		}
		happen(&s);
		int later = set_watching(s.poller, EPOLLIN, 8);
		cr_assert_eq(set_event(later), EPOLLIN);
		set_ctl(set, EPOLL_CTL_DEL, s.poller, 0, 0);
		cr_assert_eq(set_event(set), 0);
		close(later);
		close(set);
		scene_close(&s);
	}
}

Test(eventpoll_watched, in_a_set_of_a_set)
{
	for (int fake = 0; fake < 2; fake++) {
		struct scene s = scene_open(fake);
		int set = set_watching(s.poller, EPOLLIN, 7);
		int outer = set_watching(set, EPOLLIN, 8);
		for (int i = 0; i < 3; i++) {
			cr_assert_eq(set_event(outer), 0);
			happen(&s);
			cr_assert_eq(set_event(outer), EPOLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
		}
		cr_assert_eq(set_event(outer), 0);
		close(outer);
		close(set);
		scene_close(&s);
	}
}

Test(eventpoll_watched, in_another_eventpoll)
{
	for (int fake = 0; fake < 2; fake++) {
		struct scene s = scene_open(fake);
		int outer = poller_of(s.poller, POLLIN);
		for (int i = 0; i < 3; i++) {
			cr_assert_eq(poller_event(outer, s.poller), 0);
			happen(&s);
			cr_assert_eq(poller_event(outer, s.poller), POLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
		}
		close(outer);
		scene_close(&s);
	}
}

/* Beside an epoll set on the same fds: neither takes the other's events. */
Test(eventpoll_watched, beside_an_epoll_set)
{
	for (int fake = 0; fake < 2; fake++) {
		struct scene s = scene_open(fake);
		int edge = set_watching(s.fd, EPOLLIN | EPOLLET, 7);
		int level = set_watching(s.fd, EPOLLIN, 7);
		for (int i = 0; i < 5; i++) {
			happen(&s);
			if (i % 2)
				cr_assert_eq(set_event(edge), EPOLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
			if (i % 2 == 0)
				cr_assert_eq(set_event(edge), EPOLLIN);
			cr_assert_eq(set_event(edge), 0);
			cr_assert_eq(set_event(level), EPOLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), 0);
		}
		close(edge);
		close(level);
		scene_close(&s);
	}
}

/* Asleep on the eventpoll's fd, by each call; threads and children. */
enum call { BY_POLL, BY_PPOLL, BY_SELECT, BY_PSELECT, BY_LEVEL, CALLS };

static void wake_each(enum mate_kind kind, bool fake)
{
	for (enum call call = 0; call < CALLS; call++) {
		struct scene s = scene_open(fake);
		struct mate m = mate_start(kind);
		bool selects = call == BY_SELECT || call == BY_PSELECT;
		struct mate_call c = {.op = MATE_POLL + (int)call,
			.fd = s.poller,
			.events = selects ? TO_READ : POLLIN,
			.limit = -1};
		int set = -1;
		if (call == BY_LEVEL) {
			c.op = MATE_WAIT;
			c.fd = set = mate_new_set(&m);
			mate_ctl(&m, EPOLL_CTL_ADD, set, s.poller, EPOLLIN, 9);
		}
		for (int round = 0; round < 3; round++) {
			mate_ask_asleep(&m, c);
			happen(&s);
			cr_assert_eq(mate_answer(&m).events, selects ? TO_READ : POLLIN);
			cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
		}
		if (set >= 0)
			mate_close(&m, set);
		mate_end(&m);
		scene_close(&s);
	}
}

Test(eventpoll_watched, threads_asleep_on_it)
{
	wake_each(MATE_THREAD, true);
	wake_each(MATE_THREAD, false);
}

Test(eventpoll_watched, children_asleep_on_it)
{
	wake_each(MATE_FORKED, true);
	wake_each(MATE_FORKED, false);
}

/* Threads asleep in it and on it, in turn. */
Test(eventpoll_watched, waited_for_and_polled)
{
	struct scene s = scene_open(true);
	struct poller_waited wait = {.poller = s.poller};
	struct pollfd p = {s.poller, POLLIN, 0};
	struct waiter waits, polls;
	waiter_start(&waits, poller_call, &wait);
	happen(&s);
	cr_assert_eq(waiter_result(&waits), 1);
	waiter_start(&polls, call_poll, &p);
	happen(&s);
	cr_assert_eq(waiter_result(&polls), 1);
	cr_assert_eq(poller_event(s.poller, s.fd), POLLIN);
	expect_waiting(&s, false);
	scene_close(&s);
}
