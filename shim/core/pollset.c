#include "core/demote.h"
#include "core/pollset.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "core/eager.h"
#include "core/pollsleep.h"
#include "core/signalset.h"
#include "core/stats.h"
#include "core/timeout.h"
#include "core/timers.h"
#include "core/usermem.h"
#include "sys/alone.h"
#include "sys/older.h"
#include "sys/oldpoll.h"

/* Below this many entries RLIMIT_NOFILE is taken to allow them. */
enum { SURELY_ALLOWED = 16 };

static bool too_long(nfds_t n)
{
	struct rlimit limit;

	if (n <= SURELY_ALLOWED)
		return false;
	return older_limit(RLIMIT_NOFILE, NULL, &limit) || n > limit.rlim_cur;
}

/* One look for each, and nothing in between: it is what a poll of ordinary fds costs. */
static inline bool all_foreign(const struct pollfd *fds, nfds_t n)
{
	const _Atomic uint64_t *table = fdtable;
	uint32_t size = atomic_load(&fdtable_size);
	uint64_t entries = 0;

	for (const struct pollfd *end = fds + n; fds < end; fds++) {
		uint32_t fd = (uint32_t)fds->fd;

		if (fd < size)
			entries |= atomic_load_explicit(&table[fd], memory_order_relaxed);
	}
	return !entries && !fdtable_doubtful();
}

static __attribute__((noinline)) bool any_is_ours(const struct pollfd *fds, nfds_t n)
{
	timers_look();
	for (nfds_t i = 0; i < n; i++) {
		int fd = fds[i].fd;

		if (fdtable_foreign(fd))
			continue;
		if (fdtable_kind(fd) != FD_SET)
			return !too_long(n);
		demote_set_of(fd);
		eager_all();
		if (signalset_has(fd))
			return !too_long(n);
	}
	return false;
}

bool pollset_concerned(struct pollfd *fds, nfds_t n)
{
	if (!atomic_load(&fdtable_size) || !n || n > FDTABLE_SIZE ||
		!usermem_loadable(fds, n * sizeof(*fds)) || all_foreign(fds, n))
		return false;
	return any_is_ours(fds, n);
}

/* Sorts the entries; how many fake ones are ready now. */
static long look_first(struct pollset *set)
{
	long ready = 0;

	set->foreign = 0;
	for (nfds_t i = 0; i < set->n; i++) {
		struct fdref ref;
		int fd = set->fds[i].fd;

		set->asked[i] = (struct pollfd){.fd = -1};
		if (!object_is(&fd, &ref)) {
			pollsleep_leave_to_kernel(set, i, fd);
			ready += pollsleep_signals(set, i) != 0;
			continue;
		}
		set->entries[i].fake = true;
		set->asked[i].revents = pollsleep_shown(ref.object, &set->fds[i], set->always);
		ready += set->asked[i].revents != 0;
	}
	return ready;
}

/* How many of all entries are ready. */
static long look_again(struct pollset *set)
{
	long ready = 0;

	for (nfds_t i = 0; i < set->n; i++) {
		if (set->entries[i].fake)
			set->asked[i].revents = pollsleep_look(set, i);
		else
			set->asked[i].revents =
				(short)(set->asked[i].revents | pollsleep_signals(set, i));
		ready += set->asked[i].revents != 0;
	}
	return ready;
}

/* With an end: which signals are waited for may change meanwhile. */
static const struct timespec *in_slices(const struct timespec *timeout)
{
	static const struct timespec slice = {.tv_sec = 1};

	return alone() || (timeout && timeout->tv_sec < slice.tv_sec) ? timeout : &slice;
}

static struct outcome ask_kernel(
	struct pollset *set, const struct timespec *timeout, const sigset_t *mask)
{
	int saved = errno;
	int ret, err;

	stats_syscall();
	ret = oldpoll_ppoll(set->asked, set->n, timeout, mask);
	err = errno;
	errno = saved;
	return ret < 0 ? outcome_err(err) : outcome_ok(ret);
}

static void forget_answers(struct pollset *set)
{
	for (nfds_t i = 0; i < set->n; i++)
		set->asked[i].revents = 0;
}

/* The same, and is told of signals that the program's signalfds wait for. What came is pending
 * until the door is closed, which is after the next look: the sleep's mask alone may have blocked
 * it. */
static struct outcome sleep_in_kernel(struct pollset *set, const struct timespec *timeout)
{
	struct outcome outcome;

	pollsleep_close_door(set);
	if (!set->signals)
		return ask_kernel(set, timeout, set->mask);
	signaldoor_open(&set->door, set->signals, set->mask);
	set->door_open = true;
	outcome = ask_kernel(set, in_slices(timeout), &set->door.during);
	if (outcome.err == EINTR && signaldoor_came()) {
		forget_answers(set);
		outcome = outcome_ok(0);
	}
	return outcome;
}

/* Some fake entries are ready: the others are looked at without waiting, and no signal is an
 * excuse. */
static struct outcome report_with_foreign(struct pollset *set)
{
	static const struct timespec now;
	struct outcome outcome;

	for (nfds_t i = 0; i < set->n; i++) {
		if (set->entries[i].fake)
			set->asked[i].fd = -1;
	}
	outcome = ask_kernel(set, &now, NULL);
	if (outcome.err == EINTR) {
		forget_answers(set);
		outcome = outcome_ok(0);
	}
	/* the kernel has cleared what was found of the fake ones; it may be gone by now */
	if (!outcome.err)
		outcome.value = look_again(set);
	return outcome;
}

static struct outcome sleep_and_look(struct pollset *set, const struct timespec *timeout)
{
	struct timeout limit = timeout_start(timeout);
	struct timespec left;
	struct outcome outcome;

	for (;;) {
		int err = pollsleep_prepare(set);

		if (err)
			return outcome_err(err);
		outcome = sleep_in_kernel(set, timeout);
		if (outcome.err)
			return outcome;
		pollsleep_woken(set);
		timers_look();
		outcome.value = look_again(set);
		if (outcome.value || timeout_over(&limit, &left))
			return outcome;
		timeout = timeout ? &left : NULL;
	}
}

static bool is_now(const struct timespec *timeout)
{
	return timeout && !timeout->tv_sec && !timeout->tv_nsec;
}

static struct outcome wait_in(struct pollset *set, const struct timespec *timeout)
{
	long ready = look_first(set);

	if (!set->foreign && (ready || (is_now(timeout) && !set->mask)))
		return outcome_ok(ready);
	if (ready) {
		struct outcome outcome = report_with_foreign(set);

		if (outcome.err || outcome.value || is_now(timeout))
			return outcome;
	}
	return sleep_and_look(set, timeout);
}

/* What an entry shows; -1 where it is not fake. */
static int shown(const struct pollfd *entry, short always)
{
	struct fdref ref = {.object = NULL};
	int fd = entry->fd;

	if (!object_is(&fd, &ref))
		return -1;
	return (uint16_t)pollsleep_shown(ref.object, entry, always);
}

/* Where all entries are fake and none needs waiting for: no system call, no working memory. False
 * where it is not so. */
static bool answer_at_once(struct pollfd *fds, nfds_t n, bool now, short always, long *ready)
{
	*ready = 0;
	for (nfds_t i = 0; i < n; i++) {
		int events = shown(&fds[i], always);

		if (events < 0)
			return false;
		*ready += events != 0;
	}
	if ((!*ready && !now) || !usermem_storable(fds, n * sizeof(*fds)))
		return false;
	*ready = 0;
	for (nfds_t i = 0; i < n; i++) {
		int events = shown(&fds[i], always);

		fds[i].revents = (short)(events > 0 ? events : 0);
		*ready += events > 0;
	}
	return *ready || now;
}

static bool get_memory(struct pollset *set)
{
	size_t each = sizeof(*set->fds) + sizeof(*set->asked) + sizeof(*set->entries);

	set->asked = scratch_get(&set->scratch, set->n * each);
	if (!set->asked)
		return false;
	set->fds = set->asked + set->n;
	memcpy(set->fds, set->program, set->n * sizeof(*set->fds));
	set->entries = (struct entry *)(set->fds + set->n);
	memset(set->entries, 0, set->n * sizeof(*set->entries));
	return true;
}

/* Also where the thread is cancelled. */
static void give_back(void *arg)
{
	struct pollset *set = arg;

	pollsleep_end(set);
	scratch_put(&set->scratch);
}

/* The kernel, too, stores revents when it was interrupted: nothing was ready. */
static struct outcome store(struct pollset *set, struct outcome outcome)
{
	if (outcome.err == EINTR)
		forget_answers(set);
	if (!usermem_storable(set->program, set->n * sizeof(*set->program)))
		return outcome_err(EFAULT);
	for (nfds_t i = 0; i < set->n && (!outcome.err || outcome.err == EINTR); i++)
		set->program[i].revents = set->asked[i].revents;
	return outcome;
}

struct outcome pollset_wait(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, short always)
{
	struct pollset set = {.program = fds, .n = n, .mask = mask, .always = always, .masks = -1};
	struct outcome outcome;
	long ready;

	if (timeout &&
		(timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
		return outcome_err(EINVAL);
	if (answer_at_once(fds, n, !mask && is_now(timeout), always, &ready)) {
		stats_add(STATS_AVOIDED);
		pthread_testcancel();
		return outcome_ok(ready);
	}
	if (!get_memory(&set))
		return outcome_err(ENOMEM);
	pthread_cleanup_push(give_back, &set);
	outcome = wait_in(&set, timeout);
	pthread_cleanup_pop(0);
	outcome = store(&set, outcome);
	give_back(&set);
	return outcome;
}
