#include "core/signalset.h"

#include <errno.h>

#include "core/classwatch.h"
#include "core/config.h"
#include "core/demote.h"
#include "core/object.h"
#include "core/setid.h"
#include "core/signaldoor.h"
#include "core/signalfd.h"
#include "core/signalqueue.h"
#include "core/slotpool.h"
#include "sys/probe.h"

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

/* Whether a watch is dead takes long to find out. */
static struct sigwatch *find_free(void)
{
	uint32_t top = atomic_load(&signalset_top);

	for (uint32_t i = 0; i < top; i++) {
		if (!watches[i].set)
			return &watches[i];
	}
	if (top < WATCHES) {
		atomic_store(&signalset_top, top + 1);
		return &watches[top];
	}
	for (uint32_t i = 0; i < top; i++) {
		if (is_dead(&watches[i]))
			return &watches[i];
	}
	return NULL;
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

/* Where the kernel has signalfds no set will ever have one of ours in it. */
static bool may_ever_be_any(void)
{
	config_load();
	return config.signalfd || atomic_load(&signaldoor_armed) || !probe_signalfd();
}

void signalset_nested(int op, int outer, int inner, const struct epoll_event *event)
{
	const struct fdref none = {.fd = inner};

	if (!may_ever_be_any())
		return;
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

int signalset_collect(int epfd, struct epoll_event *events, int max)
{
	uint64_t set = setid_key(epfd), pending = signalqueue_pending();
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
