#include "core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "core/aiobridge.h"
#include "core/classfd.h"
#include "core/demote.h"
#include "core/efdfile.h"
#include "core/eventpoll.h"
#include "core/fdtable.h"
#include "core/front.h"
#include "core/process.h"
#include "core/store.h"
#include "core/warm.h"
#include "sys/older.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum {
	/* Where programs hardly come, and where the kernel's fd table is still small: it is copied
	 * at each fork, up to the highest number. A limit up to here is gone beyond. */
	HIGH = 4096,
	SPARE = 64, /* a program with fewer fds needs each one for itself */
	TRIES = 1000,
	KERNEL_SIGSET = 8,
};

/* The limit while this process has raised it for a moment; written by whoever holds `raising`, read
 * by a forked child. */
static struct rlimit given, raised;

/* 0, or 1 while somebody is about to raise the limit, or 2 while it is raised. Taken by
 * compare-and-swap by threads that block all signals. */
static _Atomic int raising;

static bool ask_limit(const struct rlimit *set, struct rlimit *old)
{
	return !older_limit(RLIMIT_NOFILE, set, old);
}

/* What the program itself set meanwhile stays. */
static void restore_limit(void)
{
	struct rlimit seen = raised;

	ask_limit(&given, &seen);
	if (seen.rlim_cur != raised.rlim_cur || seen.rlim_max != raised.rlim_max)
		ask_limit(&seen, NULL);
}

static int dup_beyond_limit(int fd)
{
	int high;

	if (!ask_limit(NULL, &given) || given.rlim_cur >= given.rlim_max || given.rlim_cur > HIGH)
		return -EMFILE;
	raised = given;
	raised.rlim_cur = given.rlim_max;
	atomic_store(&raising, 2);
	if (!ask_limit(&raised, NULL))
		return -EMFILE;
	high = older_fcntl(fd, F_DUPFD_CLOEXEC, (long)given.rlim_cur);
	restore_limit();
	return high;
}

static bool may_raise(void)
{
	for (int i = 0; i < TRIES; i++) {
		int none = 0;

		if (atomic_compare_exchange_strong(&raising, &none, 1))
			return true;
		raw_syscall3(SYS_sched_yield, 0, 0, 0);
	}
	return false;
}

/* The kernel looks at the soft limit only when it gives a number out: one from beyond it is none of
 * the program's. No handler may come in between, nor a second thread, which would take the raised
 * limit for the program's; whoever is not let in goes without. */
static int dup_beyond(int fd)
{
	uint64_t all = UINT64_MAX, before;
	int high = -EMFILE;

	raw_syscall6(
		SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, KERNEL_SIGSET, 0, 0);
	if (may_raise()) {
		high = dup_beyond_limit(fd);
		atomic_store(&raising, 0);
	}
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, KERNEL_SIGSET, 0, 0);
	return high;
}

/* As near below the limit as there is room, so that the program's own numbers come in order. */
static int dup_below(int fd, int limit)
{
	int high = -EMFILE;

	for (int room = 1; high == -EMFILE && room < limit; room *= 2)
		high = older_fcntl(fd, F_DUPFD_CLOEXEC, limit - room);
	return high;
}

static int dup_within(int fd)
{
	struct rlimit limit;

	if (!ask_limit(NULL, &limit) || limit.rlim_cur > HIGH)
		return older_fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
	if (limit.rlim_cur < SPARE)
		return -EMFILE;
	return dup_below(fd, (int)limit.rlim_cur);
}

int internal_dup(int fd)
{
	int high = process_borrows_memory() ? -EPERM : dup_beyond(fd);

	if (high == -EMFILE)
		high = dup_within(fd);
	if (high < 0)
		return high;
	if (fdtable_set_internal(high))
		return high;
	raw_close(high);
	return -EMFILE;
}

void internal_forked(void)
{
	if (atomic_exchange(&raising, 0) == 2)
		restore_limit();
}

int internal_adopt(int fd)
{
	int high;

	high = internal_dup(fd);
	passing_close(fd);
	return high;
}

/* Where the program has the number for a file of its own by now, the library's was closed behind
 * its back. */
void internal_close(int fd)
{
	if (fdtable_drop_stale(fd, ENTRY_INTERNAL))
		raw_close(fd);
}

void internal_move_away(int fd)
{
	int moved;

	if (fdtable_kind(fd) != FD_INTERNAL)
		return;
	moved = internal_dup(fd);
	if (moved < 0 && !process_borrows_memory())
		front_bell_lost(fd, demote_set);
	if (moved < 0)
		return;
	store_fd_moved(fd, moved);
	classfd_moved(fd, moved);
	front_bell_moved(fd, moved);
	eventpoll_bell_moved(fd, moved);
	warm_moved(fd, moved);
	efdfile_moved(fd, moved);
	aiobridge_moved(fd, moved);
}
