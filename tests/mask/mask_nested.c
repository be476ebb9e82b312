/* Epoll sets that hold mask eventfds and are watched themselves: by other sets, by poll and select.
 * They are readable exactly where their own epoll_wait would report something. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmodel.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <unistd.h>

TestSuite(mask_nested, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

static const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT};
enum { MODES = 3 };

/* The set is readable, or not, in everybody's eyes. */
static void expect_readable(int inner, int outer, bool readable, uint32_t state, uint32_t interest)
{
	uint32_t polled = mask_poll(inner, EPOLLIN | EPOLLOUT | EPOLLPRI);
	unsigned selected = mask_select(inner, 7);
	uint32_t told = mask_event(outer, NULL);
	if (polled != readable || selected != readable || told != readable)
		cr_assert_fail("state %#x, interest %#x: poll of the set %#x, select %#x, outer "
			       "set %#x, instead of %d",
			state, interest, polled, selected, told, readable);
}

Test(mask_nested, a_set_is_readable_where_its_watch_matches)
{
	int fd = mask_open(0);
	for (uint32_t i = 0; i < MASK_INTERESTS * MODES; i++) {
		uint32_t interest = i / MODES, mode = modes[i % MODES];
		int inner = mask_watch(fd, interest | mode, 1);
		int outer = mask_watch(inner, EPOLLIN, 2);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			bool matches = model_wakes(state, interest);
			mask_set(fd, state);
			expect_readable(inner, outer, matches, state, interest);
			expect_readable(inner, outer, matches, state, interest);
			cr_assert_eq(mask_event(inner, NULL), model_poll(state, interest));
			expect_readable(inner, outer, matches && !mode, state, interest);
			mask_set(fd, 0);
			expect_readable(inner, outer, false, 0, interest);
			if (mode == EPOLLONESHOT)
				mask_ctl(inner, EPOLL_CTL_MOD, fd, interest | mode, 1);
		}
		close(outer);
		close(inner);
	}
	mask_close(fd);
}

/* Another watch of the same object, by edge, elsewhere: what wakes that one is nothing to ours. */
Test(mask_nested, watches_of_other_interests_elsewhere_change_nothing)
{
	for (uint32_t i = 0; i < MASK_INTERESTS * MASK_INTERESTS; i++) {
		uint32_t interest = i / MASK_INTERESTS, other = i % MASK_INTERESTS;
		int fd = mask_open(0), copy = dup(fd);
		int inner = mask_watch(fd, interest, 1), outer = mask_watch(inner, EPOLLIN, 2);
		int elsewhere = mask_watch(copy, other | EPOLLET, 3);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			mask_set(fd, state);
			expect_readable(
				inner, outer, model_wakes(state, interest), state, interest);
			cr_assert_eq(mask_event(elsewhere, NULL), model_poll(state, other));
			expect_readable(
				inner, outer, model_wakes(state, interest), state, interest);
		}
		close(outer);
		close(elsewhere);
		close(inner);
		mask_close(copy);
		mask_close(fd);
	}
}

/* The next object has the place of one that was readable when it went. */
Test(mask_nested, what_an_earlier_object_showed_is_gone)
{
	for (uint32_t i = 0; i < MASK_INTERESTS * MODES; i++) {
		uint32_t interest = i / MODES, mode = modes[i % MODES];
		int fd = mask_open(0), inner = mask_watch(fd, interest | mode, 1);
		mask_set(fd, MASK_STATES - 1);
		mask_close(fd);
		cr_assert_eq(mask_poll(inner, EPOLLIN), 0);
		close(inner);
		fd = mask_open(0);
		mask_set(fd, 7U & ~interest);
		inner = mask_watch(fd, interest | mode, 1);
		int outer = mask_watch(inner, EPOLLIN, 2);
		expect_readable(inner, outer, false, 7U & ~interest, interest);
		cr_assert_eq(mask_event(inner, NULL), 0);
		close(outer);
		close(inner);
		mask_close(fd);
	}
}

/* Each matching write is an edge for the outer set, however often the state was there before. */
Test(mask_nested, an_outer_set_by_edge_sees_every_write_that_matches)
{
	int fd = mask_open(0), copy = dup(fd);
	for (uint32_t i = 0; i < MASK_INTERESTS * MODES; i++) {
		uint32_t interest = i / MODES, mode = modes[i % MODES];
		if (mode == EPOLLONESHOT)
			continue;
		int inner = mask_watch(fd, interest | mode, 1);
		int outer = mask_watch(inner, EPOLLIN | EPOLLET, 2);
		mask_event(outer, NULL);
		for (uint32_t state = 1; state < MASK_STATES; state++) {
			for (int round = 0; round < 3; round++) {
				uint32_t want = model_wakes(state, interest);
				mask_set(fd, state);
				uint32_t got = mask_event(outer, NULL);
				cr_assert_eq(got, want, "state %#x, interest %#x, mode %#x: %#x",
					state, interest, mode, got);
				cr_assert_eq(mask_event(outer, NULL), 0);
			}
		}
		close(outer);
		close(inner);
	}
	mask_close(copy);
	mask_close(fd);
}

/* Made ready by epoll_ctl instead of by a write. */
Test(mask_nested, ADD_and_MOD_of_a_ready_watch_are_edges_for_the_outer_set)
{
	int fd = mask_open(0), copy = dup(fd), inner = mask_new_set();
	int outer = mask_watch(inner, EPOLLIN | EPOLLET, 2);
	mask_set(fd, EPOLLPRI);
	for (int round = 0; round < 3; round++) {
		cr_assert_eq(mask_event(outer, NULL), 0);
		mask_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
		cr_assert_eq(mask_event(outer, NULL), 0);
		mask_ctl(inner, EPOLL_CTL_MOD, fd, EPOLLPRI | EPOLLET, 1);
		cr_assert_eq(mask_event(outer, NULL), EPOLLIN);
		cr_assert_eq(mask_event(outer, NULL), 0);
		cr_assert_eq(mask_event(inner, NULL), EPOLLPRI);
		mask_ctl(inner, EPOLL_CTL_MOD, fd, EPOLLPRI | EPOLLIN | EPOLLET, 1);
		cr_assert_eq(mask_event(outer, NULL), EPOLLIN);
		mask_ctl(inner, EPOLL_CTL_ADD, copy, EPOLLPRI, 3);
		cr_assert_eq(mask_event(outer, NULL), EPOLLIN);
		cr_assert_eq(mask_event(outer, NULL), 0);
		mask_ctl(inner, EPOLL_CTL_DEL, fd, 0, 0);
		mask_ctl(inner, EPOLL_CTL_DEL, copy, 0, 0);
	}
	close(outer);
	close(inner);
	mask_close(copy);
	mask_close(fd);
}

/* Four sets deep. */
Test(mask_nested, deeper)
{
	enum { DEPTH = 4 };
	int fd = mask_open(0), set[DEPTH] = {mask_watch(fd, EPOLLPRI, 0)};
	for (int i = 1; i < DEPTH; i++)
		set[i] = mask_watch(set[i - 1], EPOLLIN, (uint64_t)i);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		uint32_t want = model_wakes(state, EPOLLPRI);
		mask_set(fd, state);
		for (int i = DEPTH - 1; i > 0; i--) {
			cr_assert_eq(mask_poll(set[i], EPOLLIN), want);
			cr_assert_eq(mask_event(set[i], NULL), want);
		}
		cr_assert_eq(mask_event(set[0], NULL), model_poll(state, EPOLLPRI));
	}
	mask_close(fd);
	for (int i = DEPTH - 1; i >= 0; i--) {
		cr_assert_eq(mask_poll(set[i], EPOLLIN), 0);
		close(set[i]);
	}
}

/* The inner set watches one object for everything, and the outer one the object too. */
Test(mask_nested, an_object_in_both_sets)
{
	int fd = mask_open(0), inner = mask_watch(fd, EPOLLPRI | EPOLLET, 1),
	    outer = mask_watch(inner, EPOLLIN, 2);
	mask_ctl(outer, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 3);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		struct epoll_event events[4];
		uint32_t of_set = 0, of_fd = 0;
		mask_set(fd, state);
		int n = epoll_wait(outer, events, 4, 0);
		for (int i = 0; i < n; i++)
			*(events[i].data.u64 == 2 ? &of_set : &of_fd) = events[i].events;
		cr_assert_eq(of_set, model_wakes(state, EPOLLPRI));
		cr_assert_eq(of_fd, model_poll(state, EPOLLOUT));
		cr_assert_eq(mask_event(inner, NULL), model_poll(state, EPOLLPRI));
		cr_assert_eq(mask_event(outer, NULL), 0);
	}
	close(outer);
	close(inner);
	mask_close(fd);
}
