/* read and write of a fake fd with another whole operation in the middle, at every instruction: as
 * a signal handler may come, or another process. */
#include "unit.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "core/classfd.h"
#include "core/counter.h"
#include "core/counterfd.h"
#include "core/counterfd_fast.h"
#include "core/level.h"
#include "core/local.h"
#include "core/mirror.h"
#include "core/spin.h"
#include "step.h"

TestSuite(core_counterfd_step, .init = unit_setup, .fini = unit_teardown, .timeout = 60);

/* The object they meet on, and the sums of what went in and came out. */
static struct fdref ref;
static uint64_t start;
static _Atomic uint64_t added, taken;

/* They go the way that read(2) and write(2) begin with. */
static bool short_way;

static ssize_t long_write(int fd, const void *buf, size_t n)
{
	struct outcome outcome = counterfd_write(&ref, buf, n);

	(void)fd;
	return outcome.err ? -1 : outcome.value;
}

static ssize_t long_read(int fd, void *buf, size_t n)
{
	struct outcome outcome = counterfd_read(&ref, buf, n);

	(void)fd;
	return outcome.err ? -1 : outcome.value;
}

static void put(void *arg)
{
	uint64_t one = 1;
	ssize_t done = short_way ? counterfd_fast_write(ref.fd, &one, 8, 0, long_write)
				 : long_write(ref.fd, &one, 8);

	(void)arg;
	if (done == 8)
		added++;
}

static void get(void *arg)
{
	uint64_t value;
	ssize_t done = short_way ? counterfd_fast_read(ref.fd, &value, 8, 0, long_read)
				 : long_read(ref.fd, &value, 8);

	(void)arg;
	if (done == 8)
		taken += value;
}

static void get_and_put(void *arg)
{
	get(arg);
	put(arg);
}

static void put_and_get(void *arg)
{
	put(arg);
	get(arg);
}

static void watch_in(void *arg)
{
	(void)arg;
	cr_assert_eq(mirror_watch(&ref, CLASS_IN, false), 0);
}

static uint32_t watched_before;

static void prepare(void *arg)
{
	(void)arg;
	added = taken = 0;
	atomic_store(&ref.object->watched, watched_before);
	atomic_store(&ref.object->count, start);
	for (unsigned class = 1; class < CLASS_COUNT; class ++)
		mirror_refresh(&ref, class);
	level_settle(ref.object, CLASS_IN, ref.fd, LEVEL_DOWN, false);
}

/* The FIFO of a class that is mirrored shows what the counter is. */
static void check_class(unsigned class)
{
	uint32_t state = slot_state(ref.object);
	bool expected = state & class_bits(class);
	int fifo = class == CLASS_IN ? ref.fd : classfd_get(ref.slot, ref.generation, class);

	cr_assert_eq(unit_poll(fifo, POLLIN) != 0, expected, "class %u at %lx, after %ld", class,
		atomic_load(&ref.object->count), step_running->at);
	if (class == CLASS_IN)
		cr_assert_eq(unit_poll(fifo, POLLOUT) != 0, !!(state & EPOLLOUT),
			"OUT at %lx, after %ld", atomic_load(&ref.object->count), step_running->at);
}

static void check(void *arg)
{
	uint32_t watched = atomic_load(&ref.object->watched);

	(void)arg;
	cr_assert_eq(atomic_load(&ref.object->count), start + added - taken);
	cr_assert_eq(atomic_load(&ref.object->read_waiters), 0);
	cr_assert_eq(atomic_load(&ref.object->write_waiters), 0);
	for (unsigned class = 1; class < CLASS_COUNT; class ++) {
		if (watched & 1u << class)
			check_class(class);
	}
}

static void meet(void (*run)(void *), void (*intrude)(void *))
{
	struct step step = {.run = run, .intrude = intrude};

	step_each(&step, prepare, check);
}

/* All meetings from a count, with what is watched already. */
static void meet_all(uint64_t count, int flags, unsigned class, bool edge)
{
	ref = unit_object(0, flags | EFD_NONBLOCK);
	start = count;
	if (class)
		cr_assert_eq(mirror_watch(&ref, class, edge), 0);
	watched_before = atomic_load(&ref.object->watched);
	meet(put, put);
	meet(put, get);
	meet(put, get_and_put);
	meet(get, put);
	meet(get, get);
	meet(get, put_and_get);
	if (!class) {
		meet(put, watch_in);
		meet(get, watch_in);
	}
	unit_close(ref);
}

Test(core_counterfd_step, unwatched_from_zero)
{
	meet_all(0, 0, 0, false);
}

Test(core_counterfd_step, unwatched_from_one)
{
	meet_all(1, 0, 0, false);
}

Test(core_counterfd_step, watched_from_zero)
{
	meet_all(0, 0, CLASS_IN, false);
}

Test(core_counterfd_step, watched_from_one)
{
	meet_all(1, 0, CLASS_IN, false);
}

Test(core_counterfd_step, watched_for_edges_from_one)
{
	meet_all(1, 0, CLASS_IN, true);
}

Test(core_counterfd_step, a_watched_semaphore_from_two)
{
	meet_all(2, EFD_SEMAPHORE, CLASS_IN, true);
}

Test(core_counterfd_step, watched_for_room_below_the_limit)
{
	meet_all(COUNTER_LIMIT - 1, EFD_SEMAPHORE, CLASS_OUT, false);
}

Test(core_counterfd_step, watched_for_edges_of_both_from_zero)
{
	meet_all(0, 0, CLASS_IN | CLASS_OUT, true);
}

Test(core_counterfd_step, the_short_way_unwatched)
{
	short_way = true;
	meet_all(0, 0, 0, false);
	meet_all(1, EFD_SEMAPHORE, 0, false);
}

Test(core_counterfd_step, the_short_way_watched_from_zero)
{
	short_way = true;
	meet_all(0, 0, CLASS_IN, false);
}

Test(core_counterfd_step, the_short_way_watched_from_one)
{
	short_way = true;
	meet_all(1, 0, CLASS_IN, false);
}

static void watch_edges(void *arg)
{
	(void)arg;
	cr_assert_eq(mirror_watch(&ref, CLASS_IN, true), 0);
}

Test(core_counterfd_step, a_watcher_that_comes_meanwhile)
{
	ref = unit_object(0, EFD_NONBLOCK);
	for (start = 0; start < 2; start++) {
		meet(watch_edges, put);
		meet(watch_edges, get);
		meet(watch_edges, get_and_put);
		meet(watch_edges, put_and_get);
	}
	unit_close(ref);
}

/* Saves a reader who fell asleep after the handler's write. */
static struct {
	pthread_t thread;
	pid_t reader;
	atomic_int armed; /* 0: no; 1: yes; 2: the write was made */
	atomic_bool over;
} rescue;

static bool reader_sleeps(void)
{
	char path[64], line[512], *at;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)rescue.reader);
	file = fopen(path, "re");
	n = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[n] = 0;
	at = strrchr(line, ')');
	return at && at[2] == 'S';
}

static void *save_readers(void *arg)
{
	int asleep = 0;

	while (!atomic_load(&rescue.over)) {
		int armed = 1;

		asleep = atomic_load(&rescue.armed) == 1 && reader_sleeps() ? asleep + 1 : 0;
		if (asleep > 10 && atomic_compare_exchange_strong(&rescue.armed, &armed, 2))
			put(arg);
		sched_yield();
	}
	return NULL;
}

static bool intruded;

/* Nothing is left to do for a handler after the rescue. */
static void put_in_time(void *arg)
{
	if (atomic_load(&rescue.armed) != 1)
		return;
	intruded = true;
	put(arg);
}

/* The handler's write comes before the reader sleeps, at any instruction: it must not sleep then.
 */
Test(core_counterfd_step, a_handlers_write_is_never_slept_over)
{
	struct step step = {.run = get, .intrude = put_in_time};
	int armed = 1;

	if (!step_works())
		return;
	ref = unit_object(0, 0);
	atomic_store(&spin_looks, 1);
	rescue.reader = gettid();
	pthread_create(&rescue.thread, NULL, save_readers, NULL);
	for (step.at = 1; armed == 1; step.at += STEP_STRIDE) {
		intruded = false;
		prepare(NULL);
		atomic_store(&local_of(ref.slot)->pace, 0); /* it spins */
		atomic_store(&rescue.armed, 1);
		step_run(&step);
		armed = 1;
		atomic_compare_exchange_strong(&rescue.armed, &armed, 0);
		cr_assert_not(intruded && armed == 2, "slept after %ld", step.at);
		/* the rescuer may not have counted its write yet */
		cr_assert_eq(atomic_load(&ref.object->count) + taken, 1);
	}
	cr_assert(step.at > 20);
	atomic_store(&rescue.over, true);
	pthread_join(rescue.thread, NULL);
	unit_close(ref);
}
