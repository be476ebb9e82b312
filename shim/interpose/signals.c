/* signalfd, and the signals' actions and waits that its emulation must know of. */
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "interpose/interpose.h"

#include "core/config.h"
#include "core/signaldoor.h"
#include "core/signalfd.h"
#include "core/signalqueue.h"
#include "core/signalset.h"
#include "core/usermem.h"
#include "interpose/rawcall.h"
#include "sys/raw.h"

enum { SET_BYTES = 8 };

/* The older call has no flags: 0 or more, or -errno. */
static int oldest_signalfd(int fd, const sigset_t *mask, int flags)
{
#ifdef SYS_signalfd
	int made = (int)raw_syscall3(SYS_signalfd, fd, (long)mask, SET_BYTES);

	if (made < 0 || fd >= 0)
		return made;
	if (flags & SFD_CLOEXEC)
		raw_fcntl(made, F_SETFD, FD_CLOEXEC);
	if (flags & SFD_NONBLOCK)
		raw_fcntl(made, F_SETFL, raw_fcntl(made, F_GETFL, 0) | O_NONBLOCK);
	return made;
#else
	(void)fd, (void)mask, (void)flags;
	return -ENOSYS;
#endif
}

/* The kernel's; -ENOSYS where it has none. */
static int kernels(int fd, const sigset_t *mask, int flags)
{
	int made = (int)raw_syscall6(SYS_signalfd4, fd, (long)mask, SET_BYTES, flags, 0, 0);

	if (made == -ENOSYS && !(flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)))
		made = oldest_signalfd(fd, mask, flags);
	return fd < 0 && made >= 0 ? object_new_file(made) : made;
}

static struct outcome emulated(int fd, const sigset_t *mask, int flags)
{
	uint64_t signals;

	if (!usermem_loadable(mask, SET_BYTES))
		return outcome_err(EFAULT);
	memcpy(&signals, mask, SET_BYTES);
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return outcome_err(EINVAL);
	if (fd == -1)
		return signalfd_create(signals, flags);
	return outcome_err(raw_fcntl(fd, F_GETFD, 0) < 0 ? EBADF : EINVAL);
}

static struct outcome change_mask(const struct fdref *ref, const sigset_t *mask, int flags)
{
	uint64_t signals;

	if (!usermem_loadable(mask, SET_BYTES))
		return outcome_err(EFAULT);
	memcpy(&signals, mask, SET_BYTES);
	if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) || !slot_is_signal(ref->object))
		return outcome_err(EINVAL);
	return signalfd_change(ref, signals);
}

static struct outcome make_or_change(int fd, const sigset_t *mask, int flags)
{
	struct outcome outcome = outcome_err(ENOSYS);
	struct fdref ref;
	int made;

	config_load();
	if (fd != -1 && object_is(&fd, &ref))
		return change_mask(&ref, mask, flags);
	if (config.signalfd && fd == -1)
		outcome = emulated(fd, mask, flags);
	if (outcome.err != ENOSYS)
		return outcome;
	made = kernels(fd, mask, flags);
	return made == -ENOSYS ? emulated(fd, mask, flags) : outcome_raw(made);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
	return (int)outcome_return(make_or_change(fd, mask, flags));
}

long rawcall_signalfd(const struct rawcall *call)
{
	bool flags = call->nr == SYS_signalfd4;

	if (call->a[2] != SET_BYTES)
		return outcome_return(outcome_err(EINVAL));
	return outcome_return(make_or_change(
		(int)call->a[0], (const sigset_t *)call->a[1], flags ? (int)call->a[3] : 0));
}

int sigaction(int sig, const struct sigaction *action, struct sigaction *before)
{
	return signaldoor_action(sig, action, before);
}

static bool in_use(int sig)
{
	return atomic_load(&signaldoor_armed) && sig > 0 && sig < _NSIG;
}

static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;

	if (signaldoor_action(sig, &action, &before))
		return SIG_ERR;
	return before.sa_handler;
}

sighandler_t signal(int sig, sighandler_t handler)
{
	if (!in_use(sig))
		return real()->signal(sig, handler);
	return set_handler(sig, handler, SA_RESTART);
}

sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	if (!in_use(sig))
		return real()->sysv_signal(sig, handler);
	return set_handler(sig, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

/* Blocks the signal, or lets it in; and says whether it was blocked. */
static bool change_blocked(int sig, bool block)
{
	uint64_t bit = signal_bit(sig), before = 0;

	raw_syscall6(SYS_rt_sigprocmask, block ? SIG_BLOCK : SIG_UNBLOCK, (long)&bit, (long)&before,
		SET_BYTES, 0, 0);
	return before & bit;
}

sighandler_t sigset(int sig, sighandler_t handler)
{
	struct sigaction before;
	bool held;

	if (!in_use(sig))
		return real()->sigset(sig, handler);
	if (handler == SIG_HOLD) {
		held = change_blocked(sig, true);
		return signaldoor_action(sig, NULL, &before) ? SIG_ERR
		       : held				     ? SIG_HOLD
							     : before.sa_handler;
	}
	handler = set_handler(sig, handler, 0);
	if (handler == SIG_ERR)
		return handler;
	return change_blocked(sig, false) ? SIG_HOLD : handler;
}

int sigignore(int sig)
{
	if (!in_use(sig))
		return real()->sigignore(sig);
	return set_handler(sig, SIG_IGN, 0) == SIG_ERR ? -1 : 0;
}

int siginterrupt(int sig, int interrupt)
{
	struct sigaction action;

	if (!in_use(sig))
		return real()->siginterrupt(sig, interrupt);
	if (signaldoor_action(sig, NULL, &action))
		return -1;
	action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
	return signaldoor_action(sig, &action, NULL);
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	siginfo_t own;
	int sig;

	if (!info)
		info = &own;
	do
		sig = real()->sigtimedwait(set, info, timeout);
	while (sig > 0 && !signalqueue_resolve_told(info));
	if (sig > 0)
		signalset_taken(sig);
	return sig;
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return sigtimedwait(set, info, NULL);
}

int sigwait(const sigset_t *set, int *sig)
{
	int saved = errno, found;

	do
		found = sigtimedwait(set, NULL, NULL);
	while (found < 0 && errno == EINTR);
	if (found > 0)
		*sig = found;
	found = found < 0 ? errno : 0;
	errno = saved;
	return found;
}

/* struct sigaction as the kernel has it. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* A handler that brings its own way back is libc's affair, or goes by libc's here. */
long rawcall_sigaction(const struct rawcall *call)
{
	const struct kernel_action *new = (const struct kernel_action *)call->a[1];
	struct kernel_action *old = (struct kernel_action *)call->a[2], told = {0};
	struct sigaction action = {0}, before = {0};

	if (!in_use((int)call->a[0]) || call->a[3] != SET_BYTES ||
		(new && !usermem_loadable(new, sizeof(*new))))
		return rawcall_through(call);
	if (new) {
		action.sa_handler = new->handler;
		action.sa_flags = (int)(new->flags & ~0x04000000ul);
		memcpy(&action.sa_mask, &new->mask, SET_BYTES);
	}
	if (signaldoor_action((int)call->a[0], new ? &action : NULL, &before))
		return -1;
	if (!old)
		return 0;
	told.handler = before.sa_handler;
	told.flags = (unsigned)before.sa_flags;
	memcpy(&told.mask, &before.sa_mask, SET_BYTES);
	return usermem_store(old, &told, sizeof(told)) ? 0 : outcome_return(outcome_err(EFAULT));
}

long rawcall_sigtimedwait(const struct rawcall *call)
{
	siginfo_t *info = (siginfo_t *)call->a[1];
	struct rawcall own = *call;
	siginfo_t space = {0};
	long sig;

	if (info && !usermem_storable(info, sizeof(*info)))
		return rawcall_through(call);
	own.a[1] = (long)(info ? info : &space);
	do
		sig = rawcall_through(&own);
	while (sig > 0 && !signalqueue_resolve((siginfo_t *)own.a[1]));
	if (sig > 0)
		signalset_taken((int)sig);
	return sig;
}

SYMBOLS_SIGNAL(SHIM_NO_ALIAS, SHIM_ALIAS)
