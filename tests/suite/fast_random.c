/* Random calls on a few watched eventfds and a pipe, of the kind that is fast, now and then one
 * that is not: every answer as the kernel's, the order of the events too. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(fast_random, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { FDS = 6, PIPE = FDS - 1, SETS = 2, STEPS = 400, RUNS = 150, ROOM = 16 };
enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };

struct world {
	unsigned seed;
	struct pair fd[FDS], set[SETS], outer, into_pipe;
	bool watched[SETS][FDS];
	unsigned mix;
};

/* What a run has besides eventfds watched in the fast ways; and whether the order is compared. */
enum { OTHER_WATCHES = 1, A_PIPE = 2, OTHER_CALLS = 4, IN_ORDER = 8 };

static unsigned below(struct world *w, unsigned n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

static uint32_t any_interest(struct world *w)
{
	return !(w->mix & OTHER_WATCHES) || below(w, 20)
		       ? flow_kinds[below(w, FLOW_FAST_KINDS)]
		       : flow_kinds[FLOW_FAST_KINDS + below(w, 3)];
}

static void change(struct world *w, unsigned s, unsigned f)
{
	bool *watched = &w->watched[s][f];
	if (*watched && !below(w, 4)) {
		pair_ctl(w->set[s], DEL, w->fd[f], 0, 0);
		*watched = false;
	} else {
		pair_ctl(w->set[s], *watched ? MOD : ADD, w->fd[f], any_interest(w), f);
		*watched = true;
	}
}

/* The events in the order they come. */
static void wait_in_order(struct pair set, int most)
{
	struct epoll_event kernel[ROOM], libc[ROOM];
	long n = tk_raw_syscall(SYS_epoll_pwait, set.kernel, (long)kernel, most, 0, 0, 8);
	long m = answer_of(epoll_wait(set.libc, libc, most, 0));
	if (n != m)
		cr_assert_fail("the kernel has %ld events, libc %ld", n, m);
	for (long i = 0; i < n; i++)
		if (kernel[i].data.u64 != libc[i].data.u64 || kernel[i].events != libc[i].events)
			cr_assert_fail(
				"event %ld of %ld: the kernel's is %d (%#x), libc's %d (%#x)", i, n,
				(int)kernel[i].data.u64, kernel[i].events, (int)libc[i].data.u64,
				libc[i].events);
}

static void look(struct world *w, unsigned s)
{
	struct epoll_event events[ROOM];
	if (w->mix & IN_ORDER)
		wait_in_order(w->set[s], 1 + (int)below(w, 2) * (int)below(w, ROOM));
	else
		pair_wait(w->set[s], events, ROOM);
}

static void make_again(struct world *w, unsigned f)
{
	if (f == PIPE)
		return;
	pair_close(w->fd[f]);
	w->fd[f] = pair_eventfd(below(w, 2), EFD_NONBLOCK | (below(w, 5) ? 0 : EFD_SEMAPHORE));
	for (unsigned s = 0; s < SETS; s++)
		w->watched[s][f] = false;
}

static void in_another_way(struct world *w, unsigned s)
{
	pair_poll(w->set[s], POLLIN);
	if (below(w, 2))
		pair_select(w->set[s], 1);
	if (below(w, 4))
		return;
	if (w->outer.libc < 0) {
		w->outer = pair_epoll();
		pair_ctl(w->outer, ADD, w->set[s], EPOLLIN, 5);
	}
	pair_event(w->outer);
}

static void step(struct world *w)
{
	bool other = w->mix & OTHER_CALLS;
	unsigned f = below(w, w->mix & A_PIPE ? FDS : PIPE);
	unsigned s = below(w, SETS), what = below(w, 100);
	if (what < 30)
		pair_write(f == PIPE ? w->into_pipe : w->fd[f], 1 + below(w, 3));
	else if (what < 45)
		pair_read(w->fd[f], NULL);
	else if (what < 65)
		change(w, s, f);
	else if (what < 95 || !other)
		look(w, s);
	else if (what < 98)
		make_again(w, f);
	else
		in_another_way(w, s);
}

static void open_pipes(struct world *w)
{
	int kernel[2], libc[2];
	cr_assert_eq(pipe2(kernel, O_NONBLOCK), 0);
	cr_assert_eq(pipe2(libc, O_NONBLOCK), 0);
	w->fd[PIPE] = (struct pair){kernel[0], libc[0]};
	w->into_pipe = (struct pair){kernel[1], libc[1]};
}

static void run(unsigned seed, unsigned mix)
{
	struct world w = {.seed = seed, .mix = mix, .outer = {-1, -1}};
	for (unsigned s = 0; s < SETS; s++)
		w.set[s] = pair_epoll();
	for (unsigned f = 0; f < PIPE; f++)
		w.fd[f] = pair_eventfd(0, EFD_NONBLOCK);
	open_pipes(&w);
	for (int i = 0; i < STEPS; i++)
		step(&w);
	if (w.outer.libc >= 0)
		pair_close(w.outer);
	for (unsigned s = 0; s < SETS; s++)
		pair_close(w.set[s]);
	for (unsigned f = 0; f < FDS; f++)
		pair_close(w.fd[f]);
	pair_close(w.into_pipe);
}

static void runs(unsigned mix)
{
	for (unsigned seed = 1; seed <= RUNS; seed++)
		run(seed, mix);
}

Test(fast_random, calls_of_the_fast_kind)
{
	runs(0);
}

Test(fast_random, a_pipe_beside)
{
	runs(A_PIPE);
}

Test(fast_random, other_watches_among_them)
{
	runs(A_PIPE | OTHER_WATCHES);
}

Test(fast_random, now_and_then_another_call)
{
	runs(OTHER_CALLS);
	runs(A_PIPE | OTHER_WATCHES | OTHER_CALLS);
}

Test(fast_random, the_order_of_events)
{
	runs(IN_ORDER);
}

Test(fast_random, the_order_of_events_with_a_pipe_beside)
{
	runs(IN_ORDER | A_PIPE);
}

Test(fast_random, the_order_of_events_with_other_watches)
{
	runs(IN_ORDER | A_PIPE | OTHER_WATCHES | OTHER_CALLS);
}
