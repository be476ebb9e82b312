#include "core/counterfd.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/counter.h"
#include "core/counterfd_fast.h"
#include "core/fastwatch.h"
#include "core/level.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/object.h"
#include "core/spin.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "core/wait.h"
#include "sys/probe.h"

enum { WORD = sizeof(uint64_t) };

typedef int (*sleep_function)(const _Atomic uint32_t *word, uint32_t value);

/* A blocked operation: what it sleeps on, and what it tries again after each wake-up. */
struct sleeper {
	const struct fdref *ref;
	_Atomic uint32_t *waiters;
	_Atomic uint32_t *seq;
	uint64_t add; /* what a writer adds; 0 for a reader, who takes */
	bool reader;
	bool counted; /* among the waiters */
	sleep_function sleep;
};

static struct counter_step try_once(const struct sleeper *sleeper)
{
	struct slot *slot = sleeper->ref->object;
	uint64_t guard = slot_guard(sleeper->ref->generation);

	if (sleeper->reader)
		return counter_take(
			&slot->counter, guard, atomic_load(&slot->flags) & SLOT_SEMAPHORE);
	return counter_add(&slot->counter, guard, sleeper->add);
}

static void leave(void *arg)
{
	const struct sleeper *sleeper = arg;
	uint32_t waiters = atomic_load(sleeper->waiters);

	/* the object may have died, and its slot be another one's by now */
	if (!slot_lives_as(sleeper->ref->object, sleeper->ref->generation))
		return;
	while (sleeper->counted && waiters &&
		!atomic_compare_exchange_weak(sleeper->waiters, &waiters, waiters - 1))
		;
	object_release(sleeper->ref);
}

/* Nobody knows that it waits: whoever moves the counter meanwhile has nobody to wake. A signal that
 * comes then finds the call not begun. */
static struct counter_step look_again(const struct sleeper *sleeper, struct spin *spin)
{
	const _Atomic uint64_t *count = &sleeper->ref->object->count;
	struct counter_step step = {.err = EAGAIN};

	while (step.err == EAGAIN && spin_again(spin)) {
		uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

		if (sleeper->reader ? now != 0 : UINT64_MAX - now > sleeper->add)
			step = try_once(sleeper);
	}
	return step;
}

/* Tries and sleeps in turn. The counter is looked at after the waiter count was raised and the
 * sequence read, so whoever moves it later sees the waiter and moves the sequence. */
static struct counter_step sleep_until_done(struct sleeper *sleeper, enum spin_end *end)
{
	struct counter_step step = {.err = EAGAIN};

	atomic_fetch_add(sleeper->waiters, 1);
	sleeper->counted = true;
	while (step.err == EAGAIN) {
		uint32_t seq = atomic_load(sleeper->seq);
		int err = 0;

		step = try_once(sleeper);
		if (step.err == ESTALE)
			step.err = wait_forever();
		if (step.err == EAGAIN)
			err = sleeper->sleep(sleeper->seq, seq);
		if (err == EINTR)
			step.err = EINTR;
		if (step.err == EAGAIN && !err)
			*end = SPIN_ASLEEP;
	}
	return step;
}

static struct counter_step wait_until_done(struct sleeper *sleeper)
{
	struct spin spin = spin_begin(&local_of(sleeper->ref->slot)->pace);
	struct counter_step step = look_again(sleeper, &spin);
	enum spin_end end = SPIN_FOUND;

	if (step.err == EAGAIN || step.err == ESTALE) {
		end = SPIN_AWAKE;
		step = sleep_until_done(sleeper, &end);
	}
	if (!step.err)
		spin_end(&spin, end);
	return step;
}

static struct counter_step block(struct sleeper *sleeper)
{
	struct counter_step step;

	object_hold(sleeper->ref);
	pthread_cleanup_push(leave, sleeper);
	step = wait_until_done(sleeper);
	pthread_cleanup_pop(1);
	return step;
}

static __attribute__((noinline)) struct counter_step block_reader(const struct fdref *ref)
{
	return block(&(struct sleeper){
		.ref = ref,
		.waiters = &ref->object->read_waiters,
		.seq = &ref->object->read_seq,
		.reader = true,
		.sleep = wait_sleep,
	});
}

static __attribute__((noinline)) struct counter_step block_writer(
	const struct fdref *ref, uint64_t value, sleep_function sleep)
{
	return block(&(struct sleeper){
		.ref = ref,
		.waiters = &ref->object->write_waiters,
		.seq = &ref->object->write_seq,
		.add = value,
		.sleep = sleep,
	});
}

/* A reader that was killed may have left the level up behind it. */
static __attribute__((noinline)) void mend_level(const struct fdref *ref)
{
	if (atomic_load(&ref->object->watched) &&
		(level_landed(ref->object, CLASS_IN) || atomic_load(&ref->object->settling)))
		mirror_refresh(ref, CLASS_IN);
}

/* A number that was closed meanwhile, and whose object has died. */
static int error_of(struct counter_step step)
{
	return step.err == ESTALE ? EBADF : step.err;
}

int counterfd_take(const struct fdref *ref, bool nowait, uint64_t *value)
{
	uint32_t flags = atomic_load(&ref->object->flags);
	struct counter_step step = counter_take(
		&ref->object->counter, slot_guard(ref->generation), flags & SLOT_SEMAPHORE);

	if (step.err == EAGAIN && !nowait && !(flags & SLOT_NONBLOCK))
		step = block_reader(ref);
	if (step.err == EAGAIN)
		mend_level(ref);
	if (step.err)
		return error_of(step);
	mirror_was_read(ref, step);
	*value = step.before - step.after;
	return 0;
}

static inline struct outcome add(const struct fdref *ref, uint64_t value, sleep_function sleep)
{
	struct counter_step step =
		counter_add(&ref->object->counter, slot_guard(ref->generation), value);

	if (step.err == EAGAIN && !(atomic_load(&ref->object->flags) & SLOT_NONBLOCK))
		step = block_writer(ref, value, sleep);
	if (step.err)
		return outcome_err(error_of(step));
	mirror_written(ref, step);
	return outcome_ok(WORD);
}

struct outcome counterfd_read(const struct fdref *ref, void *buf, size_t n)
{
	uint64_t value;
	int err;

	stats_add(STATS_READS);
	if (!usermem_in_range(buf, n))
		return outcome_err(EFAULT);
	if (n < WORD)
		return outcome_err(EINVAL);
	err = counterfd_take(ref, false, &value);
	if (err)
		return outcome_err(err);
	/* The kernel, too, has taken the count when it finds the buffer bad. */
	if (!usermem_store(buf, &value, sizeof(value)))
		return outcome_err(EFAULT);
	return outcome_ok(WORD);
}

/* The value a write adds; 0 or an errno value. */
static inline int fetch(const void *buf, size_t n, uint64_t *value)
{
	if (!usermem_in_range(buf, n))
		return EFAULT;
	if (n < WORD || (n > WORD && !probe_long_write()))
		return EINVAL;
	if (!usermem_loadable(buf, WORD))
		return EFAULT;
	memcpy(value, buf, sizeof(*value));
	return *value == UINT64_MAX ? EINVAL : 0;
}

struct outcome counterfd_write(const struct fdref *ref, const void *buf, size_t n)
{
	uint64_t value;
	int err = fetch(buf, n, &value);

	stats_add(STATS_WRITES);
	return err ? outcome_err(err) : add(ref, value, wait_sleep);
}

struct outcome counterfd_write_more(const struct fdref *ref, const void *buf, size_t n)
{
	uint64_t value;
	int err = fetch(buf, n, &value);

	stats_add(STATS_WRITES);
	return err ? outcome_err(err) : add(ref, value, wait_sleep_unrestarted);
}

int counterfd_signal(const struct fdref *ref, uint64_t n, uint64_t *added)
{
	struct counter_step step =
		counter_post(&ref->object->counter, slot_guard(ref->generation), n);

	if (step.err)
		return error_of(step);
	mirror_written(ref, step);
	*added = step.after - step.before;
	return 0;
}

static struct fdref ref_of(int fd, uint64_t entry)
{
	struct fdref ref = {.fd = fd};

	fdtable_decode(fd, entry, &ref);
	ref.object = slotpool_slots + ref.slot;
	return ref;
}

ssize_t counterfd_tell_read(int fd, uint64_t entry, uint64_t before, uint64_t after)
{
	struct fdref ref = ref_of(fd, entry);

	mirror_tell_read(&ref, (struct counter_step){0, before, after});
	return WORD;
}

ssize_t counterfd_tell_written(int fd, uint64_t entry, uint64_t before, uint64_t after)
{
	struct fdref ref = ref_of(fd, entry);

	mirror_tell_written(&ref, (struct counter_step){0, before, after});
	return WORD;
}

ssize_t counterfd_tell_front(
	int fd, uint64_t entry, uint64_t before, uint64_t after, uint32_t watched)
{
	struct fdref ref = ref_of(fd, entry);
	uint32_t now = fastwatch_written(ref.slot, watched);

	if (now != watched)
		mirror_settle_written(&ref, (struct counter_step){0, before, after}, now);
	return WORD;
}
