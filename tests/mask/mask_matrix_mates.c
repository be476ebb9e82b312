/* The same matrix where one side writes and another watches: threads, forked children, other
 * programs, processes that were sent the eventfd; and sets that are shared with them. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmatrix.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <unistd.h>

TestSuite(mask_mates, .init = tk_setup, .fini = tk_teardown, .timeout = 60);
TestSuite(mask_mates_sets, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

/* Processes that inherit an eventfd are started when it is there. */
static void between(enum mate_kind writes, enum mate_kind watches)
{
	int fd = mask_open(0);
	struct mate writer = mate_start(writes), watcher = mate_start(watches);
	struct matrix x = matrix_hand(&writer, &watcher, fd);
	matrix_open(&x);
	matrix_levels(&x);
	matrix_sets(&x);
	matrix_steps(&x);
	matrix_fresh(&x);
	matrix_close(&x);
	mate_end(&writer);
	mate_end(&watcher);
	mask_close(fd);
}

#define Between(name, writes, watches)                                                             \
	Test(mask_mates, name)                                                                     \
	{                                                                                          \
		between(writes, watches);                                                          \
	}

Between(another_thread_writes, MATE_THREAD, MATE_SELF);
Between(another_thread_watches, MATE_SELF, MATE_THREAD);
Between(a_child_writes, MATE_FORKED, MATE_SELF);
Between(a_child_watches, MATE_SELF, MATE_FORKED);
Between(one_child_writes_another_watches, MATE_FORKED, MATE_FORKED);
Between(another_program_writes, MATE_EXECED, MATE_SELF);
Between(another_program_watches, MATE_SELF, MATE_EXECED);
Between(one_program_writes_another_watches, MATE_EXECED, MATE_EXECED);
Between(a_child_that_was_sent_it_writes, MATE_PEER, MATE_SELF);
Between(a_child_that_was_sent_it_watches, MATE_SELF, MATE_PEER);
Between(a_stranger_that_was_sent_it_writes, MATE_STRANGER, MATE_SELF);
Between(a_stranger_that_was_sent_it_watches, MATE_SELF, MATE_STRANGER);
Between(one_stranger_writes_another_watches, MATE_STRANGER, MATE_STRANGER);
Between(a_thread_writes_a_stranger_watches, MATE_THREAD, MATE_STRANGER);
Between(a_program_writes_a_child_watches, MATE_EXECED, MATE_FORKED);

Test(mask_mates, both_are_the_same_other_program)
{
	int fd = mask_open(0);
	struct mate mate = mate_start(MATE_EXECED);
	struct matrix x = matrix_hand(&mate, &mate, fd);
	mask_close(fd);
	matrix_open(&x);
	matrix_levels(&x);
	matrix_sets(&x);
	matrix_close(&x);
	mate_end(&mate);
}

/* Made over there, and sent here. */
static void made_by(enum mate_kind kind)
{
	struct mate self = mate_start(MATE_SELF), maker = mate_start(kind);
	long there = mate_do(&maker, (struct mate_call){.op = MATE_OPEN}).ret;
	cr_assert_geq(there, 0);
	int fd = mate_give(&maker, (int)there);
	mask_expect(fd, 0, 0);
	struct matrix x = {.writer = &maker, .watcher = &self, .wfd = (int)there, .fd = fd};
	matrix_open(&x);
	matrix_levels(&x);
	matrix_sets(&x);
	matrix_close(&x);
	mate_close(&maker, (int)there);
	mate_end(&maker);
	mask_set(fd, EPOLLPRI);
	cr_assert_eq(mask_poll(fd, EPOLLPRI), EPOLLPRI);
	mask_close(fd);
}

Test(mask_mates, made_by_who_writes_and_sent_to_who_watches)
{
	made_by(MATE_FORKED);
	made_by(MATE_PEER);
	made_by(MATE_STRANGER);
}

/* Sets that were made, with their watches, before the other process was started: it has the same
 * sets, under the same numbers. */
static void inherited(enum mate_kind writes, enum mate_kind watches)
{
	struct mate self = mate_start(MATE_SELF), writer, watcher;
	int fd = mask_open(0);
	struct matrix x = matrix_hand(&self, &self, fd);
	matrix_open(&x);
	writer = mate_start(writes);
	watcher = mate_start(watches);
	x.writer = &writer;
	x.watcher = &watcher;
	matrix_sets(&x);
	matrix_steps(&x);
	x.watcher = &self;
	matrix_sets(&x);
	mate_end(&writer);
	mate_end(&watcher);
	x.writer = &self;
	matrix_sets(&x);
	matrix_close(&x);
	mask_close(fd);
}

Test(mask_mates_sets, a_child_waits_on_inherited_sets)
{
	inherited(MATE_SELF, MATE_FORKED);
}

Test(mask_mates_sets, a_child_writes_to_what_inherited_sets_watch)
{
	inherited(MATE_FORKED, MATE_SELF);
}

Test(mask_mates_sets, one_child_writes_another_waits_on_inherited_sets)
{
	inherited(MATE_FORKED, MATE_FORKED);
}

Test(mask_mates_sets, another_thread_waits_on_our_sets)
{
	inherited(MATE_SELF, MATE_THREAD);
}

/* A set that is shared: either side waits, either side changes the watches. */
static void shared(enum mate_kind kind, uint32_t flags)
{
	struct mate self = mate_start(MATE_SELF), mate;
	int fd = mask_open(0), set = mate_new_set(&self);
	mask_ctl(set, EPOLL_CTL_ADD, fd, flags, 1);
	mate = mate_start(kind);
	struct mate *sides[2] = {&self, &mate};
	for (uint32_t round = 0; round < 8 * MASK_STATES; round++) {
		uint32_t interest = round % MASK_INTERESTS, state = round % MASK_STATES;
		struct mate *changes = sides[round & 1], *waits = sides[round >> 1 & 1],
			    *writes = sides[round >> 2 & 1];
		uint64_t data = 0;
		mate_write(writes, fd, 0, 0);
		mate_ctl(changes, EPOLL_CTL_MOD, set, fd, interest | flags, ~(uint64_t)round);
		mate_write(writes, fd, state, round);
		uint32_t want = model_poll(state, interest), got = mate_event(waits, set, &data);
		if (got != want || (got && data != ~(uint64_t)round))
			cr_assert_fail("round %u, %s, flags %#x: %#x, not %#x, data %#jx", round,
				mate_name(kind), flags, got, want, (uintmax_t)data);
		got = mate_event(waits == &self ? &mate : &self, set, NULL);
		if (got != (flags ? 0 : want))
			cr_assert_fail("round %u, %s, flags %#x: then %#x", round, mate_name(kind),
				flags, got);
	}
	mate_end(&mate);
	close(set);
	mask_close(fd);
}

static void shared_in_all_modes(enum mate_kind kind)
{
	for (unsigned m = 0; m < MATRIX_MODES; m++)
		shared(kind, matrix_flags[m]);
}

Test(mask_mates_sets, a_set_shared_with_a_child_is_changed_by_both)
{
	shared_in_all_modes(MATE_FORKED);
}

Test(mask_mates_sets, a_set_shared_with_another_program_is_changed_by_both)
{
	shared_in_all_modes(MATE_EXECED);
}

/* Over exec, where the parent has closed all: what is there is the other program's alone. */
static void taken_over(enum mate_kind kind, uint32_t flags, uint32_t interest)
{
	int fd = mask_open(0), set = epoll_create1(0);
	mask_ctl(set, EPOLL_CTL_ADD, fd, interest | flags, 42);
	mask_set(fd, MASK_STATES - 1);
	struct mate mate = mate_start(kind);
	int fd_there = mate_hand(&mate, fd), set_there = mate_hand(&mate, set);
	close(set);
	mask_close(fd);
	uint32_t want = model_poll(MASK_STATES - 1, interest);
	uint64_t data = 0;
	cr_assert_eq(mate_event(&mate, set_there, &data), want, "%s, %#x", mate_name(kind), flags);
	cr_assert_eq(data, 42);
	cr_assert_eq(mate_event(&mate, set_there, NULL), flags ? 0 : want);
	for (uint32_t state = 0; state < MASK_STATES && flags != EPOLLONESHOT; state++) {
		mate_write(&mate, fd_there, state, 0);
		want = model_poll(state, interest);
		uint32_t got = mate_event(&mate, set_there, NULL);
		cr_assert_eq(got, want, "%s, state %#x, interest %#x, flags %#x: %#x, not %#x",
			mate_name(kind), state, interest, flags, got, want);
	}
	mate_close(&mate, fd_there);
	cr_assert_eq(mate_event(&mate, set_there, NULL), 0);
	mate_close(&mate, set_there);
	mate_end(&mate);
}

static void all_taken_over(enum mate_kind kind)
{
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		for (unsigned m = 0; m < MATRIX_MODES; m++)
			taken_over(kind, matrix_flags[m], i);
	}
}

Test(mask_mates_sets, a_child_takes_set_and_eventfd_over)
{
	all_taken_over(MATE_FORKED);
}

Test(mask_mates_sets, another_program_takes_set_and_eventfd_over)
{
	all_taken_over(MATE_EXECED);
}

Test(mask_mates_sets, a_child_is_sent_set_and_eventfd)
{
	all_taken_over(MATE_PEER);
}

Test(mask_mates_sets, another_program_is_sent_set_and_eventfd)
{
	all_taken_over(MATE_STRANGER);
}

/* The set alone goes over: who has it never had the eventfd. */
static void set_alone(enum mate_kind kind, uint32_t flags, uint32_t interest)
{
	int fd = mask_open(EFD_CLOEXEC), set = epoll_create1(0);
	uint64_t data = 0;
	mask_ctl(set, EPOLL_CTL_ADD, fd, interest | flags, 43);
	struct mate mate = mate_start(kind);
	int there = mate_hand(&mate, set);
	for (uint32_t state = 0; state < MASK_STATES; state++) {
		mask_set(fd, state);
		uint32_t want = model_poll(state, interest);
		uint32_t got = mate_event(&mate, there, &data);
		cr_assert_eq(got, want, "%s, state %#x, interest %#x, flags %#x: %#x, not %#x",
			mate_name(kind), state, interest, flags, got, want);
		cr_assert(!got || data == 43);
		cr_assert_eq(mate_event(&mate, there, NULL), flags ? 0 : want);
		if (flags == EPOLLONESHOT) {
			mask_set(fd, 0);
			mask_ctl(set, EPOLL_CTL_MOD, fd, interest | flags, 43);
		}
	}
	mate_end(&mate);
	close(set);
	mask_close(fd);
}

Test(mask_mates_sets, a_set_alone_is_sent)
{
	for (enum mate_kind kind = MATE_PEER; kind <= MATE_STRANGER; kind++) {
		for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
			for (unsigned m = 0; m < MATRIX_MODES; m++)
				set_alone(kind, matrix_flags[m], i);
		}
	}
}

Test(mask_mates_sets, a_set_alone_goes_over_exec)
{
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		for (unsigned m = 0; m < MATRIX_MODES; m++)
			set_alone(MATE_EXECED, matrix_flags[m], i);
	}
}
