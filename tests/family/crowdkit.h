/* Threads that store into a ring and look at its fd, for as long as they are let. */
#ifndef CROWDKIT_H
#define CROWDKIT_H

#include "asynckit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PRODUCERS = 2 };

struct crowd {
	struct efd_file *file;
	int fd;
	int may_fail; /* errno that a producer may meet, or 0 */
	atomic_bool over;
	atomic_long stored, refused;
	pthread_t thread[PRODUCERS + 1];
};

static inline void *produce(void *arg)
{
	static const struct asyncfd_result some[3] = {{.cookie = 1}, {.cookie = 2}, {.cookie = 3}};
	struct crowd *c = arg;
	while (!atomic_load(&c->over)) {
		int ret = asyncfd_add_results(c->file, some, 3);
		if (ret < 0 && errno != c->may_fail)
			abort();
		atomic_fetch_add(ret < 0 ? &c->refused : &c->stored, ret < 0 ? 1 : ret);
		if (ret <= 0)
			sched_yield();
	}
	return NULL;
}

/* By poll and by a set. */
static inline void *look(void *arg)
{
	struct crowd *c = arg;
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, c->fd, &event))
		abort();
	while (!atomic_load(&c->over)) {
		struct pollfd p = {c->fd, POLLIN, 0};
		if (poll(&p, 1, 0) < 0 || p.revents & ~(POLLIN | POLLERR))
			abort();
		if (epoll_wait(set, &event, 1, 0) < 0)
			abort();
	}
	close(set);
	return NULL;
}

#endif
