#include "core/signalset.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/classwatch.h"
#include "core/demote.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/signaldoor.h"
#include "core/signalfd.h"
#include "core/signalqueue.h"
#include "core/slotpool.h"
#include "core/stats.h"
#include "core/timeout.h"
#include "core/usermem.h"
#include "sys/alone.h"
#include "sys/oldpoll.h"

enum { WATCHES = 1024 };

/* All of it under the lock of signalqueue.h. */
struct sigwatch {
	_Atomic uint64_t set; /* 0: free; may be read without the lock */
	uint64_t inner;	      /* of a set in the set, its key: it may have signalfds in it */
	uint64_t data;
	uint64_t told; /* edge-triggered: pending signals that were told of */
	uint32_t events;
	uint32_t slot;
	uint32_t generation;
	int fd;
	bool fired; /* one-shot, and told */
};

static struct sigwatch watches[WATCHES];
_Atomic uint32_t signalset_top;

/* Whether there ever was a signalfd in a set. */
static _Atomic bool any;

/* So deep the kernel nests sets. */
enum { DEPTH = 5 };

static struct sigwatch *find(uint64_t set, const struct fdref *ref, uint64_t inner)
{
	for (uint32_t i = 0; i < atomic_load(&signalset_top); i++) {
		struct sigwatch *watch = &watches[i];

		if (watch->set == set && watch->fd == ref->fd && !watch->inner == !inner &&
			watch->slot == ref->slot && watch->generation == ref->generation)
			return watch;
	}
	return NULL;
}

static bool is_dead(const struct sigwatch *watch)
{
	if (!watch->set || setid_closed(watch->set))
		return true;
	if (watch->inner)
		return setid_closed(watch->inner);
	return !object_still_open(watch->slot, watch->generation);
}

static struct sigwatch *find_free(void)
{
	uint32_t top = atomic_load(&signalset_top);

	for (uint32_t i = 0; i < top; i++) {
		if (is_dead(&watches[i]))
			return &watches[i];
	}
	if (top == WATCHES)
		return NULL;
	atomic_store(&signalset_top, top + 1);
	return &watches[top];
}

static void fill(struct sigwatch *watch, uint64_t set, const struct fdref *ref,
	const struct epoll_event *event)
{
	watch->data = event->data.u64;
	watch->told = 0;
	watch->events = event->events;
	watch->slot = ref->slot;
	watch->generation = ref->generation;
	watch->fd = ref->fd;
	watch->fired = false;
	atomic_store(&watch->set, set);
}

static int set_watch(
	uint64_t set, const struct fdref *ref, uint64_t inner, const struct epoll_event *event)
{
	struct sigwatch *watch = find(set, ref, inner);

	if (!watch)
		watch = find_free();
	if (!watch)
		return ENOSPC;
	watch->inner = inner;
	fill(watch, set, ref, event);
	return 0;
}

/* Without an event there is no watch any more. */
static int note(
	uint64_t set, const struct fdref *ref, uint64_t inner, const struct epoll_event *event)
{
	uint64_t mask = signalqueue_lock();
	struct sigwatch *watch;
	int err = 0;

	if (event) {
		err = set_watch(set, ref, inner, event);
	} else {
		watch = find(set, ref, inner);
		if (watch)
			watch->set = 0;
	}
	signalqueue_unlock(mask);
	return err;
}

int signalset_ctl(int epfd, int op, const struct fdref *ref, const struct epoll_event *event)
{
	uint32_t exclusive = event ? event->events & EPOLLEXCLUSIVE : 0;
	uint64_t set = setid_key(epfd);
	int err;

	demote_set_of(epfd);
	err = classwatch_control(epfd, op, ref->fd, exclusive, 0);
	if (err)
		return err;
	atomic_store(&any, true);
	err = note(set, ref, 0, event);
	if (err && op == EPOLL_CTL_ADD)
		classwatch_control(epfd, EPOLL_CTL_DEL, ref->fd, 0, 0);
	return err;
}

void signalset_nested(int op, int outer, int inner, const struct epoll_event *event)
{
	const struct fdref none = {.fd = inner};

	note(setid_key(outer), &none, setid_key(inner), op == EPOLL_CTL_DEL ? NULL : event);
}

static uint64_t signals_of(uint64_t set, int depth);

/* What of its signals would make the watch ready: all but those that were told of. */
static uint64_t wanted(const struct sigwatch *watch, int depth)
{
	if (watch->fired || !(watch->events & EPOLLIN))
		return 0;
	if (watch->inner)
		return depth ? signals_of(watch->inner, depth - 1) & ~watch->told : 0;
	return signalfd_signals(slotpool_slots + watch->slot) & ~watch->told;
}

/* The next watch of the set that lives, from *i on. */
static struct sigwatch *next_of(uint64_t set, uint32_t *i)
{
	while (*i < atomic_load(&signalset_top)) {
		struct sigwatch *watch = &watches[(*i)++];

		if (watch->set != set)
			continue;
		if (!is_dead(watch))
			return watch;
		watch->set = 0;
	}
	return NULL;
}

static uint64_t signals_of(uint64_t set, int depth)
{
	struct sigwatch *watch;
	uint64_t signals = 0;
	uint32_t i = 0;

	while ((watch = next_of(set, &i)))
		signals |= wanted(watch, depth);
	return signals;
}

static bool may_have(uint64_t set)
{
	for (uint32_t i = 0; i < atomic_load(&signalset_top); i++) {
		if (watches[i].set == set)
			return true;
	}
	return false;
}

static bool has(uint64_t set, int depth)
{
	struct sigwatch *watch;
	uint32_t i = 0;

	while ((watch = next_of(set, &i))) {
		if (!watch->inner || (depth && has(watch->inner, depth - 1)))
			return true;
	}
	return false;
}

bool signalset_has(int epfd)
{
	uint64_t set, mask;
	bool found;

	if (!atomic_load(&any) || fdtable_kind(epfd) != FD_SET)
		return false;
	set = setid_key(epfd);
	if (!may_have(set))
		return false;
	mask = signalqueue_lock();
	found = has(set, DEPTH);
	signalqueue_unlock(mask);
	return found;
}

uint64_t signalset_signals(int epfd)
{
	uint64_t mask = signalqueue_lock();
	uint64_t signals = signals_of(setid_key(epfd), DEPTH);

	signalqueue_unlock(mask);
	return signals;
}

bool signalset_ready(int epfd)
{
	return signalqueue_pending() & signalset_signals(epfd);
}

/* Whether the watch has something to tell; then that is told. */
static bool tell(struct sigwatch *watch, uint64_t pending)
{
	bool ready;

	watch->told &= pending;
	ready = wanted(watch, DEPTH) & pending;
	if (!ready)
		return false;
	if (watch->events & EPOLLET)
		watch->told |= pending & wanted(watch, DEPTH);
	watch->fired = watch->events & EPOLLONESHOT;
	return true;
}

/* Into a copy: the program's memory may be bad, and is not to be touched under the lock. */
static int collect(uint64_t set, struct epoll_event *events, int max, uint64_t pending)
{
	uint64_t mask = signalqueue_lock();
	struct sigwatch *watch;
	uint32_t i = 0;
	int n = 0;

	while (n < max && (watch = next_of(set, &i))) {
		if (!tell(watch, pending))
			continue;
		events[n].events = EPOLLIN;
		events[n++].data.u64 = watch->data;
	}
	signalqueue_unlock(mask);
	return n;
}

enum { AT_ONCE = 16 };

/* Where there is room for one only, the kernel's have their turn, too. */
static _Atomic uint32_t turns;

static int tell_signals(const struct epoll_call *call)
{
	struct epoll_event events[AT_ONCE];
	int max = call->max < AT_ONCE ? call->max : AT_ONCE;
	uint64_t pending;

	if (max <= 0)
		return 0;
	if (!usermem_storable(call->events, (size_t)max * sizeof(*events)))
		return signalset_ready(call->epfd) ? -EFAULT : 0;
	pending = signalqueue_pending();
	max = collect(setid_key(call->epfd), events, max, pending);
	memcpy(call->events, events, (size_t)max * sizeof(*events));
	return max;
}

/* A set in the set may be ready both for a signal and for the kernel. */
static long without_doubles(struct epoll_event *events, int n, long others)
{
	long kept = 0;

	for (long i = n; i < n + others; i++) {
		bool told = false;

		for (int k = 0; k < n; k++)
			told |= events[k].data.u64 == events[i].data.u64 &&
				events[i].events == EPOLLIN;
		if (!told)
			events[n + kept++] = events[i];
	}
	return kept;
}

static struct outcome tell_others(const struct epoll_call *call, int n)
{
	static const struct timespec now;
	struct epoll_call rest = *call;
	struct outcome outcome;

	rest.timeout = &now;
	rest.events += n;
	rest.max -= n;
	if (n && !rest.max)
		return outcome_ok(n);
	outcome = epollset_wait_in_kernel(&rest);
	if (outcome.err)
		return n ? outcome_ok(n) : outcome;
	return outcome_ok(n + without_doubles(call->events, n, outcome.value));
}

static struct outcome look(const struct epoll_call *call)
{
	struct outcome outcome;
	int n;

	if (call->max == 1 && (atomic_fetch_add(&turns, 1) & 1)) {
		outcome = tell_others(call, 0);
		if (outcome.err || outcome.value)
			return outcome;
	}
	n = tell_signals(call);
	return n < 0 ? outcome_err(-n) : tell_others(call, n);
}

static void close_door(void *arg)
{
	signaldoor_close(arg);
}

static int poll_set(int epfd, const struct timespec *timeout, const sigset_t *mask)
{
	struct pollfd set = {.fd = epfd, .events = POLLIN};
	int err = 0, saved = errno;

	stats_syscall();
	if (oldpoll_ppoll(&set, 1, timeout, mask) < 0)
		err = errno;
	errno = saved;
	return err == EINTR && signaldoor_came() ? 0 : err;
}

/* As poll(2) sleeps on a set: what woke it is found by the next look. 0 or an errno value. */
static int sleep_on(const struct epoll_call *call, const struct timespec *timeout)
{
	struct signaldoor door;
	int err;

	signaldoor_open(&door, signalset_signals(call->epfd), call->mask);
	pthread_cleanup_push(close_door, &door);
	err = poll_set(call->epfd, timeout, &door.during);
	pthread_cleanup_pop(1);
	return err;
}

struct outcome signalset_wait(struct epoll_call *call)
{
	struct timeout limit = timeout_start(call->timeout);
	struct timespec left, slice = {.tv_sec = 1};
	const struct timespec *timeout;
	struct outcome outcome;
	int err;

	for (;;) {
		outcome = look(call);
		if (outcome.err || outcome.value || timeout_over(&limit, &left))
			return outcome;
		timeout = call->timeout ? &left : NULL;
		if (!alone() && (!timeout || left.tv_sec >= slice.tv_sec)) /* see README */
			timeout = &slice;
		err = sleep_on(call, timeout);
		if (err)
			return outcome_err(err);
	}
}

void signalset_taken(int sig)
{
	uint64_t mask;

	if (!atomic_load(&signalset_top))
		return;
	mask = signalqueue_lock();
	for (uint32_t i = 0; i < atomic_load(&signalset_top); i++)
		watches[i].told &= ~signal_bit(sig);
	signalqueue_unlock(mask);
}
