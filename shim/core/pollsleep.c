#include "core/pollsleep.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "core/classfd.h"
#include "core/classwatch.h"
#include "core/demote.h"
#include "core/eager.h"
#include "core/internal.h"
#include "core/mirror.h"
#include "core/pollset.h"
#include "core/signalfd.h"
#include "core/signalset.h"
#include "core/stats.h"
#include "sys/passing.h"
#include "sys/older.h"
#include "sys/raw.h"

enum { WOKEN_AT_ONCE = 64 };

/* An entry for the kernel. In place of a number that the program has not open, INT32_MAX: the
 * kernel would skip -1. */
void pollsleep_leave_to_kernel(struct pollset *set, nfds_t i, int fd)
{
	if (fd < 0 && set->fds[i].fd >= 0)
		fd = INT32_MAX;
	set->entries[i].fake = false;
	set->asked[i].fd = fd;
	set->asked[i].events = set->fds[i].events;
	set->foreign += fd >= 0;
	if (fdtable_kind(fd) == FD_SET) {
		demote_set_of(fd);
		eager_all();
	}
}

static struct fdref ref_of(const struct pollset *set, nfds_t i)
{
	const struct entry *entry = &set->entries[i];

	return (struct fdref){
		.fd = set->fds[i].fd,
		.object = slotpool_slots + entry->slot,
		.slot = entry->slot,
		.generation = entry->generation,
		.entry = fdtable_object_entry(entry->slot, entry->generation),
	};
}

/* The object is kept, as a sleeping poll does in the kernel. */
static void keep(struct entry *entry, const struct fdref *ref)
{
	entry->slot = ref->slot;
	entry->generation = ref->generation;
	entry->held = object_hold_living(ref);
	entry->by_number = !entry->held;
}

/* The first mask's entry asks the kernel for all of them. */
static int open_masks(struct pollset *set, nfds_t i)
{
	int fd = passing_epoll();

	stats_syscall();
	if (fd >= 0)
		fd = internal_adopt(fd);
	if (fd < 0)
		return ENOMEM;
	set->masks = fd;
	set->asked[i].fd = fd;
	set->asked[i].events = POLLIN;
	return 0;
}

/* The entry that asks for all masks is to ask for its own alone. */
static void close_masks_of(struct pollset *set, nfds_t i)
{
	if (set->masks < 0 || set->asked[i].fd != set->masks)
		return;
	internal_close(set->masks);
	set->masks = -1;
}

/* No class of the mask serves, and its own level may be up for others' sake: the call sleeps on
 * edges. */
static int sleep_on_mask(struct pollset *set, nfds_t i, const struct fdref *ref)
{
	struct entry *entry = &set->entries[i];
	int fd = -1, err;

	entry->wanted = (uint16_t)(set->fds[i].events | set->always);
	if (mirror_want(ref, entry->wanted, true))
		return ENOMEM;
	keep(entry, ref);
	entry->class = CLASS_NONE;
	entry->mask = true;
	if (entry->held)
		fd = classfd_get(ref->slot, ref->generation, CLASS_IN);
	if (fd < 0)
		fd = ref->fd;
	err = set->masks < 0 ? open_masks(set, i) : 0;
	if (!err)
		err = classwatch_control(set->masks, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 0);
	if (err && err != EEXIST) { /* no fd is left for that: the level has to do */
		close_masks_of(set, i);
		set->asked[i].fd = fd;
		set->asked[i].events = POLLIN;
	}
	return 0;
}

/* Whether the class of a mask's entry shows just what it asks for; select may ask for less. Of
 * those who have the object and write it not all can open a class FIFO: one may have no fd left, or
 * another user by now. */
static bool has_class(const struct pollset *set, nfds_t i, const struct fdref *ref)
{
	const int asked = set->fds[i].events | set->always;
	unsigned class = set->entries[i].class;

	return (asked & POLLSET_UNASKED) == POLLSET_UNASKED && class != CLASS_IN &&
	       !classwatch_others_have(ref) && classfd_get(ref->slot, ref->generation, class) >= 0;
}

/* Mirrors an entry's object; 0 or an errno value. */
static int start_sleep(struct pollset *set, nfds_t i)
{
	struct entry *entry = &set->entries[i];
	struct fdref ref;
	int fd = set->fds[i].fd;

	if (!object_is(&fd, &ref)) {
		pollsleep_leave_to_kernel(set, i, fd);
		return 0;
	}
	if (slot_is_signal(ref.object)) {
		entry->class = CLASS_NONE;
		if (set->fds[i].events & POLLIN)
			set->signals |= signalfd_signals(ref.object);
		return 0;
	}
	entry->class = (uint8_t)slot_class(ref.object, (uint16_t)set->fds[i].events);
	if (slot_is_mask(ref.object) && !has_class(set, i, &ref))
		return sleep_on_mask(set, i, &ref);
	if (entry->class == CLASS_NONE) /* it may come to be signalled, and overflow */
		entry->class = CLASS_APART;
	if (entry->class == CLASS_APART && !((set->fds[i].events | set->always) & POLLERR)) {
		entry->class = CLASS_NONE;
		return 0;
	}
	if (entry->class == CLASS_IN &&
		(set->fds[i].events & POLLOUT & (int)slot_possible(ref.object)))
		mirror_keep_room(&ref);
	if (mirror_watch(&ref, entry->class, false))
		return ENOMEM;
	keep(entry, &ref);
	return 0;
}

/* The fd to sleep on; or -errno. */
static int fd_to_sleep_on(const struct pollset *set, nfds_t i)
{
	struct entry *entry = &set->entries[i];
	int fd = -EBADF;

	if (!entry->by_number)
		fd = classfd_get(entry->slot, entry->generation, entry->class);
	if (fd >= 0 || entry->class != CLASS_IN)
		return fd;
	entry->by_number = true;
	return set->fds[i].fd;
}

/* True while the object is not the number's any more, and shows what the entry would wake for: the
 * entry could not sleep. */
static bool must_leave_out(const struct pollset *set, nfds_t i)
{
	struct fdref old = ref_of(set, i), now;
	int fd = old.fd;

	if (!(pollsleep_shown(old.object, &set->fds[i], set->always)))
		return false;
	return !object_is(&fd, &now) || now.slot != old.slot || now.generation != old.generation;
}

/* The FIFO shows OUT, a timer never does. */
static bool is_timer(const struct entry *entry)
{
	return entry->held && slot_is_timer(slotpool_slots + entry->slot);
}

static int prepare_entry(struct pollset *set, nfds_t i)
{
	struct entry *entry = &set->entries[i];
	int fd, err = entry->held || entry->mask ? 0 : start_sleep(set, i);
	int shown = POLLIN | (is_timer(entry) ? 0 : POLLOUT);

	if (err || !entry->fake || entry->class == CLASS_NONE)
		return err;
	fd = entry->held && must_leave_out(set, i) ? -1 : fd_to_sleep_on(set, i);
	if (fd < -1)
		return ENOMEM;
	set->asked[i].fd = fd;
	set->asked[i].events =
		(short)(entry->class == CLASS_IN ? set->fds[i].events & shown : POLLIN);
	return 0;
}

int pollsleep_prepare(struct pollset *set)
{
	int err = 0;

	set->signals = 0;
	for (nfds_t i = 0; i < set->n && !err; i++) {
		if (set->entries[i].fake)
			err = prepare_entry(set, i);
		else if (signalset_has(set->fds[i].fd))
			set->signals |= signalset_signals(set->fds[i].fd);
	}
	return err;
}

/* What a number shows that is an ordinary file by now, or not open. */
static short ask_now(int fd, short events)
{
	struct pollfd one = {.fd = fd, .events = events};

	if (fd < 0)
		return POLLNVAL;
	stats_syscall();
	raw_poll_now(&one, 1);
	return one.revents;
}

/* What a fake entry shows after the kernel's answer: the number is looked up anew, as the kernel
 * does at each wake-up. A FIFO that woke us for nothing is made to match its object. */
short pollsleep_look(struct pollset *set, nfds_t i)
{
	const struct pollfd *asked = &set->asked[i];
	struct entry *entry = &set->entries[i];
	struct fdref ref;
	int fd = set->fds[i].fd;
	short shown;

	if (object_is(&fd, &ref))
		shown = pollsleep_shown(ref.object, &set->fds[i], set->always);
	else
		shown = ask_now(fd, set->fds[i].events);
	if (shown || !asked->revents)
		return shown;
	if (entry->held && (asked->revents & (POLLIN | POLLOUT))) {
		ref = ref_of(set, i);
		mirror_refresh(&ref, entry->class);
	}
	if (!(asked->revents & POLLNVAL))
		return 0;
	/* closed by a system call instruction: the library's fd, or the program's */
	shown = entry->by_number || entry->class != CLASS_IN ? POLLNVAL : 0;
	entry->by_number = true;
	return shown;
}

short pollsleep_signals(const struct pollset *set, nfds_t i)
{
	int fd = set->fds[i].fd;

	if (!signalset_has(fd) || !signalset_ready(fd))
		return 0;
	return (short)(set->fds[i].events & (POLLIN | POLLRDNORM));
}

void pollsleep_woken(const struct pollset *set)
{
	struct epoll_event events[WOKEN_AT_ONCE];
	long n = WOKEN_AT_ONCE;

	while (set->masks >= 0 && n == WOKEN_AT_ONCE) {
		stats_syscall();
		n = older_epoll_wait(set->masks, events, WOKEN_AT_ONCE, 0);
	}
}

void pollsleep_close_door(struct pollset *set)
{
	if (set->door_open)
		signaldoor_close(&set->door);
	set->door_open = false;
}

void pollsleep_end(struct pollset *set)
{
	if (set->masks >= 0)
		internal_close(set->masks);
	pollsleep_close_door(set);
	for (nfds_t i = 0; i < set->n; i++) {
		struct fdref ref = ref_of(set, i);

		if (set->entries[i].mask)
			mirror_unwant(&ref, set->entries[i].wanted);
		if (set->entries[i].held)
			object_release(&ref);
	}
}
