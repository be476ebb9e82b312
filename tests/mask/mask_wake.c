/* Who sleeps until a mask eventfd shows what it waits for: woken by every write that matches, by no
 * other. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

TestSuite(mask_wake, .init = tk_setup, .fini = tk_teardown, .timeout = 60);
TestSuite(mask_wake_many, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { BITS = 5 };

enum call { BY_POLL, BY_PPOLL, BY_SELECT, BY_PSELECT, BY_LEVEL, BY_EDGE, BY_ONCE, CALLS };

static const char *const call_names[CALLS] = {
	"poll", "ppoll", "select", "pselect", "a level", "an edge", "a one-shot"};
static const uint32_t call_flags[CALLS] = {[BY_EDGE] = EPOLLET, [BY_ONCE] = EPOLLONESHOT};

static bool by_select(enum call call)
{
	return call == BY_SELECT || call == BY_PSELECT;
}

/* Whether a state ends a wait: the interest is that of select's sets there. */
static bool ends(enum call call, uint32_t state, uint32_t interest)
{
	return by_select(call) ? model_wakes_select(state, interest) : model_wakes(state, interest);
}

static uint32_t answer(enum call call, uint32_t state, uint32_t interest)
{
	return by_select(call) ? model_select(state, interest) : model_poll(state, interest);
}

struct sleeper {
	struct mate mate;
	enum call call;
	uint32_t interest;
	int fd, set; /* over there */
};

static void lie_down(struct sleeper *s)
{
	struct mate_call call = {.fd = s->fd, .events = s->interest, .limit = -1};
	if (s->call < BY_LEVEL) {
		call.op = MATE_POLL + (int)s->call;
	} else {
		call.op = MATE_WAIT;
		call.fd = s->set;
	}
	mate_ask_asleep(&s->mate, call);
}

static void watch(struct sleeper *s, int ctl)
{
	if (s->call >= BY_LEVEL)
		mate_ctl(&s->mate, ctl, s->set, s->fd, s->interest | call_flags[s->call],
			~(uint64_t)s->interest);
}

static void check_woken(struct sleeper *s, uint32_t state)
{
	struct mate_reply r = mate_answer(&s->mate);
	uint32_t want = answer(s->call, state, s->interest);
	int count = by_select(s->call) ? __builtin_popcount(want) : 1;
	if (r.ret != count || r.events != want)
		cr_assert_fail("%s in %s for %#x, woken by %#x: %ld, %#x, not %d, %#x",
			call_names[s->call], mate_name(s->mate.kind), s->interest, state, r.ret,
			r.events, count, want);
	if (s->call >= BY_LEVEL && r.data != ~(uint64_t)s->interest)
		cr_assert_fail("other data: %#jx", (uintmax_t)r.data);
}

static void check_asleep(struct sleeper *s, uint32_t state)
{
	if (mate_sleeps(&s->mate))
		return;
	struct mate_reply r = mate_answer(&s->mate);
	cr_assert_fail("%s in %s for %#x is ended by %#x: %ld, %#x", call_names[s->call],
		mate_name(s->mate.kind), s->interest, state, r.ret, r.events);
}

/* A write of each bit: those that do not match leave it asleep, the next that matches ends it. */
static void every_bit(struct sleeper *s, int fd)
{
	for (int b = 0; b < BITS; b++) {
		uint32_t bit = 1U << b;
		if (!ends(s->call, bit, s->interest))
			continue;
		mask_set(fd, 0);
		watch(s, EPOLL_CTL_MOD);
		lie_down(s);
		for (int other = 0; other < BITS; other++) {
			if (ends(s->call, 1U << other, s->interest))
				continue;
			mask_set(fd, 1U << other);
			check_asleep(s, 1U << other);
		}
		mask_set(fd, bit);
		check_woken(s, bit);
	}
}

/* From a state that has all that does not match, by one that has one bit more. */
static void from_a_full_state(struct sleeper *s, int fd)
{
	uint32_t rest = 0;
	for (int b = 0; b < BITS; b++)
		rest |= ends(s->call, 1U << b, s->interest) ? 0 : 1U << b;
	for (int b = 0; b < BITS; b++) {
		if (rest & 1U << b)
			continue;
		mask_set(fd, rest);
		watch(s, EPOLL_CTL_MOD);
		lie_down(s);
		mask_set(fd, rest);
		check_asleep(s, rest);
		mask_set(fd, 0);
		check_asleep(s, 0);
		mask_set(fd, rest | 1U << b);
		check_woken(s, rest | 1U << b);
	}
	mask_set(fd, 0);
}

static void every_interest(struct sleeper *s, int fd)
{
	s->interest = 0;
	if (s->call >= BY_LEVEL)
		s->set = mate_new_set(&s->mate);
	watch(s, EPOLL_CTL_ADD);
	for (s->interest = 0; s->interest < MASK_INTERESTS; s->interest++) {
		every_bit(s, fd);
		from_a_full_state(s, fd);
	}
	if (s->call >= BY_LEVEL)
		mate_close(&s->mate, s->set);
}

static void every_call(enum mate_kind kind)
{
	int fd = mask_open(0);
	struct sleeper s = {.mate = mate_start(kind)};
	s.fd = mate_hand(&s.mate, fd);
	for (s.call = 0; s.call < CALLS; s.call++)
		every_interest(&s, fd);
	mate_end(&s.mate);
	mask_close(fd);
}

Test(mask_wake, a_thread)
{
	every_call(MATE_THREAD);
}

Test(mask_wake, a_child)
{
	every_call(MATE_FORKED);
}

Test(mask_wake, another_program)
{
	every_call(MATE_EXECED);
}

Test(mask_wake, a_stranger_that_was_sent_it)
{
	every_call(MATE_STRANGER);
}

/* An edge sleeps in a state that matches and was told: the same state written again ends that. */
Test(mask_wake, an_edge_by_the_same_state_once_more)
{
	int fd = mask_open(0);
	struct sleeper s = {.mate = mate_start(MATE_THREAD), .call = BY_EDGE, .fd = fd};
	s.set = mate_new_set(&s.mate);
	watch(&s, EPOLL_CTL_ADD);
	for (s.interest = 0; s.interest < MASK_INTERESTS; s.interest++) {
		for (uint32_t state = 1; state < MASK_STATES; state++) {
			uint32_t want = model_poll(state, s.interest);
			watch(&s, EPOLL_CTL_MOD);
			mask_set(fd, state);
			cr_assert_eq(mate_event(&s.mate, s.set, NULL), want);
			lie_down(&s);
			mask_set(fd, want ? state : MASK_STATES - 1);
			check_woken(&s, want ? state : MASK_STATES - 1);
			mask_set(fd, 0);
		}
	}
	mate_end(&s.mate);
	close(s.set);
	mask_close(fd);
}

/* select for PRI alone goes on sleeping where the eventfd hangs up or fails. */
Test(mask_wake, select_for_exceptions_sleeps_through_HUP_and_ERR)
{
	static const uint32_t states[] = {
		EPOLLHUP, EPOLLERR, EPOLLHUP | EPOLLERR, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR};
	int fd = mask_open(0);
	struct sleeper s = {.mate = mate_start(MATE_FORKED), .interest = SELECT_EXCEPT, .fd = fd};
	for (s.call = BY_SELECT; s.call <= BY_PSELECT; s.call++) {
		for (int i = 0; i < 4; i++) {
			mask_set(fd, states[i]);
			lie_down(&s);
			mask_set(fd, states[(i + 1) % 4]);
			check_asleep(&s, states[(i + 1) % 4]);
			mask_set(fd, EPOLLPRI | states[i]);
			check_woken(&s, EPOLLPRI | states[i]);
		}
	}
	mate_end(&s.mate);
	mask_close(fd);
}

/* A refused write wakes nobody. */
Test(mask_wake, writes_that_fail_wake_nobody)
{
	int fd = mask_open(0);
	struct sleeper s = {.mate = mate_start(MATE_THREAD), .interest = 7, .fd = fd};
	s.set = mate_new_set(&s.mate);
	for (s.call = 0; s.call < CALLS; s.call++) {
		watch(&s, s.call == BY_LEVEL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
		lie_down(&s);
		cr_assert_lt(mask_try_write(fd, EPOLLIN | 1U << 5, 0), 0);
		cr_assert_lt(mask_try_write(fd, UINT32_MAX, 0), 0);
		cr_assert_eq(write(fd, &(struct efd_mask){EPOLLIN, 0}, 8), -1);
		check_asleep(&s, 0);
		mask_set(fd, EPOLLIN);
		check_woken(&s, EPOLLIN);
		mask_set(fd, 0);
	}
	mate_end(&s.mate);
	close(s.set);
	mask_close(fd);
}

/* Several who wait for different bits, of every kind and by every call: each write ends those that
 * wait for it. */
enum { SLEEPERS = 3 * CALLS };

static void lie_down_all(struct sleeper s[SLEEPERS], int fd)
{
	for (int i = 0; i < SLEEPERS; i++) {
		s[i].interest = 1U << i % 3;
		s[i].call = (enum call)(i / 3);
		s[i].fd = mate_hand(&s[i].mate, fd);
		if (s[i].call >= BY_LEVEL)
			s[i].set = mate_new_set(&s[i].mate);
		watch(&s[i], EPOLL_CTL_ADD);
		lie_down(&s[i]);
	}
}

static void wake_in_turn(enum mate_kind kind)
{
	struct sleeper s[SLEEPERS] = {0};
	bool up[SLEEPERS] = {false};
	int fd = mask_open(0);
	for (int i = 0; i < SLEEPERS; i++)
		s[i].mate = mate_start(kind);
	lie_down_all(s, fd);
	for (int b = 0; b < 3; b++) {
		uint32_t bit = 1U << b;
		mask_set(fd, bit);
		for (int i = 0; i < SLEEPERS; i++) {
			if (up[i])
				continue;
			up[i] = ends(s[i].call, bit, s[i].interest);
			if (up[i])
				check_woken(&s[i], bit);
			else
				check_asleep(&s[i], bit);
		}
	}
	for (int i = 0; i < SLEEPERS; i++) {
		if (s[i].call >= BY_LEVEL)
			mate_close(&s[i].mate, s[i].set);
		cr_assert(up[i]);
		mate_end(&s[i].mate);
	}
	mask_close(fd);
}

Test(mask_wake_many, threads_that_wait_for_different_bits)
{
	wake_in_turn(MATE_THREAD);
}

Test(mask_wake_many, children_that_wait_for_different_bits)
{
	wake_in_turn(MATE_FORKED);
}

Test(mask_wake_many, programs_that_wait_for_different_bits)
{
	wake_in_turn(MATE_STRANGER);
}

/* Everybody asleep on one object, by every call: HUP ends all but select for exceptions. */
Test(mask_wake_many, one_HUP_ends_all)
{
	struct sleeper s[SLEEPERS] = {0};
	int fd = mask_open(0);
	for (int i = 0; i < SLEEPERS; i++)
		s[i].mate = mate_start(i % 2 ? MATE_THREAD : MATE_FORKED);
	lie_down_all(s, fd);
	mask_set(fd, EPOLLHUP);
	for (int i = 0; i < SLEEPERS; i++) {
		if (ends(s[i].call, EPOLLHUP, s[i].interest)) {
			check_woken(&s[i], EPOLLHUP);
			continue;
		}
		check_asleep(&s[i], EPOLLHUP);
		cr_assert(by_select(s[i].call));
	}
	mask_set(fd, 7);
	for (int i = 0; i < SLEEPERS; i++) {
		if (!ends(s[i].call, EPOLLHUP, s[i].interest))
			check_woken(&s[i], 7);
		if (s[i].call >= BY_LEVEL)
			mate_close(&s[i].mate, s[i].set);
		mate_end(&s[i].mate);
	}
	mask_close(fd);
}

static struct mate *first_to_answer(struct mate *a, struct mate *b)
{
	struct pollfd p[2] = {{a->sock, POLLIN, 0}, {b->sock, POLLIN, 0}};
	cr_assert_gt(poll(p, 2, 10000), 0, "nobody is woken");
	return p[0].revents ? a : b;
}

/* One set, shared by two who sleep in it: by level both are woken, by edge one. */
Test(mask_wake_many, two_asleep_in_one_set)
{
	for (int edge = 0; edge < 2; edge++) {
		int fd = mask_open(0), set = epoll_create1(0);
		mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLPRI | (edge ? EPOLLET : 0U), 5);
		struct mate a = mate_start(MATE_FORKED), b = mate_start(MATE_FORKED);
		struct mate_call call = {.op = MATE_WAIT, .fd = set, .limit = -1};
		mate_ask_asleep(&a, call);
		mate_ask_asleep(&b, call);
		mask_set(fd, EPOLLPRI);
		if (edge) {
			struct mate *first = first_to_answer(&a, &b),
				    *second = first == &a ? &b : &a;
			cr_assert_eq(mate_answer(first).events, EPOLLPRI);
			cr_assert(mate_sleeps(second));
			mask_set(fd, EPOLLPRI);
			cr_assert_eq(mate_answer(second).events, EPOLLPRI);
		} else {
			cr_assert_eq(mate_answer(&a).events, EPOLLPRI);
			cr_assert_eq(mate_answer(&b).events, EPOLLPRI);
		}
		mate_end(&a);
		mate_end(&b);
		close(set);
		mask_close(fd);
	}
}

/* Asleep in a set, woken by what another thread adds to it or changes in it. */
Test(mask_wake_many, asleep_while_the_set_is_changed)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLIN, 5);
	struct mate a = mate_start(MATE_THREAD);
	struct mate_call call = {.op = MATE_WAIT, .fd = set, .limit = -1};
	mask_set(fd, EPOLLPRI);
	mate_ask_asleep(&a, call);
	mask_ctl(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 6);
	cr_assert(mate_sleeps(&a));
	mask_ctl(set, EPOLL_CTL_MOD, fd, EPOLLPRI, 7);
	cr_assert_eq(mate_answer(&a).events, EPOLLPRI);
	mask_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
	mate_ask_asleep(&a, call);
	mask_set(fd, EPOLLPRI | EPOLLOUT);
	cr_assert(mate_sleeps(&a));
	mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 8);
	struct mate_reply r = mate_answer(&a);
	cr_assert(r.events == EPOLLOUT && r.data == 8);
	mate_ask_asleep(&a, call);
	mask_ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN, 9);
	cr_assert(mate_sleeps(&a));
	mask_set(fd, EPOLLIN | EPOLLOUT);
	r = mate_answer(&a);
	cr_assert(r.events == EPOLLIN && r.data == 9);
	mate_end(&a);
	close(set);
	mask_close(fd);
}

/* A timeout ends a wait that nothing matches, however much is written meanwhile. */
Test(mask_wake_many, a_timeout_passes_under_writes_that_do_not_match)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLPRI, 5);
	struct mate a = mate_start(MATE_THREAD);
	for (int i = 0; i < 5; i++) {
		struct mate_call call = {
			.op = MATE_POLL + i, .fd = fd, .events = EPOLLPRI, .limit = 100};
		if (i == 2 || i == 3)
			call.events = SELECT_EXCEPT;
		if (i == 4)
			call.fd = set;
		int64_t before = tk_now_ms();
		mate_ask(&a, call);
		while (!mate_answered(&a))
			mask_set(fd, (uint32_t)tk_now_ms() & EPOLLOUT ? EPOLLIN : EPOLLOUT);
		cr_assert_eq(mate_answer(&a).ret, 0);
		cr_assert_geq(tk_now_ms() - before, 99);
	}
	mate_end(&a);
	close(set);
	mask_close(fd);
}
