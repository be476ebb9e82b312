#include "core/workers.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "core/asyncring.h"
#include "core/jobs.h"
#include "core/latch.h"
#include "core/process.h"
#include "core/usermem.h"
#include "sys/raw.h"
#include "sys/thread.h"

/* Block I/O waits more than it computes: the threads are not counted by processors. One more
 * delivers while results wait for room. */
enum { PERFORMERS = 4, IDLE_MS = 1000, FIRST_MS = 1, LAST_MS = 10 };

/* All of this but the futexes is moved under the latch only. */
static struct {
	struct latch latch;
	struct jobs jobs;
	workers_function *perform;
	uint32_t threads;  /* that there are, or that are about to begin */
	uint32_t starting; /* those that are about to */
	uint32_t idle;	   /* those that sleep until there is something to do */
	bool delivering;   /* one of them does nothing but that */
	_Atomic int pid;   /* whose it is; 0 before the first operation */
	/* Futexes: moved where there is more to do, and where a ring may have room. */
	_Atomic uint32_t work;
	_Atomic uint32_t room;
} pool;

_Atomic uint32_t workers_stuck;

static void wake(_Atomic uint32_t *word, int threads)
{
	atomic_fetch_add(word, 1);
	raw_futex(word, FUTEX_WAKE_PRIVATE, (uint32_t)threads);
}

void workers_retry(void)
{
	wake(&pool.room, INT_MAX);
}

/* True where the time was over. */
static bool sleep_on(const _Atomic uint32_t *word, uint32_t value, int ms)
{
	const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	return raw_futex_until(word, FUTEX_WAIT_PRIVATE, value, &limit) == -ETIMEDOUT;
}

static bool enough_threads(void)
{
	return pool.jobs.queued <= pool.idle + pool.starting ||
	       pool.threads - pool.delivering >= PERFORMERS;
}

static void run(void);

static int add_thread(void)
{
	int err;

	pool.threads++;
	pool.starting++;
	err = thread_start(run);
	if (!err)
		return 0;
	pool.threads--;
	pool.starting--;
	return err;
}

static void add_threads(void)
{
	while (!enough_threads() && !add_thread())
		;
}

/* Whoever waits for the operation, or for a path that it leads to, is not to wait for the latch. */
static void perform_one(void)
{
	struct job *job = jobs_begin(&pool.jobs);

	latch_unlock(&pool.latch);
	job->res = pool.perform(&job->op);
	latch_lock(&pool.latch);
	jobs_done(&pool.jobs, job);
}

/* Where no thread could be had for it the one there is does everything: true where it did. */
static bool help_out(void)
{
	add_threads();
	if (!pool.jobs.queued || pool.threads > 1)
		return false;
	perform_one();
	return true;
}

/* Until no result waits. A consumer that takes results and then looks at the fd is noticed at once;
 * one that only takes them, after a while. */
static void deliver(void)
{
	int ms = FIRST_MS;

	pool.delivering = true;
	for (;;) {
		uint32_t room = atomic_load(&pool.room);
		bool helped = help_out();

		atomic_store(&workers_stuck, 1);
		if (jobs_deliver(&pool.jobs))
			ms = FIRST_MS;
		if (!jobs_stuck(&pool.jobs))
			break;
		if (helped)
			continue;
		latch_unlock(&pool.latch);
		sleep_on(&pool.room, room, ms);
		latch_lock(&pool.latch);
		ms = ms * 2 < LAST_MS ? ms * 2 : LAST_MS;
	}
	atomic_store(&workers_stuck, 0);
	pool.delivering = false;
}

/* False where there has been nothing to do for a while. */
static bool stay_idle(void)
{
	uint32_t work = atomic_load(&pool.work);
	bool over;

	pool.idle++;
	latch_unlock(&pool.latch);
	over = sleep_on(&pool.work, work, IDLE_MS);
	latch_lock(&pool.latch);
	pool.idle--;
	return !over || pool.jobs.queued;
}

/* With the latch. False where the thread is to leave. */
static bool do_something(void)
{
	if (jobs_stuck(&pool.jobs) && !pool.delivering)
		deliver();
	else if (pool.jobs.queued)
		perform_one();
	else
		return stay_idle();
	return true;
}

static void run(void)
{
	latch_lock(&pool.latch);
	pool.starting--;
	while (do_something())
		;
	pool.threads--;
	latch_unlock(&pool.latch);
}

static bool is_good(const struct asyncfd_op *op)
{
	return op->cookie && op->code >= ASYNCFD_PREAD && op->code <= ASYNCFD_STATX;
}

/* 0 or an errno value. */
static int look_at(const struct asyncfd_op *op)
{
	if (!usermem_loadable(op, sizeof(*op)))
		return EFAULT;
	return is_good(op) ? 0 : EINVAL;
}

/* With the latch; how many. */
static int take_in(const struct fdref *ref, const struct asyncfd_op *ops, int n)
{
	int taken = 0;

	while (taken < n && !look_at(&ops[taken]) && jobs_add(&pool.jobs, ref, &ops[taken]))
		taken++;
	if (!taken)
		return -EAGAIN;
	add_threads();
	if (pool.idle)
		wake(&pool.work, taken);
	return taken;
}

/* Where libc's fork did not make the child, nobody has said that it is one. */
static void know_process(void)
{
	int pid = process_pid(), before = atomic_load(&pool.pid);

	if (before != pid && atomic_compare_exchange_strong(&pool.pid, &before, pid) && before)
		workers_forked();
}

int workers_submit(
	const struct fdref *ref, const struct asyncfd_op *ops, int n, workers_function *perform)
{
	int err = 0, taken = -EAGAIN;

	if (n < 0)
		return -EINVAL;
	if (n)
		err = look_at(ops);
	if (err || !n)
		return -err;
	if (process_borrows_memory()) /* threads of its own would be in its parent's memory */
		return -EAGAIN;
	know_process();
	latch_lock(&pool.latch);
	pool.perform = perform;
	if (pool.threads || !add_thread())
		taken = take_in(ref, ops, n);
	latch_unlock(&pool.latch);
	return taken;
}

void workers_forked(void)
{
	if (!atomic_load(&pool.pid))
		return;
	jobs_forget(&pool.jobs);
	pool.threads = 0;
	pool.starting = 0;
	pool.idle = 0;
	pool.delivering = false;
	atomic_store(&workers_stuck, 0);
	atomic_store(&pool.latch.word, 0);
	atomic_store(&pool.pid, process_pid());
}
