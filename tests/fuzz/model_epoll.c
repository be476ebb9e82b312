/* The model's epoll sets: watches with a place on their set's ready list, where events put them. */
#define _GNU_SOURCE
#include "model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

enum { LINKS = 512, MAX_NESTS = 4, MOST_EVENTS = INT_MAX / (int)sizeof(struct epoll_event) };

static const uint32_t private_bits = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
static const uint32_t exclusive_bits =
	EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/* A watch. The kernel walks a ready list from its head and drops what has nothing to show; where it
 * stops early, the order tells what was dropped. That order is left open here: such a watch is
 * queued `perhaps`, until its next event. */
struct link {
	const struct mfile *set; /* NULL: unused */
	const struct mfile *target;
	int fd;
	uint32_t events;
	uint64_t data;
	bool queued, perhaps;
};

static struct link links[LINKS];
static struct link *end = links;

void mset_reset(void)
{
	while (end > links)
		(--end)->set = NULL;
}

static struct link *next_in(const struct mfile *set, struct link *l)
{
	for (l = l ? l + 1 : links; l < end; l++)
		if (l->set == set)
			return l;
	return NULL;
}

static struct link *next_queued(const struct mfile *set, struct link *l)
{
	do
		l = next_in(set, l);
	while (l && !l->queued);
	return l;
}

static struct link *next_on(const struct mfile *target, struct link *l)
{
	for (l = l ? l + 1 : links; l < end; l++)
		if (l->set && l->target == target)
			return l;
	return NULL;
}

void mset_forget(const struct mfile *f)
{
	for (struct link *l = NULL; (l = next_in(f, l));)
		l->set = NULL;
	for (struct link *l = NULL; (l = next_on(f, l));)
		l->set = NULL;
}

/* ---- what is shown ---- */

static uint32_t shown(const struct link *l)
{
	return mfile_level(l->target) & l->events;
}

bool mset_ready(const struct mfile *set)
{
	bool perhaps = false;
	for (struct link *l = NULL; (l = next_queued(set, l));) {
		if (shown(l) && !l->perhaps)
			return true;
		perhaps |= shown(l) != 0;
	}
	if (perhaps)
		model_lose();
	return perhaps;
}

static void asked(const struct link *l, bool surely)
{
	if (l->target->kind == M_SET)
		mset_scanned(l->target, surely);
}

static void drop(struct link *l, bool surely)
{
	if (surely)
		l->queued = false;
	else
		l->perhaps = true;
}

void mset_scanned(const struct mfile *set, bool surely)
{
	surely = surely && !mset_ready(set);
	for (struct link *l = NULL; (l = next_queued(set, l));) {
		bool shows = shown(l);
		asked(l, surely);
		if (!shows)
			drop(l, surely);
	}
}

/* ---- events ---- */

static void put_on_list(struct link *l)
{
	l->queued = true;
	l->perhaps = false;
	if (model_fault != FAULT_MASK_NESTED || l->target->kind != M_MASK)
		mfile_wake(l->set, EPOLLIN);
}

void mfile_wake(const struct mfile *f, uint32_t key)
{
	for (struct link *l = NULL; (l = next_on(f, l));)
		if ((l->events & ~private_bits) && (!key || (key & l->events)))
			put_on_list(l);
}

/* An event that there was only if some watch was not queued before. */
static void wake_perhaps(const struct mfile *f)
{
	for (struct link *l = NULL; (l = next_on(f, l));) {
		if (!(l->events & EPOLLIN))
			continue;
		if (!l->queued)
			l->perhaps = true;
		l->queued = true;
		wake_perhaps(l->set);
	}
}

/* ---- changes to a set ---- */

/* A watch is of a file under a number, whatever else they become. */
static struct link *find(const struct mfile *set, const struct mfile *target, int fd)
{
	struct link *l = NULL;
	while ((l = next_in(set, l)))
		if (l->target == target && l->fd == fd)
			break;
	return l;
}

static long max_of(long a, long b)
{
	return a > b ? a : b;
}

/* How deep the sets below `set` nest; too deep where `into` is one of them. */
static long depth_below(const struct mfile *set, const struct mfile *into, int depth)
{
	long deepest = 0;
	for (struct link *l = NULL; deepest <= MAX_NESTS && (l = next_in(set, l));) {
		if (l->target->kind != M_SET)
			continue;
		if (l->target == into || depth > MAX_NESTS)
			return MAX_NESTS + 1;
		deepest = max_of(deepest, 1 + depth_below(l->target, into, depth + 1));
	}
	return deepest;
}

static long depth_above(const struct mfile *set)
{
	long highest = 0;
	for (struct link *l = NULL; (l = next_on(set, l));)
		highest = max_of(highest, 1 + depth_above(l->set));
	return highest;
}

static bool nests_badly(const struct mfile *set, const struct mfile *target)
{
	long below = depth_below(target, set, 0);
	return below > MAX_NESTS || below + 1 + depth_above(set) > MAX_NESTS;
}

static struct link *free_link(void)
{
	struct link *l = links;
	while (l < end && l->set)
		l++;
	if (l == links + LINKS) {
		model_lose();
		return NULL;
	}
	if (l == end)
		end++;
	return l;
}

static long add(const struct mfile *set, const struct mfile *target, int fd, struct epoll_event e)
{
	if (target->kind == M_SET && nests_badly(set, target))
		return model_fail(ELOOP);
	if (find(set, target, fd))
		return model_fail(EEXIST);
	struct link *l = free_link();
	if (!l)
		return model_fail(ENOSPC);
	*l = (struct link){.set = set,
		.target = target,
		.fd = fd,
		.events = e.events | EPOLLERR | EPOLLHUP,
		.data = e.data.u64};
	bool shows = shown(l);
	asked(l, true);
	if (shows)
		put_on_list(l);
	return 0;
}

static long modify(
	const struct mfile *set, const struct mfile *target, int fd, struct epoll_event e)
{
	struct link *l = find(set, target, fd);
	if (!l)
		return model_fail(ENOENT);
	if (l->events & EPOLLEXCLUSIVE)
		return model_fail(EINVAL);
	if (model_fault != FAULT_MASK_MOD || target->kind != M_MASK)
		l->events = e.events | EPOLLERR | EPOLLHUP;
	l->data = e.data.u64;
	bool shows = shown(l);
	asked(l, true);
	if (shows && !l->queued)
		put_on_list(l);
	else if (shows && l->perhaps)
		wake_perhaps(set);
	if (shows)
		l->perhaps = false;
	return 0;
}

static long delete (const struct mfile *set, const struct mfile *target, int fd)
{
	struct link *l = find(set, target, fd);
	if (!l)
		return model_fail(ENOENT);
	l->set = NULL;
	return 0;
}

static bool bad_exclusive(const struct mfile *target, int what, uint32_t events)
{
	if (what == EPOLL_CTL_DEL || !(events & EPOLLEXCLUSIVE))
		return false;
	return what == EPOLL_CTL_MOD ||
	       (what == EPOLL_CTL_ADD && (target->kind == M_SET || (events & ~exclusive_bits)));
}

long model_epoll_ctl(
	const struct box *b, int epfd, int what, int fd, const struct epoll_event *event)
{
	struct epoll_event e = {0};
	if (what != EPOLL_CTL_DEL && model_reach(b, event, false) < sizeof(e))
		return model_fail(EFAULT);
	if (what != EPOLL_CTL_DEL)
		memcpy(&e, event, sizeof(e));
	const struct mfile *set = mfile_of(b, epfd), *target = mfile_of(b, fd);
	if (!set || !target)
		return model_fail(EBADF);
	if (set == target || set->kind != M_SET || bad_exclusive(target, what, e.events))
		return model_fail(EINVAL);
	switch (what) {
	case EPOLL_CTL_ADD:
		return add(set, target, fd, e);
	case EPOLL_CTL_MOD:
		return modify(set, target, fd, e);
	case EPOLL_CTL_DEL:
		return delete (set, target, fd);
	default:
		return model_fail(EINVAL);
	}
}

long model_epoll_create(const struct box *b, bool one, int arg)
{
	int fd;
	if (one ? arg & ~EPOLL_CLOEXEC : arg <= 0)
		return model_fail(EINVAL);
	return mfile_new(b, M_SET, O_RDWR, one && (arg & EPOLL_CLOEXEC), &fd) ? fd : -1;
}

bool model_is_set(const struct box *b, int fd)
{
	int before = errno;
	const struct mfile *f = mfile_of(b, fd);
	errno = before;
	return f && f->kind == M_SET;
}

/* ---- waiting ---- */

struct report {
	struct link *from;
	struct epoll_event event;
	bool taken;
};

static int collect(const struct mfile *set, struct report *reports)
{
	int n = 0;
	for (struct link *l = NULL; (l = next_queued(set, l));) {
		uint32_t events = shown(l);
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
	for (struct link *l = NULL; (l = next_queued(set, l));) {
		bool shows = shown(l);
		asked(l, surely);
		if (!shows)
			drop(l, surely);
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
	bool usable = model_reach(b, events, true) >= sizeof(*events);
	drop_others(set, n < most && (usable || !n));
	if (n && !usable)
		return model_fail(EFAULT);
	choose(reports, n, n < most ? n : most, n > most ? chosen : NULL);
	return deliver(reports, n, n <= most, events);
}
