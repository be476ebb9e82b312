/* Between two threads, each with a core of its own where there are two. */
#include "micro.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "clock.h"
#include "core.h"
#include "die.h"
#include "loop.h"
#include "median.h"

enum { GROUP = 16 };

struct waiter {
	const struct channel_kind *kind;
	const struct loop *loop; /* NULL: waits in read */
	struct channel channel, noise;
	bool busy; /* noise is always ready: it never sleeps */
	int own_core;
	pthread_t thread;
	_Atomic int tid;
	_Atomic long woken;
	double woken_at;
	long in_vain; /* it was told of an event, and there was none */
	_Atomic bool stop;
};

/* Whether it was woken by the channel. */
static bool waited(struct waiter *waiter)
{
	int ready[2], n;

	if (!waiter->loop)
		return true;
	n = waiter->loop->wait(ready, -1);
	return n == 2 || (n == 1 && ready[0] == 0);
}

static void *wait_on(void *argument)
{
	struct waiter *waiter = argument;
	int fds[2] = {waiter->channel.in, waiter->noise.in};

	if (waiter->own_core)
		pin_to_core(1);
	if (waiter->loop)
		waiter->loop->open(fds, waiter->busy ? 2 : 1, false);
	atomic_store(&waiter->tid, (int)syscall(SYS_gettid));
	while (!atomic_load(&waiter->stop)) {
		if (!waited(waiter))
			continue;
		if (waiter->loop)
			waiter->woken_at = now_ns();
		if (!waiter->kind->take(&waiter->channel)) {
			waiter->in_vain++;
			continue;
		}
		if (!waiter->loop)
			waiter->woken_at = now_ns();
		atomic_fetch_add(&waiter->woken, 1);
	}
	if (waiter->loop)
		waiter->loop->close();
	return NULL;
}

static void start(struct waiter *waiter)
{
	waiter->own_core = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	if (waiter->own_core)
		pin_to_core(0);
	waiter->kind->make(&waiter->channel, !waiter->loop);
	waiter->kind->make(&waiter->noise, false);
	waiter->kind->give(&waiter->noise);
	if (waiter->loop && waiter->loop->most && waiter->noise.in >= waiter->loop->most)
		die(EXIT_CANNOT, "too many fds are open");
	errno = pthread_create(&waiter->thread, NULL, wait_on, waiter);
	if (errno)
		die(EXIT_CANNOT, "pthread_create");
	while (!atomic_load(&waiter->tid))
		sched_yield();
}

static void stop(struct waiter *waiter)
{
	atomic_store(&waiter->stop, true);
	waiter->kind->give(&waiter->channel);
	pthread_join(waiter->thread, NULL);
	if (waiter->in_vain)
		fprintf(stderr, "woken %ld times for nothing\n", waiter->in_vain);
	channel_close(waiter->kind, &waiter->channel);
	channel_close(waiter->kind, &waiter->noise);
}

static int open_state(const struct waiter *waiter)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", atomic_load(&waiter->tid));
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(EXIT_CANNOT, name);
	return fd;
}

static void until_asleep(int fd)
{
	char line[256];

	for (;;) {
		ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
		const char *state;

		if (n <= 0)
			die(EXIT_WRONG, "the state of a thread");
		line[n] = 0;
		state = strrchr(line, ')');
		if (state && state[1] && state[2] == 'S')
			return;
	}
}

static void until_woken(const struct waiter *waiter, long before)
{
	while (atomic_load(&waiter->woken) == before) {
		if (!waiter->own_core)
			sched_yield();
	}
}

/* Medians: from the start of the write until the other thread has the event, and the write itself.
 */
static void asleep(const struct channel_kind *kind, const struct loop *loop, long times,
	double *wake, double *write)
{
	static double wakes[MICRO_MOST], writes[MICRO_MOST];
	struct waiter waiter = {.kind = kind, .loop = loop};

	start(&waiter);
	int state = open_state(&waiter);

	for (long i = 0; i < times; i++) {
		long before = atomic_load(&waiter.woken);

		until_asleep(state);
		double begin = now_ns();

		kind->give(&waiter.channel);
		writes[i] = now_ns() - begin;
		until_woken(&waiter, before);
		wakes[i] = waiter.woken_at - begin;
	}
	close(state);
	stop(&waiter);
	*wake = median(wakes, (int)times);
	*write = median(writes, (int)times);
}

static double asleep_wake(const struct channel_kind *kind, const struct loop *loop, long times)
{
	double wake, write;

	asleep(kind, loop, times, &wake, &write);
	return wake;
}

static double cost_asleep_read(const struct channel_kind *kind, long times)
{
	return asleep_wake(kind, NULL, times);
}

static double cost_asleep_poll(const struct channel_kind *kind, long times)
{
	return asleep_wake(kind, &loop_poll, times);
}

static double cost_asleep_select(const struct channel_kind *kind, long times)
{
	return asleep_wake(kind, &loop_select, times);
}

static double cost_asleep_epoll(const struct channel_kind *kind, long times)
{
	return asleep_wake(kind, &loop_epoll, times);
}

static double cost_asleep_write(const struct channel_kind *kind, long times)
{
	double wake, write;

	asleep(kind, &loop_epoll, times, &wake, &write);
	return write;
}

/* A loop that has other events all the time: from the start of a write until it has read it. The
 * median of groups of them, which a clock can tell apart. */
static double cost_busy_wake(const struct channel_kind *kind, long times)
{
	static double groups[MICRO_MOST / GROUP + 1];
	struct waiter waiter = {.kind = kind, .loop = &loop_epoll, .busy = true};
	int count = 0;

	start(&waiter);
	for (long done = 0; done < times; done += GROUP) {
		double begin = now_ns();

		for (int i = 0; i < GROUP; i++) {
			long before = atomic_load(&waiter.woken);

			kind->give(&waiter.channel);
			until_woken(&waiter, before);
		}
		groups[count++] = (now_ns() - begin) / GROUP;
	}
	stop(&waiter);
	return median(groups, count);
}

/* The same, and nobody waits until it has: what the write costs. */
static double cost_busy_write(const struct channel_kind *kind, long times)
{
	struct waiter waiter = {.kind = kind, .loop = &loop_epoll, .busy = true};

	start(&waiter);
	double begin = now_ns();

	for (long i = 0; i < times; i++)
		kind->give(&waiter.channel);
	double spent = now_ns() - begin;

	stop(&waiter);
	return spent / (double)times;
}

static bool reading_waits(const struct channel_kind *kind)
{
	return kind->reading_waits;
}

static bool merges(const struct channel_kind *kind)
{
	return kind->merges;
}

const struct cost micro_wakes[] = {
	{"asleep-read", reading_waits, cost_asleep_read, 1000},
	{"asleep-poll", NULL, cost_asleep_poll, 1000},
	{"asleep-select", NULL, cost_asleep_select, 1000},
	{"asleep-epoll", NULL, cost_asleep_epoll, 1000},
	{"asleep-write", NULL, cost_asleep_write, 1000},
	{"busy-wake", NULL, cost_busy_wake, 10000},
	{"busy-write", merges, cost_busy_write, 20000},
	{0},
};
