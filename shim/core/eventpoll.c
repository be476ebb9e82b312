#include "core/eventpoll.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include "core/bell.h"
#include "core/internal.h"
#include "core/plainset.h"
#include "core/setid.h"
#include "sys/passing.h"
#include "sys/raw.h"
#include "sys/sparse.h"

enum { BUCKETS = 256, PAGE = 4096 };

/* eventpoll.refs */
#define REFS 0xffffffu
#define REFS_WAITER (1u << 30)	/* one of them waits */
#define REFS_FREEING (1u << 31) /* there was none left */

/* By the set's number. Nodes are pushed at the front. */
static _Atomic(struct eventpoll *) buckets[BUCKETS];

_Atomic bool eventpoll_any;

static uint64_t key_of(uint64_t set)
{
	return set & (SETID_STRANGER - 1);
}

uint64_t eventpoll_key(int epfd)
{
	return key_of(fdtable_epoll_id(epfd));
}

static bool is_error(long map)
{
	return map < 0 && map > -PAGE;
}

static long map_page(int flags)
{
	return raw_syscall6(
		SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
}

/* One that is nobody's, or a new one; NULL where there is no memory. The caller has it alone. */
static struct eventpoll *claim(uint64_t key)
{
	_Atomic(struct eventpoll *) *bucket = &buckets[key % BUCKETS];
	struct eventpoll *first = atomic_load(bucket), *made;
	long page;

	for (struct eventpoll *one = first; one; one = one->next) {
		uint32_t nobody = 0;

		if (atomic_compare_exchange_strong(&one->refs, &nobody, 1))
			return one;
	}
	page = map_page(MAP_PRIVATE);
	if (is_error(page))
		return NULL;
	made = (struct eventpoll *)page;
	atomic_store(&made->refs, 1);
	do {
		made->next = first;
	} while (!atomic_compare_exchange_weak(bucket, &first, made));
	return made;
}

/* Room for every number there can be: only what is used ever has pages. */
static size_t bytes_of_all(void)
{
	return EVENTPOLL_FDS * (sizeof(struct eventpoll_place) + 2 * sizeof(struct pollfd)) +
	       EVENTPOLL_BATCH * sizeof(struct epoll_event);
}

static int get_memory(struct eventpoll *eventpoll)
{
	long page = map_page(MAP_SHARED), map;

	if (is_error(page))
		return ENOMEM;
	eventpoll->shared = (struct eventpoll_shared *)page;
	map = sparse_map(bytes_of_all(), -1);
	if (is_error(map))
		return ENOMEM;
	eventpoll->places = (struct eventpoll_place *)map;
	eventpoll->buffers[0] = (struct pollfd *)(eventpoll->places + EVENTPOLL_FDS);
	eventpoll->buffers[1] = eventpoll->buffers[0] + EVENTPOLL_FDS;
	eventpoll->batch = (struct epoll_event *)(eventpoll->buffers[1] + EVENTPOLL_FDS);
	return 0;
}

/* The front does not hear of it: as long as it does not ring it is nothing to ask the kernel for.
 */
static int hang_bell(struct eventpoll *eventpoll, int epfd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)EVENTPOLL_BELL << 32};
	int bell = bell_open();

	if (bell >= 0)
		bell = internal_adopt(bell);
	if (bell < 0)
		return -bell;
	atomic_store(&eventpoll->bell, bell);
	return -raw_epoll_ctl(epfd, EPOLL_CTL_ADD, bell, &event);
}

static void free_all(struct eventpoll *eventpoll)
{
	if (atomic_load(&eventpoll->bell) >= 0)
		internal_close(atomic_load(&eventpoll->bell));
	if (eventpoll->shared)
		raw_syscall3(SYS_munmap, (long)eventpoll->shared, PAGE, 0);
	if (eventpoll->places)
		raw_syscall3(SYS_munmap, (long)eventpoll->places, (long)bytes_of_all(), 0);
	eventpoll->shared = NULL;
	eventpoll->places = NULL;
	atomic_store(&eventpoll->bell, -1);
	atomic_store(&eventpoll->refs, 0);
}

static void clear(struct eventpoll *eventpoll, uint32_t maxfds)
{
	atomic_store(&eventpoll->bell, -1);
	atomic_store(&eventpoll->count, 0);
	atomic_store(&eventpoll->top, 0);
	atomic_store(&eventpoll->cursor, 0);
	atomic_store(&eventpoll->waits_by, 0);
	atomic_store(&eventpoll->probed, 0);
	eventpoll->shared = NULL;
	eventpoll->places = NULL;
	eventpoll->maxfds = maxfds;
	eventpoll->turn = 0;
	eventpoll->serial = 0;
}

static struct eventpoll *find(uint64_t key)
{
	struct eventpoll *one = NULL;

	if (key && atomic_load_explicit(&eventpoll_any, memory_order_relaxed))
		one = atomic_load(&buckets[key % BUCKETS]);
	while (one && atomic_load(&one->set) != key)
		one = one->next;
	return one;
}

static uintptr_t this_thread(void)
{
	static _Thread_local char mine;

	return (uintptr_t)&mine;
}

/* Whether a handler runs on a stack of its own, and the frame is not there. */
static bool is_elsewhere(uintptr_t frame)
{
	stack_t other;

	return !raw_syscall3(SYS_sigaltstack, 0, (long)&other, 0) &&
	       (other.ss_flags & SS_ONSTACK) && frame - (uintptr_t)other.ss_sp >= other.ss_size;
}

/* A handler that has interrupted a wait has its stack below, or elsewhere; who has not has left the
 * wait by a jump, and without a word. */
static bool was_left(const struct eventpoll *eventpoll, uintptr_t frame)
{
	uintptr_t before = atomic_load(&eventpoll->frame);

	return atomic_load(&eventpoll->thread) == this_thread() && frame >= before &&
	       !is_elsewhere(before);
}

/* The set may have been closed, and this be another one's, before it is held. */
static struct eventpoll *hold(uint64_t key, uint32_t mark, int *err)
{
	struct eventpoll *one = find(key);
	uint32_t refs = one ? atomic_load(&one->refs) : 0;

	*err = EINVAL;
	do {
		if (!refs || (refs & REFS_FREEING))
			return NULL;
		if (refs & mark) {
			*err = EBUSY;
			return NULL;
		}
	} while (!atomic_compare_exchange_weak(&one->refs, &refs, (refs + 1) | mark));
	if (atomic_load(&one->set) == key)
		return one;
	if (mark)
		eventpoll_put_waiter(one);
	else
		eventpoll_put(one);
	return NULL;
}

/* Where the set is open one stays for it: in a child that a handler forked its thread has none. */
static void put(struct eventpoll *eventpoll, uint32_t mark)
{
	uint32_t refs = atomic_load(&eventpoll->refs), left;

	do {
		left = refs & ~mark;
		if ((left & REFS) > 1 || !atomic_load(&eventpoll->set))
			left--;
		if (!(left & REFS))
			left = REFS_FREEING;
	} while (!atomic_compare_exchange_weak(&eventpoll->refs, &refs, left));
	if (left == REFS_FREEING)
		free_all(eventpoll);
}

struct eventpoll *eventpoll_get(int epfd)
{
	int err;

	return hold(eventpoll_key(epfd), 0, &err);
}

/* What a wait that was left had is the next one's of its thread. */
static struct eventpoll *get_left(int epfd, uintptr_t frame)
{
	struct eventpoll *eventpoll = eventpoll_get(epfd);
	bool left = eventpoll && was_left(eventpoll, frame);

	if (eventpoll)
		eventpoll_put(eventpoll);
	return left ? eventpoll : NULL;
}

struct eventpoll *eventpoll_get_to_wait(int epfd, int *err)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct eventpoll *eventpoll = hold(eventpoll_key(epfd), REFS_WAITER, err);

	if (!eventpoll && *err == EBUSY)
		return get_left(epfd, frame);
	if (!eventpoll)
		return NULL;
	atomic_store_explicit(&eventpoll->thread, this_thread(), memory_order_relaxed);
	atomic_store_explicit(&eventpoll->frame, frame, memory_order_relaxed);
	return eventpoll;
}

void eventpoll_put(struct eventpoll *eventpoll)
{
	put(eventpoll, 0);
}

void eventpoll_put_waiter(struct eventpoll *eventpoll)
{
	put(eventpoll, REFS_WAITER);
}

int eventpoll_begin(int epfd, int maxfds)
{
	uint64_t key = eventpoll_key(epfd);
	struct eventpoll *eventpoll = key ? claim(key) : NULL;
	int err;

	if (!eventpoll)
		return ENOMEM;
	clear(eventpoll, (uint32_t)maxfds);
	err = get_memory(eventpoll);
	if (!err)
		err = hang_bell(eventpoll, epfd);
	if (err) {
		eventpoll_put(eventpoll);
		return err;
	}
	plainset_end(epfd); /* its waits are not epoll_wait's */
	atomic_store(&eventpoll_any, true);
	atomic_store(&eventpoll->set, key);
	return 0;
}

bool eventpoll_is_one(int epfd)
{
	return find(eventpoll_key(epfd)) != NULL;
}

void eventpoll_ring(const struct eventpoll *eventpoll)
{
	int bell = atomic_load(&eventpoll->bell);

	if (fdtable_kind(bell) == FD_INTERNAL)
		bell_ring(bell);
}

/* The table knows already that the number is gone; a waiter says by which one it waits before it
 * looks at the table. */
static void end_wait(struct eventpoll *eventpoll, uint64_t key)
{
	uint64_t by = atomic_load(&eventpoll->waits_by);
	int fd = (int)(by & WAITS_NUMBER) - 1;

	if (fd < 0 || (by & WAITS_CUT) || eventpoll_key(fd) == key ||
		!atomic_compare_exchange_strong(&eventpoll->waits_by, &by, by | WAITS_CUT))
		return;
	atomic_fetch_add(&eventpoll->shared->over, 1);
	eventpoll_ring(eventpoll);
}

static bool is_open(uint64_t key)
{
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (eventpoll_key((int)fd) == key)
			return true;
	}
	return false;
}

void eventpoll_number_gone(uint64_t set)
{
	uint64_t key = key_of(set);
	struct eventpoll *eventpoll;
	int err;

	if (!key || !atomic_load_explicit(&eventpoll_any, memory_order_relaxed))
		return;
	eventpoll = hold(key, 0, &err);
	if (!eventpoll)
		return;
	end_wait(eventpoll, key);
	if (!is_open(key) && atomic_compare_exchange_strong(&eventpoll->set, &key, 0))
		eventpoll_put(eventpoll); /* the open set's */
	eventpoll_put(eventpoll);
}

static void each(void (*act)(struct eventpoll *eventpoll, int from, int to), int from, int to)
{
	for (int i = 0; i < BUCKETS && atomic_load(&eventpoll_any); i++) {
		for (struct eventpoll *one = atomic_load(&buckets[i]); one; one = one->next)
			act(one, from, to);
	}
}

static void move_bell(struct eventpoll *eventpoll, int from, int to)
{
	atomic_compare_exchange_strong(&eventpoll->bell, &from, to);
}

void eventpoll_bell_moved(int from, int to)
{
	each(move_bell, from, to);
}

/* What a thread was about to free, or make, is lost. A wait goes on where its handler forked. */
static void forget_users(struct eventpoll *eventpoll, int unused, int unused_too)
{
	uint32_t open = atomic_load(&eventpoll->set) ? 1 : 0;

	(void)unused;
	(void)unused_too;
	atomic_store(&eventpoll->probed, 0);
	if (open && (atomic_load(&eventpoll->refs) & REFS_WAITER) &&
		atomic_load(&eventpoll->thread) == this_thread()) {
		atomic_store(&eventpoll->refs, (open + 1) | REFS_WAITER);
		return;
	}
	atomic_store(&eventpoll->waits_by, 0);
	atomic_store(&eventpoll->refs, open);
}

void eventpoll_forked(void)
{
	each(forget_users, 0, 0);
}
