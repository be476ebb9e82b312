#include "core/demote.h"
#include "core/selectset.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "core/eager.h"
#include "core/fdtable.h"
#include "core/object.h"
#include "core/pollset.h"
#include "core/scratch.h"
#include "core/timeout.h"
#include "core/timers.h"
#include "core/usermem.h"
#include "sys/raw.h"

enum { WORD_BITS = sizeof(long) * CHAR_BIT };

/* The kernel's translation of poll bits. What was closed while it slept is ready for all,
 * since 5.17 and in the stable kernels of that time; those before it sleep on. */
#define IN_BITS (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL)
#define OUT_BITS (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL)
#define EXCEPT_BITS (POLLPRI | POLLNVAL)

static int words_of(int n)
{
	return (n + WORD_BITS - 1) / WORD_BITS;
}

/* Numbers beyond the table are none of ours, and the kernel cuts n down to the fds a process can
 * have. */
static int clamp(int n)
{
	return n < FDTABLE_SIZE ? n : FDTABLE_SIZE;
}

static bool has(const fd_set *set, int fd)
{
	const unsigned long *words = (const unsigned long *)set;

	return set && (words[fd / WORD_BITS] >> (fd % WORD_BITS) & 1);
}

static unsigned long word_of(const fd_set *set, int word)
{
	return set ? ((const unsigned long *)set)[word] : 0;
}

/* One look for each, and nothing in between: it is what a select of ordinary fds costs. */
static bool all_foreign(const struct selectset *set, int n)
{
	const _Atomic uint64_t *table = fdtable;
	uint64_t entries = 0;

	for (int word = 0; word < words_of(n); word++) {
		unsigned long bits = word_of(set->in, word) | word_of(set->out, word) |
				     word_of(set->except, word);

		if (n - word * WORD_BITS < WORD_BITS)
			bits &= (1ul << (n % WORD_BITS)) - 1;
		for (; bits; bits &= bits - 1)
			entries |= atomic_load_explicit(
				&table[word * WORD_BITS + __builtin_ctzl(bits)],
				memory_order_relaxed);
	}
	return !entries && !fdtable_doubtful();
}

static void put(fd_set *set, int fd)
{
	((unsigned long *)set)[fd / WORD_BITS] |= 1ul << (fd % WORD_BITS);
}

static bool readable(const fd_set *set, int n)
{
	return !set || usermem_loadable(set, (size_t)words_of(n) * sizeof(long));
}

static bool storable(fd_set *set, int n)
{
	return !set || usermem_storable(set, (size_t)words_of(n) * sizeof(long));
}

bool selectset_concerned(const struct selectset *set)
{
	int n = clamp(set->n);

	if (!fdtable_used() || n <= 0 || !readable(set->in, n) || !readable(set->out, n) ||
		!readable(set->except, n))
		return false;
	if (n > (int)fdtable_top())
		n = (int)fdtable_top();
	if (all_foreign(set, n))
		return false;
	timers_look();
	for (int fd = 0; fd < n; fd++) {
		if (fdtable_foreign(fd) ||
			!(has(set->in, fd) || has(set->out, fd) || has(set->except, fd)))
			continue;
		if (fdtable_kind(fd) != FD_SET)
			return true;
		demote_set_of(fd);
		eager_all();
	}
	return false;
}

static nfds_t fill(const struct selectset *set, int n, struct pollfd *fds)
{
	nfds_t used = 0;

	for (int fd = 0; fd < n; fd++) {
		short events = 0;

		if (has(set->in, fd))
			events |= POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
		if (has(set->out, fd))
			events |= POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
		if (has(set->except, fd))
			events |= POLLPRI;
		if (events)
			fds[used++] = (struct pollfd){.fd = fd, .events = events};
	}
	return used;
}

static void clear(fd_set *set, int n)
{
	if (set)
		memset(set, 0, (size_t)words_of(n) * sizeof(long));
}

/* Whether the kernel's select calls the fd bad: it passes over numbers beyond what the process's
 * table has room for. */
static bool bad_to_select(int fd)
{
	unsigned long words[FD_SETSIZE / WORD_BITS] = {0};

	if (fdtable_kind(fd) == FD_INTERNAL)
		return true;
	if (fd >= FD_SETSIZE)
		return raw_fcntl(fd, 1 /* F_GETFD */, 0) == -EBADF;
	words[fd / WORD_BITS] = 1ul << (fd % WORD_BITS);
	return raw_select_now(fd + 1, words) == -EBADF;
}

/* Drops the entries that poll finds not open but select passes over; EBADF where select does not.
 */
static int sift(struct pollfd *fds, nfds_t *n)
{
	nfds_t kept = 0;

	for (nfds_t i = 0; i < *n; i++) {
		if ((fds[i].revents & POLLNVAL) && bad_to_select(fds[i].fd))
			return EBADF;
		if (!(fds[i].revents & POLLNVAL))
			fds[kept++] = fds[i];
	}
	*n = kept;
	return 0;
}

static bool any_invalid(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].revents & POLLNVAL)
			return true;
	}
	return false;
}

/* The bits select reports for an entry: of ERR and HUP, which poll always shows, it makes the
 * readable and writable bits they stand for. */
static short reported(const struct pollfd *entry)
{
	short bits = 0;

	if ((entry->events & POLLIN) && (entry->revents & IN_BITS))
		bits |= POLLIN;
	if ((entry->events & POLLOUT) && (entry->revents & OUT_BITS))
		bits |= POLLOUT;
	if ((entry->events & POLLPRI) && (entry->revents & EXCEPT_BITS))
		bits |= POLLPRI;
	return bits;
}

/* True where something can be reported. Entries that show only what select does not report are left
 * out of further waiting: they have hung up, and would wake poll for ever. */
static bool any_reported(struct pollfd *fds, nfds_t n)
{
	bool any = false;

	for (nfds_t i = 0; i < n; i++)
		any = any || reported(&fds[i]);
	for (nfds_t i = 0; i < n && !any; i++) {
		if (fds[i].revents)
			fds[i].fd = -1;
	}
	return any;
}

static struct outcome report(
	const struct selectset *set, int n, const struct pollfd *fds, nfds_t used)
{
	long count = 0;

	if (!storable(set->in, n) || !storable(set->out, n) || !storable(set->except, n))
		return outcome_err(EFAULT);
	clear(set->in, n);
	clear(set->out, n);
	clear(set->except, n);
	for (nfds_t i = 0; i < used; i++) {
		short bits = reported(&fds[i]);

		if (bits & POLLIN)
			put(set->in, fds[i].fd);
		if (bits & POLLOUT)
			put(set->out, fds[i].fd);
		if (bits & POLLPRI)
			put(set->except, fds[i].fd);
		count += __builtin_popcount((unsigned short)bits);
	}
	return outcome_ok(count);
}

/* A look at all entries. Here EBADF is for a number that is not open; later it was closed while the
 * call slept. */
static struct outcome look_first(struct pollfd *fds, nfds_t *used)
{
	static const struct timespec now;

	for (;;) {
		struct outcome outcome = pollset_wait(fds, *used, &now, NULL, 0);
		int err;

		if (outcome.err || !any_invalid(fds, *used))
			return outcome;
		err = sift(fds, used);
		if (err)
			return outcome_err(err);
	}
}

static bool is_now(const struct timespec *timeout)
{
	return timeout && !timeout->tv_sec && !timeout->tv_nsec;
}

static bool valid(const struct timespec *timeout)
{
	return !timeout ||
	       (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec <= 999999999);
}

static struct outcome wait_in(const struct selectset *set, struct pollfd *fds,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct timeout limit = timeout_start(timeout);
	struct timespec left;
	int n = clamp(set->n);
	nfds_t used = fill(set, n, fds);
	struct outcome outcome = valid(timeout) ? look_first(fds, &used) : outcome_err(EINVAL);

	if (outcome.err)
		return outcome;
	/* with a mask a signal may have waited for this call */
	if (any_reported(fds, used) || (is_now(timeout) && !mask))
		return report(set, n, fds, used);
	for (;;) {
		outcome = pollset_wait(fds, used, timeout, mask, 0);
		if (outcome.err)
			return outcome;
		if (!outcome.value || any_reported(fds, used) || timeout_over(&limit, &left))
			return report(set, n, fds, used);
		if (timeout)
			timeout = &left;
	}
}

struct outcome selectset_wait(
	const struct selectset *set, const struct timespec *timeout, const sigset_t *mask)
{
	struct scratch scratch;
	struct outcome outcome;
	struct pollfd *fds;

	fds = scratch_get(&scratch, (size_t)clamp(set->n) * sizeof(*fds));
	if (!fds)
		return outcome_err(ENOMEM);
	pthread_cleanup_push(scratch_put, &scratch);
	outcome = wait_in(set, fds, timeout, mask);
	pthread_cleanup_pop(1);
	return outcome;
}
