/* Sleeping operations whose object is closed, or dies. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "core/counterfd.h"

static void ignore(int sig)
{
	(void)sig;
}

static void setup(void)
{
	struct sigaction action = {.sa_handler = ignore};

	unit_setup();
	sigaction(SIGUSR1, &action, NULL);
}

TestSuite(core_object_sleep, .init = setup, .fini = unit_teardown, .timeout = 20);

static bool lives(const struct fdref *ref)
{
	return slot_lives_as(ref->object, ref->generation);
}

struct reader {
	struct fdref ref;
	_Atomic pid_t tid;
	int err;
	pthread_t thread;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;
	uint64_t value;

	atomic_store(&reader->tid, gettid());
	reader->err = counterfd_read(&reader->ref, &value, sizeof(value)).err;
	return NULL;
}

static void start_reader(struct reader *reader, struct fdref ref)
{
	*reader = (struct reader){.ref = ref};
	pthread_create(&reader->thread, NULL, read_one, reader);
	while (!atomic_load(&reader->tid))
		sched_yield();
	tk_wait_asleep(atomic_load(&reader->tid));
}

static void interrupt_reader(struct reader *reader)
{
	pthread_kill(reader->thread, SIGUSR1);
	pthread_join(reader->thread, NULL);
	cr_expect_eq(reader->err, EINTR);
}

Test(core_object_sleep, a_sleeper_on_a_closed_object_takes_no_part_in_later_ones)
{
	enum { LATER = 10 };
	struct fdref ref = unit_object(0, 0), later[LATER];
	struct reader reader;

	start_reader(&reader, ref);
	unit_close(ref);
	for (int i = 0; i < LATER; i++)
		later[i] = unit_object(1, 0);
	tk_wait_asleep(atomic_load(&reader.tid));
	interrupt_reader(&reader);
	for (int i = 0; i < LATER; i++) {
		cr_expect_eq(atomic_load(&later[i].object->count), 1);
		unit_close(later[i]);
		cr_expect_not(lives(&later[i]));
	}
	cr_expect_not(lives(&ref));
}

Test(core_object_sleep, a_cancelled_sleeper_frees_the_slot)
{
	struct fdref ref = unit_object(0, 0);
	struct reader reader;

	start_reader(&reader, ref);
	unit_close(ref);
	pthread_cancel(reader.thread);
	pthread_join(reader.thread, NULL);
	cr_expect_not(lives(&ref));
}

/* Whoever comes too late moves nothing of the object that has the slot now. */
Test(core_object_sleep, an_operation_on_a_dead_object_takes_no_part_in_the_next_one)
{
	struct fdref dead = unit_object(0, 0), next;
	uint64_t value = 5;

	unit_close(dead);
	next = unit_object(1, 0);
	cr_assert_eq(next.slot, dead.slot);
	cr_expect_eq(counterfd_read(&dead, &value, 8).err, EBADF);
	cr_expect_eq(counterfd_write(&dead, &value, 8).err, EBADF);
	cr_expect_eq(atomic_load(&next.object->count), 1);
	cr_expect(lives(&next));
	unit_close(next);
	cr_expect_not(lives(&next), "its last close has not freed the slot");
}

struct heir {
	struct fdref ref;
	struct unit_gate go, done;
};

static int close_as_the_last(void *arg)
{
	struct heir *heir = arg;

	unit_pass_gate(&heir->go);
	if (object_close(&heir->ref).err)
		return 1;
	return lives(&heir->ref) ? 2 : 0;
}

Test(core_object_sleep, a_forked_child_keeps_nothing_for_its_parents_sleepers)
{
	struct heir heir = {.ref = unit_object(0, 0), .go = unit_gate()};
	struct reader reader;
	pid_t pid;

	start_reader(&reader, heir.ref);
	pid = unit_fork(close_as_the_last, &heir);
	unit_close(heir.ref);
	interrupt_reader(&reader);
	unit_open_gate(&heir.go);
	cr_expect_eq(unit_wait(pid), 0);
	unit_close_gate(&heir.go);
}

/* Closes the object, has its slot for a new one, reads that: the reader must be woken. */
static int read_from_the_same_slot(void *arg)
{
	struct heir *heir = arg;
	struct reader reader;
	struct outcome made;
	int fd, waiters;

	unit_pass_gate(&heir->go);
	object_close(&heir->ref);
	made = object_create(KIND_COUNTER, 0, 0);
	fd = (int)made.value;
	if (!object_is(&fd, &reader.ref) || reader.ref.slot != heir->ref.slot)
		return 1;
	start_reader(&reader, reader.ref);
	unit_open_gate(&heir->done);
	unit_pass_gate(&heir->go);
	waiters = (int)atomic_load(&reader.ref.object->read_waiters);
	return waiters == 1 ? 0 : 2 + waiters;
}

/* The sleeper's process has closed the object, and another one that had it too. */
Test(core_object_sleep, a_sleeper_that_ends_takes_no_other_sleepers_mark)
{
	struct heir heir = {
		.ref = unit_object(0, 0),
		.go = unit_gate(),
		.done = unit_gate(),
	};
	pid_t pid = unit_fork(read_from_the_same_slot, &heir);
	struct reader reader;

	start_reader(&reader, heir.ref);
	unit_close(heir.ref);
	unit_open_gate(&heir.go);
	unit_pass_gate(&heir.done);
	interrupt_reader(&reader);
	unit_open_gate(&heir.go);
	cr_expect_eq(unit_wait(pid), 0);
	unit_close_gate(&heir.go);
	unit_close_gate(&heir.done);
}
