#include "core/fdlife.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "core/adopt.h"
#include "core/demote.h"
#include "core/eventpoll.h"
#include "core/internal.h"
#include "core/object.h"
#include "core/passage.h"
#include "core/process.h"
#include "core/stats.h"
#include "sys/older.h"
#include "sys/raw.h"

enum { ANNOUNCEMENTS = 3, PATIENCE = 1000 };

enum fdlife_pin fdlife_pin(struct fdref *ref, int rounds)
{
	for (int i = rounds; i; i--) {
		int number = ref->fd;
		enum pin_step step = fdtable_pin_within(ref, rounds);

		if (step == PIN_HELD)
			return FDLIFE_PINNED;
		if (step == PIN_NEVER)
			break;
		if (!object_is(&number, ref))
			return number < 0 ? FDLIFE_NOT_OPEN : FDLIFE_UNPINNED;
	}
	return FDLIFE_UNPINNED;
}

/* `fd` was made of a number that other threads may have replaced: the kernel knows of which file.
 */
static void note_copy(int from, int fd)
{
	struct fdref found;

	if (adopt_identify(fd, &found))
		object_duplicated(&found, fd);
	else
		fdlife_copied(from, fd);
}

struct outcome fdlife_dup(const struct fdref *ref, int cmd, int lowest)
{
	struct fdref now = *ref;
	enum fdlife_pin pin;
	int fd;

	if (process_borrows_memory())
		return outcome_raw(older_fcntl(ref->fd, cmd, lowest));
	pin = fdlife_pin(&now, fdtable_patience());
	if (pin == FDLIFE_NOT_OPEN)
		return outcome_err(EBADF);
	stats_syscall();
	fdtable_begin_making();
	fd = older_fcntl(now.fd, cmd, lowest);
	if (fd >= 0 && pin == FDLIFE_PINNED)
		object_duplicated(&now, fd);
	else if (fd >= 0)
		note_copy(now.fd, fd);
	fdtable_end_making();
	if (pin == FDLIFE_PINNED)
		object_unpin(&now);
	return outcome_raw(fd);
}

void fdlife_copied(int from, int fd)
{
	uint64_t set = fdtable_epoll_id(from);

	if (set && !process_borrows_memory())
		fdtable_set_epoll(fd, set);
	else
		object_new_file(fd);
}

/* A dup2 on its way. */
struct replacement {
	int from, to, flags;
	int (*call)(int, int, int);
	int rounds;		    /* how often to yield to other threads */
	const struct fdref *source; /* NULL where it is not fake */
	bool pinned;		    /* the source is */
	struct fdref target;
	bool replaces; /* the target is fake */
	bool announced;
	uint64_t before; /* the target's entry where it was announced */
	uint64_t set;	 /* the number of the set that the target is */
};

static uint64_t announcement(const struct replacement *r)
{
	return r->source ? r->source->entry : ENTRY_OTHER;
}

/* What is known of the number of a set goes on until it is replaced. */
static bool announce(struct replacement *r)
{
	if (!r->source && fdtable_entry(r->to))
		return false;
	return fdtable_announce(r->to, announcement(r), &r->before);
}

/* The number is this thread's to change from here on. */
static void begin(struct replacement *r)
{
	int number = r->to;

	internal_move_away(r->to);
	r->set = fdtable_epoll_id(r->to);
	if (object_is(&number, &r->target))
		demote_number(&r->target);
	number = r->to;
	for (int tries = 0; tries < ANNOUNCEMENTS; tries++) {
		if (fdtable_begin_replace_within(r->to, r->rounds)) {
			r->replaces = object_is(&number, &r->target);
			return;
		}
		r->announced = announce(r);
		if (r->announced || fdtable_kind(r->to) == FD_SET || fdtable_kind(r->to) == FD_INFO)
			return;
		fdtable_replace_over();
	}
	fdtable_begin_replace_within(r->to, r->rounds);
}

/* EBUSY: another thread is in the middle of opening a file there. That may be the library, in a
 * thread that only writes. */
static int call_patiently(const struct replacement *r)
{
	int saved = errno;
	int fd = r->call(r->from, r->to, r->flags);

	for (int i = 0; i < PATIENCE && fd < 0 && errno == EBUSY; i++) {
		errno = saved;
		sched_yield();
		fd = r->call(r->from, r->to, r->flags);
	}
	return fd;
}

static void end(struct replacement *r, int fd)
{
	if (fd >= 0 && r->announced)
		passage_await(r->rounds);
	if (fd >= 0)
		passage_landed(fd);
	if (fd >= 0 && r->pinned)
		object_duplicated(r->source, fd);
	else if (fd >= 0 && (r->source || fdtable_kind(r->from) == FD_OBJECT))
		note_copy(r->from, fd);
	else if (fd >= 0 && !fdtable_take_passing(fd))
		fdlife_copied(r->from, fd);
	else if (fd < 0 && r->announced)
		fdtable_take_back(r->to, announcement(r), r->before);
	else if (fd < 0 && r->replaces)
		fdtable_end_replace(r->to);
	if (fd >= 0 && r->replaces)
		object_replaced(&r->target);
	if (fd >= 0)
		eventpoll_number_gone(r->set);
	fdtable_replace_over();
}

static enum pin_step pin_source(struct replacement *r)
{
	enum pin_step step = r->source ? fdtable_pin_within(r->source, r->rounds) : PIN_NEVER;

	r->pinned = step == PIN_HELD;
	return step;
}

/* Pins the source and makes the target this thread's, the lower number first: two dup2s crosswise,
 * or a ring of them, would wait for each other otherwise. False where the source has changed. */
static bool take_both(struct replacement *r)
{
	if (r->from < r->to) {
		if (pin_source(r) == PIN_CHANGED)
			return false;
		begin(r);
		return true;
	}
	begin(r);
	if (pin_source(r) != PIN_CHANGED)
		return true;
	end(r, -1);
	return false;
}

static struct outcome replace(struct replacement *r)
{
	int fd = call_patiently(r);

	end(r, fd);
	if (r->pinned)
		object_unpin(r->source);
	return fd < 0 ? outcome_err(errno) : outcome_ok(fd);
}

static struct outcome call_only(int from, int to, int flags, int (*call)(int, int, int))
{
	int fd = call(from, to, flags);

	return fd < 0 ? outcome_err(errno) : outcome_ok(fd);
}

struct outcome fdlife_dup_onto(int from, int to, int flags, int (*call)(int, int, int))
{
	for (;;) {
		struct replacement r = {.from = from, .to = to, .flags = flags, .call = call};
		struct fdref source;
		bool fake = object_is(&r.from, &source);

		if (process_borrows_memory() || from == to ||
			(!fdtable_foreign(to) && raw_fcntl(r.from, F_GETFD, 0) < 0))
			return call_only(r.from, to, flags, call);
		r.rounds = fdtable_patience();
		if (fake)
			r.source = &source;
		if (take_both(&r))
			return replace(&r);
	}
}

/* The kernel is about to close the number too: a pin must not do it later, when it may be another
 * file. */
static void await_closing(int fd)
{
	uint64_t entry = fdtable_entry(fd);
	struct fdref ref = {.fd = fd, .entry = entry & ~(ENTRY_PIN_FIELD | ENTRY_CLOSING)};

	if (fdtable_kind_of(entry) == FD_CLOSING)
		fdtable_await_close(&ref);
}

static void close_for_good(const struct fdref *ref)
{
	object_close(ref);
	await_closing(ref->fd);
}

void fdlife_closed(int fd, uint64_t entry)
{
	enum fd_kind kind = fdtable_kind_of(entry);
	uint64_t set = kind == FD_SET ? entry >> ENTRY_GENERATION_SHIFT : 0;

	if (set || kind == FD_INFO)
		fdtable_drop_stale(fd, entry);
	front_number_gone(set);
	eventpoll_number_gone(set);
}

/* The numbers of a range that the table knows, first; the kernel then closes what is left of it. */
static void close_known(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < fdtable_top(); fd++) {
		struct fdref ref;
		int number = (int)fd;

		await_closing(number); /* another thread's */
		if (object_is(&number, &ref))
			close_for_good(&ref);
		else
			fdlife_closed((int)fd, fdtable_entry((int)fd));
	}
}

static int kernel_close_range(unsigned first, unsigned last, unsigned flags)
{
	long ret = raw_syscall3(SYS_close_range, first, last, flags);

	if (ret == -ENOSYS || ret == -EINVAL)
		ret = older_close_range(first, last, flags);
	return (int)-ret;
}

struct outcome fdlife_close_range(unsigned first, unsigned last, unsigned flags)
{
	int err;

	if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))) {
		err = kernel_close_range(first, last, flags);
		return err ? outcome_err(err) : outcome_ok(0);
	}
	if (!(flags & CLOSE_RANGE_CLOEXEC) && !process_borrows_memory())
		close_known(first, last);
	while (first <= last) {
		unsigned end = first;

		while (end < fdtable_top() && end <= last && fdtable_kind((int)end) != FD_INTERNAL)
			end++;
		if (end >= fdtable_top() || end > last)
			break;
		if (end > first && (err = kernel_close_range(first, end - 1, flags)))
			return outcome_err(err);
		first = end + 1;
	}
	if (first > last)
		return outcome_ok(0);
	err = kernel_close_range(first, last, flags);
	return err ? outcome_err(err) : outcome_ok(0);
}
