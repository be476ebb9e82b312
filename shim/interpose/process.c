/* New processes that libc's fork handlers do not see, and the ends of threads and of this one. */
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/aiobridge.h"
#include "core/demote.h"
#include "core/detour.h"
#include "core/process.h"
#include "core/stats.h"
#include "core/warm.h"
#include "sys/alone.h"

/* A fork that runs no fork handlers. */
pid_t _Fork(void)
{
	pid_t pid;

	demote_forking();
	pid = real()->_Fork();
	if (pid == 0) {
		object_forked();
		stats_reset(true);
	} else {
		demote_forking();
	}
	return pid;
}

/* What clone() runs in a child that has memory of its own. */
struct beginning {
	int (*fn)(void *);
	void *arg;
};

static int begin(void *arg)
{
	struct beginning beginning = *(struct beginning *)arg;

	object_forked();
	stats_reset(true);
	return beginning.fn(beginning.arg);
}

/* A child with this memory and fds of its own makes the table doubtful: until it is gone, where
 * this thread waits for that, else for good. */
static int clone_borrower(int (*fn)(void *), void *stack, int flags, void *arg, void *const more[3])
{
	int pid;

	if (!(flags & CLONE_VFORK))
		demote_all_sets();
	atomic_fetch_add(&fdtable_borrowers, 1);
	pid = real()->clone(fn, stack, flags, arg, more[0], more[1], more[2]);
	if (pid < 0 || (flags & CLONE_VFORK))
		atomic_fetch_sub(&fdtable_borrowers, 1);
	return pid;
}

int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct beginning beginning = {fn, arg};
	void *more[3];
	va_list list;
	int pid;

	va_start(list, arg);
	for (int i = 0; i < 3; i++)
		more[i] = va_arg(list, void *);
	va_end(list);
	if ((flags & CLONE_VM) && !(flags & CLONE_VFORK))
		alone_no_more();
	if ((flags & CLONE_FILES) && !(flags & CLONE_VM)) {
		demote_all_sets();
		process_share_numbers();
	}
	if (flags & CLONE_FILES)
		return real()->clone(fn, stack, flags, arg, more[0], more[1], more[2]);
	if (flags & CLONE_VM)
		return clone_borrower(fn, stack, flags, arg, more);
	demote_forking();
	pid = real()->clone(begin, stack, flags, &beginning, more[0], more[1], more[2]);
	demote_forking();
	return pid;
}

/* vfork.S leaves errno to this. */
__attribute__((visibility("hidden"))) pid_t vfork_failed(long err);

pid_t vfork_failed(long err)
{
	errno = (int)-err;
	return -1;
}

/* libc replaces the standard streams' numbers by itself. */
int daemon(int nochdir, int noclose)
{
	int ret = real()->daemon(nochdir, noclose);

	for (int fd = 0; fd <= STDERR_FILENO && !noclose; fd++)
		adopt_check(fd);
	return ret;
}

/* A thread that is not alone gets numbers of its own. */
int unshare(int flags)
{
	int ret;

	if (flags & CLONE_FILES)
		demote_all_sets();
	ret = real()->unshare(flags);
	if (!ret && (flags & CLONE_FILES) && !alone())
		process_own_numbers();
	return ret;
}

/* From now on reads and writes look whether their thread has been cancelled. */
int pthread_cancel(pthread_t thread)
{
	detour_add(DETOUR_CANCEL);
	return real()->pthread_cancel(thread);
}

void _exit(int status)
{
	aiobridge_pull();
	warm_leave();
	stats_print();
	for (;;)
		real()->_exit(status);
}

SYMBOLS_PROC(SHIM_NO_ALIAS, SHIM_ALIAS)
