#define _GNU_SOURCE
#include "maskmatrix.h"
#include "maskkit.h"

#include <criterion/criterion.h>
#include <stdio.h>

const uint32_t matrix_flags[MATRIX_MODES] = {0, EPOLLET, EPOLLONESHOT};

static const char *const mode_names[MATRIX_MODES] = {"level", "edge", "one-shot"};

/* Any 64 bits must come back. */
static uint64_t data_of(unsigned mode, uint32_t interest)
{
	return (UINT64_C(0x8000000000000001) ^ (uint64_t)interest << 32) +
	       (uint64_t)mode * UINT64_C(0x7654321012345678);
}

struct matrix matrix_hand(struct mate *writer, struct mate *watcher, int fd)
{
	struct matrix x = {.writer = writer, .watcher = watcher};
	x.wfd = mate_hand(writer, fd);
	x.fd = writer == watcher ? x.wfd : mate_hand(watcher, fd);
	return x;
}

static int copy_of(struct matrix *x)
{
	long copy = mate_do(x->watcher, (struct mate_call){.op = MATE_DUP, .fd = x->fd}).ret;
	if (copy < 0)
		cr_assert_fail("dup: %ld", copy);
	return (int)copy;
}

void matrix_open(struct matrix *x)
{
	for (int i = 0; i < MASK_INTERESTS; i++)
		x->copy[i] = copy_of(x);
	for (unsigned m = 0; m < MATRIX_MODES; m++) {
		x->many[m] = mate_new_set(x->watcher);
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			uint32_t events = i | matrix_flags[m];
			x->set[m][i] = mate_new_set(x->watcher);
			mate_ctl(x->watcher, EPOLL_CTL_ADD, x->set[m][i], x->fd, events,
				data_of(m, i));
			mate_ctl(x->watcher, EPOLL_CTL_ADD, x->many[m], x->copy[i], events,
				data_of(m, i));
		}
	}
}

void matrix_close(struct matrix *x)
{
	for (int m = 0; m < MATRIX_MODES; m++) {
		mate_close(x->watcher, x->many[m]);
		for (int i = 0; i < MASK_INTERESTS; i++)
			mate_close(x->watcher, x->set[m][i]);
	}
	for (int i = 0; i < MASK_INTERESTS; i++)
		mate_close(x->watcher, x->copy[i]);
}

static void put(struct matrix *x, uint32_t state)
{
	mate_write(x->writer, x->wfd, state, mask_data(state, 1));
}

static void differs(const struct matrix *x, const char *what, uint32_t state, uint32_t interest,
	uint32_t got, uint32_t want)
{
	cr_assert_fail("%s of %s, state %#x written by %s, interest %#x: %#x instead of %#x", what,
		mate_name(x->watcher->kind), state, mate_name(x->writer->kind), interest, got,
		want);
}

static void check_poll(struct matrix *x, uint32_t state, uint32_t interest, enum mate_op op)
{
	struct mate_call call = {.op = op, .fd = x->fd, .events = interest};
	struct mate_reply r = mate_do(x->watcher, call);
	uint32_t want = model_poll(state, interest);
	if (r.events != want)
		differs(x, "poll", state, interest, r.events, want);
	if (r.ret != (want != 0))
		cr_assert_fail("poll for %#x returns %ld", interest, r.ret);
}

static void check_select(struct matrix *x, uint32_t state, unsigned sets, enum mate_op op)
{
	struct mate_call call = {.op = op, .fd = x->fd, .events = sets};
	struct mate_reply r = mate_do(x->watcher, call);
	unsigned want = model_select(state, sets);
	if (r.events != want)
		differs(x, "select", state, sets, r.events, want);
	if (r.ret != __builtin_popcount(want))
		cr_assert_fail("select of %#x returns %ld", sets, r.ret);
}

void matrix_levels(struct matrix *x)
{
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		put(x, state);
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			check_poll(x, state, i, MATE_POLL);
			check_poll(x, state, i, MATE_PPOLL);
			check_select(x, state, i, MATE_SELECT);
			check_select(x, state, i, MATE_PSELECT);
		}
	}
	put(x, 0);
}

static void check_set(
	struct matrix *x, unsigned mode, int set, uint32_t state, uint32_t interest, uint32_t want)
{
	uint64_t data = data_of(mode, interest);
	uint32_t got = mate_event(x->watcher, set, &data);
	if (got != want)
		differs(x, mode_names[mode], state, interest, got, want);
	if (data != data_of(mode, interest))
		cr_assert_fail("other data: %#jx", (uintmax_t)data);
}

/* All sets of one watch of a mode: `told` where each has something to say for the first time. */
static void check_mode(struct matrix *x, unsigned mode, uint32_t state, bool told)
{
	for (uint32_t i = 0; i < MASK_INTERESTS; i++)
		check_set(x, mode, x->set[mode][i], state, i, told ? model_poll(state, i) : 0);
}

static void check_many(struct matrix *x, unsigned mode, uint32_t state, bool told)
{
	struct mate_call call = {.op = MATE_WAIT, .fd = x->many[mode]};
	struct mate_reply r = mate_do(x->watcher, call);
	int expected = 0;
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		uint32_t want = told ? model_poll(state, i) : 0, got = 0;
		for (long e = 0; e < r.ret; e++)
			got |= r.got[e].data.u64 == data_of(mode, i) ? r.got[e].events : 0;
		if (got != want)
			differs(x, mode_names[mode], state, i, got, want);
		expected += want != 0;
	}
	if (r.ret != expected)
		cr_assert_fail("%ld events, not %d, in state %#x", r.ret, expected, state);
}

static void check_all(struct matrix *x, uint32_t state, bool edges, bool once)
{
	check_mode(x, MATRIX_LEVEL, state, true);
	check_mode(x, MATRIX_EDGE, state, edges);
	check_mode(x, MATRIX_ONCE, state, once);
	for (unsigned m = 0; m < MATRIX_MODES; m++)
		check_many(x, m, state,
			m == MATRIX_LEVEL || (m == MATRIX_EDGE && edges) ||
				(m == MATRIX_ONCE && once));
}

static void arm(struct matrix *x)
{
	uint32_t flags = matrix_flags[MATRIX_ONCE];
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		uint64_t data = data_of(MATRIX_ONCE, i);
		mate_ctl(x->watcher, EPOLL_CTL_MOD, x->set[MATRIX_ONCE][i], x->fd, i | flags, data);
		mate_ctl(x->watcher, EPOLL_CTL_MOD, x->many[MATRIX_ONCE], x->copy[i], i | flags,
			data);
	}
}

void matrix_sets(struct matrix *x)
{
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		put(x, state);
		check_all(x, state, true, true);
		check_all(x, state, false, false);
		put(x, state);
		check_all(x, state, true, false);
		arm(x);
		check_all(x, state, false, true);
		check_all(x, state, false, false);
		put(x, 0);
		arm(x);
		check_all(x, 0, true, true);
	}
}

/* One-shots are left out: they would be armed again for every step. */
void matrix_steps(struct matrix *x)
{
	for (uint32_t step = 0; step < MASK_STATES * MASK_STATES; step++) {
		uint32_t to = step % MASK_STATES;
		put(x, step / MASK_STATES);
		check_many(x, MATRIX_LEVEL, step / MASK_STATES, true);
		check_many(x, MATRIX_EDGE, step / MASK_STATES, true);
		put(x, to);
		check_many(x, MATRIX_EDGE, to, true);
		check_many(x, MATRIX_LEVEL, to, true);
		check_many(x, MATRIX_EDGE, to, false);
	}
	put(x, 0);
	check_many(x, MATRIX_LEVEL, 0, true);
}

static void check_fresh(struct matrix *x, uint32_t state, unsigned mode, uint32_t interest)
{
	int set = mate_new_set(x->watcher);
	mate_ctl(x->watcher, EPOLL_CTL_ADD, set, x->fd, interest | matrix_flags[mode],
		data_of(mode, interest));
	check_set(x, mode, set, state, interest, model_poll(state, interest));
	check_set(x, mode, set, state, interest,
		mode == MATRIX_LEVEL ? model_poll(state, interest) : 0);
	mate_close(x->watcher, set);
}

void matrix_fresh(struct matrix *x)
{
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		put(x, state);
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			for (unsigned m = 0; m < MATRIX_MODES; m++)
				check_fresh(x, state, m, i);
		}
	}
	put(x, 0);
}

void matrix_all(struct mate *writer, struct mate *watcher)
{
	int fd = mask_open(0);
	struct matrix x = matrix_hand(writer, watcher, fd);
	if (mate_apart(writer) && mate_apart(watcher))
		mask_close(fd);
	matrix_open(&x);
	matrix_levels(&x);
	matrix_sets(&x);
	matrix_steps(&x);
	matrix_fresh(&x);
	matrix_close(&x);
	if (!(mate_apart(writer) && mate_apart(watcher)))
		mask_close(fd);
	if (mate_apart(writer))
		mate_close(writer, x.wfd);
	if (mate_apart(watcher) && watcher != writer)
		mate_close(watcher, x.fd);
}
