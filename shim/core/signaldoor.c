#include "core/signaldoor.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "core/process.h"
#include "core/signalqueue.h"
#include "core/signalset.h"
#include "core/wait.h"
#include "sys/raw.h"
#include "sys/real.h"

enum {
	SIGNALS = 64,
	SET_BYTES = 8,
	FIRST_OWN_OF_LIBC = 32,
	FIRST_REALTIME = 34,
	STACK_BYTES = 8 << 20
};

/* Flags of an action that say which signals there are, and how a handler is called. */
#define KEPT_FLAGS (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_ONSTACK | SA_RESTART)

_Atomic bool signaldoor_armed;

/* Signals that have the handler now. */
static _Atomic uint64_t installed_now;

/* The program's actions for these, under the lock of signalqueue.h. */
static struct sigaction actions[SIGNALS + 1];

/* Signals that end this thread's sleep, and whether one did. Written by the thread, and its
 * handlers. */
static _Thread_local uint64_t opened;
static _Thread_local const struct signaldoor *opened_at;
static _Thread_local _Atomic uint32_t came;

static void handle(int sig, siginfo_t *info, void *context);

static uint64_t bits_of(const sigset_t *set)
{
	uint64_t bits;

	memcpy(&bits, set, sizeof(bits));
	return bits;
}

static void set_of(uint64_t bits, sigset_t *set)
{
	memset(set, 0, sizeof(*set));
	memcpy(set, &bits, sizeof(bits));
}

static uint64_t own_mask(void)
{
	uint64_t mask = 0;

	raw_syscall6(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, SET_BYTES, 0, 0);
	return mask;
}

static void use_mask(uint64_t mask)
{
	raw_syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, SET_BYTES, 0, 0);
}

static bool ignored_by_default(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

static bool is_function(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* Ours, in place of the program's. Where that is no handler, no call fails for a signal. */
static int put_handler(int sig, const struct sigaction *for_program)
{
	struct sigaction own = {
		.sa_flags = (for_program->sa_flags & KEPT_FLAGS) | SA_SIGINFO,
		.sa_sigaction = handle,
	};

	set_of(UINT64_MAX, &own.sa_mask);
	if (!is_function(for_program))
		own.sa_flags |= SA_RESTART;
	return real()->sigaction(sig, &own, NULL);
}

/* Of children that nobody is to hear of there is no signal. */
static bool never_comes(int sig, const struct sigaction *action)
{
	return sig == SIGCHLD && action->sa_handler == SIG_IGN;
}

static void install_one(int sig)
{
	struct sigaction *action = &actions[sig];

	if (real()->sigaction(sig, NULL, action) || never_comes(sig, action))
		return;
	if (!put_handler(sig, action))
		atomic_fetch_or(&installed_now, signal_bit(sig));
}

static void install(uint64_t signals)
{
	uint64_t missing = signals & ~atomic_load(&installed_now), mask;

	if (!missing || process_borrows_memory())
		return;
	mask = signalqueue_lock();
	missing = signals & ~atomic_load(&installed_now);
	for (int sig = 1; sig <= SIGNALS; sig++) {
		if ((missing & signal_bit(sig)) &&
			(sig < FIRST_OWN_OF_LIBC || sig >= FIRST_REALTIME))
			install_one(sig);
	}
	signalqueue_unlock(mask);
}

void signaldoor_open(struct signaldoor *door, uint64_t signals, const sigset_t *mask)
{
	uint64_t own = own_mask(), blocked = mask ? bits_of(mask) : own;
	int saved = errno;

	atomic_store(&signaldoor_armed, true);
	/* What the sleep's mask lets in is seen before it is handled. A handler has the mask of the
	 * sleep that it ended. */
	signals &= blocked | own | opened;
	install(signals);
	signals &= atomic_load(&installed_now);
	set_of(blocked & ~signals, &door->during);
	door->own = own;
	door->outer = opened;
	door->outer_at = opened_at;
	door->outer_came = atomic_load(&came);
	atomic_store(&came, 0);
	opened_at = door;
	opened = signals;
	errno = saved;
}

bool signaldoor_came(void)
{
	return atomic_load(&came);
}

/* What ended a sleep is blocked since then, also where the sleep's mask alone had blocked it. */
void signaldoor_close(const struct signaldoor *door)
{
	bool more_blocked = signaldoor_came() && (opened & ~door->own);

	opened = door->outer;
	opened_at = door->outer_at;
	atomic_store(&came, door->outer_came);
	if (more_blocked)
		use_mask(door->own);
}

struct blocked_sleep {
	struct signaldoor door;
	uint64_t mask;
};

static void leave(void *arg)
{
	const struct blocked_sleep *sleep = arg;

	use_mask(sleep->mask);
	signaldoor_close(&sleep->door);
}

static int sleep_with(uint64_t mask)
{
	int err = 0;

	use_mask(mask);
	while (!signaldoor_came() && err != EINTR)
		err = wait_sleep(&came, 0);
	return signaldoor_came() ? 0 : err;
}

/* The signals are let in before the sleep: what comes until then moves the word slept on. */
int signaldoor_sleep(uint64_t signals)
{
	struct blocked_sleep sleep = {.mask = own_mask()};
	int err;

	signaldoor_open(&sleep.door, signals, NULL);
	pthread_cleanup_push(leave, &sleep);
	err = sleep_with(bits_of(&sleep.door.during));
	pthread_cleanup_pop(1);
	return err;
}

/* What the program set for the signal, which may be meant for one time only. */
static struct sigaction action_for(int sig)
{
	uint64_t mask = signalqueue_lock();
	struct sigaction action = actions[sig];

	if (is_function(&action) && ((unsigned)action.sa_flags & SA_RESETHAND))
		actions[sig].sa_handler = SIG_DFL;
	signalqueue_unlock(mask);
	return action;
}

/* The kernel does it: the thread stops here, or the process ends. */
static void act_by_default(int sig)
{
	const struct sigaction action = {.sa_handler = SIG_DFL};
	uint64_t mask, blocked;

	if (ignored_by_default(sig))
		return;
	mask = signalqueue_lock();
	real()->sigaction(sig, &action, NULL);
	raw_syscall3(SYS_tgkill, raw_getpid(), raw_syscall3(SYS_gettid, 0, 0, 0), sig);
	blocked = own_mask();
	use_mask(blocked & ~signal_bit(sig));
	use_mask(blocked);
	put_handler(sig, &actions[sig]);
	signalqueue_unlock(mask);
}

static void pass_on(int sig, siginfo_t *info, ucontext_t *context)
{
	const struct sigaction action = action_for(sig);
	uint64_t mask = bits_of(&context->uc_sigmask) | bits_of(&action.sa_mask);

	if (action.sa_handler == SIG_IGN)
		return;
	if (action.sa_handler == SIG_DFL) {
		act_by_default(sig);
		return;
	}
	if (!(action.sa_flags & SA_NODEFER))
		mask |= signal_bit(sig);
	use_mask(mask);
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(sig, info, context);
	else
		action.sa_handler(sig);
}

static uintptr_t stack_of(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
	return (uintptr_t)context->uc_mcontext.sp;
#endif
}

/* A handler of the program's may have jumped out of the sleep: then the stack is not as deep any
 * more. */
static bool is_open(int sig, const ucontext_t *context)
{
	uintptr_t stack = stack_of(context), at = (uintptr_t)opened_at;

	if ((opened & signal_bit(sig)) && stack > at && stack - at < STACK_BYTES)
		opened = 0;
	return opened & signal_bit(sig);
}

/* A handler of the program's that ended the same sleep has the sleep's mask yet: the signal would
 * come again. */
static void handle(int sig, siginfo_t *info, void *context)
{
	ucontext_t *before = context;
	uint64_t blocked;
	int saved = errno;

	if (is_open(sig, before)) {
		signalqueue_put_back(info);
		blocked = bits_of(&before->uc_sigmask) | opened;
		memcpy(&before->uc_sigmask, &blocked, sizeof(blocked));
		atomic_store(&came, 1);
	} else if (signalqueue_resolve(info)) {
		signalset_taken(sig);
		pass_on(sig, info, before);
	}
	errno = saved;
}

/* To be ignored means to be discarded, where any is pending. */
static bool discards(int sig, const struct sigaction *action)
{
	return action->sa_handler == SIG_IGN ||
	       (action->sa_handler == SIG_DFL && ignored_by_default(sig));
}

static bool change(int sig, const struct sigaction *action)
{
	if (discards(sig, action) && real()->sigaction(sig, action, NULL))
		return false;
	actions[sig] = *action;
	if (never_comes(sig, action))
		atomic_fetch_and(&installed_now, ~signal_bit(sig));
	else
		put_handler(sig, action);
	return true;
}

static int act(int sig, const struct sigaction *action, struct sigaction *before)
{
	struct sigaction was = actions[sig];

	if (!(atomic_load(&installed_now) & signal_bit(sig)))
		return real()->sigaction(sig, action, before);
	if (action && !change(sig, action))
		return -1;
	if (before)
		*before = was;
	return 0;
}

/* A child of vfork has actions of its own, and its parent's memory. */
int signaldoor_action(int sig, const struct sigaction *action, struct sigaction *before)
{
	struct sigaction copy;
	uint64_t mask;
	int ret;

	if (!atomic_load(&signaldoor_armed) || sig < 1 || sig > SIGNALS || process_borrows_memory())
		return real()->sigaction(sig, action, before);
	if (action)
		copy = *action;
	mask = signalqueue_lock();
	ret = act(sig, action ? &copy : NULL, before);
	signalqueue_unlock(mask);
	if (action && !ret && discards(sig, &copy)) {
		signalqueue_forget(sig);
		signalset_taken(sig);
	}
	return ret;
}

void signaldoor_new_image(void)
{
	uint64_t installed = atomic_load(&installed_now), mask;
	int saved = errno;

	if (!installed)
		return;
	if (!process_borrows_memory())
		signalqueue_give_back();
	mask = signalqueue_lock();
	for (int sig = 1; sig <= SIGNALS; sig++) {
		if (!(installed & signal_bit(sig)) || actions[sig].sa_handler != SIG_IGN ||
			real()->sigaction(sig, &actions[sig], NULL))
			continue;
		if (!process_borrows_memory())
			atomic_fetch_and(&installed_now, ~signal_bit(sig));
	}
	signalqueue_unlock(mask);
	errno = saved;
}
