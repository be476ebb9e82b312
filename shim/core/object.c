#include "core/object.h"

#include <sched.h>

#include "core/adopt.h"
#include "core/aiobridge.h"
#include "core/classfd.h"
#include "core/crash.h"
#include "core/demote.h"
#include "core/efdfile.h"
#include "core/eventpoll.h"
#include "core/fastwatch.h"
#include "core/fifo.h"
#include "core/local.h"
#include "core/passage.h"
#include "core/process.h"
#include "core/ringtable.h"
#include "core/signalqueue.h"
#include "core/slotpool.h"
#include "core/stats.h"
#include "core/store.h"
#include "core/timers.h"
#include "core/warm.h"
#include "core/watch.h"
#include "core/workers.h"
#include "sys/raw.h"

/* 1 once everything below eventfd() is in place; set by object_prepare(). */
static _Atomic int prepared;

int object_prepare(void)
{
	int err;

	if (atomic_load_explicit(&prepared, memory_order_acquire))
		return 0;
	err = fdtable_init();
	if (!err)
		passage_start();
	if (!err)
		err = store_open();
	if (!err)
		err = slotpool_open();
	if (!err)
		err = watch_open();
	if (!err) /* last: where addresses are scarce the others fail, and nothing is taken */
		err = local_init();
	if (err)
		return err;
	atomic_store(&prepared, 1);
	return 0;
}

bool object_prepared(void)
{
	return atomic_load(&prepared);
}

/* The process has closed its last fd of the object. Whether any other has one is for the FIFO to
 * say. */
static void last_hold_gone(const struct fdref *ref)
{
	struct slot *slot = ref->object;
	uint32_t life = atomic_load(&slot->life);

	stats_syscall();
	if (slot_generation(life) != ref->generation)
		return;
	if (atomic_load(&slot->watched) & WATCHED_FAST)
		fastwatch_forget(ref);
	classfd_forget_class(ref->slot, ref->generation, CLASS_IN);
	if (warm_keep(ref->slot, life) || fifo_liveness(ref->slot) != LIVE_NOWHERE)
		return;
	if (atomic_load(&slot->watched) & CLASSES_MASK & ~(1u << CLASS_IN))
		classfd_forget(ref->slot, ref->generation);
	CRASH_POINT("close.dead");
	if ((life & LIFE_STATE_MASK) == STATE_LIVE && !warm_begin(ref->slot, life))
		slotpool_bury(ref->slot, life);
}

/* In a vfork child the kernel is asked: the table is the parent's. */
static bool object_is_borrowed(int *fd, struct fdref *ref)
{
	if (fdtable_kind(*fd) == FD_INTERNAL)
		*fd = -1;
	return adopt_identify(*fd, ref);
}

/* To the program such a number is not open. */
static bool is_hidden(uint64_t entry)
{
	enum fd_kind kind = fdtable_kind_of(entry);

	return kind == FD_CLOSING || kind == FD_INTERNAL;
}

bool object_is_not(int *fd, uint64_t entry, struct fdref *ref)
{
	if (fdtable_doubtful() && process_borrows_memory())
		return object_is_borrowed(fd, ref);
	if (fdtable_decode(*fd, entry, ref)) {
		ref->object = slotpool_slots + ref->slot;
		if (slot_lives_as(ref->object, ref->generation))
			return true;
		/* Closed by a system call instruction, and the object has died since; or another
		 * thread has closed it, and the number may be a new object's. */
		fdtable_drop_stale(*fd, entry);
		return object_is(fd, ref);
	}
	if (entry && is_hidden(entry))
		*fd = -1;
	return false;
}

bool object_still_open(uint32_t index, uint32_t generation)
{
	struct slot *slot = slotpool_slot(index);

	if (!slot || !slot_lives_as(slot, generation))
		return false;
	return atomic_load(&local_of(index)->holds) || fifo_liveness(index) != LIVE_NOWHERE;
}

void object_hold(const struct fdref *ref)
{
	atomic_fetch_add(&local_of(ref->slot)->holds, 1);
}

bool object_hold_living(const struct fdref *ref)
{
	_Atomic uint32_t *holds = &local_of(ref->slot)->holds;
	uint32_t before = atomic_load(holds);

	do {
		if (!before)
			return false;
	} while (!atomic_compare_exchange_weak(holds, &before, before + 1));
	if (slot_lives_as(ref->object, ref->generation))
		return true;
	object_release(ref); /* the slot's next object has been held a moment longer */
	return false;
}

void object_release(const struct fdref *ref)
{
	_Atomic uint32_t *holds = &local_of(ref->slot)->holds;
	uint32_t before = atomic_load(holds);

	do {
		if (!before)
			return;
	} while (!atomic_compare_exchange_weak(holds, &before, before - 1));
	if (before != 1)
		return;
	last_hold_gone(ref);
	aiobridge_left(ref);
}

static int finish_close(const struct fdref *ref)
{
	int ret;

	stats_syscall();
	ret = raw_close(ref->fd);
	fdtable_closed(ref);
	object_release(ref);
	return ret;
}

static struct outcome close_what_it_is_now(int fd)
{
	for (int i = fdtable_patience(); i; i--) {
		struct fdref now;
		int number = fd;
		enum close_step step;

		if (!object_is(&number, &now))
			return outcome_raw(raw_close(object_new_file(number)));
		step = fdtable_begin_close(&now);
		if (step == CLOSE_NOW)
			return outcome_raw(finish_close(&now));
		if (step == CLOSE_LATER)
			return outcome_ok(0);
		sched_yield(); /* to the thread whose dup2 is about to replace it */
	}
	return outcome_ok(0);
}

struct outcome object_close(const struct fdref *ref)
{
	if (process_borrows_memory())
		return outcome_raw(raw_close(ref->fd));
	demote_number(ref);
	switch (fdtable_begin_close(ref)) {
	case CLOSE_NOW:
		return outcome_raw(finish_close(ref));
	case CLOSE_LATER:
		return outcome_ok(0);
	default: /* another thread closed or replaced it just now */
		return close_what_it_is_now(ref->fd);
	}
}

void object_unpin(const struct fdref *ref)
{
	if (fdtable_unpin(ref))
		finish_close(ref);
}

/* Others have the object too. */
bool object_adopt(const struct fdref *ref)
{
	struct local *local = local_of(ref->slot);

	if (atomic_exchange(&local->generation, ref->generation) != ref->generation)
		atomic_store(&local->holds, 0);
	atomic_store(&local->forks, UINT32_MAX);
	object_hold(ref);
	if (!fdtable_set_object(ref->fd, ref->slot, ref->generation)) {
		object_release(ref);
		return false;
	}
	if (slot_is_timer(ref->object))
		timers_adopted(ref);
	return true;
}

void object_duplicated(const struct fdref *ref, int fd)
{
	object_hold(ref);
	if (!fdtable_set_object(fd, ref->slot, ref->generation))
		object_release(ref);
}

void object_replaced(const struct fdref *ref)
{
	object_release(ref);
}

static void forget_holds(const struct fdref *ref)
{
	atomic_store(&local_of(ref->slot)->holds, 0);
}

/* Of the holds copied from the parent those of its sleeping threads are nobody's. */
static void count_holds(void)
{
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < fdtable_top(); i++) {
			struct fdref ref = {.fd = -1};
			int fd = (int)i;

			if (object_is(&fd, &ref) && pass == 0)
				forget_holds(&ref);
			else if (object_is(&fd, &ref))
				object_hold(&ref);
		}
		efdfile_each(pass == 0 ? forget_holds : object_hold);
	}
}

void object_forked(void)
{
	process_start();
	store_forked();
	workers_forked();
	signalqueue_forked();
	if (!fdtable_used())
		return;
	passage_forked();
	fdtable_forked();
	eventpoll_forked();
	warm_forked();
	aiobridge_forked();
	if (!process_shares_numbers() && atomic_exchange(&fdtable_borrowers, 0))
		adopt_anew();
	if (!atomic_load(&prepared))
		return;
	count_holds();
	timers_forked();
	ringtable_forked();
	demote_forked();
}

int object_new_file(int fd)
{
	uint64_t set;

	if (fd < 0 || !fdtable_entry(fd))
		return fd;
	set = fdtable_epoll_id(fd);
	fdtable_drop(fd);
	front_number_gone(set);
	eventpoll_number_gone(set);
	return fd;
}
