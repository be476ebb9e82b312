/* settle among threads, processes and signal handlers: whenever all of them pause, the FIFO shows
 * what the counter is. */
#include "levelkit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

TestSuite(core_level_race, .init = unit_setup, .fini = unit_teardown, .timeout = 40);

enum { WORKERS = 4, ROUNDS = 10000, OPERATIONS = 6 };

/* Lives in memory shared with children. */
struct crowd {
	pthread_barrier_t start, pause;
	atomic_bool over;
	struct mirrored m;
	uint64_t base; /* the counter goes up and down from here */
	int workers;
};

static struct crowd *make_crowd(uint64_t count, bool semaphore, int workers)
{
	struct crowd *crowd = unit_shared(sizeof(*crowd));
	pthread_barrierattr_t shared;

	crowd->m = levelkit_make(count, semaphore);
	crowd->base = count;
	crowd->workers = workers;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&crowd->start, &shared, (unsigned)workers + 1);
	pthread_barrier_init(&crowd->pause, &shared, (unsigned)workers + 1);
	return crowd;
}

static void free_crowd(struct crowd *crowd)
{
	levelkit_free(&crowd->m);
	munmap(crowd, sizeof(*crowd));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void act(const struct mirrored *m, uint32_t *seed)
{
	switch (next_random(seed) % 8) {
	case 0:
	case 1:
	case 2:
		levelkit_add(m, 1);
		break;
	case 3:
	case 4:
	case 5:
		levelkit_take(m);
		break;
	case 6:
		level_settle(m->slot, CLASS_IN, m->fifo, LEVEL_UP, false);
		break;
	default:
		level_settle(m->slot, CLASS_IN, m->fifo, LEVEL_DOWN, false);
	}
}

static int work(struct crowd *crowd, uint32_t seed)
{
	for (;;) {
		pthread_barrier_wait(&crowd->start);
		if (atomic_load(&crowd->over))
			return 0;
		for (int i = 0; i < OPERATIONS; i++)
			act(&crowd->m, &seed);
		pthread_barrier_wait(&crowd->pause);
	}
}

static void rounds(struct crowd *crowd)
{
	struct unit_rounds round = unit_rounds(ROUNDS);

	while (unit_another_round(&round)) {
		pthread_barrier_wait(&crowd->start);
		pthread_barrier_wait(&crowd->pause);
		levelkit_check(&crowd->m);
		if (round.left % 64 == 0) {
			atomic_store(&crowd->m.slot->count, crowd->base);
			/* it may have been at its limit */
			level_settle(crowd->m.slot, CLASS_IN, crowd->m.fifo, LEVEL_DOWN, false);
		}
		level_settle(crowd->m.slot, CLASS_IN, crowd->m.fifo, LEVEL_UP, false);
	}
	atomic_store(&crowd->over, true);
	pthread_barrier_wait(&crowd->start);
}

struct thread {
	pthread_t thread;
	struct crowd *crowd;
	uint32_t seed;
};

static void *thread_main(void *arg)
{
	struct thread *thread = arg;

	work(thread->crowd, thread->seed);
	return NULL;
}

static void among_threads(uint64_t count, bool semaphore, bool edge)
{
	struct crowd *crowd = make_crowd(count, semaphore, WORKERS);
	struct thread threads[WORKERS];

	crowd->m.edge = edge;
	for (int i = 0; i < WORKERS; i++) {
		threads[i] = (struct thread){.crowd = crowd, .seed = 77u * (uint32_t)i + 1};
		cr_assert_eq(pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]), 0);
	}
	rounds(crowd);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i].thread, NULL);
	free_crowd(crowd);
}

Test(core_level_race, threads)
{
	among_threads(0, false, false);
}

Test(core_level_race, threads_with_edges)
{
	among_threads(0, false, true);
}

Test(core_level_race, threads_on_a_semaphore)
{
	among_threads(2, true, false);
}

Test(core_level_race, threads_at_the_limit)
{
	among_threads(COUNTER_LIMIT, false, false);
}

Test(core_level_race, threads_at_the_limit_of_a_semaphore)
{
	among_threads(COUNTER_LIMIT - 1, true, false);
}

static int process_main(void *arg)
{
	return work(arg, (uint32_t)getpid());
}

static void among_processes(uint64_t count, bool semaphore, bool edge)
{
	struct crowd *crowd = make_crowd(count, semaphore, WORKERS);
	pid_t pids[WORKERS];

	crowd->m.edge = edge;
	for (int i = 0; i < WORKERS; i++)
		pids[i] = unit_fork(process_main, crowd);
	rounds(crowd);
	for (int i = 0; i < WORKERS; i++)
		cr_assert_eq(unit_wait(pids[i]), 0);
	free_crowd(crowd);
}

Test(core_level_race, processes)
{
	among_processes(0, false, false);
}

Test(core_level_race, processes_with_edges)
{
	among_processes(0, false, true);
}

Test(core_level_race, processes_at_the_limit_of_a_semaphore)
{
	among_processes(COUNTER_LIMIT - 1, true, false);
}

static struct crowd *handlers_crowd;
static atomic_long handled;

static void handle(int sig)
{
	static uint32_t seed = 5;
	int err = errno;

	(void)sig;
	act(&handlers_crowd->m, &seed);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

struct sender {
	struct crowd *crowd;
	pthread_t to;
};

static void *send_signals(void *arg)
{
	struct sender *sender = arg;
	long sent = 0;

	for (;;) {
		pthread_barrier_wait(&sender->crowd->start);
		if (atomic_load(&sender->crowd->over))
			return NULL;
		for (int i = 0; i < OPERATIONS; i++) {
			pthread_kill(sender->to, SIGUSR1);
			for (sent++; atomic_load(&handled) < sent;)
				sched_yield();
		}
		pthread_barrier_wait(&sender->crowd->pause);
	}
}

/* Two workers, and a thread that signals one of them. */
static void among_handlers(uint64_t count, bool semaphore)
{
	struct crowd *crowd = make_crowd(count, semaphore, 3);
	struct thread worker = {.crowd = crowd, .seed = 3};
	struct thread other = {.crowd = crowd, .seed = 4};
	struct sender sender = {.crowd = crowd};
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	pthread_t thread;

	handlers_crowd = crowd;
	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&worker.thread, NULL, thread_main, &worker);
	pthread_create(&other.thread, NULL, thread_main, &other);
	sender.to = worker.thread;
	pthread_create(&thread, NULL, send_signals, &sender);
	rounds(crowd);
	pthread_join(thread, NULL);
	pthread_join(worker.thread, NULL);
	pthread_join(other.thread, NULL);
	free_crowd(crowd);
}

Test(core_level_race, handlers_that_interrupt_settle)
{
	among_handlers(0, false);
}

Test(core_level_race, handlers_that_interrupt_settle_at_the_limit)
{
	among_handlers(COUNTER_LIMIT - 1, true);
}
