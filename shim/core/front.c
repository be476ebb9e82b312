#include "core/front.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "core/bell.h"
#include "core/fastwatch.h"
#include "core/fdtable.h"
#include "core/internal.h"
#include "core/setid.h"
#include "core/stats.h"
#include "sys/passing.h"
#include "sys/raw.h"

/* Numbers of sets come one after the other. */
enum { FRONTS = 256 };

/* What an event of a bell bears: nobody's cookie, and no likely pointer. */
#define BELL_DATA 0xefd5b311d00be11full

static struct front fronts[FRONTS];

/* One above the highest front that was ever used. */
static _Atomic uint32_t top;

static struct front *place_of(uint64_t set)
{
	return &fronts[set % FRONTS];
}

static int open_number(uint64_t set)
{
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (fdtable_epoll_id((int)fd) == set)
			return (int)fd;
	}
	return -1;
}

/* Number + 1 of bells whose sets are closed, for sets to come: they are not closed, so that a late
 * ring hits no stranger's file. Moved by exchange. */
static _Atomic int spares[FRONTS];

static void spare_bell(struct front *front)
{
	int bell = atomic_exchange(&front->bell, 0);

	for (uint32_t i = 0; i < FRONTS && bell; i++) {
		int none = 0;

		if (atomic_compare_exchange_strong(&spares[i], &none, bell))
			bell = 0;
	}
}

static int take_spare(void)
{
	int bell = 0;

	for (uint32_t i = 0; i < FRONTS && !bell; i++) {
		if (atomic_load(&spares[i]))
			bell = atomic_exchange(&spares[i], 0);
	}
	return bell;
}

/* Its set is closed: what is listed here may be listed elsewhere again. A thread that still waits
 * there keeps it, and so does one that was cancelled there. */
static bool clear(struct front *front, uint64_t set)
{
	uint32_t nobody = 0;

	if (!atomic_compare_exchange_strong(&front->waiter, &nobody, 1))
		return false;
	if (atomic_compare_exchange_strong(&front->set, &set, 0)) {
		fastwatch_unlist(front);
		spare_bell(front);
	}
	atomic_store(&front->waiter, 0);
	return true;
}

void front_number_gone(uint64_t set)
{
	struct front *front = place_of(set);

	if (set && atomic_load(&front->set) == set && open_number(set) < 0)
		clear(front, set);
}

static void raise_top(uint32_t index)
{
	uint32_t seen = atomic_load(&top);

	while (seen <= index && !atomic_compare_exchange_weak(&top, &seen, index + 1))
		;
}

void front_made(int epfd)
{
	uint64_t set = fdtable_epoll_id(epfd);
	struct front *front = place_of(set);
	uint64_t old = atomic_load(&front->set);

	if (!set || setid_shared(epfd) || (old && (open_number(old) >= 0 || !clear(front, old))))
		return;
	atomic_store(&front->state, FRONT_OPEN);
	atomic_store(&front->foreign, 0);
	atomic_store(&front->rings, 0);
	atomic_store(&front->epfd, epfd);
	atomic_store_explicit(&front->pace, 0, memory_order_relaxed);
	front->kernel_first = false;
	raise_top((uint32_t)(front - fronts));
	atomic_store(&front->set, set);
}

struct front *front_of_set(uint64_t set)
{
	struct front *front = place_of(set);

	return set && atomic_load(&front->set) == set ? front : NULL;
}

struct front *front_of(int epfd)
{
	struct front *front = front_of_set(fdtable_epoll_id(epfd));

	return front && atomic_load(&front->state) == FRONT_OPEN ? front : NULL;
}

#define MOVE_BEGUN (1ull << 32)

void front_begin_move(struct front *front)
{
	if (front)
		atomic_fetch_add(&front->moves, MOVE_BEGUN + 1);
}

void front_end_move(struct front *front)
{
	if (front)
		atomic_fetch_sub(&front->moves, 1);
}

int front_epfd(const struct front *front)
{
	uint64_t set = atomic_load(&front->set);
	int epfd = atomic_load(&front->epfd);

	return fdtable_epoll_id(epfd) == set ? epfd : open_number(set);
}

static int new_bell(void)
{
	int fd = bell_open();

	return fd < 0 ? fd : internal_adopt(fd);
}

/* Its number, or -errno. */
static int make_bell(struct front *front)
{
	int old = atomic_load(&front->bell);
	int fd;

	if (old && fdtable_kind(old - 1) == FD_INTERNAL)
		return old - 1;
	fd = take_spare() - 1;
	if (fd < 0 || fdtable_kind(fd) != FD_INTERNAL)
		fd = new_bell();
	if (fd < 0 || atomic_compare_exchange_strong(&front->bell, &old, fd + 1))
		return fd;
	internal_close(fd); /* another thread, or a handler, was faster */
	return old - 1;
}

/* Set before the first bell is hung anywhere, never cleared. */
static _Atomic bool any_bell;

bool front_any_bell(void)
{
	return atomic_load(&any_bell);
}

static int control_bell(int epfd, int op, int bell)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = BELL_DATA};

	stats_syscall();
	return -raw_epoll_ctl(epfd, op, bell, &event);
}

static void ring(struct front *front)
{
	int bell = atomic_load(&front->bell) - 1;

	if (fdtable_kind(bell) != FD_INTERNAL) /* a stranger's by now */
		return;
	stats_syscall();
	bell_ring(bell);
}

int front_hang_bell(struct front *front, int epfd)
{
	int bell, err;

	if (atomic_load(&front->rings))
		return 0;
	bell = make_bell(front);
	if (bell < 0)
		return -bell;
	atomic_store(&any_bell, true);
	err = control_bell(epfd, EPOLL_CTL_ADD, bell);
	if (err && err != EEXIST)
		return err;
	atomic_store(&front->rings, 1);
	if (atomic_load(&front->waiter)) /* in the kernel, without having said so */
		ring(front);
	return 0;
}

void front_take_bell(struct front *front, int epfd)
{
	if (atomic_exchange(&front->rings, 0))
		control_bell(epfd, EPOLL_CTL_DEL, atomic_load(&front->bell) - 1);
}

bool front_is_here(const struct front *front, int epfd)
{
	int bell = atomic_load(&front->bell) - 1;
	int err = bell < 0 ? EBADF : control_bell(epfd, EPOLL_CTL_ADD, bell);

	if (!err)
		control_bell(epfd, EPOLL_CTL_DEL, bell);
	return err == EEXIST;
}

bool front_is_bell(uint64_t data)
{
	return data == BELL_DATA;
}

void front_ring(struct front *front)
{
	if (atomic_load(&front->sleeping) && atomic_exchange(&front->sleeping, 0))
		ring(front);
}

void front_note_foreign(int epfd)
{
	struct front *front = front_of(epfd);

	if (front && !atomic_load(&front->foreign))
		atomic_store(&front->foreign, 1);
}

void front_each(void (*act)(struct front *front))
{
	for (uint32_t i = 0; i < atomic_load(&top); i++) {
		if (atomic_load(&fronts[i].set))
			act(&fronts[i]);
	}
}

/* To the kernel a number is part of what it has in a set. */
static void hang_moved(struct front *front, int from, int to)
{
	int epfd = front_epfd(front);

	if (epfd < 0 || !atomic_load(&front->rings))
		return;
	control_bell(epfd, EPOLL_CTL_ADD, to);
	control_bell(epfd, EPOLL_CTL_DEL, from);
}

void front_bell_moved(int from, int to)
{
	for (uint32_t i = 0; i < FRONTS; i++) {
		int bell = from + 1;

		if (atomic_compare_exchange_strong(&fronts[i].bell, &bell, to + 1))
			hang_moved(&fronts[i], from, to);
		bell = from + 1;
		atomic_compare_exchange_strong(&spares[i], &bell, to + 1);
	}
}

void front_bell_lost(int fd, void (*act)(struct front *front))
{
	for (uint32_t i = 0; i < FRONTS; i++) {
		int bell = fd + 1;

		atomic_compare_exchange_strong(&spares[i], &bell, 0);
		bell = fd + 1;
		if (atomic_load(&fronts[i].bell) != bell)
			continue;
		act(&fronts[i]);
		atomic_compare_exchange_strong(&fronts[i].bell, &bell, 0);
	}
}

static void forget(struct front *front)
{
	atomic_store(&front->state, FRONT_BANNED);
	atomic_store(&front->rings, 0);
	atomic_store(&front->waiter, 0);
	atomic_store(&front->moves, 0);
	atomic_store(&front->pushed, 0);
	front->length = 0;
	spare_bell(front);
}

void front_forked(void)
{
	for (uint32_t i = 0; i < atomic_load(&top); i++)
		forget(&fronts[i]);
	for (int bell; (bell = take_spare());)
		internal_close(bell - 1);
}
