/* epoll: what a watch asks for and carries: interests changed by MOD, user data, events among
 * several. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_modes, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

static const uint32_t classes[] = {
	0, IN, OUT, BOTH, EPOLLPRI, IN | EPOLLPRI, OUT | EPOLLPRI, BOTH | EPOLLPRI};

static const uint64_t odd_data[] = {0, UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(0xffffffff),
	UINT64_C(0xffffffff00000000), UINT64_C(0xdeadbeefcafef00d), UINT64_C(0x7fffffffffffffff)};

static uint64_t data_of(int set)
{
	struct epoll_event event;
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
	return event.data.u64;
}

Test(epoll_modes, mod_between_all_interests)
{
	static const uint64_t counts[] = {0, 1, COUNT_LIMIT};
	static const uint32_t levels[] = {OUT, BOTH, IN};
	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		struct watched w = watch_pair(counts[c], 0, 0);
		for (size_t i = 0; i < ARRAY_LEN(classes) * ARRAY_LEN(classes); i++) {
			uint32_t from = classes[i / ARRAY_LEN(classes)];
			uint32_t to = classes[i % ARRAY_LEN(classes)];
			pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, from, i);
			expect_event(w, from & levels[c]);
			pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, to, i);
			expect_event(w, to & levels[c]);
		}
		unwatch_pair(w);
	}
}

Test(epoll_modes, interest_of_mod_follows_later_changes)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		for (size_t j = 0; j < ARRAY_LEN(classes); j++) {
			struct watched w = watch_pair(0, 0, classes[i]);
			pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, classes[j], 9);
			pair_write(w.fd, 1);
			expect_event(w, classes[j] & BOTH);
			pair_write(w.fd, COUNT_LIMIT - 1);
			expect_event(w, classes[j] & IN);
			pair_read(w.fd, NULL);
			expect_event(w, classes[j] & OUT);
			unwatch_pair(w);
		}
}

Test(epoll_modes, interest_that_is_not_met_any_more_is_not_reported)
{
	struct watched w = watch_pair(1, 0, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, EPOLLPRI, 1);
	expect_event(w, 0);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1);
	pair_read(w.fd, NULL);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_modes, interest_zero_reports_nothing_but_stays_a_watch)
{
	struct watched w = watch_pair(1, 0, 0);
	expect_event(w, 0);
	pair_write(w.fd, 1);
	expect_event(w, 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, IN, 1), -EEXIST);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, IN, 1), 0);
	expect_event(w, IN);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, 0, 1), 0);
	expect_event(w, 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0), 0);
	unwatch_pair(w);
}

Test(epoll_modes, bits_that_never_come_do_no_harm)
{
	static const uint32_t extra[] = {EPOLLPRI, EPOLLRDHUP, EPOLLERR, EPOLLHUP, EPOLLRDNORM,
		EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, 1u << 5, 1u << 11, 1u << 20};
	for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
		struct watched alone = watch_pair(1, 0, extra[i]);
		expect_event(alone, 0);
		unwatch_pair(alone);
		struct watched with = watch_pair(1, 0, extra[i] | IN | OUT);
		expect_event(with, IN | OUT);
		unwatch_pair(with);
	}
}

Test(epoll_modes, wakeup_bit_is_accepted)
{
	struct watched w = watch_pair(0, 0, IN | EPOLLWAKEUP);
	pair_write(w.fd, 1);
	expect_event(w, IN);
	pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, BOTH | EPOLLWAKEUP | EPOLLET, 1);
	expect_event(w, BOTH);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_modes, user_data_comes_back_bit_for_bit)
{
	for (size_t c = 1; c < ARRAY_LEN(classes); c++) {
		if (!(classes[c] & BOTH))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(odd_data); i++) {
			int fd = eventfd_at(1), set = set_watching(fd, classes[c], odd_data[i]);
			cr_assert_eq(data_of(set), odd_data[i]);
			cr_assert_eq(data_of(set), odd_data[i]);
			close(set);
			close(fd);
		}
	}
}

Test(epoll_modes, user_data_comes_back_from_every_mode)
{
	static const uint32_t modes[] = {EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE,
		EPOLLET | EPOLLONESHOT, EPOLLET | EPOLLEXCLUSIVE};
	for (size_t m = 0; m < ARRAY_LEN(modes); m++)
		for (size_t i = 0; i < ARRAY_LEN(odd_data); i++)
			for (uint32_t which = 1; which < 4; which++) {
				uint32_t events =
					modes[m] | (which & 1 ? IN : 0) | (which & 2 ? OUT : 0);
				int fd = eventfd_at(1), set = set_watching(fd, events, odd_data[i]);
				cr_assert_eq(data_of(set), odd_data[i]);
				close(set);
				close(fd);
			}
}

Test(epoll_modes, mod_changes_the_user_data)
{
	for (size_t c = 1; c < 4; c++) {
		int fd = eventfd_at(1), set = set_watching(fd, classes[c], 1);
		for (size_t i = 0; i < ARRAY_LEN(odd_data); i++) {
			set_ctl(set, EPOLL_CTL_MOD, fd, classes[c], odd_data[i]);
			cr_assert_eq(data_of(set), odd_data[i]);
		}
		close(set);
		close(fd);
	}
}

Test(epoll_modes, mod_changes_interest_and_data_together)
{
	int fd = eventfd_at(1), set = set_watching(fd, IN, 0);
	for (size_t i = 0; i < ARRAY_LEN(odd_data); i++) {
		struct epoll_event event;
		set_ctl(set, EPOLL_CTL_MOD, fd, i % 2 ? OUT : BOTH, odd_data[i]);
		cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
		cr_assert_eq(event.data.u64, odd_data[i]);
		cr_assert_eq(event.events, i % 2 ? OUT : (uint32_t)BOTH);
	}
	close(set);
	close(fd);
}

Test(epoll_modes, same_user_data_for_all_watches)
{
	int set = epoll_create1(0), fds[4];
	struct epoll_event events[4];
	for (int i = 0; i < 4; i++) {
		fds[i] = eventfd_at(1);
		set_ctl(set, EPOLL_CTL_ADD, fds[i], classes[1 + i % 3], UINT64_MAX);
	}
	cr_assert_eq(epoll_wait(set, events, 4, 0), 4);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(events[i].data.u64, UINT64_MAX);
		close(fds[i]);
	}
	close(set);
}

Test(epoll_modes, events_behind_the_last_one_are_not_touched)
{
	int fd = eventfd_at(1), set = set_watching(fd, BOTH, 3);
	struct epoll_event events[4], untouched;
	memset(events, 0xa5, sizeof(events));
	untouched = events[3];
	cr_assert_eq(epoll_wait(set, events, 4, 0), 1);
	for (int i = 1; i < 4; i++)
		cr_assert_eq(memcmp(&events[i], &untouched, sizeof(untouched)), 0);
	close(set);
	close(fd);
}

Test(epoll_modes, out_alone_and_the_limit)
{
	struct watched w = watch_pair(COUNT_LIMIT, EFD_SEMAPHORE, OUT);
	expect_event(w, 0);
	pair_read(w.fd, NULL);
	expect_event(w, OUT);
	pair_write(w.fd, 1);
	expect_event(w, 0);
	unwatch_pair(w);
}

/* Three ready ones and room for `room` at a time: nobody may starve. */
static void check_rotation(const uint32_t interest[3], int room)
{
	enum { ROUNDS = 12 };
	int set = epoll_create1(0), fds[3], seen[3] = {0};
	for (uint64_t i = 0; i < 3; i++) {
		fds[i] = eventfd_at(1);
		set_ctl(set, EPOLL_CTL_ADD, fds[i], interest[i], i);
	}
	for (int round = 0; round < ROUNDS; round++) {
		struct epoll_event events[3];
		cr_assert_eq(epoll_wait(set, events, room, 0), room);
		for (int i = 0; i < room; i++)
			seen[events[i].data.u64]++;
	}
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(seen[i], ROUNDS * room / 3);
		close(fds[i]);
	}
	close(set);
}

Test(epoll_modes, maxevents_rotates_among_the_ready_ones)
{
	static const uint32_t mixes[][3] = {{IN, IN, IN}, {OUT, OUT, OUT}, {IN, OUT, BOTH}};
	for (size_t i = 0; i < ARRAY_LEN(mixes); i++)
		for (int room = 1; room <= 3; room++)
			check_rotation(mixes[i], room);
}

Test(epoll_modes, maxevents_leaves_the_other_edges_for_the_next_wait)
{
	static const uint32_t interest[] = {IN | EPOLLET, OUT | EPOLLET, BOTH | EPOLLET};
	int set = epoll_create1(0), fds[3];
	uint64_t seen = 0;
	struct epoll_event event;
	for (uint64_t i = 0; i < 3; i++) {
		fds[i] = eventfd_at(1);
		set_ctl(set, EPOLL_CTL_ADD, fds[i], interest[i], UINT64_C(1) << i);
	}
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
		seen |= event.data.u64;
	}
	cr_assert_eq(seen, 7);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(set);
}

Test(epoll_modes, events_come_in_the_order_they_arose)
{
	static const int order[] = {2, 0, 3, 1};
	int set = epoll_create1(0), fds[4];
	struct epoll_event events[4];
	for (uint64_t i = 0; i < 4; i++) {
		fds[i] = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fds[i], IN, i);
	}
	for (int i = 0; i < 4; i++)
		add_count(fds[order[i]], 1);
	cr_assert_eq(epoll_wait(set, events, 4, 0), 4);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(events[i].data.u64, (uint64_t)order[i]);
		close(fds[i]);
	}
	close(set);
}

Test(epoll_modes, hundreds_of_watches_in_one_set)
{
	enum { MANY = 300 };
	static struct epoll_event events[MANY];
	int set = epoll_create1(0), fds[MANY], in = 0, out = 0;
	for (uint64_t i = 0; i < MANY; i++) {
		fds[i] = eventfd_at(i % 3 ? COUNT_LIMIT : 0);
		set_ctl(set, EPOLL_CTL_ADD, fds[i], i % 2 ? IN : BOTH, i << 40);
	}
	int n = epoll_wait(set, events, MANY, 0);
	for (int i = 0; i < n; i++) {
		uint64_t who = events[i].data.u64 >> 40;
		in += events[i].events == IN && who % 3 != 0;
		out += events[i].events == OUT && who % 3 == 0 && who % 2 == 0;
	}
	cr_assert_eq(in, MANY / 3 * 2);
	cr_assert_eq(out, MANY / 6);
	cr_assert_eq(n, in + out);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	cr_assert_eq(epoll_wait(set, events, MANY, 0), 0);
	close(set);
}
