#define _GNU_SOURCE
#include "maskwalk.h"
#include "maskkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *expect(const char *what, long got, long want)
{
	static char text[120];
	if (got == want)
		return NULL;
	snprintf(text, sizeof(text), "%s: %#lx instead of %#lx", what, got, want);
	return text;
}

static struct mate *who(struct walk *w, const struct walk_op *op)
{
	return &w->mate[op->who % (unsigned)w->mates];
}

static const char *apply_write(struct walk *w, const struct walk_op *op)
{
	int object = w->object[op->fd];
	uint64_t data = mask_data(op->events, w->next_data++);
	bool taken = model_write(&w->model, object, op->events, data);
	struct mate_call call = {
		.op = MATE_WRITE, .fd = w->fd[op->fd], .events = op->events, .data = data};
	return expect("write", mate_do(who(w, op), call).ret, taken ? MASK_BYTES : -EINVAL);
}

static const char *apply_read(struct walk *w, const struct walk_op *op)
{
	int object = w->object[op->fd];
	struct mate_call call = {.op = MATE_READ, .fd = w->fd[op->fd]};
	struct mate_reply r = mate_do(who(w, op), call);
	const char *wrong = expect("read", r.ret, MASK_BYTES);
	if (!wrong)
		wrong = expect("events", r.events, w->model.state[object]);
	if (!wrong)
		wrong = expect("data", (long)r.data, (long)w->model.data[object]);
	return wrong;
}

static const char *apply_poll(struct walk *w, const struct walk_op *op)
{
	uint32_t state = w->model.state[w->object[op->fd]];
	struct mate_call call = {
		.op = MATE_POLL + op->other, .fd = w->fd[op->fd], .events = op->events};
	struct mate_reply r = mate_do(who(w, op), call);
	if (call.op == MATE_POLL || call.op == MATE_PPOLL)
		return expect("revents", r.events, model_poll(state, op->events));
	return expect("sets", r.events, model_select(state, op->events));
}

static const char *apply_ctl(struct walk *w, const struct walk_op *op)
{
	bool nested = op->kind == WALK_CTL_SET;
	struct model_target t = {nested ? w->set[op->other] : w->fd[op->fd],
		nested ? -1 : w->object[op->fd], nested ? op->other : -1};
	uint64_t data = w->next_data++ * UINT64_C(0x123456789abcdef1);
	struct mate_call call = {.op = MATE_CTL,
		.ctl = op->ctl,
		.set = w->set[op->set],
		.fd = t.number,
		.events = op->events,
		.data = data};
	long want = model_ctl(&w->model, op->ctl, op->set, t, op->events, data);
	return expect("epoll_ctl", mate_do(who(w, op), call).ret, want);
}

static const char *apply_wait(struct walk *w, const struct walk_op *op)
{
	struct mate_call call = {.op = MATE_WAIT, .fd = w->set[op->set]};
	struct mate_reply r = mate_do(who(w, op), call);
	return model_waited(&w->model, op->set, r.got, (int)r.ret);
}

static const char *apply_poll_set(struct walk *w, const struct walk_op *op)
{
	struct mate_call call = {.op = MATE_POLL, .fd = w->set[op->set], .events = 7};
	enum model_answer want = model_readable(&w->model, op->set);
	uint32_t got = mate_do(who(w, op), call).events;
	if (want == MODEL_MAYBE)
		return NULL;
	return expect("revents of a set", got, want == MODEL_YES ? EPOLLIN : 0);
}

int walk_fds_of(const struct walk *w, int object)
{
	int count = 0;
	for (int i = 0; i < WALK_FDS; i++)
		count += w->fd[i] >= 0 && w->object[i] == object;
	return count;
}

bool walk_is_full(const struct walk *w)
{
	int count[WALK_SETS] = {0};
	for (int i = 0; i < MODEL_WATCHES; i++) {
		if (w->model.watch[i].used && ++count[w->model.watch[i].set] > MATE_EVENTS - 2)
			return true;
	}
	return false;
}

bool walk_is_watched(const struct walk *w, int set, int slot)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		const struct model_watch *m = &w->model.watch[i];
		if (m->used && m->set == set && m->number == w->fd[slot] &&
			m->object == w->object[slot])
			return true;
	}
	return false;
}

static void close_slot(struct walk *w, int slot)
{
	mask_close(w->fd[slot]);
	w->fd[slot] = -1;
	if (!walk_fds_of(w, w->object[slot]))
		model_forget(&w->model, w->object[slot]);
}

static void close_all(struct walk *w)
{
	for (int i = 0; i < WALK_FDS; i++) {
		if (w->fd[i] >= 0)
			close_slot(w, i);
	}
}

static void open_new(struct walk *w, int slot, int object)
{
	if (w->fd[slot] >= 0 || walk_fds_of(w, object))
		return;
	w->fd[slot] = mask_open(0);
	w->object[slot] = object;
}

static void copy_slot(struct walk *w, int slot, int from)
{
	if (w->fd[slot] >= 0 || w->fd[from] < 0)
		return;
	w->fd[slot] = dup(w->fd[from]);
	w->object[slot] = w->object[from];
}

static const char *apply_nest(struct walk *w, const struct walk_op *op)
{
	static const struct {
		int outer, inner;
		uint32_t events;
	} nests[] = {{2, 1, EPOLLIN}, {3, 1, EPOLLIN | EPOLLET}, {4, 3, EPOLLIN},
		{4, 1, EPOLLIN | EPOLLET}, {4, 0, EPOLLIN | EPOLLONESHOT}};
	const char *wrong = NULL;
	for (size_t i = 0; i < sizeof(nests) / sizeof(*nests) && !wrong; i++) {
		struct walk_op add = {.kind = WALK_CTL_SET,
			.who = op->who,
			.set = nests[i].outer,
			.ctl = EPOLL_CTL_ADD,
			.other = nests[i].inner,
			.events = nests[i].events};
		wrong = apply_ctl(w, &add);
	}
	return wrong;
}

static const char *apply_life(struct walk *w, const struct walk_op *op)
{
	switch (op->kind) {
	case WALK_CLOSE:
		close_slot(w, op->fd);
		break;
	case WALK_COPY:
		copy_slot(w, op->fd, op->other);
		break;
	case WALK_NEW:
		open_new(w, op->fd, op->other);
		break;
	case WALK_CLOSE_ALL:
		close_all(w);
		break;
	default:
		w->mate[w->mates++] = mate_start((enum mate_kind)op->other);
	}
	return NULL;
}

const char *walk_apply(struct walk *w, const struct walk_op *op)
{
	static const char *(*const on_fd[])(struct walk *, const struct walk_op *) = {
		[WALK_WRITE] = apply_write,
		[WALK_READ] = apply_read,
		[WALK_POLL] = apply_poll,
		[WALK_CTL] = apply_ctl,
		[WALK_CLOSE] = apply_life,
	};
	static const char *(*const others[])(struct walk *, const struct walk_op *) = {
		[WALK_CTL_SET] = apply_ctl,
		[WALK_WAIT] = apply_wait,
		[WALK_POLL_SET] = apply_poll_set,
		[WALK_COPY] = apply_life,
		[WALK_NEW] = apply_life,
		[WALK_CLOSE_ALL] = apply_life,
		[WALK_NEST] = apply_nest,
		[WALK_JOIN] = apply_life,
	};
	if (op->kind >= sizeof(on_fd) / sizeof(*on_fd) || !on_fd[op->kind])
		return others[op->kind](w, op);
	return w->fd[op->fd] < 0 ? NULL : on_fd[op->kind](w, op);
}

static void describe_fd(const struct walk_op *op, char *text, size_t size)
{
	static const char *const polls[] = {"poll", "ppoll", "select", "pselect"};
	switch (op->kind) {
	case WALK_WRITE:
		snprintf(text, size, "write %#x to fd %d", op->events, op->fd);
		break;
	case WALK_POLL:
		snprintf(text, size, "%s fd %d for %#x", polls[op->other], op->fd, op->events);
		break;
	case WALK_COPY:
		snprintf(text, size, "fd %d is a copy of fd %d", op->fd, op->other);
		break;
	case WALK_NEW:
		snprintf(text, size, "fd %d is a new eventfd", op->fd);
		break;
	default:
		snprintf(text, size, "%s fd %d", op->kind == WALK_READ ? "read" : "close", op->fd);
	}
}

static void describe_set(const struct walk_op *op, char *text, size_t size)
{
	static const char *const ctl[] = {"", "ADD", "DEL", "MOD"};
	bool nested = op->kind == WALK_CTL_SET;
	if (op->kind == WALK_CTL || nested)
		snprintf(text, size, "set %d: %s %s %d, %#x", op->set, ctl[op->ctl],
			nested ? "set" : "fd", nested ? op->other : op->fd, op->events);
	else
		snprintf(text, size, "%s set %d", op->kind == WALK_WAIT ? "epoll_wait on" : "poll",
			op->set);
}

void walk_describe(const struct walk_op *op, char *text, size_t size)
{
	int n = snprintf(text, size, "%u: ", op->who);
	text += n;
	size -= (size_t)n;
	switch (op->kind) {
	case WALK_CTL:
	case WALK_CTL_SET:
	case WALK_WAIT:
	case WALK_POLL_SET:
		describe_set(op, text, size);
		break;
	case WALK_CLOSE_ALL:
		snprintf(text, size, "close all fds");
		break;
	case WALK_NEST:
		snprintf(text, size, "sets are nested");
		break;
	case WALK_JOIN:
		snprintf(text, size, "%s joins", mate_name((enum mate_kind)op->other));
		break;
	default:
		describe_fd(op, text, size);
	}
}

void walk_start(struct walk *w)
{
	memset(w, 0, sizeof(*w));
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
}

void walk_end(struct walk *w)
{
	for (int i = 0; i < w->mates; i++)
		mate_end(&w->mate[i]);
	for (int i = 0; i < WALK_SETS; i++)
		close(w->set[i]);
	close_all(w);
}
