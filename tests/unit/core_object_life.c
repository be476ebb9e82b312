/* The end of objects: what keeps them, who frees them, and what the slot's next object finds. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "core/counterfd.h"
#include "core/fdlife.h"
#include "core/level.h"
#include "core/local.h"
#include "core/mirror.h"
#include "sys/raw.h"

TestSuite(core_object_life, .init = unit_setup, .fini = unit_teardown, .timeout = 20);

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

static struct fdref duplicate(const struct fdref *ref)
{
	int fd = dup(ref->fd);

	object_duplicated(ref, fd);
	return unit_ref(fd);
}

Test(core_object_life, the_last_close_frees_the_slot)
{
	struct fdref ref = unit_object(0, 0);

	cr_expect(lives(&ref));
	unit_close(ref);
	cr_expect_not(lives(&ref));
	cr_expect_eq(atomic_load(&ref.object->life) & LIFE_STATE_MASK, STATE_FREE);
}

Test(core_object_life, slots_and_fifos_are_used_again)
{
	struct fdref first = unit_object(0, 0);
	uint64_t inode = atomic_load(&first.object->inode);

	unit_close(first);
	for (int i = 0; i < 100; i++) {
		struct fdref ref = unit_object(0, 0);

		cr_assert_eq(ref.slot, first.slot);
		cr_assert_neq(ref.generation, first.generation);
		cr_assert_eq(atomic_load(&ref.object->inode), inode);
		unit_close(ref);
	}
}

Test(core_object_life, the_next_object_finds_a_clean_slot)
{
	struct fdref ref = unit_object(7, EFD_SEMAPHORE | EFD_NONBLOCK), next;

	for (unsigned class = 1; class < CLASS_COUNT; class ++)
		cr_assert_eq(mirror_watch(&ref, class, true), 0);
	unit_close(ref);
	next = unit_object(0, 0);
	cr_assert_eq(next.slot, ref.slot);
	cr_expect_eq(atomic_load(&next.object->count), 0);
	cr_expect_eq(atomic_load(&next.object->watched), 0);
	cr_expect_eq(atomic_load(&next.object->watches), 0);
	cr_expect_eq(atomic_load(&next.object->flags), KIND_COUNTER);
	for (unsigned class = 0; class < CLASS_COUNT; class ++)
		cr_expect_not(level_landed(next.object, class));
	cr_expect_eq(unit_poll(next.fd, POLLIN), 0);
	unit_close(next);
}

Test(core_object_life, a_duplicate_keeps_it)
{
	struct fdref ref = unit_object(3, 0), copy = duplicate(&ref);

	cr_expect_eq(copy.slot, ref.slot);
	unit_close(ref);
	cr_expect(lives(&copy));
	cr_expect_eq(atomic_load(&copy.object->count), 3);
	unit_close(copy);
	cr_expect_not(lives(&copy));
}

Test(core_object_life, a_replaced_number_keeps_it_no_more)
{
	struct fdref ref = unit_object(0, 0);

	cr_assert_eq(dup2(0, ref.fd), ref.fd);
	fdtable_drop(ref.fd);
	object_replaced(&ref);
	cr_expect_not(lives(&ref));
	close(ref.fd);
}

Test(core_object_life, it_is_open_until_its_last_number_is_closed)
{
	struct fdref ref = unit_object(0, 0), copy = duplicate(&ref);

	cr_expect(object_still_open(ref.slot, ref.generation));
	cr_expect_not(object_still_open(ref.slot, ref.generation + 1));
	cr_expect_not(object_still_open(ref.slot + 1, 0));
	cr_expect_not(object_still_open(UINT32_MAX, 0));
	unit_close(ref);
	cr_expect(object_still_open(ref.slot, ref.generation));
	unit_close(copy);
	cr_expect_not(object_still_open(ref.slot, ref.generation));
}

/* A forked child that does its part, step by step, as the parent lets it. */
struct child {
	struct unit_gate go, done;
	struct fdref ref;
	pid_t pid;
};

static void start_child(struct child *child, struct fdref ref, int (*body)(void *))
{
	*child = (struct child){.go = unit_gate(), .done = unit_gate(), .ref = ref};
	child->pid = unit_fork(body, child);
}

static void let_child_step(const struct child *child)
{
	unit_open_gate(&child->go);
	unit_pass_gate(&child->done);
}

static void end_child(const struct child *child)
{
	unit_open_gate(&child->go);
	cr_expect_eq(unit_wait(child->pid), 0);
	unit_close_gate(&child->go);
	unit_close_gate(&child->done);
}

static int close_when_told(void *arg)
{
	struct child *child = arg;

	unit_pass_gate(&child->go);
	if (object_close(&child->ref).err)
		return 1;
	unit_open_gate(&child->done);
	unit_pass_gate(&child->go);
	return 0;
}

Test(core_object_life, a_forked_child_keeps_it)
{
	struct fdref ref = unit_object(0, 0);
	struct child child;

	start_child(&child, ref, close_when_told);
	unit_close(ref);
	cr_expect(lives(&ref));
	cr_expect(object_still_open(ref.slot, ref.generation));
	let_child_step(&child);
	cr_expect_not(lives(&ref));
	end_child(&child);
}

Test(core_object_life, a_forked_childs_close_leaves_its_parents)
{
	struct fdref ref = unit_object(0, 0);
	struct child child;

	start_child(&child, ref, close_when_told);
	let_child_step(&child);
	cr_expect(lives(&ref));
	unit_close(ref);
	cr_expect_not(lives(&ref));
	end_child(&child);
}

Test(core_object_life, a_number_that_was_closed_unseen_dies_with_the_last_close_elsewhere)
{
	struct fdref ref = unit_object(0, 0), found;
	struct child child;
	int fd = ref.fd;

	start_child(&child, ref, close_when_told);
	raw_close(ref.fd);
	let_child_step(&child);
	cr_expect_not(lives(&ref));
	cr_expect_not(object_is(&fd, &found));
	cr_expect(fdtable_foreign(ref.fd));
	end_child(&child);
}

Test(core_object_life, a_message_under_way_keeps_it)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec byte = {"", 1};
	struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct fdref ref = unit_object(0, 0), next;
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	memcpy(CMSG_DATA(&control.align), &ref.fd, sizeof(int));
	cr_assert_eq(sendmsg(ends[0], &message, 0), 1);
	unit_close(ref);
	cr_expect(lives(&ref));
	cr_expect(object_still_open(ref.slot, ref.generation));
	next = unit_object(0, 0);
	cr_expect_neq(next.slot, ref.slot);
	unit_close(next);
	close(ends[0]);
	close(ends[1]);
	cr_expect_not(object_still_open(ref.slot, ref.generation));
}

/* Programs mostly end without closing anything, and some are killed. */
enum { LEFT = 50, GENERATIONS = 40, SLOTS_ENOUGH = 1000 };

static int leave_objects(void *arg)
{
	(void)arg;
	for (int i = 0; i < LEFT; i++) {
		if (object_create(KIND_COUNTER, 0, 0).err)
			return 1;
	}
	return 0;
}

Test(core_object_life, what_dead_processes_left_is_used_again)
{
	struct fdref ref = unit_object(0, 0);

	for (int i = 0; i < GENERATIONS; i++)
		cr_assert_eq(unit_wait(unit_fork(leave_objects, NULL)), 0);
	unit_close(ref);
	for (int i = 0; i < LEFT; i++) {
		ref = unit_object(0, 0);
		cr_assert(ref.slot < SLOTS_ENOUGH, "slot %u", ref.slot);
	}
	for (int fd = 0; fd < (int)fdtable_top(); fd++) {
		int number = fd;

		if (object_is(&number, &ref))
			unit_close(ref);
	}
}

Test(core_object_life, what_living_processes_have_is_never_used_again)
{
	struct fdref mine = unit_object(5, 0), ref;
	struct child child;

	start_child(&child, mine, close_when_told);
	unit_close(mine); /* the child alone has it now */
	for (int i = 0; i < GENERATIONS; i++) {
		cr_assert_eq(unit_wait(unit_fork(leave_objects, NULL)), 0);
		ref = unit_object(0, 0);
		cr_assert_neq(ref.slot, mine.slot);
		unit_close(ref);
	}
	cr_expect(lives(&mine));
	cr_expect_eq(atomic_load(&mine.object->count), 5);
	let_child_step(&child);
	end_child(&child);
}

Test(core_object_life, what_has_died_since_the_look_is_not_held)
{
	struct fdref ref = unit_object(0, 0);

	cr_assert(object_hold_living(&ref));
	unit_close(ref);
	cr_expect(slot_lives_as(ref.object, ref.generation), "it is held");
	object_release(&ref);
	cr_expect_not(slot_lives_as(ref.object, ref.generation));
	cr_expect_not(object_hold_living(&ref));
}

struct closer {
	struct fdref ref;
	struct outcome (*close)(const struct fdref *ref);
	atomic_bool done;
};

static void *close_it(void *arg)
{
	struct closer *closer = arg;

	closer->close(&closer->ref);
	atomic_store(&closer->done, true);
	return NULL;
}

static struct outcome close_its_range(const struct fdref *ref)
{
	return fdlife_close_range((unsigned)ref->fd, (unsigned)ref->fd, 0);
}

static pthread_t start_closer(struct closer *closer)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, close_it, closer), 0);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	return thread;
}

Test(core_object_life, a_close_waits_for_a_dup2_under_way)
{
	struct closer closer = {.ref = unit_object(0, 0), .close = object_close};
	pthread_t thread;

	cr_assert(fdtable_begin_replace(closer.ref.fd));
	thread = start_closer(&closer);
	cr_expect_not(atomic_load(&closer.done));
	fdtable_end_replace(closer.ref.fd);
	fdtable_replace_over();
	pthread_join(thread, NULL);
	cr_expect_lt(fcntl(closer.ref.fd, F_GETFD), 0, "it is closed");
	cr_expect_not(lives(&closer.ref));
}

/* The kernel would close the number under the pin. */
Test(core_object_life, a_closed_range_waits_for_a_close_under_way)
{
	struct closer closer = {.ref = unit_object(0, 0), .close = close_its_range};
	pthread_t thread;

	cr_assert(fdtable_pin(&closer.ref));
	object_close(&closer.ref);
	thread = start_closer(&closer);
	cr_expect_not(atomic_load(&closer.done));
	cr_expect_eq(fcntl(closer.ref.fd, F_GETFD), 0, "it is pinned");
	object_unpin(&closer.ref);
	pthread_join(thread, NULL);
	cr_expect_lt(fcntl(closer.ref.fd, F_GETFD), 0, "it is closed");
	cr_expect_not(lives(&closer.ref));
}
