/* Paths, what makes fds, mappings and processes, by number. */
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/aiobridge.h"
#include "core/asyncring.h"
#include "core/behind.h"
#include "core/demote.h"
#include "core/epollset.h"
#include "core/handover.h"
#include "core/mirror.h"
#include "core/process.h"
#include "core/procfd.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "core/warm.h"
#include "interpose/open.h"
#include "interpose/rawcall.h"
#include "sys/older.h"

long rawcall_open(const struct rawcall *call)
{
	return open_done((int)rawcall_through(call), (const char *)call->a[0], (int)call->a[1]);
}

long rawcall_creat(const struct rawcall *call)
{
	return open_done((int)rawcall_through(call), (const char *)call->a[0], O_CREAT | O_WRONLY);
}

long rawcall_openat(const struct rawcall *call)
{
	return open_done((int)rawcall_through(call), (const char *)call->a[1], (int)call->a[2]);
}

long rawcall_openat2(const struct rawcall *call)
{
	const struct open_how *how = (const struct open_how *)call->a[2];
	int fd = (int)rawcall_through(call);

	return fd < 0 ? fd : open_done(fd, (const char *)call->a[1], (int)how->flags);
}

/* Asked of a decoy where the directory is a fake fd. */
static long with_directory(const struct rawcall *call)
{
	return fdtable_foreign((int)call->a[0]) ? rawcall_through(call) : rawcall_ask(call);
}

long rawcall_stat(const struct rawcall *call)
{
	struct stat *st = (struct stat *)call->a[1];
	long ret = rawcall_through(call);

	if (ret)
		return ret;
	return outcome_return(procfd_stat(AT_FDCWD, (const char *)call->a[0], st, 0));
}

long rawcall_newfstatat(const struct rawcall *call)
{
	struct stat *st = (struct stat *)call->a[2];
	long ret = with_directory(call);

	if (ret)
		return ret;
	return outcome_return(
		procfd_stat((int)call->a[0], (const char *)call->a[1], st, (int)call->a[3]));
}

long rawcall_statx(const struct rawcall *call)
{
	struct statx *st = (struct statx *)call->a[4];
	long ret = with_directory(call);

	if (ret)
		return ret;
	return outcome_return(procfd_statx((int)call->a[0], (const char *)call->a[1],
		(int)call->a[2], (unsigned)call->a[3], st));
}

long rawcall_readlink(const struct rawcall *call)
{
	struct outcome answer;

	if (procfd_readlink(AT_FDCWD, (const char *)call->a[0], (char *)call->a[1],
		    (size_t)call->a[2], &answer))
		return outcome_return(answer);
	return rawcall_through(call);
}

long rawcall_readlinkat(const struct rawcall *call)
{
	struct outcome answer;

	if (procfd_readlink((int)call->a[0], (const char *)call->a[1], (char *)call->a[2],
		    (size_t)call->a[3], &answer))
		return outcome_return(answer);
	return with_directory(call);
}

long rawcall_make(const struct rawcall *call)
{
	return object_new_file((int)rawcall_through(call));
}

long rawcall_pidfd_getfd(const struct rawcall *call)
{
	return adopt_number((int)rawcall_through(call));
}

long rawcall_socket(const struct rawcall *call)
{
	return socket((int)call->a[0], (int)call->a[1], (int)call->a[2]);
}

long rawcall_socketpair(const struct rawcall *call)
{
	return socketpair((int)call->a[0], (int)call->a[1], (int)call->a[2], (int *)call->a[3]);
}

long rawcall_accept4(const struct rawcall *call)
{
	return accept4((int)call->a[0], (struct sockaddr *)call->a[1], (socklen_t *)call->a[2],
		(int)call->a[3]);
}

long rawcall_pipe2(const struct rawcall *call)
{
	return pipe2((int *)call->a[0], (int)call->a[1]);
}

long rawcall_inotify_init1(const struct rawcall *call)
{
	return inotify_init1((int)call->a[0]);
}

/* Calls that return an fd for some of their commands only. */
long rawcall_maybe_make(const struct rawcall *call)
{
	long ret = rawcall_through(call);

	behind_maybe_made(ret);
	return ret;
}

long rawcall_make_pair(const struct rawcall *call)
{
	const int *fds = (const int *)call->a[0];
	long ret = rawcall_through(call);

	if (ret)
		return ret;
	object_new_file(fds[0]);
	object_new_file(fds[1]);
	return 0;
}

long rawcall_io_uring_setup(const struct rawcall *call)
{
	mirror_always_on();
	return rawcall_make(call);
}

long rawcall_recvmsg(const struct rawcall *call)
{
	const struct msghdr *message = (const struct msghdr *)call->a[1];
	long n = rawcall_through(call);

	if (n >= 0 && (call->a[2] & MSG_CMSG_CLOEXEC))
		older_received(message);
	if (n >= 0)
		behind_received(message);
	return n;
}

long rawcall_recvmmsg(const struct rawcall *call)
{
	const struct mmsghdr *messages = (const struct mmsghdr *)call->a[1];
	long got = rawcall_through(call);

	for (long i = 0; i < got; i++) {
		if (call->a[3] & MSG_CMSG_CLOEXEC)
			older_received(&messages[i].msg_hdr);
		behind_received(&messages[i].msg_hdr);
	}
	return got;
}

long rawcall_sendmsg(const struct rawcall *call)
{
	long n = rawcall_through(call);

	if (n >= 0)
		behind_sent((const struct msghdr *)call->a[1]);
	return n;
}

long rawcall_sendmmsg(const struct rawcall *call)
{
	const struct mmsghdr *messages = (const struct mmsghdr *)call->a[1];
	long sent = rawcall_through(call);

	for (long i = 0; i < sent; i++)
		behind_sent(&messages[i].msg_hdr);
	return sent;
}

long rawcall_mapping(const struct rawcall *call)
{
	long ret = rawcall_through(call);

	usermem_forget();
	return ret;
}

long rawcall_munmap(const struct rawcall *call)
{
	asyncring_unmapping((const void *)call->a[0], (size_t)call->a[1]);
	return rawcall_mapping(call);
}

long rawcall_mmap(const struct rawcall *call)
{
	return call->a[3] & MAP_FIXED ? rawcall_mapping(call) : rawcall_through(call);
}

static uint64_t clone_flags(const struct rawcall *call)
{
	if (call->nr == SYS_clone)
		return (uint64_t)call->a[0];
	if (call->nr == SYS_clone3)
		return *(const uint64_t *)call->a[0];
	return 0;
}

static bool clone_shares_numbers(const struct rawcall *call)
{
	uint64_t flags;

	if (call->nr == SYS_clone3 && !usermem_loadable((const void *)call->a[0], sizeof(flags)))
		return false;
	flags = clone_flags(call);
	return (flags & CLONE_FILES) && !(flags & CLONE_VM);
}

/* A child that libc's fork did not make, so that no fork handler ran in it. */
long rawcall_fork(const struct rawcall *call)
{
	long pid;

	if (clone_shares_numbers(call))
		process_share_numbers();
	demote_forking();
	pid = rawcall_through(call);
	if (pid == 0 && !(clone_flags(call) & CLONE_VM)) {
		object_forked();
		stats_reset(true);
	} else {
		demote_forking();
	}
	return pid;
}

long rawcall_exec(const struct rawcall *call)
{
	long ret;

	handover_new_image();
	ret = rawcall_through(call);
	handover_stayed();
	return ret;
}

long rawcall_exit_group(const struct rawcall *call)
{
	aiobridge_pull();
	warm_leave();
	stats_print();
	return rawcall_through(call);
}
