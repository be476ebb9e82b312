/* A program that uses eventfds, in the ways its arguments name. */
#include "prog.h"
#include "work.h"

#include <pthread.h>

static void all(void)
{
	work(WORK_ALL);
}

enum { TOGETHER = 8 };

static pthread_barrier_t start;

static void *work_too(void *unused)
{
	pthread_barrier_wait(&start);
	work(WORK_COUNTERS | WORK_THREADS);
	return unused;
}

/* The first calls of a process, from several threads. */
static void together(void)
{
	pthread_t threads[TOGETHER];

	pthread_barrier_init(&start, NULL, TOGETHER);
	for (int i = 0; i < TOGETHER; i++)
		require(!pthread_create(&threads[i], NULL, work_too, NULL), "pthread_create");
	for (int i = 0; i < TOGETHER; i++)
		require(!pthread_join(threads[i], NULL), "pthread_join");
}

static void nothing(void)
{
}

static const struct prog_case cases[] = {
	{"everything", all},
	{"threads that start together", together},
	{"nothing", nothing},
};

PROG_MAIN(cases)
