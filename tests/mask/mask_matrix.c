/* Mask eventfds in every state, under every call with every interest, in one process. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmatrix.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

TestSuite(mask_matrix, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static void with_self(void (*run)(struct matrix *x))
{
	struct mate self = mate_start(MATE_SELF);
	int fd = mask_open(0);
	struct matrix x = matrix_hand(&self, &self, fd);
	matrix_open(&x);
	run(&x);
	matrix_close(&x);
	mask_close(fd);
	mate_end(&self);
}

Test(mask_matrix, poll_and_select_in_every_state)
{
	with_self(matrix_levels);
}

Test(mask_matrix, every_mode_of_epoll_in_every_state)
{
	with_self(matrix_sets);
}

Test(mask_matrix, every_mode_of_epoll_from_every_state_to_every_other)
{
	with_self(matrix_steps);
}

Test(mask_matrix, watches_made_in_every_state)
{
	with_self(matrix_fresh);
}

Test(mask_matrix, all_of_it_twice_on_one_object)
{
	struct mate self = mate_start(MATE_SELF);
	int fd = mask_open(0);
	struct matrix x = matrix_hand(&self, &self, fd), y = x;
	matrix_open(&x);
	matrix_open(&y);
	matrix_sets(&x);
	matrix_close(&x);
	matrix_levels(&y);
	matrix_open(&x);
	matrix_sets(&x);
	matrix_close(&y);
	matrix_steps(&x);
	matrix_close(&x);
	mask_close(fd);
}

Test(mask_matrix, written_and_watched_through_different_copies)
{
	struct mate self = mate_start(MATE_SELF);
	int fd = mask_open(0), copy = dup(fd);
	struct matrix x = matrix_hand(&self, &self, fd);
	x.wfd = copy;
	matrix_open(&x);
	matrix_levels(&x);
	matrix_sets(&x);
	matrix_close(&x);
	mask_close(copy);
	mask_close(fd);
}

static void mod_in_state(int fd, uint32_t state, uint32_t flags)
{
	int set = mask_watch(fd, flags, 1);
	uint64_t data = 0;
	mask_set(fd, state);
	mask_event(set, NULL);
	for (uint32_t i = 0; i < MASK_INTERESTS * MASK_INTERESTS; i++) {
		uint32_t from = i / MASK_INTERESTS, to = i % MASK_INTERESTS;
		mask_ctl(set, EPOLL_CTL_MOD, fd, from | flags, 2);
		mask_ctl(set, EPOLL_CTL_MOD, fd, to | flags, ~(uint64_t)i);
		uint32_t want = model_poll(state, to), got = mask_event(set, &data);
		if (got != want || (got && data != ~(uint64_t)i))
			cr_assert_fail("state %#x, MOD from %#x to %#x, flags %#x: %#x, not %#x",
				state, from, to, flags, got, want);
		got = mask_event(set, NULL);
		if (got != (flags ? 0 : want))
			cr_assert_fail("state %#x, MOD from %#x to %#x, flags %#x: then %#x", state,
				from, to, flags, got);
	}
	close(set);
}

Test(mask_matrix, MOD_between_all_interests_in_every_state)
{
	int fd = mask_open(0);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		for (unsigned m = 0; m < MATRIX_MODES; m++)
			mod_in_state(fd, state, matrix_flags[m]);
	}
	mask_close(fd);
}

/* An edge is used up: MOD brings one anew, and what follows goes by the new interest. */
Test(mask_matrix, writes_after_MOD_follow_the_new_interest)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLET, 1);
	for (uint32_t i = 0; i < MASK_INTERESTS * MASK_INTERESTS; i++) {
		mask_set(fd, 0);
		mask_ctl(set, EPOLL_CTL_MOD, fd, i / MASK_INTERESTS | EPOLLET, 2);
		mask_ctl(set, EPOLL_CTL_MOD, fd, i % MASK_INTERESTS | EPOLLET, 3);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			mask_set(fd, state);
			uint32_t got = mask_event(set, NULL),
				 want = model_poll(state, i % MASK_INTERESTS);
			if (got != want)
				cr_assert_fail("MOD from %#x to %#x, %#x written: %#x, not %#x",
					i / MASK_INTERESTS, i % MASK_INTERESTS, state, got, want);
		}
	}
	close(set);
	mask_close(fd);
}

/* Eight entries for one fd, each with another interest, next to other files. */
Test(mask_matrix, one_poll_with_every_interest)
{
	int fd = mask_open(0), other = mask_open(0), ends[2];
	cr_assert_eq(pipe(ends), 0);
	struct pollfd p[MASK_INTERESTS + 4] = {[MASK_INTERESTS] = {ends[1], POLLOUT, 0},
		{ends[0], POLLIN, 0},
		{other, POLLIN | POLLOUT | POLLPRI, 0},
		{-1, POLLIN, -1}};
	for (int i = 0; i < MASK_INTERESTS; i++)
		p[i] = (struct pollfd){fd, (short)i, -1};
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		int expected = 1;
		mask_set(fd, state);
		int n = poll(p, MASK_INTERESTS + 4, 0);
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			uint32_t want = model_poll(state, i);
			cr_assert_eq((uint32_t)p[i].revents, want, "state %#x, interest %#x: %#x",
				state, i, (unsigned)p[i].revents);
			expected += want != 0;
		}
		cr_assert_eq(p[MASK_INTERESTS].revents, POLLOUT);
		cr_assert_eq(p[MASK_INTERESTS + 1].revents, 0);
		cr_assert_eq(p[MASK_INTERESTS + 2].revents, 0);
		cr_assert_eq(p[MASK_INTERESTS + 3].revents, 0);
		cr_assert_eq(n, expected);
	}
	close(ends[0]);
	close(ends[1]);
	mask_close(other);
	mask_close(fd);
}

/* Bits that are never set in a state are never reported either, whatever is asked for. */
Test(mask_matrix, other_bits_of_an_interest_change_nothing)
{
	static const uint32_t extra[] = {EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLRDNORM, EPOLLRDBAND,
		EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, EPOLLERR | EPOLLHUP | EPOLLRDNORM};
	int fd = mask_open(0);
	for (size_t e = 0; e < sizeof(extra) / sizeof(*extra); e++) {
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			int set = mask_watch(fd, i | extra[e], 7);
			for (uint32_t state = 0; state < MASK_STATES; state++) {
				uint32_t want = model_poll(state, i);
				mask_set(fd, state);
				uint32_t polled = mask_poll(fd, i | extra[e]),
					 told = mask_event(set, NULL);
				if (polled != want || told != want)
					cr_assert_fail(
						"state %#x, interest %#x: %#x and %#x, not %#x",
						state, i | extra[e], polled, told, want);
			}
			close(set);
		}
	}
	mask_close(fd);
}
