#include "core/aiobridge.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "core/counterfd.h"
#include "core/internal.h"
#include "core/latch.h"
#include "core/local.h"
#include "core/object.h"
#include "core/process.h"
#include "core/slotpool.h"
#include "core/stats.h"
#include "sys/passing.h"
#include "sys/older.h"
#include "sys/raw.h"
#include "sys/thread.h"

enum { BRIDGES = 4096, EVENTS = 16, BELL = BRIDGES, IDLE_MS = 1000 };

/* All of this is moved under the latch only. */
struct bridge {
	struct fdref ref;     /* the object, by a number it had then */
	_Atomic uint64_t key; /* the same as one word, for looks without the latch */
	_Atomic int fd; /* number + 1 of a kernel eventfd of the library's; 0: the place is free */
	uint32_t uses;	/* calls that are about to name it to the kernel, or may do so still */
	uint32_t round; /* tells it from those that had the place before */
};

static struct {
	struct latch latch;
	struct bridge bridges[BRIDGES];
	_Atomic uint32_t top; /* one above the highest place ever used */
	_Atomic int epfd;     /* number + 1 of the set that the thread sleeps in */
	_Atomic int bell; /* number + 1 of an eventfd in it, to wake the thread for other reasons */
	_Atomic int pid;  /* whose it is; 0 before the first bridge */
	bool unheld;	  /* the thread looks now and then whether anybody has the objects */
	bool running;	  /* there is a thread, or will be */
} aio;

_Atomic uint32_t aiobridge_count;

/* A number that the program has made its own behind the library's back is no bridge's any more. */
static bool is_ours(int fd)
{
	return fd >= 0 && fdtable_kind(fd) == FD_INTERNAL;
}

static int number_of(_Atomic int *place)
{
	int fd = atomic_load(place) - 1;

	return is_ours(fd) ? fd : -EBADF;
}

static uint64_t key_of(const struct fdref *ref)
{
	return (uint64_t)ref->slot << 32 | ref->generation;
}

static bool is_alive(const struct bridge *bridge)
{
	return slot_lives_as(bridge->ref.object, bridge->ref.generation);
}

/* A child that was forked by a bare system call may have the file open still. */
static void drop(struct bridge *bridge)
{
	int fd = atomic_exchange(&bridge->fd, 0) - 1;

	if (is_ours(fd)) {
		raw_epoll_ctl(number_of(&aio.epfd), EPOLL_CTL_DEL, fd, NULL);
		internal_close(fd);
	}
	atomic_fetch_sub(&aiobridge_count, 1);
}

/* Another process may have had the object, and died with it: nobody says so. Sets *unheld where
 * this process has objects no more that others have. */
static bool has_died(const struct bridge *bridge, bool look, bool *unheld)
{
	if (!is_alive(bridge))
		return true;
	if (atomic_load(&local_of(bridge->ref.slot)->holds))
		return false;
	*unheld = true;
	return look && !object_still_open(bridge->ref.slot, bridge->ref.generation);
}

/* The in-flight I/O of one that goes keeps its count in the kernel, which nobody will read. */
static void drop_dead(bool look)
{
	bool unheld = false;

	for (uint32_t i = 0; i < aio.top; i++) {
		struct bridge *bridge = &aio.bridges[i];

		if (atomic_load(&bridge->fd) && !bridge->uses &&
			(number_of(&bridge->fd) < 0 || has_died(bridge, look, &unheld)))
			drop(bridge);
	}
	aio.unheld = unheld;
}

static void pass_on(struct bridge *bridge)
{
	uint64_t n, added;
	int fd = number_of(&bridge->fd);

	stats_syscall();
	if (fd >= 0 && raw_read(fd, &n, sizeof(n)) == sizeof(n) && is_alive(bridge))
		counterfd_signal(&bridge->ref, n, &added);
}

static void quiet_bell(void)
{
	uint64_t n;
	int fd = number_of(&aio.bell);

	if (fd >= 0)
		raw_read(fd, &n, sizeof(n));
}

static uint64_t data_of(uint32_t index, uint32_t round)
{
	return (uint64_t)round << 32 | index;
}

static void serve(uint64_t data)
{
	uint32_t index = (uint32_t)data;

	if (index == BELL)
		quiet_bell();
	else if (atomic_load(&aio.bridges[index].fd) &&
		 data == data_of(index, aio.bridges[index].round))
		pass_on(&aio.bridges[index]);
}

/* False where the thread is to end: there has been nothing to wait for for a while, or there is
 * nothing to wait in. */
static bool serve_all(const struct epoll_event *events, long n, int *timeout)
{
	bool stay;

	latch_lock(&aio.latch);
	for (long i = 0; i < n; i++)
		serve(events[i].data.u64);
	drop_dead(!n);
	stay = (n || atomic_load(&aiobridge_count)) && number_of(&aio.epfd) >= 0;
	aio.running = stay;
	*timeout = aio.unheld || !atomic_load(&aiobridge_count) ? IDLE_MS : -1;
	latch_unlock(&aio.latch);
	return stay;
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	int timeout = -1;
	long n;

	do {
		n = older_epoll_wait(number_of(&aio.epfd), events, EVENTS, timeout);
	} while (serve_all(events, n, &timeout));
}

static int keep(_Atomic int *place, int fd)
{
	fd = fd < 0 ? fd : internal_adopt(fd);
	if (fd >= 0)
		atomic_store(place, fd + 1);
	return fd;
}

static int watch_number(int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = data};

	stats_syscall();
	return raw_epoll_ctl(number_of(&aio.epfd), EPOLL_CTL_ADD, fd, &event);
}

/* The set and the bell, once made, stay: a late ring hits no stranger's file. Where the program has
 * made the set's number its own the thread sleeps in a set that nothing will come to. */
static int prepare_set(void)
{
	int err = 0;

	if (number_of(&aio.epfd) >= 0 && number_of(&aio.bell) >= 0)
		return 0;
	if (number_of(&aio.epfd) < 0) {
		err = keep(&aio.epfd, passing_epoll());
		aio.running = false;
	}
	if (err >= 0 && number_of(&aio.bell) < 0)
		err = keep(&aio.bell, passing_eventfd(EFD_NONBLOCK));
	if (err < 0)
		return err;
	err = watch_number(number_of(&aio.bell), BELL);
	return err == -EEXIST ? 0 : err;
}

static int start_thread(void)
{
	if (aio.running)
		return 0;
	if (thread_start(run))
		return -EAGAIN;
	aio.running = true;
	return 0;
}

static struct bridge *free_place(void)
{
	drop_dead(true);
	for (uint32_t i = 0; i < BRIDGES; i++) {
		if (atomic_load(&aio.bridges[i].fd))
			continue;
		if (i >= aio.top)
			aio.top = i + 1;
		return &aio.bridges[i];
	}
	return NULL;
}

static int open_bridge(struct bridge *bridge, const struct fdref *ref)
{
	int err = prepare_set();

	if (err >= 0)
		err = keep(&bridge->fd, passing_eventfd(EFD_NONBLOCK));
	if (err < 0) /* a kernel without eventfds knows none in an iocb either */
		return err == -ENOSYS ? -EINVAL : err;
	bridge->ref = *ref;
	bridge->ref.entry &= ~(ENTRY_PIN_FIELD | ENTRY_CLOSING | ENTRY_REPLACING);
	atomic_store(&bridge->key, key_of(ref));
	bridge->round++;
	atomic_fetch_add(&aiobridge_count, 1);
	err = watch_number(
		number_of(&bridge->fd), data_of((uint32_t)(bridge - aio.bridges), bridge->round));
	if (!err)
		err = start_thread();
	if (err)
		drop(bridge);
	return err;
}

static struct bridge *find(const struct fdref *ref)
{
	for (uint32_t i = 0; i < aio.top; i++) {
		struct bridge *bridge = &aio.bridges[i];

		if (atomic_load(&bridge->key) == key_of(ref) && number_of(&bridge->fd) >= 0)
			return bridge;
	}
	return NULL;
}

/* The threads that there were are not in a forked child; where libc's fork did not make it, nobody
 * has said so. */
static void know_process(void)
{
	int pid = process_pid(), before = atomic_load(&aio.pid);

	if (before != pid && atomic_compare_exchange_strong(&aio.pid, &before, pid) && before)
		aiobridge_forked();
}

/* Whatever the cause: io_submit has one error for what it has no room for. */
int aiobridge_take(const struct fdref *ref, struct bridge **taken)
{
	struct bridge *bridge;

	if (process_borrows_memory()) /* which must not be given threads of its child's */
		return -EAGAIN;
	know_process();
	latch_lock(&aio.latch);
	bridge = find(ref);
	if (!bridge) {
		bridge = free_place();
		if (bridge && open_bridge(bridge, ref))
			bridge = NULL;
	}
	if (bridge)
		bridge->uses++;
	latch_unlock(&aio.latch);
	*taken = bridge;
	return bridge ? number_of(&bridge->fd) : -EAGAIN;
}

void aiobridge_pull_slow(void)
{
	if (process_borrows_memory() || atomic_load(&aio.pid) != process_pid())
		return;
	latch_lock(&aio.latch);
	for (uint32_t i = 0; i < aio.top; i++) {
		if (atomic_load(&aio.bridges[i].fd))
			pass_on(&aio.bridges[i]);
	}
	latch_unlock(&aio.latch);
}

static void ring(void)
{
	const uint64_t one = 1;
	int fd = number_of(&aio.bell);

	if (fd < 0)
		return;
	stats_syscall();
	raw_write(fd, &one, sizeof(one));
}

void aiobridge_give_back(struct bridge *bridge)
{
	latch_lock(&aio.latch);
	bridge->uses--;
	if (!bridge->uses && !is_alive(bridge))
		ring();
	latch_unlock(&aio.latch);
}

void aiobridge_left_slow(const struct fdref *ref)
{
	for (uint32_t i = 0; i < aio.top; i++) {
		if (atomic_load(&aio.bridges[i].key) == key_of(ref)) {
			ring();
			return;
		}
	}
}

static void move(_Atomic int *place, int from, int to)
{
	int fd = from + 1;

	atomic_compare_exchange_strong(place, &fd, to + 1);
}

/* To the set the number does not matter: it has the file. */
void aiobridge_moved(int from, int to)
{
	move(&aio.epfd, from, to);
	move(&aio.bell, from, to);
	for (uint32_t i = 0; i < BRIDGES; i++)
		move(&aio.bridges[i].fd, from, to);
}

static void forget(_Atomic int *place)
{
	int fd = atomic_exchange(place, 0) - 1;

	if (is_ours(fd))
		internal_close(fd);
}

void aiobridge_forked(void)
{
	for (uint32_t i = 0; i < aio.top; i++) {
		forget(&aio.bridges[i].fd);
		aio.bridges[i].uses = 0;
	}
	forget(&aio.epfd);
	forget(&aio.bell);
	atomic_store(&aio.latch.word, 0);
	atomic_store(&aiobridge_count, 0);
	aio.running = false;
	atomic_store(&aio.pid, process_pid());
}
