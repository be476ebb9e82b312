#define _GNU_SOURCE
#include "maskwalk.h"
#include "maskkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned below(struct walk *w, unsigned limit)
{
	return mask_below(&w->rng, limit);
}

static struct mate *anyone(struct walk *w)
{
	return &w->mate[below(w, (unsigned)w->mates)];
}

__attribute__((format(printf, 2, 3))) static void note(struct walk *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *line = w->log[w->step % WALK_LOG];
	int n = snprintf(line, sizeof(w->log[0]), "%ld: ", w->step);
	vsnprintf(line + n, sizeof(w->log[0]) - (size_t)n, format, args);
	va_end(args);
}

static void print_watches(const struct walk *w)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		const struct model_watch *m = &w->model.watch[i];
		if (m->used)
			fprintf(stderr,
				"  set %d: fd %d, object %d, inner %d, interest %#x, flags %#x, "
				"data %#jx%s, queued %d\n",
				m->set, m->number, m->object, m->inner, m->interest, m->flags,
				(uintmax_t)m->data, m->fired ? ", fired" : "", (int)m->queued);
	}
}

static void wrong(struct walk *w, const char *what)
{
	long first = w->step < WALK_LOG ? 0 : w->step - WALK_LOG + 1;
	for (long i = first; i <= w->step; i++)
		fprintf(stderr, "%s\n", w->log[i % WALK_LOG]);
	for (int i = 0; i < WALK_OBJECTS; i++)
		fprintf(stderr, "  object %d: %#x\n", i, w->model.state[i]);
	print_watches(w);
	cr_assert_fail("seed %ju, step %ld: %s", (uintmax_t)w->seed, w->step, what);
}

static void expect(struct walk *w, const char *what, long got, long want)
{
	char text[120];
	if (got == want)
		return;
	snprintf(text, sizeof(text), "%s: %#lx instead of %#lx", what, got, want);
	wrong(w, text);
}

/* The slot of an fd that is open; -1 where all are closed. */
static int some_fd(struct walk *w)
{
	unsigned from = below(w, WALK_FDS);
	for (unsigned n = 0; n < WALK_FDS; n++) {
		unsigned i = (from + n) % WALK_FDS;
		if (w->fd[i] >= 0)
			return (int)i;
	}
	return -1;
}

static uint32_t some_events(struct walk *w)
{
	switch (below(w, 4)) {
	case 0:
		return 0;
	case 1:
		return 1U << below(w, 5);
	default:
		return below(w, MASK_STATES);
	}
}

static uint32_t some_flags(struct walk *w)
{
	static const uint32_t flags[] = {
		0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
	return flags[below(w, 6)];
}

static void step_write(struct walk *w, int i)
{
	uint32_t events = some_events(w);
	if (!below(w, 40))
		events |= 32U << below(w, 27);
	uint64_t data = mask_data(events, w->next_data++);
	struct mate *m = anyone(w);
	note(w, "%s writes %#x to fd %d (object %d)", mate_name(m->kind), events, w->fd[i],
		w->object[i]);
	struct mate_call call = {
		.op = MATE_WRITE, .fd = w->fd[i], .events = events, .data = data};
	bool taken = model_write(&w->model, w->object[i], events, data);
	expect(w, "write", mate_do(m, call).ret, taken ? MASK_BYTES : -EINVAL);
}

static void step_read(struct walk *w, int i)
{
	struct mate *m = anyone(w);
	note(w, "%s reads fd %d", mate_name(m->kind), w->fd[i]);
	struct mate_reply r = mate_do(m, (struct mate_call){.op = MATE_READ, .fd = w->fd[i]});
	expect(w, "read", r.ret, MASK_BYTES);
	expect(w, "events", r.events, w->model.state[w->object[i]]);
	expect(w, "data", (long)r.data, (long)w->model.data[w->object[i]]);
}

static void step_poll(struct walk *w, int i)
{
	struct mate *m = anyone(w);
	uint32_t interest = below(w, MASK_INTERESTS), state = w->model.state[w->object[i]];
	enum mate_op op = MATE_POLL + below(w, 4);
	note(w, "%s polls fd %d for %#x (%d)", mate_name(m->kind), w->fd[i], interest, (int)op);
	struct mate_reply r =
		mate_do(m, (struct mate_call){.op = op, .fd = w->fd[i], .events = interest});
	if (op == MATE_POLL || op == MATE_PPOLL)
		expect(w, "revents", r.events, model_poll(state, interest));
	else
		expect(w, "sets", r.events, model_select(state, interest));
}

static void control(struct walk *w, int set, int op, struct model_target t, uint32_t events)
{
	static const char *const names[] = {"", "ADD", "DEL", "MOD"};
	struct mate *m = anyone(w);
	uint64_t data = w->next_data++ * UINT64_C(0x123456789abcdef1);
	note(w, "%s: set %d %s fd %d (object %d, inner %d), %#x, %#jx", mate_name(m->kind), set,
		names[op], t.number, t.object, t.inner, events, (uintmax_t)data);
	long want = model_ctl(&w->model, op, set, t, events, data);
	struct mate_call call = {.op = MATE_CTL,
		.ctl = op,
		.set = w->set[set],
		.fd = t.number,
		.events = events,
		.data = data};
	expect(w, "epoll_ctl", mate_do(m, call).ret, want);
}

static bool is_watched(const struct walk *w, int set, int number, int object)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		const struct model_watch *m = &w->model.watch[i];
		if (m->used && m->set == set && m->number == number && m->object == object)
			return true;
	}
	return false;
}

static void step_ctl(struct walk *w, int i)
{
	static const int ops[] = {EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	int set = (int)below(w, WALK_SETS);
	struct model_target t = {w->fd[i], w->object[i], -1};
	int op = is_watched(w, set, t.number, t.object) ? ops[below(w, 4)] : EPOLL_CTL_ADD;
	uint32_t events = below(w, MASK_INTERESTS) | some_flags(w);
	if (!below(w, 30))
		op = 1 + (int)below(w, 3);
	if (w->rules & WALK_EXCLUSIVE && !below(w, 4))
		events = (events & ~(uint32_t)EPOLLONESHOT) | EPOLLEXCLUSIVE;
	control(w, set, op, t, events);
}

static void step_nested_mod(struct walk *w)
{
	static const int pairs[][2] = {{4, 3}, {4, 1}, {4, 0}};
	unsigned p = below(w, 3);
	struct model_target t = {w->set[pairs[p][1]], -1, pairs[p][1]};
	control(w, pairs[p][0], EPOLL_CTL_MOD, t, below(w, MASK_INTERESTS) | some_flags(w));
}

static void step_wait(struct walk *w)
{
	struct mate *m = anyone(w);
	int set = (int)below(w, WALK_SETS);
	note(w, "%s waits on set %d", mate_name(m->kind), set);
	struct mate_reply r = mate_do(m, (struct mate_call){.op = MATE_WAIT, .fd = w->set[set]});
	const char *difference = model_waited(&w->model, set, r.got, (int)r.ret);
	if (difference)
		wrong(w, difference);
}

static void step_poll_set(struct walk *w)
{
	struct mate *m = anyone(w);
	int set = (int)below(w, WALK_SETS);
	note(w, "%s polls set %d", mate_name(m->kind), set);
	struct mate_call call = {.op = MATE_POLL, .fd = w->set[set], .events = 7};
	enum model_answer want = model_readable(&w->model, set);
	uint32_t got = mate_do(m, call).events;
	if (want != MODEL_MAYBE)
		expect(w, "revents of a set", got, want == MODEL_YES ? EPOLLIN : 0);
}

static int fds_of(const struct walk *w, int object)
{
	int count = 0;
	for (int i = 0; i < WALK_FDS; i++)
		count += w->fd[i] >= 0 && w->object[i] == object;
	return count;
}

static void open_at(struct walk *w, int i, int object)
{
	w->fd[i] = mask_open(0);
	w->object[i] = object;
}

/* Closes one fd, or copies one to a slot that is free; an object that is gone comes anew. */
static void step_life(struct walk *w)
{
	int i = (int)below(w, WALK_FDS), from = some_fd(w);
	if (w->fd[i] >= 0) {
		int object = w->object[i];
		note(w, "fd %d (object %d) is closed", w->fd[i], object);
		mask_close(w->fd[i]);
		w->fd[i] = -1;
		if (!fds_of(w, object))
			model_forget(&w->model, object);
		return;
	}
	for (int object = 0; object < WALK_OBJECTS; object++) {
		if (!fds_of(w, object)) {
			open_at(w, i, object);
			note(w, "fd %d is a new object %d", w->fd[i], object);
			return;
		}
	}
	w->fd[i] = dup(w->fd[from]);
	w->object[i] = w->object[from];
	note(w, "fd %d is a copy of %d (object %d)", w->fd[i], w->fd[from], w->object[i]);
}

/* The number of watches is bounded, as are the events that one call can give. */
static bool set_is_full(const struct walk *w)
{
	int count[WALK_SETS] = {0};
	for (int i = 0; i < MODEL_WATCHES; i++) {
		if (w->model.watch[i].used && ++count[w->model.watch[i].set] > MATE_EVENTS - 2)
			return true;
	}
	return false;
}

/* Watches through numbers that are closed cannot be told apart from new ones any more: here they
 * go, with all copies. */
static void thin_out(struct walk *w)
{
	for (int i = 0; i < WALK_FDS; i++) {
		if (w->fd[i] < 0)
			continue;
		note(w, "all are closed: fd %d", w->fd[i]);
		mask_close(w->fd[i]);
		w->fd[i] = -1;
	}
	for (int object = 0; object < WALK_OBJECTS; object++) {
		model_forget(&w->model, object);
		open_at(w, object, object);
	}
}

static void one_step(struct walk *w)
{
	unsigned what = below(w, 100);
	int i = some_fd(w);
	if (w->rules & WALK_LIFE && (what < 8 || i < 0))
		step_life(w);
	else if (what < 38)
		step_write(w, i);
	else if (what < 58)
		step_ctl(w, i);
	else if (what < 62)
		step_nested_mod(w);
	else if (what < 85)
		step_wait(w);
	else if (what < 89)
		step_poll_set(w);
	else if (what < 96)
		step_poll(w, i);
	else
		step_read(w, i);
}

void walk_on(struct walk *w, long steps)
{
	for (long end = w->step + steps; w->step < end; w->step++) {
		if (w->rules & WALK_LIFE && set_is_full(w))
			thin_out(w);
		one_step(w);
	}
}

static void nest(struct walk *w, int outer, int inner, uint32_t events)
{
	struct model_target t = {w->set[inner], -1, inner};
	control(w, outer, EPOLL_CTL_ADD, t, events);
}

void walk_start(struct walk *w, uint64_t seed, unsigned rules)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->rng = seed * 2654435761U + 88172645463325252U;
	w->rules = rules;
	w->next_data = 1;
	w->model.vague = mask_by_kernel();
	w->mate[0] = mate_start(MATE_SELF);
	w->mates = 1;
	for (int i = 0; i < WALK_SETS; i++)
		w->set[i] = mate_new_set(&w->mate[0]);
	for (int i = 0; i < WALK_FDS; i++) {
		w->object[i] = i % WALK_OBJECTS;
		w->fd[i] = i < WALK_OBJECTS ? mask_open(0) : dup(w->fd[w->object[i]]);
	}
	nest(w, 2, 1, EPOLLIN);
	nest(w, 3, 1, EPOLLIN | EPOLLET);
	nest(w, 4, 3, EPOLLIN);
	nest(w, 4, 1, EPOLLIN | EPOLLET);
	nest(w, 4, 0, EPOLLIN | EPOLLONESHOT);
}

void walk_join(struct walk *w, enum mate_kind kind)
{
	w->mate[w->mates++] = mate_start(kind);
}

void walk_end(struct walk *w)
{
	for (int i = 0; i < w->mates; i++)
		mate_end(&w->mate[i]);
	for (int i = 0; i < WALK_SETS; i++)
		close(w->set[i]);
	for (int i = 0; i < WALK_FDS; i++) {
		if (w->fd[i] >= 0)
			mask_close(w->fd[i]);
	}
}
