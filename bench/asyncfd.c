/* Records of 32 bytes from one thread to an event loop in another, which waits by epoll: through a
 * ring (under the shim), else, and with --pipe, through a pipe. A line of 'delivery-BATCH
 * NANOSECONDS' each, the median of one record's share; BATCH records are handed over in one call.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "core.h"
#include "die.h"
#include "efdshim/asyncfd.h"
#include "median.h"

enum { SAMPLES = 15, RECORDS = 100000, MOST = 32, SIZE = 1024, TAKEN = 2048 };

static int (*make)(int, struct asyncfd_uring *);
static struct efd_file *(*get)(int);
static int (*add)(struct efd_file *, const struct asyncfd_result *, int);

static struct asyncfd_result places[SIZE];
static struct asyncfd_uring ring = {.ptr = 0, .size = SIZE};
static struct efd_file *file;
static int from = -1, to = -1, set;

static void open_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		die(EXIT_CANNOT, "a pipe");
	from = fds[0];
	to = fds[1];
}

static void open_ring(void)
{
	*(void **)&get = dlsym(RTLD_DEFAULT, "asyncfd_fget");
	*(void **)&add = dlsym(RTLD_DEFAULT, "asyncfd_add_results");
	ring.ptr = (uintptr_t)places;
	from = make(-1, &ring);
	file = from < 0 ? NULL : get(from);
	if (!file)
		die(EXIT_CANNOT, "an asyncfd");
}

/* How many were taken; 0 where there was no room. */
static int put(const struct asyncfd_result *results, int n)
{
	ssize_t written;

	if (make)
		return add(file, results, n);
	written = write(to, results, (size_t)n * sizeof(*results));
	if (written < 0 && errno != EAGAIN)
		die(EXIT_FAILURE, "write");
	return written < 0 ? 0 : (int)(written / (ssize_t)sizeof(*results));
}

/* How many; each is to be the next one. */
static uint64_t in_order(const struct asyncfd_result *taken, ssize_t n, uint64_t next)
{
	for (ssize_t i = 0; i < n; i++) {
		if (taken[i].cookie != next + (uint64_t)i)
			die(EXIT_FAILURE, "the order");
	}
	return (uint64_t)n;
}

/* All that is there. */
static uint64_t take(uint64_t next)
{
	static struct asyncfd_result taken[TAKEN];
	uint64_t n = 0;
	ssize_t got;

	if (make) {
		while ((got = asyncfd_take_results(&ring, taken, TAKEN)))
			n += in_order(taken, got, next + n);
		return n;
	}
	while ((got = read(from, taken, sizeof(taken))) > 0)
		n += in_order(taken, got / (ssize_t)sizeof(*taken), next + n);
	return n;
}

static void *produce(void *arg)
{
	int batch = *(int *)arg;
	struct asyncfd_result results[MOST];

	pin_to_core(1);
	for (uint64_t next = 1; next <= RECORDS;) {
		int n = 0;

		for (; n < batch && next + (uint64_t)n <= RECORDS; n++)
			results[n] =
				(struct asyncfd_result){.cookie = next + (uint64_t)n, .res = n};
		for (int done = 0, put_now; done < n; done += put_now) {
			put_now = put(results + done, n - done);
			if (!put_now)
				sched_yield();
		}
		next += (uint64_t)n;
	}
	return NULL;
}

static double run(int batch)
{
	double start = now_ns();
	struct epoll_event event;
	pthread_t producer;

	if (pthread_create(&producer, NULL, produce, &batch))
		die(EXIT_CANNOT, "a thread");
	for (uint64_t next = 1; next <= RECORDS;) {
		if (epoll_wait(set, &event, 1, -1) != 1)
			die(EXIT_FAILURE, "epoll_wait");
		next += take(next);
	}
	pthread_join(producer, NULL);
	return (now_ns() - start) / RECORDS;
}

static void measure(int batch)
{
	double taken[SAMPLES];

	run(batch);
	for (int i = 0; i < SAMPLES; i++)
		taken[i] = run(batch);
	printf("delivery-%d %.2f\n", batch, median(taken, SAMPLES));
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (argc < 2 || strcmp(argv[1], "--pipe") != 0)
		*(void **)&make = dlsym(RTLD_DEFAULT, "asyncfd");
	if (make)
		open_ring();
	else
		open_pipe();
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, from, &event))
		die(EXIT_CANNOT, "a set");
	pin_to_core(0);
	measure(1);
	measure(MOST);
	return 0;
}
