/* The model's epoll sets: watches with a place on their set's ready list, where events put them. */
#define _GNU_SOURCE
#include "model_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { MAX_NESTS = 4 };

static const uint32_t exclusive_bits =
	EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

static struct link links[LINKS];
static struct link *end = links;

void mset_reset(void)
{
	while (end > links)
		(--end)->set = NULL;
}

struct link *link_next_in(const struct mfile *set, struct link *l)
{
	for (l = l ? l + 1 : links; l < end; l++)
		if (l->set == set)
			return l;
	return NULL;
}

struct link *link_next_queued(const struct mfile *set, struct link *l)
{
	do
		l = link_next_in(set, l);
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
	for (struct link *l = NULL; (l = link_next_in(f, l));)
		l->set = NULL;
	for (struct link *l = NULL; (l = next_on(f, l));)
		l->set = NULL;
}

/* ---- allowances ---- */

/* The set is polled, and not ready. */
static void may_look_ready(const struct mfile *set)
{
	if (!model_may(ALLOW_NESTED))
		return;
	for (struct link *l = NULL; (l = link_next_in(set, l));)
		if (l->target->kind == M_MASK && l->target->events)
			model_lose();
}

/* A mask is written that does not interest the watch l. */
static void may_wake(const struct link *l, uint32_t key)
{
	if (model_may(ALLOW_NESTED) && key && l->target->kind == M_MASK && next_on(l->set, NULL))
		model_lose();
}

/* The watches of a mask change: its other watchers are woken once more. */
static void may_wake_all(const struct mfile *target)
{
	for (struct link *l = NULL; model_may(ALLOW_NESTED) && (l = next_on(target, l));)
		if (target->kind == M_MASK && target->events && next_on(l->set, NULL))
			model_lose();
}

/* ---- what is shown ---- */

uint32_t link_shown(const struct link *l)
{
	return mfile_level(l->target) & l->events;
}

bool mset_ready(const struct mfile *set)
{
	bool perhaps = false;
	for (struct link *l = NULL; (l = link_next_queued(set, l));) {
		if (link_shown(l) && !l->perhaps)
			return true;
		perhaps |= link_shown(l) != 0;
	}
	if (perhaps)
		model_lose();
	else
		may_look_ready(set);
	return perhaps;
}

void link_asked(const struct link *l, bool surely)
{
	if (l->target->kind == M_SET)
		mset_scanned(l->target, surely);
}

void link_drop(struct link *l, bool surely)
{
	if (surely)
		l->queued = false;
	else
		l->perhaps = true;
}

void mset_scanned(const struct mfile *set, bool surely)
{
	surely = surely && !mset_ready(set);
	for (struct link *l = NULL; (l = link_next_queued(set, l));) {
		bool shows = link_shown(l);
		link_asked(l, surely);
		if (!shows)
			link_drop(l, surely);
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
		else
			may_wake(l, key);
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
	while ((l = link_next_in(set, l)))
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
	for (struct link *l = NULL; deepest <= MAX_NESTS && (l = link_next_in(set, l));) {
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
	bool shows = link_shown(l);
	link_asked(l, true);
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
	bool shows = link_shown(l);
	if (shows && model_may(ALLOW_AGAIN) && next_on(set, NULL))
		model_lose();
	link_asked(l, true);
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

static long change(
	const struct mfile *set, int what, const struct mfile *target, int fd, struct epoll_event e)
{
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
	long ret = change(set, what, target, fd, e);
	may_wake_all(target);
	return ret;
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
