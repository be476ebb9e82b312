#include "core/timerfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "core/level.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/timers.h"
#include "core/usermem.h"
#include "core/wait.h"
#include "sys/raw.h"

enum { WORD = sizeof(uint64_t) };
#define SECOND_NS 1000000000ll
#define CREATE_FLAGS (TFD_CLOEXEC | TFD_NONBLOCK)
#define SET_FLAGS (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)

/* Those that wake a sleeping machine are the kernel's alone. */
static bool good_clock(int clock)
{
	struct timespec now;

	return clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME ||
	       (clock == CLOCK_BOOTTIME && !clock_gettime(CLOCK_BOOTTIME, &now));
}

struct outcome timerfd_make(int clock, int flags)
{
	int made =
		(flags & TFD_CLOEXEC ? EFD_CLOEXEC : 0) | (flags & TFD_NONBLOCK ? EFD_NONBLOCK : 0);
	struct outcome outcome;
	struct fdref ref;
	int fd;

	if ((flags & ~CREATE_FLAGS) || !good_clock(clock))
		return outcome_err(EINVAL);
	outcome = object_create(KIND_TIMER, (uint64_t)clock, made);
	fd = (int)outcome.value;
	if (!outcome.err && object_is(&fd, &ref))
		timers_note(&ref);
	return outcome;
}

static bool good_time(const struct timespec *time)
{
	return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < SECOND_NS;
}

/* What lies too far off never comes. */
static uint64_t ns_of(const struct timespec *time)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)time->tv_sec, (int64_t)SECOND_NS, &ns) ||
		__builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
		return TIMER_TIME;
	return (uint64_t)ns;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
}

static struct itimerspec shown(const struct slot *slot, struct timer timer)
{
	return (struct itimerspec){
		.it_interval = time_of(timer_interval(timer)),
		.it_value = time_of(timer_remaining(timer, timers_now(slot, timer))),
	};
}

struct timerfd_facts timerfd_facts(const struct slot *slot)
{
	uint32_t flags = atomic_load(&slot->flags);
	struct timer timer = timer_guess(&slot->mask);
	struct timerfd_facts facts = {
		.clock = slot_clock(slot),
		.ticks = timer_fired(timer),
		.flags = (flags & SLOT_ABSTIME ? TFD_TIMER_ABSTIME : 0) |
			 (flags & SLOT_CANCEL_ON_SET ? TFD_TIMER_CANCEL_ON_SET : 0),
		.setting = shown(slot, timer),
	};

	/* the kernel goes on only when it is read */
	if (timer_fired(timer))
		facts.setting.it_value = time_of(0);
	return facts;
}

/* A relative time on CLOCK_REALTIME does not follow when that is set. */
static struct timer setting(const struct slot *slot, int flags, const struct itimerspec *value)
{
	struct timer timer = {ns_of(&value->it_value), ns_of(&value->it_interval)};
	uint64_t mark = 0;

	if (!timer.first || (flags & TFD_TIMER_ABSTIME))
		return timer;
	if (slot_clock(slot) == CLOCK_REALTIME)
		mark = TIMER_RELATIVE;
	timer.first += timers_now(slot, (struct timer){mark, 0});
	if (timer.first > TIMER_TIME)
		timer.first = TIMER_TIME;
	timer.first |= mark;
	return timer;
}

/* The level falls as it does after a read. */
static void unfired(const struct fdref *ref)
{
	mirror_was_read(ref, (struct counter_step){0, 1, 0});
}

static void note_flags(struct slot *slot, int flags)
{
	uint32_t before = atomic_load(&slot->flags), set = 0;

	if (flags & TFD_TIMER_ABSTIME)
		set |= SLOT_ABSTIME;
	if (flags & TFD_TIMER_CANCEL_ON_SET)
		set |= SLOT_CANCEL_ON_SET;
	while (!atomic_compare_exchange_weak(
		&slot->flags, &before, (before & ~(SLOT_ABSTIME | SLOT_CANCEL_ON_SET)) | set))
		;
}

static struct itimerspec set(const struct fdref *ref, int flags, const struct itimerspec *value)
{
	struct mask_cell *cell = &ref->object->mask;
	const struct timer after = setting(ref->object, flags, value);
	struct timer before = timer_guess(cell);
	struct itimerspec old;

	note_flags(ref->object, flags);
	do {
		old = shown(ref->object, before);
	} while (!timer_swap(cell, &before, after));
	if (timer_fired(before))
		unfired(ref);
	timers_armed(ref);
	return old;
}

/* No timer of the shim's. */
static int error_of_number(int fd)
{
	return raw_fcntl(fd, F_GETFD, 0) < 0 ? EBADF : EINVAL;
}

struct outcome timerfd_set(const struct fdref *ref, int fd, int flags,
	const struct itimerspec *value, struct itimerspec *old)
{
	struct itimerspec before, now;

	if (!usermem_loadable(value, sizeof(*value)))
		return outcome_err(EFAULT);
	now = *value;
	if ((flags & ~SET_FLAGS) || !good_time(&now.it_value) || !good_time(&now.it_interval))
		return outcome_err(EINVAL);
	if (!ref)
		return outcome_err(error_of_number(fd));
	if ((now.it_value.tv_sec || now.it_value.tv_nsec) && timers_start())
		return outcome_err(ENOMEM); /* nobody would fire it */
	if (!object_hold_living(ref))
		return outcome_err(EBADF);
	before = set(ref, flags, &now);
	object_release(ref);
	if (old && !usermem_store(old, &before, sizeof(before)))
		return outcome_err(EFAULT);
	return outcome_ok(0);
}

struct outcome timerfd_get(const struct fdref *ref, int fd, struct itimerspec *value)
{
	struct itimerspec now;

	if (!ref)
		return outcome_err(error_of_number(fd));
	timers_look();
	now = shown(ref->object, timer_load(&ref->object->mask));
	return usermem_store(value, &now, sizeof(now)) ? outcome_ok(0) : outcome_err(EFAULT);
}

/* EAGAIN where nothing has expired. Who waits for an edge hears of it before it is taken. */
static int take(const struct fdref *ref, uint64_t *ticks)
{
	struct mask_cell *cell = &ref->object->mask;
	struct timer before;

	timers_look();
	before = timer_guess(cell);
	do {
		*ticks = timer_ticks(before, timers_now(ref->object, before));
		if (!*ticks)
			return EAGAIN;
	} while (!timer_swap(cell, &before, timer_after(before, *ticks)));
	unfired(ref);
	timers_armed(ref);
	return 0;
}

static void leave(void *arg)
{
	_Atomic uint32_t *waiters = arg;
	uint32_t before = atomic_load(waiters);

	while (before && !atomic_compare_exchange_weak(waiters, &before, before - 1))
		;
}

/* Looks after the sequence was read: whoever fires it later moves that. */
static int wait_and_take(const struct fdref *ref, uint64_t *ticks)
{
	struct slot *slot = ref->object;
	int err = EAGAIN;

	atomic_fetch_add(&slot->read_waiters, 1);
	pthread_cleanup_push(leave, &slot->read_waiters);
	while (err == EAGAIN) {
		uint32_t seq = atomic_load(&slot->read_seq);

		err = take(ref, ticks);
		if (err == EAGAIN && wait_sleep(&slot->read_seq, seq) == EINTR)
			err = EINTR;
	}
	pthread_cleanup_pop(1);
	return err;
}

/* A reader that was killed may have left the level up behind it. */
static void mend_level(const struct fdref *ref)
{
	if (atomic_load(&ref->object->watched) &&
		(level_landed(ref->object, CLASS_IN) || atomic_load(&ref->object->settling)))
		mirror_refresh(ref, CLASS_IN);
}

static void release(void *arg)
{
	object_release(arg);
}

int timerfd_take(const struct fdref *ref, bool nowait, uint64_t *ticks)
{
	struct fdref held = *ref;
	int err;

	if (!object_hold_living(&held))
		return EBADF;
	pthread_cleanup_push(release, &held);
	err = take(&held, ticks);
	if (err == EAGAIN && !nowait && !(atomic_load(&held.object->flags) & SLOT_NONBLOCK))
		err = wait_and_take(&held, ticks);
	if (err == EAGAIN)
		mend_level(&held);
	pthread_cleanup_pop(1);
	return err;
}

struct outcome timerfd_read(const struct fdref *ref, void *buf, size_t n)
{
	uint64_t ticks;
	int err;

	if (!usermem_in_range(buf, n))
		return outcome_err(EFAULT);
	if (n < WORD)
		return outcome_err(EINVAL);
	err = timerfd_take(ref, false, &ticks);
	if (err)
		return outcome_err(err);
	return usermem_store(buf, &ticks, sizeof(ticks)) ? outcome_ok(WORD) : outcome_err(EFAULT);
}
