#include "core/signalqueue.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/stats.h"
#include "sys/raw.h"

#ifndef SYS_rt_tgsigqueueinfo
#define SYS_rt_tgsigqueueinfo 297
#endif

enum { KEPT = 128, FIRST_REALTIME = 32, SET_BYTES = 8, TRIES = 1000 };

/* What markers stand for, in the order in which it came. All of it under the lock, but for the
 * number of entries, which is looked at before. */
static siginfo_t kept[KEPT];
static _Atomic uint32_t kept_count;

/* Held by one thread, which has all signals blocked. */
static _Atomic uint32_t lock;

static long change_mask(uint64_t mask, uint64_t *before)
{
	return raw_syscall6(
		SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)before, SET_BYTES, 0, 0);
}

uint64_t signalqueue_lock(void)
{
	uint64_t before = 0;
	uint32_t free = 0;

	change_mask(UINT64_MAX, &before);
	while (!atomic_compare_exchange_weak(&lock, &free, 1)) {
		free = 0;
		sched_yield();
	}
	return before;
}

void signalqueue_unlock(uint64_t mask)
{
	atomic_store(&lock, 0);
	change_mask(mask, NULL);
}

uint64_t signalqueue_pending(void)
{
	uint64_t pending = 0;

	stats_syscall();
	raw_syscall3(SYS_rt_sigpending, (long)&pending, SET_BYTES, 0);
	return pending;
}

static siginfo_t marker_of(int sig)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = SI_QUEUE;
	info.si_pid = raw_getpid();
	info.si_value.sival_ptr = kept;
	return info;
}

static bool is_marker(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE && info->si_value.sival_ptr == kept &&
	       info->si_pid == raw_getpid();
}

static uint32_t find(int sig)
{
	uint32_t i = 0;

	while (i < atomic_load(&kept_count) && kept[i].si_signo != sig)
		i++;
	return i;
}

static void drop(uint32_t i)
{
	uint32_t n = atomic_load(&kept_count) - 1;

	memmove(&kept[i], &kept[i + 1], (n - i) * sizeof(*kept));
	atomic_store(&kept_count, n);
}

static bool append(const siginfo_t *info)
{
	uint32_t n = atomic_load(&kept_count);

	if (n == KEPT)
		return false;
	kept[n] = *info;
	atomic_store(&kept_count, n + 1);
	return true;
}

/* Of the real-time signals each is one of its own; of the others one is pending at a time, and what
 * came later has been lost in the first. */
static bool swap_first(siginfo_t *info)
{
	bool marker = is_marker(info);
	int sig = info->si_signo;
	uint32_t i = find(sig);
	siginfo_t taken = *info;

	if (i == atomic_load(&kept_count))
		return !marker;
	*info = kept[i];
	drop(i);
	if (!marker && sig >= FIRST_REALTIME)
		append(&taken);
	return true;
}

/* What is for this thread alone has its own place in the kernel. */
bool signalqueue_resolve(siginfo_t *info)
{
	uint64_t mask;
	bool found;

	if (info->si_code == SI_TKILL || (!atomic_load(&kept_count) && !is_marker(info)))
		return true;
	mask = signalqueue_lock();
	found = swap_first(info);
	signalqueue_unlock(mask);
	return found;
}

/* What is for this thread alone is taken first: then the marker is pending yet. */
bool signalqueue_resolve_told(siginfo_t *info)
{
	if (info->si_code == SI_USER && info->si_signo < FIRST_REALTIME &&
		atomic_load(&kept_count) && (signalqueue_pending() & signal_bit(info->si_signo)))
		return true;
	return signalqueue_resolve(info);
}

int signalqueue_take(uint64_t signals, siginfo_t *info)
{
	static const struct timespec now;
	long sig;

	do {
		stats_syscall();
		sig = raw_syscall6(SYS_rt_sigtimedwait, (long)&signals, (long)info, (long)&now,
			SET_BYTES, 0, 0);
	} while (sig == -EINTR || (sig > 0 && !signalqueue_resolve(info)));
	return (int)sig;
}

/* A signal that a thread of this process sent to this one is the same if it is sent once more. */
static void put_back_here(const siginfo_t *info)
{
	int sig = info->si_signo, pid = raw_getpid();
	long thread = raw_syscall3(SYS_gettid, 0, 0, 0);

	if (info->si_pid == pid ||
		raw_syscall6(SYS_rt_tgsigqueueinfo, pid, thread, sig, (long)info, 0, 0))
		raw_syscall3(SYS_tgkill, pid, thread, sig);
}

static long queue(const siginfo_t *info)
{
	long ret = -EAGAIN;

	for (int i = 0; i < TRIES && ret == -EAGAIN; i++) {
		ret = raw_syscall3(SYS_rt_sigqueueinfo, raw_getpid(), info->si_signo, (long)info);
		if (ret == -EAGAIN)
			sched_yield();
	}
	return ret;
}

/* Where another one has come meanwhile the kernel drops the marker, as that one does. */
static bool keep(const siginfo_t *info)
{
	uint64_t mask = signalqueue_lock();
	bool there =
		info->si_signo < FIRST_REALTIME && find(info->si_signo) < atomic_load(&kept_count);
	bool done = is_marker(info) || there || append(info);

	signalqueue_unlock(mask);
	return done;
}

/* The last of the number: there is no marker for it. */
static void unkeep(int sig)
{
	uint64_t mask = signalqueue_lock();
	uint32_t i = atomic_load(&kept_count);

	while (i && kept[i - 1].si_signo != sig)
		i--;
	if (i)
		drop(i - 1);
	signalqueue_unlock(mask);
}

/* As many are queued as RLIMIT_SIGPENDING allows: what it held is lost, the signal is not. */
static void put_back_bare(int sig, bool is_kept)
{
	if (is_kept)
		unkeep(sig);
	raw_syscall3(SYS_kill, raw_getpid(), sig, 0);
}

void signalqueue_put_back(const siginfo_t *info)
{
	siginfo_t marker = marker_of(info->si_signo);
	bool is_kept;

	if (info->si_code == SI_TKILL) {
		put_back_here(info);
		return;
	}
	is_kept = keep(info);
	if (queue(is_kept ? &marker : info))
		put_back_bare(info->si_signo, is_kept);
}

void signalqueue_forget(int sig)
{
	uint64_t mask = signalqueue_lock();
	uint32_t i;

	while ((i = find(sig)) < atomic_load(&kept_count))
		drop(i);
	signalqueue_unlock(mask);
}

static long take_any(int sig, siginfo_t *info)
{
	static const struct timespec now;
	uint64_t bit = signal_bit(sig);

	return raw_syscall6(
		SYS_rt_sigtimedwait, (long)&bit, (long)info, (long)&now, SET_BYTES, 0, 0);
}

/* Those of a number: what is kept of them, and behind that what the kernel has besides markers. */
static uint32_t gather(int sig, siginfo_t *all)
{
	uint32_t n = 0, i;
	siginfo_t info;

	while ((i = find(sig)) < atomic_load(&kept_count)) {
		all[n++] = kept[i];
		drop(i);
	}
	while (n < KEPT && take_any(sig, &info) == sig) {
		if (!is_marker(&info) && (sig >= FIRST_REALTIME || !n || info.si_code == SI_TKILL))
			all[n++] = info;
	}
	return n;
}

void signalqueue_give_back(void)
{
	static siginfo_t all[KEPT]; /* under the lock */
	uint64_t mask;

	if (!atomic_load(&kept_count))
		return;
	mask = signalqueue_lock();
	while (atomic_load(&kept_count)) {
		uint32_t n = gather(kept[0].si_signo, all);

		for (uint32_t i = 0; i < n; i++) {
			if (all[i].si_code == SI_TKILL)
				put_back_here(&all[i]);
			else if (queue(&all[i]))
				raw_syscall3(SYS_kill, raw_getpid(), all[i].si_signo, 0);
		}
	}
	signalqueue_unlock(mask);
}

void signalqueue_forked(void)
{
	atomic_store(&lock, 0);
	atomic_store(&kept_count, 0);
}
