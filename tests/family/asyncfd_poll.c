/* What an asyncfd shows in poll, select and epoll, as its ring fills and is emptied. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "mate.h"
#include "asynckit.h"
#include "testkit.h"

TestSuite(asyncfd_poll, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { IN = EPOLLIN, ET = EPOLLET, ALL = POLLIN | POLLOUT | POLLPRI, TO_ALL = 7, TO_READ = 1 };

Test(asyncfd_poll, poll_and_select)
{
	struct ring r = ring_open(4, 0);
	cr_assert_eq(poll_now(r.fd, ALL), 0);
	cr_assert_eq(mask_select(r.fd, TO_ALL), 0);
	for (int n = 1; n <= 3; n++) {
		ring_add(&r, 1);
		cr_assert_eq(poll_now(r.fd, ALL), POLLIN);
		cr_assert_eq(poll_now(r.fd, POLLOUT | POLLPRI), 0);
		cr_assert_eq(mask_select(r.fd, TO_ALL), TO_READ);
	}
	for (int n = 3; n; n--) {
		cr_assert_eq(poll_now(r.fd, ALL), POLLIN);
		ring_expect(&r, 1);
	}
	cr_assert_eq(poll_now(r.fd, ALL), 0);
	cr_assert_eq(mask_select(r.fd, TO_ALL), 0);
	ring_close(&r);
}

/* The consumer's plain store alone ends the level, and another makes it anew. */
Test(asyncfd_poll, a_store_to_iuser_is_all_it_takes)
{
	struct ring r = ring_open(64, 0);
	volatile uint32_t *iuser = &r.head->iuser;
	int set = set_watching(r.fd, IN, 1);
	for (int i = 0; i < 5; i++) {
		uint32_t at = *iuser;
		ring_add(&r, 2);
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
		cr_assert_eq(set_event(set), IN);
		*iuser = at + 2;
		cr_assert_eq(poll_now(r.fd, POLLIN), 0);
		cr_assert_eq(set_event(set), 0);
		*iuser = at;
		cr_assert_eq(poll_now(r.fd, POLLIN), POLLIN);
		ring_expect(&r, 1);
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 2);
		cr_assert_eq(set_event(set), 0);
	}
	close(set);
	ring_close(&r);
}

Test(asyncfd_poll, epoll_by_level)
{
	struct ring r = ring_open(8, 0);
	int set = set_watching(r.fd, IN | EPOLLOUT | EPOLLPRI, 1);
	cr_assert_eq(set_event(set), 0);
	for (int round = 0; round < 5; round++) {
		ring_add(&r, 3);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 2);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 1);
		cr_assert_eq(set_event(set), 0);
	}
	close(set);
	ring_close(&r);
}

Test(asyncfd_poll, epoll_by_edge)
{
	struct ring r = ring_open(8, 0);
	int set = set_watching(r.fd, IN | ET, 1);
	cr_assert_eq(set_event(set), 0);
	for (int round = 0; round < 5; round++) {
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), IN);
		cr_assert_eq(set_event(set), 0);
		ring_add(&r, 2);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 1);
		cr_assert_eq(set_event(set), 0);
		ring_add(&r, 1);
		ring_expect(&r, 3);
		cr_assert_eq(set_event(set), 0);
	}
	close(set);
	ring_close(&r);
}

/* Where nothing is stored there is no edge. */
Test(asyncfd_poll, a_full_ring_makes_no_edges)
{
	struct ring r = ring_open(3, 0);
	int set = set_watching(r.fd, IN | ET, 1);
	ring_add(&r, 2);
	cr_assert_eq(set_event(set), IN);
	cr_assert_eq(ring_offer(&r, 1), 0);
	cr_assert_eq(set_event(set), 0);
	ring_expect(&r, 1);
	cr_assert_eq(ring_offer(&r, 5), 1);
	cr_assert_eq(set_event(set), IN);
	close(set);
	ring_close(&r);
}

Test(asyncfd_poll, epoll_one_shot)
{
	for (int i = 0; i < 2; i++) {
		uint32_t edge = i ? ET : 0;
		uint32_t events = IN | EPOLLONESHOT | edge;
		struct ring r = ring_open(8, 0);
		int set = set_watching(r.fd, events, 1);
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), IN);
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), 0);
		set_ctl(set, EPOLL_CTL_MOD, r.fd, events, 1);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 2);
		set_ctl(set, EPOLL_CTL_MOD, r.fd, events, 1);
		cr_assert_eq(set_event(set), 0);
		ring_add(&r, 1);
		cr_assert_eq(set_event(set), IN);
		cr_assert_eq(set_event(set), 0);
		close(set);
		ring_close(&r);
	}
}

Test(asyncfd_poll, watches_added_and_modified_while_it_is_not_empty)
{
	struct ring r = ring_open(8, 0);
	ring_add(&r, 1);
	int level = set_watching(r.fd, IN, 1), edge = set_watching(r.fd, IN | ET, 2);
	int none = set_watching(r.fd, 0, 3);
	cr_assert_eq(set_event(level), IN);
	cr_assert_eq(set_event(edge), IN);
	cr_assert_eq(set_event(edge), 0);
	cr_assert_eq(set_event(none), 0);
	set_ctl(edge, EPOLL_CTL_MOD, r.fd, IN | ET, 4);
	set_ctl(none, EPOLL_CTL_MOD, r.fd, IN, 5);
	cr_assert_eq(set_event(edge), IN);
	cr_assert_eq(set_event(none), IN);
	set_ctl(level, EPOLL_CTL_DEL, r.fd, 0, 0);
	cr_assert_eq(set_event(level), 0);
	close(level);
	close(edge);
	close(none);
	ring_close(&r);
}

Test(asyncfd_poll, a_set_in_a_set)
{
	struct ring r = ring_open(4, 0);
	int set = set_watching(r.fd, IN, 1), outer = set_watching(set, IN, 2);
	cr_assert_eq(set_event(outer), 0);
	for (int round = 0; round < 3; round++) {
		ring_add(&r, 2);
		cr_assert_eq(set_event(outer), IN);
		cr_assert_eq(poll_now(set, POLLIN), POLLIN);
		cr_assert_eq(set_event(set), IN);
		ring_expect(&r, 2);
		cr_assert_eq(poll_now(set, POLLIN), 0);
		cr_assert_eq(set_event(outer), 0);
	}
	close(outer);
	close(set);
	ring_close(&r);
}

Test(asyncfd_poll, among_eventfds_and_pipes)
{
	struct epoll_event events[8];
	struct ring r = ring_open(4, 0);
	int fd = eventfd_at(0), ends[2], set = set_watching(r.fd, IN, 1);
	cr_assert_eq(pipe(ends), 0);
	set_ctl(set, EPOLL_CTL_ADD, fd, IN, 2);
	set_ctl(set, EPOLL_CTL_ADD, ends[0], IN, 4);
	cr_assert_eq(epoll_wait(set, events, 8, 0), 0);
	ring_add(&r, 1);
	add_count(fd, 1);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	cr_assert_eq(epoll_wait(set, events, 8, 0), 3);
	cr_assert_eq(events[0].data.u64 + events[1].data.u64 + events[2].data.u64, 7);
	ring_expect(&r, 1);
	take_count(fd);
	cr_assert_eq(epoll_wait(set, events, 8, 0), 1);
	cr_assert_eq(events[0].data.u64, 4);
	struct pollfd p[3] = {{r.fd, POLLIN, 0}, {fd, POLLIN, 0}, {ends[0], POLLIN, 0}};
	ring_add(&r, 1);
	cr_assert_eq(poll(p, 3, 0), 2);
	cr_assert(p[0].revents == POLLIN && p[1].revents == 0 && p[2].revents == POLLIN);
	close(set);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	ring_close(&r);
}

/* Sleepers, in each call, as threads and as children. */
enum call { BY_POLL, BY_PPOLL, BY_SELECT, BY_PSELECT, BY_LEVEL, BY_EDGE, BY_ONCE, CALLS };

static void wake_each(enum mate_kind kind)
{
	static const uint32_t flags[CALLS] = {[BY_EDGE] = ET, [BY_ONCE] = EPOLLONESHOT};
	for (enum call call = 0; call < CALLS; call++) {
		struct ring r = ring_open(4, 0);
		struct mate m = mate_start(kind);
		bool selects = call == BY_SELECT || call == BY_PSELECT;
		struct mate_call c = {.op = MATE_POLL + (int)call, .fd = r.fd, .limit = -1};
		c.events = selects ? TO_READ : IN;
		int set = -1;
		if (call >= BY_LEVEL) {
			c.op = MATE_WAIT;
			c.fd = set = mate_new_set(&m);
			mate_ctl(&m, EPOLL_CTL_ADD, set, r.fd, IN | flags[call], 9);
		}
		for (int round = 0; round < 3; round++) {
			mate_ask_asleep(&m, c);
			ring_add(&r, 2);
			cr_assert_eq(mate_answer(&m).events, selects ? TO_READ : IN);
			ring_expect(&r, 2);
			if (call == BY_ONCE)
				mate_ctl(&m, EPOLL_CTL_MOD, set, r.fd, IN | flags[call], 9);
		}
		if (set >= 0)
			mate_close(&m, set);
		mate_end(&m);
		ring_close(&r);
	}
}

Test(asyncfd_poll, threads_that_sleep)
{
	wake_each(MATE_THREAD);
}

Test(asyncfd_poll, children_that_sleep)
{
	wake_each(MATE_FORKED);
}

Test(asyncfd_poll, asleep_in_an_outer_set)
{
	struct ring r = ring_open(4, 0);
	int set = set_watching(r.fd, IN, 1), outer = set_watching(set, IN, 2);
	struct waited wait = {.set = outer};
	struct waiter w;
	waiter_start(&w, call_epoll_wait, &wait);
	ring_add(&r, 1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].data.u64, 2);
	close(outer);
	close(set);
	ring_close(&r);
}

/* Asleep by level after the ring was emptied under an event that nobody fetched. */
Test(asyncfd_poll, emptied_before_the_wait_and_filled_in_it)
{
	for (int i = 0; i < 2; i++) {
		uint32_t edge = i ? ET : 0;
		struct ring r = ring_open(4, 0);
		struct waited wait = {.set = set_watching(r.fd, IN | edge, 1)};
		struct waiter w;
		for (int round = 0; round < 10; round++) {
			ring_add(&r, 2);
			ring_expect(&r, 2);
			waiter_start(&w, call_epoll_wait, &wait);
			ring_add(&r, 1);
			cr_assert_eq(waiter_result(&w), 1);
			cr_assert_eq(wait.events[0].events, IN);
			ring_expect(&r, 1);
		}
		close(wait.set);
		ring_close(&r);
	}
}
