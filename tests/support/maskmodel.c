#include "maskmodel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint32_t all_events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP;

uint32_t model_poll(uint32_t state, uint32_t interest)
{
	return state & (interest | MASK_ALWAYS);
}

static const struct {
	unsigned set;
	uint32_t events;
} select_sets[] = {
	{SELECT_IN, EPOLLIN | EPOLLHUP | EPOLLERR},
	{SELECT_OUT, EPOLLOUT | EPOLLERR},
	{SELECT_EXCEPT, EPOLLPRI},
};

unsigned model_select(uint32_t state, unsigned sets)
{
	unsigned ready = 0;
	for (int i = 0; i < 3; i++) {
		if (sets & select_sets[i].set && state & select_sets[i].events)
			ready |= select_sets[i].set;
	}
	return ready;
}

bool model_wakes(uint32_t written, uint32_t interest)
{
	return model_poll(written, interest) != 0;
}

bool model_wakes_select(uint32_t written, unsigned sets)
{
	return model_select(written, sets) != 0;
}

static uint32_t level(const struct model *m, const struct model_watch *w)
{
	if (w->fired)
		return 0;
	if (w->object >= 0)
		return model_poll(m->state[w->object], w->interest);
	return model_readable(m, w->inner) != MODEL_NO ? w->interest & EPOLLIN : 0;
}

static enum model_answer least(enum model_answer a, enum model_answer b)
{
	return a < b ? a : b;
}

/* Whether a watch would be reported now. */
static enum model_answer reports(const struct model *m, const struct model_watch *w)
{
	if (!level(m, w))
		return MODEL_NO;
	enum model_answer there = w->inner >= 0 ? model_readable(m, w->inner) : MODEL_YES;
	return w->flags & EPOLLET ? least(there, w->queued) : there;
}

enum model_answer model_readable(const struct model *m, int set)
{
	enum model_answer most = MODEL_NO;
	for (int i = 0; i < MODEL_WATCHES; i++) {
		const struct model_watch *w = &m->watch[i];
		enum model_answer one = w->used && w->set == set ? reports(m, w) : MODEL_NO;
		most = one > most ? one : most;
	}
	return most;
}

/* Something happened in a set: whoever watches it has an edge. */
static void wake_outer(struct model *m, int set, enum model_answer sure)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		struct model_watch *w = &m->watch[i];
		if (!w->used || w->fired || w->inner != set)
			continue;
		w->queued = w->queued > sure ? w->queued : sure;
		wake_outer(m, w->set, w->interest & EPOLLIN ? sure : least(sure, MODEL_MAYBE));
	}
}

static void wake_watch(struct model *m, struct model_watch *w, uint32_t events)
{
	if (w->fired)
		return;
	if (model_wakes(events, w->interest)) {
		w->queued = MODEL_YES;
		w->untold = true;
		wake_outer(m, w->set, MODEL_YES);
	} else if (m->vague || !events) {
		/* A wake-up for no event in particular is one for all. */
		w->untold = true;
		wake_outer(m, w->set, MODEL_MAYBE);
	}
}

bool model_write(struct model *m, int object, uint32_t events, uint64_t data)
{
	if (events & ~all_events)
		return false;
	m->state[object] = events;
	m->data[object] = data;
	for (int i = 0; i < MODEL_WATCHES; i++) {
		if (m->watch[i].used && m->watch[i].object == object)
			wake_watch(m, &m->watch[i], events);
	}
	return true;
}

void model_forget(struct model *m, int object)
{
	m->state[object] = 0;
	m->data[object] = 0;
	for (int i = 0; i < MODEL_WATCHES; i++) {
		if (m->watch[i].object == object)
			m->watch[i].used = false;
	}
}

static struct model_watch *find(struct model *m, int set, struct model_target t)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		struct model_watch *w = &m->watch[i];
		if (w->used && w->set == set && w->number == t.number && w->object == t.object &&
			w->inner == t.inner)
			return w;
	}
	return NULL;
}

static struct model_watch *free_watch(struct model *m)
{
	for (int i = 0; i < MODEL_WATCHES; i++) {
		if (!m->watch[i].used)
			return &m->watch[i];
	}
	return NULL;
}

/* After ADD and MOD: one that is ready is queued, whatever its mode. */
static void set_up(struct model *m, struct model_watch *w, uint32_t events, uint64_t data)
{
	bool untold = w->untold;
	w->flags = events & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE);
	w->interest = events & all_events;
	w->data = data;
	w->fired = false;
	if (!level(m, w))
		return;
	w->queued = MODEL_YES;
	w->untold = true;
	/* One that was queued already is no news for an outer set. */
	wake_outer(m, w->set, untold ? MODEL_MAYBE : MODEL_YES);
}

static bool exclusive_allowed(uint32_t events, int inner)
{
	const uint32_t allowed =
		EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
	return !(events & ~allowed) && inner < 0;
}

int model_ctl(
	struct model *m, int op, int set, struct model_target t, uint32_t events, uint64_t data)
{
	struct model_watch *w = find(m, set, t);
	if (op != EPOLL_CTL_DEL && events & EPOLLEXCLUSIVE &&
		(op == EPOLL_CTL_MOD || !exclusive_allowed(events, t.inner)))
		return -EINVAL;
	if (op == EPOLL_CTL_ADD && w)
		return -EEXIST;
	if (op != EPOLL_CTL_ADD && !w)
		return -ENOENT;
	if (op == EPOLL_CTL_MOD && w->flags & EPOLLEXCLUSIVE)
		return -EINVAL;
	if (op == EPOLL_CTL_DEL) {
		w->used = false;
		return 0;
	}
	if (op == EPOLL_CTL_ADD) {
		w = free_watch(m);
		if (!w)
			return -ENOSPC;
		*w = (struct model_watch){.used = true,
			.set = set,
			.number = t.number,
			.object = t.object,
			.inner = t.inner};
	}
	set_up(m, w, events, data);
	return 0;
}

static const char *told(const char *what, const struct model_watch *w, uint32_t got, uint32_t want)
{
	static char text[200];
	snprintf(text, sizeof(text),
		"%s: fd %d, interest %#x, flags %#x, data %#jx: %#x instead of %#x", what,
		w->number, w->interest, w->flags, (uintmax_t)w->data, got, want);
	return text;
}

static void reported(struct model_watch *w)
{
	w->queued = MODEL_NO;
	w->untold = !(w->flags & (EPOLLET | EPOLLONESHOT));
	w->fired = w->flags & EPOLLONESHOT;
}

/* One watch and what was said of it (NULL: nothing). */
static const char *check(struct model *m, struct model_watch *w, const struct epoll_event *got)
{
	enum model_answer expected = reports(m, w);
	uint32_t want = level(m, w);
	if (!got && expected == MODEL_YES)
		return told("not reported", w, 0, want);
	if (got && expected == MODEL_NO)
		return told("reported", w, got->events, 0);
	if (got && got->events != want)
		return told("reported otherwise", w, got->events, want);
	if (got)
		reported(w);
	else
		w->queued = MODEL_NO;
	return NULL;
}

static const struct epoll_event *event_of(
	const struct model_watch *w, const struct epoll_event *got, int count)
{
	for (int i = 0; i < count; i++) {
		if (got[i].data.u64 == w->data)
			return &got[i];
	}
	return NULL;
}

const char *model_waited(struct model *m, int set, const struct epoll_event *got, int count)
{
	int known = 0;
	const char *wrong = NULL;
	for (int i = 0; i < MODEL_WATCHES && !wrong; i++) {
		struct model_watch *w = &m->watch[i];
		if (!w->used || w->set != set)
			continue;
		const struct epoll_event *e = event_of(w, got, count);
		known += e != NULL;
		wrong = check(m, w, e);
	}
	if (!wrong && known != count)
		return count < 0 ? "epoll_wait failed"
				 : "data that no watch has, or an event twice";
	return wrong;
}
