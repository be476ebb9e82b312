/* The model's epoll_wait. */
#define _GNU_SOURCE
#include "model_link.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { MOST_EVENTS = INT_MAX / (int)sizeof(struct epoll_event) };

/* b waits for the set. */
static void may_lack_numbers(const struct box *b, const struct mfile *set)
{
	int before = errno;
	for (struct link *l = NULL; model_may(ALLOW_ABSENT) && (l = link_next_in(set, l));)
		if (l->target->kind == M_MASK && mfile_of(b, l->fd) != l->target)
			model_lose();
	errno = before;
}

struct report {
	struct link *from;
	struct epoll_event event;
	bool taken;
};

static int collect(const struct mfile *set, struct report *reports)
{
	int n = 0;
	for (struct link *l = NULL; (l = link_next_queued(set, l));) {
		uint32_t events = link_shown(l);
		if (!events)
			continue;
		if (l->perhaps)
			model_lose();
		reports[n++] = (struct report){
			.from = l, .event = {.events = events, .data.u64 = l->data}};
	}
	return n;
}

static bool same(const struct epoll_event *e, uint64_t events, uint64_t data)
{
	return e->events == events && e->data.u64 == data;
}

/* Takes what the other side was given. Two watches that look alike, of which it was given one, go
 * on differently. */
static bool take_one(struct report *reports, int n, uint64_t events, uint64_t data)
{
	struct report *found = NULL;
	for (int i = 0; i < n; i++)
		if (!reports[i].taken && same(&reports[i].event, events, data))
			found = &reports[i];
	if (found)
		found->taken = true;
	return found;
}

static bool some_left_like_taken(const struct report *reports, int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			if (reports[i].taken && !reports[k].taken &&
				same(&reports[k].event, reports[i].event.events,
					reports[i].event.data.u64))
				return true;
	return false;
}

/* Chooses `most` of n. What the other side has wrong is not followed. */
static void choose(struct report *reports, int n, int most, const struct result *chosen)
{
	int left = most;
	if (chosen && chosen->ret == most && chosen->n == 2 * most) {
		for (int i = 0; i < most; i++)
			left -= take_one(reports, n, chosen->v[2 * i], chosen->v[2 * i + 1]);
		if (left == 0 && some_left_like_taken(reports, n))
			model_lose();
	}
	for (int i = 0; i < n && left; i++) {
		left -= !reports[i].taken;
		reports[i].taken = true;
	}
}

static void reported(struct link *l)
{
	bool refires = model_fault == FAULT_MASK_ONESHOT && l->target->kind == M_MASK;
	if ((l->events & EPOLLONESHOT) && !refires)
		l->events &= private_bits;
	else if (!(l->events & EPOLLET))
		return;
	l->queued = false;
}

/* All that was queued and has nothing to show is dropped, as far as the kernel came. */
static void drop_others(const struct mfile *set, bool surely)
{
	for (struct link *l = NULL; (l = link_next_queued(set, l));) {
		bool shows = link_shown(l);
		link_asked(l, surely);
		if (!shows)
			link_drop(l, surely);
	}
}

static long deliver(struct report *reports, int n, bool all, struct epoll_event *events)
{
	bool again = model_fault == FAULT_MASK_TWICE && !all;
	long done = 0;
	for (int i = 0; i < n; i++) {
		if (!reports[i].taken)
			continue;
		memcpy(&events[done++], &reports[i].event, sizeof(*events));
		if (!again || reports[i].from->target->kind != M_MASK)
			reported(reports[i].from);
	}
	return done;
}

long model_epoll_wait(const struct box *b, int epfd, struct epoll_event *events, int most,
	const struct result *chosen)
{
	struct report reports[LINKS];
	const struct mfile *set = mfile_of(b, epfd);
	if (!set)
		return -1;
	if (most <= 0 || most > MOST_EVENTS)
		return model_fail(EINVAL);
	if ((uintptr_t)events > INTPTR_MAX)
		return model_fail(EFAULT);
	if (set->kind != M_SET)
		return model_fail(EINVAL);
	int n = collect(set, reports);
	may_lack_numbers(b, set);
	bool usable = model_reach(b, events, true) >= sizeof(*events);
	bool refused =
		model_may(ALLOW_EFAULT) && chosen && chosen->ret < 0 && chosen->err == EFAULT;
	drop_others(set, n < most && (usable || (!n && !refused)));
	if (!usable && (n || refused))
		return model_fail(EFAULT);
	choose(reports, n, n < most ? n : most, chosen);
	return deliver(reports, n, n <= most, events);
}
