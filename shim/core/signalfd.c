#include "core/signalfd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "core/object.h"
#include "core/signaldoor.h"
#include "core/signalqueue.h"
#include "core/signalset.h"
#include "core/stats.h"
#include "core/usermem.h"

/* What siginfo_t holds, by signal and code. */
enum layout {
	LAYOUT_KILL,
	LAYOUT_TIMER,
	LAYOUT_POLL,
	LAYOUT_FAULT,
	LAYOUT_CHILD,
	LAYOUT_QUEUE,
	LAYOUT_SYSTEM,
};

enum { POLL_CODES = 6, CHILD_CODES = 6, SYSTEM_CODES = 2, SIGIO_CODE = -5 };

_Static_assert(sizeof(struct signalfd_siginfo) == 128, "as the kernel has it");

static uint64_t can_be_had(uint64_t signals)
{
	return signals & ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP));
}

struct outcome signalfd_create(uint64_t signals, int flags)
{
	atomic_store(&signaldoor_armed, true);
	return object_create(KIND_SIGNAL, can_be_had(signals), flags);
}

struct outcome signalfd_change(const struct fdref *ref, uint64_t signals)
{
	struct counter *counter = &ref->object->counter;
	uint64_t before = atomic_load(&ref->object->count);

	while (!counter_swap(counter, slot_guard(ref->generation), &before, can_be_had(signals))) {
		if (!slot_lives_as(ref->object, ref->generation))
			return outcome_err(EBADF);
	}
	return outcome_ok(ref->fd);
}

uint64_t signalfd_signals(const struct slot *slot)
{
	return atomic_load(&slot->count);
}

uint32_t signalfd_state(const struct slot *slot)
{
	return signalqueue_pending() & signalfd_signals(slot) ? EPOLLIN : 0;
}

/* Codes above 0 and below SI_KERNEL mean something for some signals only. */
static enum layout layout_of_kernels(int sig, int code)
{
	switch (sig) {
	case SIGILL:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
	case SIGTRAP:
		return LAYOUT_FAULT;
	case SIGCHLD:
		return code <= CHILD_CODES ? LAYOUT_CHILD : LAYOUT_KILL;
	case SIGPOLL:
		return code <= POLL_CODES ? LAYOUT_POLL : LAYOUT_KILL;
	case SIGSYS:
		return code <= SYSTEM_CODES ? LAYOUT_SYSTEM : LAYOUT_KILL;
	default:
		return code <= POLL_CODES ? LAYOUT_POLL : LAYOUT_KILL;
	}
}

static enum layout layout_of(int sig, int code)
{
	if (code > SI_USER && code < SI_KERNEL)
		return layout_of_kernels(sig, code);
	if (code == SI_TIMER)
		return LAYOUT_TIMER;
	if (code == SIGIO_CODE)
		return LAYOUT_POLL;
	return code < 0 ? LAYOUT_QUEUE : LAYOUT_KILL;
}

static void set_value(struct signalfd_siginfo *to, const siginfo_t *info)
{
	to->ssi_ptr = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
	to->ssi_int = info->si_value.sival_int;
}

static void set_sender(struct signalfd_siginfo *to, const siginfo_t *info)
{
	to->ssi_pid = (uint32_t)info->si_pid;
	to->ssi_uid = info->si_uid;
}

static void set_timer(struct signalfd_siginfo *to, const siginfo_t *info)
{
	to->ssi_tid = (uint32_t)info->si_timerid;
	to->ssi_overrun = (uint32_t)info->si_overrun;
	set_value(to, info);
}

static void set_child(struct signalfd_siginfo *to, const siginfo_t *info)
{
	set_sender(to, info);
	to->ssi_status = info->si_status;
	to->ssi_utime = (uint64_t)info->si_utime;
	to->ssi_stime = (uint64_t)info->si_stime;
}

static void set_fault(struct signalfd_siginfo *to, const siginfo_t *info)
{
	to->ssi_addr = (uint64_t)(uintptr_t)info->si_addr;
	if (info->si_signo == SIGBUS &&
		(info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO))
		to->ssi_addr_lsb = (uint16_t)info->si_addr_lsb;
}

static void set_system(struct signalfd_siginfo *to, const siginfo_t *info)
{
	to->ssi_call_addr = (uint64_t)(uintptr_t)info->si_call_addr;
	to->ssi_syscall = info->si_syscall;
	to->ssi_arch = info->si_arch;
}

static struct signalfd_siginfo image_of(const siginfo_t *info)
{
	struct signalfd_siginfo to = {
		.ssi_signo = (uint32_t)info->si_signo,
		.ssi_errno = info->si_errno,
		.ssi_code = info->si_code,
	};

	switch (layout_of(info->si_signo, info->si_code)) {
	case LAYOUT_TIMER:
		set_timer(&to, info);
		break;
	case LAYOUT_POLL:
		to.ssi_band = (uint32_t)info->si_band;
		to.ssi_fd = info->si_fd;
		break;
	case LAYOUT_FAULT:
		set_fault(&to, info);
		break;
	case LAYOUT_CHILD:
		set_child(&to, info);
		break;
	case LAYOUT_SYSTEM:
		set_system(&to, info);
		break;
	case LAYOUT_QUEUE:
		set_value(&to, info);
		set_sender(&to, info);
		break;
	default:
		set_sender(&to, info);
	}
	return to;
}

/* The first of a read: it may sleep. 0 or an errno value. */
static int take_first(const struct fdref *ref, siginfo_t *info, bool nowait)
{
	struct slot *slot = ref->object;
	int err = 0;

	while (signalqueue_take(signalfd_signals(slot), info) < 0) {
		if (err)
			return err;
		if (nowait || (atomic_load(&slot->flags) & SLOT_NONBLOCK))
			return EAGAIN;
		err = signaldoor_sleep(signalfd_signals(slot));
	}
	return 0;
}

/* As the kernel: what cannot be stored is gone. */
static struct outcome take_and_store(const struct fdref *ref, char *to, size_t room, bool nowait)
{
	const size_t size = sizeof(struct signalfd_siginfo);
	size_t done = 0;
	siginfo_t info;
	int err = take_first(ref, &info, nowait);

	if (err)
		return outcome_err(err);
	do {
		struct signalfd_siginfo image = image_of(&info);

		signalset_taken(info.si_signo);
		if (!usermem_store(to + done, &image, size))
			return done ? outcome_ok((long)done) : outcome_err(EFAULT);
		done += size;
	} while (room - done >= size && signalqueue_take(signalfd_signals(ref->object), &info) > 0);
	return outcome_ok((long)done);
}

struct outcome signalfd_read(const struct fdref *ref, void *buf, size_t n, bool nowait)
{
	struct outcome outcome;

	if (!usermem_in_range(buf, n))
		return outcome_err(EFAULT);
	if (n < sizeof(struct signalfd_siginfo))
		return outcome_err(EINVAL);
	if (!object_hold_living(ref))
		return outcome_err(EBADF);
	outcome = take_and_store(ref, buf, n, nowait);
	object_release(ref);
	return outcome;
}
