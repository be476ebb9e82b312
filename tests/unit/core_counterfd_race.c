/* Writers and readers of all kinds on one object: what goes in comes out, nobody hangs, and nothing
 * stale is left. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "core/counter.h"
#include "core/counterfd.h"
#include "core/mirror.h"

TestSuite(core_counterfd_race, .init = unit_setup, .fini = unit_teardown, .timeout = 40);

enum { WRITERS = 4, READERS = 4, WRITES = 20000 };

/* In memory shared with children. */
struct crowd {
	struct fdref ref;
	_Atomic uint64_t taken;
	atomic_int failed;
	atomic_int left; /* readers */
	atomic_bool over;
};

static struct crowd *crowd;

static void make_crowd(uint64_t count, int flags)
{
	crowd = unit_shared(sizeof(*crowd));
	crowd->ref = unit_object(0, flags);
	atomic_store(&crowd->ref.object->count, count);
	atomic_store(&crowd->left, READERS);
}

static void put(uint64_t value)
{
	struct outcome outcome = counterfd_write(&crowd->ref, &value, 8);

	if (outcome.err || outcome.value != 8)
		atomic_fetch_add(&crowd->failed, 1);
}

static void write_all(void)
{
	for (int i = 0; i < WRITES; i++)
		put(1);
}

static bool take(bool nowait)
{
	uint64_t value;

	if (counterfd_take(&crowd->ref, nowait, &value))
		return false;
	atomic_fetch_add(&crowd->taken, value);
	return true;
}

static void read_blocking(void)
{
	while (!atomic_load(&crowd->over))
		take(false);
}

static int watch(uint32_t events)
{
	struct epoll_event event = {.events = events};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (mirror_watch(&crowd->ref, CLASS_IN, events & EPOLLET) ||
		epoll_ctl(epfd, EPOLL_CTL_ADD, crowd->ref.fd, &event))
		atomic_fetch_add(&crowd->failed, 1);
	return epfd;
}

static void read_when_told(uint32_t events)
{
	struct epoll_event event;
	int epfd = watch(events);

	while (!atomic_load(&crowd->over)) {
		if (epoll_wait(epfd, &event, 1, -1) != 1)
			atomic_fetch_add(&crowd->failed, 1);
		while (take(true))
			;
	}
	close(epfd);
}

static void read_level_triggered(void)
{
	read_when_told(EPOLLIN);
}

static void read_edge_triggered(void)
{
	read_when_told(EPOLLIN | EPOLLET);
}

static void read_after_poll(void)
{
	struct pollfd asked = {.fd = crowd->ref.fd, .events = POLLIN};

	if (mirror_watch(&crowd->ref, CLASS_IN, false))
		atomic_fetch_add(&crowd->failed, 1);
	while (!atomic_load(&crowd->over)) {
		poll(&asked, 1, -1);
		take(true);
	}
}

static void (*const readers[READERS])(void) = {
	read_blocking, read_level_triggered, read_edge_triggered, read_after_poll};

static void *thread_main(void *arg)
{
	void (*const *role)(void) = arg;

	(*role)();
	if (*role != write_all)
		atomic_fetch_sub(&crowd->left, 1);
	return NULL;
}

static int process_main(void *arg)
{
	thread_main(arg);
	return 0;
}

static uint64_t gone_through(void)
{
	return atomic_load(&crowd->taken) + atomic_load(&crowd->ref.object->count);
}

/* All has been written: lets the readers find the end, and looks at what they leave. */
static void finish(uint64_t expected)
{
	while (atomic_load(&crowd->taken) < expected)
		sched_yield();
	cr_assert_eq(gone_through(), expected);
	atomic_store(&crowd->over, true);
	while (atomic_load(&crowd->left)) {
		put(1);
		sched_yield();
	}
	cr_assert_eq(atomic_load(&crowd->failed), 0);
}

static void check_level(void)
{
	bool some = atomic_load(&crowd->ref.object->count);

	cr_assert_eq(unit_poll(crowd->ref.fd, POLLIN) != 0, some);
	cr_assert_neq(unit_poll(crowd->ref.fd, POLLOUT), 0);
	while (take(true))
		;
	cr_assert_eq(unit_poll(crowd->ref.fd, POLLIN | POLLOUT), POLLOUT);
}

static void among_threads(int flags)
{
	void (*const writer)(void) = write_all;
	pthread_t writing[WRITERS], reading[READERS];

	make_crowd(0, flags);
	for (int i = 0; i < READERS; i++)
		pthread_create(&reading[i], NULL, thread_main, (void *)(uintptr_t)&readers[i]);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&writing[i], NULL, thread_main, (void *)(uintptr_t)&writer);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writing[i], NULL);
	finish((uint64_t)WRITERS * WRITES);
	for (int i = 0; i < READERS; i++)
		pthread_join(reading[i], NULL);
	check_level();
	unit_close(crowd->ref);
}

Test(core_counterfd_race, threads)
{
	among_threads(0);
}

Test(core_counterfd_race, threads_on_a_semaphore)
{
	among_threads(EFD_SEMAPHORE);
}

static void among_processes(int flags)
{
	void (*const writer)(void) = write_all;
	pid_t writing[WRITERS], reading[READERS];

	make_crowd(0, flags);
	for (int i = 0; i < READERS; i++)
		reading[i] = unit_fork(process_main, (void *)(uintptr_t)&readers[i]);
	for (int i = 0; i < WRITERS; i++)
		writing[i] = unit_fork(process_main, (void *)(uintptr_t)&writer);
	for (int i = 0; i < WRITERS; i++)
		cr_assert_eq(unit_wait(writing[i]), 0);
	finish((uint64_t)WRITERS * WRITES);
	for (int i = 0; i < READERS; i++)
		cr_assert_eq(unit_wait(reading[i]), 0);
	check_level();
	unit_close(crowd->ref);
}

Test(core_counterfd_race, processes)
{
	among_processes(0);
}

Test(core_counterfd_race, processes_on_a_semaphore)
{
	among_processes(EFD_SEMAPHORE);
}

/* Writers that wait for room, and readers that make it. */
static void write_at_the_limit(void)
{
	for (int i = 0; i < WRITES / 10; i++)
		put(COUNTER_LIMIT);
}

static void read_at_the_limit(void)
{
	for (int i = 0; i < WRITES / 10; i++) {
		uint64_t value = 0;

		if (counterfd_take(&crowd->ref, false, &value) || value != COUNTER_LIMIT)
			atomic_fetch_add(&crowd->failed, 1);
	}
}

Test(core_counterfd_race, writers_and_readers_take_turns_at_the_limit)
{
	static void (*const roles[])(void) = {
		write_at_the_limit, write_at_the_limit, read_at_the_limit, read_at_the_limit};
	pthread_t threads[4];

	make_crowd(0, 0);
	cr_assert_eq(mirror_watch(&crowd->ref, CLASS_IN, false), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)&roles[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(atomic_load(&crowd->failed), 0);
	cr_assert_eq(atomic_load(&crowd->ref.object->count), 0);
	check_level();
	unit_close(crowd->ref);
}

static atomic_long handled;

static void write_in_handler(int sig)
{
	int err = errno;

	(void)sig;
	put(1);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void *read_all(void *arg)
{
	(void)arg;
	read_blocking();
	return NULL;
}

/* A handler writes to the object its thread is just reading, again and again. */
Test(core_counterfd_race, handlers_that_write_to_what_their_thread_reads)
{
	struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_RESTART};
	struct unit_rounds round = unit_rounds(20000);
	pthread_t reader;
	long sent = 0;

	make_crowd(0, 0);
	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&reader, NULL, read_all, NULL);
	while (unit_another_round(&round)) {
		pthread_kill(reader, SIGUSR1);
		for (sent++; atomic_load(&handled) < sent;)
			sched_yield();
		while (atomic_load(&crowd->taken) < (uint64_t)sent)
			sched_yield();
	}
	cr_assert_eq(gone_through(), (uint64_t)sent);
	atomic_store(&crowd->over, true);
	put(1);
	pthread_join(reader, NULL);
	cr_assert_eq(atomic_load(&crowd->failed), 0);
	unit_close(crowd->ref);
}

/* Whoever kills a writer or a reader at any point keeps the others going. */
Test(core_counterfd_race, killed_processes_leave_a_working_object)
{
	struct unit_rounds round = unit_rounds(200);
	void (*const roles[2])(void) = {write_all, read_blocking};

	make_crowd(0, EFD_SEMAPHORE);
	cr_assert_eq(mirror_watch(&crowd->ref, CLASS_IN, false), 0);
	while (unit_another_round(&round)) {
		pid_t pids[2];

		for (int i = 0; i < 2; i++)
			pids[i] = unit_fork(process_main, (void *)(uintptr_t)&roles[i]);
		while (atomic_load(&crowd->taken) == 0)
			sched_yield();
		for (int i = 0; i < 2; i++) {
			kill(pids[i], SIGKILL);
			unit_wait(pids[i]);
		}
		while (take(true))
			;
		mirror_refresh(&crowd->ref, CLASS_IN);
		cr_assert_eq(unit_poll(crowd->ref.fd, POLLIN | POLLOUT), POLLOUT);
		put(1);
		cr_assert_eq(unit_poll(crowd->ref.fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
		cr_assert(take(false));
		atomic_store(&crowd->taken, 0);
	}
	unit_close(crowd->ref);
}
