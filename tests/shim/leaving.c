/* Uses eventfds while the process ends. */
#include "prog.h"
#include "work.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int kept;

static void use_again(void)
{
	work_with(kept);
	work(WORK_ALL);
}

__attribute__((destructor)) static void leave(void)
{
	if (kept)
		use_again();
}

static void at_exit(void)
{
	kept = prog_eventfd(0, EFD_NONBLOCK);
	require(!atexit(use_again), "atexit");
	exit(0);
}

static void at_quick_exit_too(void)
{
	kept = prog_eventfd(0, EFD_NONBLOCK);
	require(!at_quick_exit(use_again), "at_quick_exit");
	quick_exit(0);
}

static void *ring_for_ever(void *arg)
{
	const int *fds = arg;

	for (;;) {
		eventfd_t value;

		require(!eventfd_write(fds[0], 1) && !eventfd_read(fds[1], &value),
			"a turn of a thread");
	}
	return NULL;
}

/* A thread goes on with its eventfds until the process is no more. */
static void beside_a_thread(void)
{
	static int fds[2];
	pthread_t thread;

	fds[0] = prog_eventfd(0, 0);
	fds[1] = prog_eventfd(1000000, EFD_SEMAPHORE);
	require(!pthread_create(&thread, NULL, ring_for_ever, fds), "pthread_create");
	for (int i = 0; i < 100; i++) {
		eventfd_t value;

		require(!eventfd_read(fds[0], &value), "a thread's turn");
	}
	exit(0);
}

/* A thread sleeps in read while the process ends. */
static void beside_a_sleeper(void)
{
	static int fds[2];
	pthread_t thread;
	eventfd_t value;

	fds[0] = prog_eventfd(0, 0);
	fds[1] = prog_eventfd(0, 0);
	require(!pthread_create(&thread, NULL, ring_for_ever, fds), "pthread_create");
	require(!eventfd_read(fds[0], &value), "a thread's turn");
	exit(0);
}

static void by__exit(void)
{
	kept = prog_eventfd(0, EFD_NONBLOCK);
	prog_add(kept, 1);
	_exit(0);
}

static const struct prog_case cases[] = {
	{"in an atexit handler and a destructor", at_exit},
	{"in an at_quick_exit handler", at_quick_exit_too},
	{"in a thread that runs on", beside_a_thread},
	{"in a thread that sleeps", beside_a_sleeper},
	{"before _exit", by__exit},
};

PROG_MAIN(cases)
