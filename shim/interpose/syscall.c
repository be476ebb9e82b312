/* syscall(). */
#include <pthread.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "interpose/ask.h"
#include "interpose/rawcall.h"

enum { ARGS = 6, FIRST = 1, SECOND = 2, THIRD = 4 };

struct entry {
	rawcall_handler *handler;
	unsigned fds; /* the handler is for calls with one of these not ordinary; 0: for every call
		       */
};

/* By number. Those of architectures that have them are under #ifdef: newer ones have only the
 * at-forms. */
static const struct entry entries[] = {
#ifdef SYS_eventfd
	[SYS_eventfd] = {rawcall_eventfd, 0},
	[SYS_poll] = {rawcall_poll, 0},
	[SYS_select] = {rawcall_select, 0},
	[SYS_epoll_create] = {rawcall_epoll_create, 0},
	[SYS_epoll_wait] = {rawcall_epoll_wait, 0},
	[SYS_dup2] = {rawcall_dup2, 0},
	[SYS_open] = {rawcall_open, 0},
	[SYS_creat] = {rawcall_creat, 0},
	[SYS_stat] = {rawcall_stat, 0},
	[SYS_readlink] = {rawcall_readlink, 0},
	[SYS_pipe] = {rawcall_make_pair, 0},
	[SYS_signalfd] = {rawcall_signalfd, 0},
	[SYS_inotify_init] = {rawcall_make, 0},
	[SYS_fork] = {rawcall_fork, 0},
#endif
	[SYS_eventfd2] = {rawcall_eventfd2, 0},
	[SYS_read] = {rawcall_read, FIRST},
	[SYS_write] = {rawcall_write, FIRST},
	[SYS_readv] = {rawcall_readv, FIRST},
	[SYS_writev] = {rawcall_writev, FIRST},
	[SYS_preadv2] = {rawcall_preadv2, FIRST},
	[SYS_pwritev2] = {rawcall_pwritev2, FIRST},
	[SYS_pread64] = {rawcall_ask, FIRST},
	[SYS_pwrite64] = {rawcall_ask, FIRST},
	[SYS_preadv] = {rawcall_ask, FIRST},
	[SYS_pwritev] = {rawcall_ask, FIRST},

	[SYS_close] = {rawcall_close, FIRST},
	[SYS_close_range] = {rawcall_close_range, 0},
	[SYS_dup] = {rawcall_dup, 0},
	[SYS_dup3] = {rawcall_dup3, 0},
	[SYS_fcntl] = {rawcall_fcntl, 0},
	[SYS_ioctl] = {rawcall_ioctl, FIRST},

	[SYS_ppoll] = {rawcall_ppoll, 0},
	[SYS_pselect6] = {rawcall_pselect6, 0},
	[SYS_epoll_create1] = {rawcall_epoll_create1, 0},
	[SYS_epoll_ctl] = {rawcall_epoll_ctl, FIRST | THIRD},
	[SYS_epoll_pwait] = {rawcall_epoll_pwait, 0},
	[SYS_epoll_pwait2] = {rawcall_epoll_pwait2, 0},

	[SYS_lseek] = {rawcall_ask, FIRST},
	[SYS_fsync] = {rawcall_ask, FIRST},
	[SYS_fdatasync] = {rawcall_ask, FIRST},
	[SYS_syncfs] = {rawcall_ask, FIRST},
	[SYS_ftruncate] = {rawcall_ask, FIRST},
	[SYS_fallocate] = {rawcall_ask, FIRST},
	[SYS_fadvise64] = {rawcall_ask, FIRST},
	[SYS_sync_file_range] = {rawcall_ask, FIRST},
	[SYS_readahead] = {rawcall_ask, FIRST},
	[SYS_fchmod] = {rawcall_ask, FIRST},
	[SYS_fchown] = {rawcall_ask, FIRST},
	[SYS_utimensat] = {rawcall_ask, FIRST},
	[SYS_fstatfs] = {rawcall_ask, FIRST},
	[SYS_fgetxattr] = {rawcall_ask, FIRST},
	[SYS_fsetxattr] = {rawcall_ask, FIRST},
	[SYS_flistxattr] = {rawcall_ask, FIRST},
	[SYS_fremovexattr] = {rawcall_ask, FIRST},
	[SYS_sendfile] = {rawcall_ask, FIRST | SECOND},
	[SYS_splice] = {rawcall_ask, FIRST | THIRD},
	[SYS_tee] = {rawcall_ask, FIRST | SECOND},
	[SYS_vmsplice] = {rawcall_ask, FIRST},
	[SYS_copy_file_range] = {rawcall_ask, FIRST | THIRD},

	[SYS_fstat] = {rawcall_ask, FIRST},
	[SYS_newfstatat] = {rawcall_newfstatat, 0},
	[SYS_statx] = {rawcall_statx, 0},
	[SYS_readlinkat] = {rawcall_readlinkat, 0},
	[SYS_openat] = {rawcall_openat, 0},
	[SYS_openat2] = {rawcall_openat2, 0},

	[SYS_socket] = {rawcall_socket, 0},
	[SYS_socketpair] = {rawcall_socketpair, 0},
	[SYS_accept] = {rawcall_make, 0},
	[SYS_accept4] = {rawcall_accept4, 0},
	[SYS_pipe2] = {rawcall_pipe2, 0},
	[SYS_signalfd4] = {rawcall_signalfd, 0},
	[SYS_timerfd_create] = {rawcall_timerfd_create, 0},
	[SYS_timerfd_settime] = {rawcall_timerfd_settime, 0},
	[SYS_timerfd_gettime] = {rawcall_timerfd_gettime, 0},
	[SYS_memfd_create] = {rawcall_make, 0},
	[SYS_inotify_init1] = {rawcall_inotify_init1, 0},
	[SYS_fanotify_init] = {rawcall_make, 0},
	[SYS_open_by_handle_at] = {rawcall_make, 0},
	[SYS_pidfd_open] = {rawcall_make, 0},
	[SYS_pidfd_getfd] = {rawcall_pidfd_getfd, 0},
	[SYS_perf_event_open] = {rawcall_make, 0},
	[SYS_userfaultfd] = {rawcall_make, 0},
	[SYS_mq_open] = {rawcall_make, 0},
	[SYS_open_tree] = {rawcall_make, 0},
	[SYS_fsopen] = {rawcall_make, 0},
	[SYS_fspick] = {rawcall_make, 0},
	[SYS_fsmount] = {rawcall_make, 0},
	[SYS_io_uring_setup] = {rawcall_io_uring_setup, 0},
	[SYS_bpf] = {rawcall_maybe_make, 0},
	[SYS_seccomp] = {rawcall_maybe_make, 0},
#ifdef SYS_landlock_create_ruleset
	[SYS_landlock_create_ruleset] = {rawcall_maybe_make, 0},
#endif
#ifdef SYS_memfd_secret
	[SYS_memfd_secret] = {rawcall_make, 0},
#endif
	[SYS_io_submit] = {rawcall_io_submit, 0},
	[SYS_io_getevents] = {rawcall_io_getevents, 0},
#ifdef SYS_io_pgetevents
	[SYS_io_pgetevents] = {rawcall_io_getevents, 0},
#endif
	[SYS_sendmsg] = {rawcall_sendmsg, 0},
	[SYS_sendmmsg] = {rawcall_sendmmsg, 0},
	[SYS_recvmsg] = {rawcall_recvmsg, 0},
	[SYS_recvmmsg] = {rawcall_recvmmsg, 0},

	[SYS_mmap] = {rawcall_mmap, 0},
	[SYS_munmap] = {rawcall_munmap, 0},
	[SYS_mprotect] = {rawcall_mapping, 0},
	[SYS_pkey_mprotect] = {rawcall_mapping, 0},
	[SYS_mremap] = {rawcall_mapping, 0},
	[SYS_shmdt] = {rawcall_mapping, 0},

	[SYS_rt_sigaction] = {rawcall_sigaction, 0},
	[SYS_rt_sigtimedwait] = {rawcall_sigtimedwait, 0},

	[SYS_execve] = {rawcall_exec, 0},
	[SYS_execveat] = {rawcall_exec, 0},
	[SYS_clone] = {rawcall_fork, 0},
	[SYS_clone3] = {rawcall_fork, 0},
	[SYS_exit_group] = {rawcall_exit_group, 0},
};

static const struct entry *entry_of(long number)
{
	const unsigned long count = sizeof(entries) / sizeof(entries[0]);

	if ((unsigned long)number >= count || !entries[number].handler)
		return NULL;
	return &entries[number];
}

static bool concerned(const struct entry *entry, const long args[ARGS])
{
	if (!entry->fds)
		return true;
	for (unsigned i = 0; i < ARGS; i++) {
		if ((entry->fds & 1u << i) && !fdtable_foreign((int)args[i]))
			return true;
	}
	return false;
}

long rawcall_through(const struct rawcall *call)
{
	const long *a = call->a;

	return real()->syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long rawcall_ask(const struct rawcall *call)
{
	return ask(call->nr, call->a, call->fds ? call->fds : FIRST);
}

/* Other than libc's functions, syscall() is no cancellation point. */
static long handle(const struct rawcall *call, rawcall_handler *handler)
{
	int state;
	long ret;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	ret = handler(call);
	pthread_setcancelstate(state, &state);
	return ret;
}

/* Reads six arguments, however many there are: a sixth that is none comes from the caller's frame.
 */
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
	const struct entry *entry = entry_of(number);
	struct rawcall call = {.nr = number};
	va_list args;

	va_start(args, number);
	for (int i = 0; i < ARGS; i++)
		call.a[i] = va_arg(args, long);
	va_end(args);
	if (!entry || !concerned(entry, call.a))
		return rawcall_through(&call);
	call.fds = entry->fds;
	return handle(&call, entry->handler);
}

SYMBOLS_SYSCALL(SHIM_NO_ALIAS, SHIM_ALIAS)
