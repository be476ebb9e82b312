/* Epoll sets of the process that sent an eventfd and of the one that received it, and sets that are
 * sent themselves. */
#define _GNU_SOURCE
#include "efd.h"
#include "pair.h"
#include "peer.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(rights_watch, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

static const uint32_t interests[] = {
	IN, OUT, BOTH, IN | EPOLLET, OUT | EPOLLET, BOTH | EPOLLET, IN | EPOLLEXCLUSIVE};

/* Any 64 bits must come back. */
#define DATA(i) (0xfedcba9876543210u + (uint64_t)(i))

static void expect_there(struct peer p, int set, uint32_t events, uint64_t data)
{
	struct peer_answer a = peer_do(p, PEER_LOOK, set, 0, 0);
	cr_assert_eq(a.ret, events, "%#lx instead of %#x", a.ret, events);
	cr_assert(!events || a.value == data, "another data: %#llx", (unsigned long long)a.value);
}

static void write_there(struct peer p, int fd, uint64_t value)
{
	cr_assert_eq(peer_do(p, PEER_WRITE, fd, 0, value).ret, 8);
}

static void read_there(struct peer p, int fd)
{
	cr_assert_eq(peer_do(p, PEER_READ, fd, 0, 0).ret, 8);
}

/* What a watch shows after a write, and after the read that empties it. */
static uint32_t after_write(uint32_t interest)
{
	return interest & EPOLLET && !(interest & IN) ? 0 : interest & BOTH;
}

static uint32_t after_read(uint32_t interest)
{
	return interest & EPOLLET && !(interest & OUT) ? 0 : interest & OUT;
}

typedef void (*with_peer)(struct peer p, uint32_t interest);

static void for_each(with_peer run)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
			struct peer p = peer_start(kind);
			run(p, interests[i]);
			peer_end(p);
		}
	}
}

static void set_of_the_receiver(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0);
	peer_send_one(p, fd);
	cr_assert_eq(peer_do(p, PEER_SET, 0, (int)interest, DATA(1)).ret, 0);
	expect_there(p, 1, interest & OUT, DATA(1));
	for (int round = 0; round < 3; round++) {
		add_count(fd, 1);
		expect_there(p, 1, after_write(interest), DATA(1));
		expect_there(p, 1, interest & EPOLLET ? 0 : interest & BOTH, DATA(1));
		take_count(fd);
		expect_there(p, 1, after_read(interest), DATA(1));
	}
	close(fd);
}

Test(rights_watch, a_set_of_the_receiver_shows_what_the_sender_does)
{
	for_each(set_of_the_receiver);
}

static void set_of_the_sender(struct peer p, uint32_t interest, int fd, int set)
{
	set_event(set);
	for (int round = 0; round < 3; round++) {
		write_there(p, 0, 1);
		cr_assert_eq(set_event(set), after_write(interest), "%#x", interest);
		cr_assert_eq(set_event(set), interest & EPOLLET ? 0 : interest & BOTH);
		read_there(p, 0);
		cr_assert_eq(set_event(set), after_read(interest));
	}
	close(fd);
	close(set);
}

static void watched_before(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0), set = set_watching(fd, interest, 1);
	peer_send_one(p, fd);
	set_of_the_sender(p, interest, fd, set);
}

static void watched_after(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0);
	peer_send_one(p, fd);
	set_of_the_sender(p, interest, fd, set_watching(fd, interest, 1));
}

Test(rights_watch, a_watch_made_before_it_was_sent_shows_what_the_receiver_does)
{
	for_each(watched_before);
}

Test(rights_watch, a_watch_made_after_it_was_sent_shows_what_the_receiver_does)
{
	for_each(watched_after);
}

static void both_watch(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0), set = set_watching(fd, interest, 1);
	peer_send_one(p, fd);
	cr_assert_eq(peer_do(p, PEER_SET, 0, (int)interest, DATA(2)).ret, 0);
	set_event(set);
	expect_there(p, 1, interest & OUT, DATA(2));
	for (int round = 0; round < 3; round++) {
		write_there(p, 0, 1);
		cr_assert_eq(set_event(set), after_write(interest));
		expect_there(p, 1, after_write(interest), DATA(2));
		take_count(fd);
		cr_assert_eq(set_event(set), after_read(interest));
		expect_there(p, 1, after_read(interest), DATA(2));
	}
	close(fd);
	close(set);
}

Test(rights_watch, sets_on_both_sides_show_all)
{
	for_each(both_watch);
}

static void sleeps_there(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(interest & IN ? 0 : COUNT_LIMIT);
	peer_send_one(p, fd);
	cr_assert_eq(peer_do(p, PEER_SET, 0, (int)interest, DATA(3)).ret, 0);
	expect_there(p, 1, interest & IN ? interest & OUT : 0, DATA(3));
	if (interest & OUT && interest & IN && !(interest & EPOLLET)) {
		close(fd);
		return; /* it never sleeps */
	}
	peer_ask_asleep(p, PEER_WAIT, 1, 0, 0);
	if (interest & IN)
		add_count(fd, 1);
	else
		take_count(fd);
	struct peer_answer a = peer_answer(p);
	cr_assert_eq(a.ret, interest & BOTH);
	cr_assert_eq(a.value, DATA(3));
	close(fd);
}

Test(rights_watch, a_loop_that_sleeps_there_is_woken_from_here)
{
	for_each(sleeps_there);
}

static void sleeps_here(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(interest & IN ? 0 : COUNT_LIMIT);
	struct waited wait = {.set = set_watching(fd, interest, DATA(4))};
	struct waiter w;
	peer_send_one(p, fd);
	bool sleeps = !set_event(wait.set) || interest & EPOLLET;
	if (sleeps) {
		waiter_start(&w, call_epoll_wait, &wait);
		if (interest & IN)
			write_there(p, 0, 1);
		else
			read_there(p, 0);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(wait.events[0].events, interest & BOTH);
		cr_assert_eq(wait.events[0].data.u64, DATA(4));
	}
	close(fd);
	close(wait.set);
}

Test(rights_watch, a_loop_that_sleeps_here_is_woken_from_there)
{
	for_each(sleeps_here);
}

static void one_shot(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0), set;
	interest = (interest & (IN | OUT)) | EPOLLONESHOT;
	set = set_watching(fd, interest, 1);
	peer_send_one(p, fd);
	cr_assert_eq(peer_do(p, PEER_SET, 0, (int)interest, DATA(5)).ret, 0);
	write_there(p, 0, 1);
	cr_assert_eq(set_event(set), interest & BOTH);
	expect_there(p, 1, interest & BOTH, DATA(5));
	write_there(p, 0, 1);
	cr_assert_eq(set_event(set), 0);
	expect_there(p, 1, 0, 0);
	set_ctl(set, EPOLL_CTL_MOD, fd, interest, 1);
	cr_assert_eq(set_event(set), interest & BOTH);
	expect_there(p, 1, 0, 0);
	close(fd);
	close(set);
}

Test(rights_watch, one_shots_fire_once_on_each_side)
{
	for_each(one_shot);
}

/* The shim's one difference: edge-triggered watches of OUT in a set that is sent tell their state
 * once more. */
static void take_told_again(int set, uint32_t interest)
{
	if (tk_under_shim() && (interest & EPOLLET) && (interest & OUT))
		set_event(set);
}

/* Nobody there ever had the eventfd: the set alone was sent. */
static void set_alone(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(0), set = set_watching(fd, interest, DATA(6));
	set_event(set);
	peer_send_one(p, set);
	take_told_again(set, interest);
	for (int round = 0; round < 3; round++) {
		add_count(fd, 1);
		expect_there(p, 0, after_write(interest), DATA(6));
		take_count(fd);
		expect_there(p, 0, after_read(interest), DATA(6));
	}
	close(set);
	add_count(fd, COUNT_LIMIT);
	expect_there(p, 0, interest & IN, DATA(6));
	close(fd);
	expect_there(p, 0, 0, 0);
}

Test(rights_watch, a_set_that_is_sent_keeps_reporting)
{
	for_each(set_alone);
}

static void set_with_its_eventfd(struct peer p, uint32_t interest)
{
	int fds[2] = {eventfd_at(0)};
	fds[1] = set_watching(fds[0], interest, DATA(7));
	set_event(fds[1]);
	peer_send(p, fds, 2);
	take_told_again(fds[1], interest);
	close(fds[0]);
	close(fds[1]);
	write_there(p, 0, 1);
	expect_there(p, 1, after_write(interest), DATA(7));
	read_there(p, 0);
	expect_there(p, 1, after_read(interest), DATA(7));
	cr_assert_eq(peer_do(p, PEER_CLOSE, 0, 0, 0).ret, 0);
	expect_there(p, 1, 0, 0);
}

Test(rights_watch, so_it_does_where_the_sender_closed_all)
{
	for_each(set_with_its_eventfd);
}

static void set_of_both(struct peer p, uint32_t interest)
{
	int fds[2] = {eventfd_at(0)};
	fds[1] = set_watching(fds[0], 0, DATA(8));
	peer_send(p, fds, 2);
	set_ctl(fds[1], EPOLL_CTL_MOD, fds[0], interest & ~(uint32_t)EPOLLEXCLUSIVE, DATA(9));
	expect_there(p, 1, interest & OUT, DATA(9));
	add_count(fds[0], 1);
	if (after_write(interest))
		expect_there(p, 1, after_write(interest), DATA(9));
	set_ctl(fds[1], EPOLL_CTL_DEL, fds[0], 0, 0);
	expect_there(p, 1, 0, 0);
	close(fds[0]);
	close(fds[1]);
}

Test(rights_watch, what_the_sender_changes_in_it_shows_there)
{
	for_each(set_of_both);
}

/* The receiver's number is another one: its watch is one more of the same object. */
static void watched_there(struct peer p, uint32_t interest)
{
	struct epoll_event events[4];
	int pad = eventfd_at(0), fds[3] = {pad, eventfd_at(0)};
	fds[2] = epoll_create1(EPOLL_CLOEXEC);
	cr_assert(fds[2] >= 0);
	peer_send(p, fds, 3);
	cr_assert_eq(peer_do(p, PEER_CTL, 1, (int)interest, DATA(10)).ret, 0);
	epoll_wait(fds[2], events, 4, 0);
	add_count(fds[1], 1);
	int n = epoll_wait(fds[2], events, 4, 0);
	cr_assert_eq(n, after_write(interest) ? 1 : 0);
	cr_assert(!n ||
		  (events[0].events == after_write(interest) && events[0].data.u64 == DATA(10)));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

Test(rights_watch, what_the_receiver_adds_to_it_shows_here)
{
	for_each(watched_there);
}

static void sleeps_in_sent_set(struct peer p, uint32_t interest)
{
	int fd = eventfd_at(COUNT_LIMIT), set;
	if (interest & IN)
		take_count(fd);
	set = set_watching(fd, interest & ~(uint32_t)(interest & IN ? OUT : 0), DATA(11));
	peer_send_one(p, set);
	peer_ask_asleep(p, PEER_WAIT, 0, 0, 0);
	if (interest & IN)
		add_count(fd, 1);
	else
		take_count(fd);
	struct peer_answer a = peer_answer(p);
	cr_assert_eq(a.ret, interest & IN ? IN : OUT);
	cr_assert_eq(a.value, DATA(11));
	close(fd);
	close(set);
}

Test(rights_watch, a_loop_that_sleeps_in_it_is_woken)
{
	for_each(sleeps_in_sent_set);
}
