/* Who sleeps in poll, select or epoll while a signal comes, or the one that fills the counter. */
#define _GNU_SOURCE
#include "mate.h"
#include "signalkit.h"
#include "task.h"
#include "testkit.h"

#include <limits.h>
#include <unistd.h>

TestSuite(signal_wake, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { FULL = EPOLLIN | EPOLLERR };

enum call { BY_POLL, BY_PPOLL, BY_SELECT, BY_PSELECT, BY_LEVEL, BY_EDGE, BY_ONCE, CALLS };

static const uint32_t call_flags[CALLS] = {[BY_EDGE] = EPOLLET, [BY_ONCE] = EPOLLONESHOT};

struct sleeper {
	struct mate mate;
	enum call call;
	int fd, set;
};

static void lie_down(struct sleeper *s, uint32_t events)
{
	struct mate_call call = {.fd = s->fd, .events = events, .limit = -1};
	call.op = s->call < BY_LEVEL ? MATE_POLL + (int)s->call : MATE_WAIT;
	if (s->call >= BY_LEVEL)
		call.fd = s->set;
	mate_ask_asleep(&s->mate, call);
}

static void watch(struct sleeper *s, uint32_t events)
{
	s->set = -1;
	if (s->call < BY_LEVEL)
		return;
	s->set = mate_new_set(&s->mate);
	mate_ctl(&s->mate, EPOLL_CTL_ADD, s->set, s->fd, events | call_flags[s->call], 5);
}

static void get_up(struct sleeper *s)
{
	if (s->set >= 0)
		mate_close(&s->mate, s->set);
}

static void expect_woken(struct sleeper *s, uint32_t want, const char *by)
{
	struct mate_reply r = mate_answer(&s->mate);
	if (r.events != want)
		cr_assert_fail("call %d in %s, woken by %s: %ld, %#x, not %#x", (int)s->call,
			mate_name(s->mate.kind), by, r.ret, r.events, want);
}

static bool selects(enum call call)
{
	return call == BY_SELECT || call == BY_PSELECT;
}

/* Asleep for IN: ended by one, and not by nothing. */
static void woken_by_one(struct sleeper *s, struct efd_file *file)
{
	watch(s, EPOLLIN);
	lie_down(s, selects(s->call) ? TO_READ : EPOLLIN);
	cr_assert_eq(signal_try(file, 0), 0);
	cr_assert(mate_sleeps(&s->mate));
	signal_add(file, 1);
	expect_woken(s, selects(s->call) ? TO_READ : EPOLLIN, "1");
	get_up(s);
}

static void each_call(enum mate_kind kind, bool early,
	void (*check)(struct sleeper *s, struct efd_file *file, int fd))
{
	for (enum call call = 0; call < CALLS; call++) {
		int fd = eventfd(0, EFD_NONBLOCK);
		struct efd_file *file = early ? signal_get(fd) : NULL;
		struct sleeper s = {.mate = mate_start(kind), .call = call};
		s.fd = mate_hand(&s.mate, fd);
		if (!file)
			file = signal_get(fd);
		check(&s, file, fd);
		signal_put(file);
		mate_end(&s.mate);
		close(fd);
	}
}

static void by_one(struct sleeper *s, struct efd_file *file, int fd)
{
	woken_by_one(s, file);
	cr_assert_eq(take_count(fd), 1);
}

/* Asleep for what never comes (nothing, PRI), for OUT of a counter at its limit. */
static void by_the_last_one(struct sleeper *s, struct efd_file *file, int fd)
{
	static const uint32_t interests[] = {0, EPOLLPRI, EPOLLOUT};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		if (selects(s->call) && interests[i] != EPOLLOUT)
			continue;
		add_count(fd, COUNT_LIMIT);
		watch(s, interests[i]);
		lie_down(s, selects(s->call) ? TO_WRITE : interests[i]);
		signal_add(file, 1);
		expect_woken(s, selects(s->call) ? TO_WRITE : EPOLLERR, "the last");
		get_up(s);
		cr_assert_eq(take_count(fd), COUNT_FULL);
	}
}

Test(signal_wake, threads_by_one)
{
	each_call(MATE_THREAD, true, by_one);
	each_call(MATE_THREAD, false, by_one);
}

Test(signal_wake, children_by_one)
{
	each_call(MATE_FORKED, true, by_one);
	each_call(MATE_FORKED, false, by_one);
}

Test(signal_wake, other_programs_by_one)
{
	each_call(MATE_EXECED, false, by_one);
	each_call(MATE_STRANGER, true, by_one);
}

Test(signal_wake, threads_by_the_one_that_fills)
{
	each_call(MATE_THREAD, true, by_the_last_one);
}

Test(signal_wake, children_by_the_one_that_fills)
{
	each_call(MATE_FORKED, true, by_the_last_one);
	each_call(MATE_FORKED, false, by_the_last_one);
}

Test(signal_wake, other_programs_by_the_one_that_fills)
{
	each_call(MATE_EXECED, true, by_the_last_one);
	each_call(MATE_STRANGER, false, by_the_last_one);
}

Test(signal_wake, select_for_exceptions_sleeps_on)
{
	int fd = eventfd_at(COUNT_LIMIT);
	struct efd_file *file = signal_get(fd);
	struct mate m = mate_start(MATE_THREAD);
	mate_ask_asleep(&m,
		(struct mate_call){.op = MATE_SELECT, .fd = fd, .events = TO_EXCEPT, .limit = 300});
	signal_add(file, 1);
	cr_assert(mate_sleeps(&m));
	cr_assert_eq(mate_answer(&m).ret, 0);
	mate_end(&m);
	signal_put(file);
	close(fd);
}

Test(signal_wake, asleep_in_an_outer_set)
{
	for (enum mate_kind kind = MATE_THREAD; kind <= MATE_FORKED; kind++) {
		int fd = eventfd_at(COUNT_LIMIT), set = set_watching(fd, EPOLLOUT, 1);
		int outer = set_watching(set, EPOLLIN, 2);
		struct efd_file *file = signal_get(fd);
		struct mate m = mate_start(kind);
		mate_ask_asleep(&m, (struct mate_call){.op = MATE_WAIT, .fd = outer, .limit = -1});
		signal_add(file, 1);
		cr_assert_eq(mate_answer(&m).events, EPOLLIN);
		cr_assert_eq(mate_event(&m, set, NULL), EPOLLERR);
		mate_end(&m);
		signal_put(file);
		close(outer);
		close(set);
		close(fd);
	}
}

/* Reads and writes that block. */

Test(signal_wake, a_read_that_blocks)
{
	struct task t;
	int fd = eventfd(0, 0);
	struct efd_file *file = signal_get(fd);
	task_start_blocked(&t, task_read, fd, 0);
	cr_assert_eq(signal_try(file, 0), 0);
	task_wait_asleep(&t);
	signal_add(file, INT_MAX);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, INT_MAX);
	signal_put(file);
	close(fd);
}

Test(signal_wake, each_signal_ends_one_read_of_a_semaphore)
{
	struct task t[3];
	int fd = eventfd(0, EFD_SEMAPHORE);
	struct efd_file *file = signal_get(fd);
	for (int i = 0; i < 3; i++)
		task_start_blocked(&t[i], task_read, fd, 0);
	signal_add(file, 1);
	task_wait_done(t, 3, 1);
	signal_add(file, 2);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(task_join(&t[i]), 8);
		cr_assert_eq(t[i].value, 1);
	}
	signal_put(file);
	close(fd);
}

Test(signal_wake, a_write_to_a_full_counter_blocks_until_it_is_read)
{
	struct task t;
	int fd = eventfd(0, 0);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	task_start_blocked(&t, task_write, fd, 5);
	cr_assert_eq(signal_try(file, 1), 0);
	task_wait_asleep(&t);
	cr_assert_eq(take_count(fd), COUNT_FULL);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(take_count(fd), 5);
	signal_put(file);
	close(fd);
}

/* Room for 1 is there when two were taken. */
Test(signal_wake, a_write_to_a_full_semaphore)
{
	struct task t;
	int fd = eventfd(0, EFD_SEMAPHORE);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	task_start_blocked(&t, task_write, fd, 1);
	cr_assert_eq(take_count(fd), 1);
	task_wait_asleep(&t);
	cr_assert_eq(take_count(fd), 1);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(signal_try(file, 5), 1);
	signal_put(file);
	close(fd);
}

Test(signal_wake, a_write_that_blocks_while_a_signal_fills_the_counter)
{
	struct task t;
	int fd = eventfd(0, 0);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT);
	task_start_blocked(&t, task_write, fd, 7);
	signal_add(file, 1);
	task_wait_asleep(&t);
	cr_assert_eq(take_count(fd), COUNT_FULL);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(take_count(fd), 7);
	signal_put(file);
	close(fd);
}
