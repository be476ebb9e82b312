/* One blocking call on an fd, made in a thread of its own. */
#ifndef TASK_H
#define TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct task {
	ssize_t (*call)(struct task *t);
	int fd;
	uint64_t value; /* what is written, or what was read */
	ssize_t ret;
	int err; /* errno after the call; TASK_ERRNO before it */
	_Atomic pid_t tid;
	atomic_bool done; /* the call returned */
	pthread_t thread;
};

enum { TASK_ERRNO = 12345 };

ssize_t task_read(struct task *t);
ssize_t task_write(struct task *t);
ssize_t task_readv(struct task *t);
ssize_t task_writev(struct task *t);
ssize_t task_eventfd_read(struct task *t);
ssize_t task_eventfd_write(struct task *t);

void task_start(struct task *t, ssize_t (*call)(struct task *), int fd, uint64_t value);
/* Returns once the call sleeps in the kernel. */
void task_start_blocked(struct task *t, ssize_t (*call)(struct task *), int fd, uint64_t value);
/* Returns once the call sleeps (again); asserts that it has not returned. */
void task_wait_asleep(struct task *t);
/* Returns once `count` of the `all` tasks are done and the others sleep. */
void task_wait_done(struct task *tasks, int all, int count);

/* Joins; returns the call's result or -errno, and asserts that a success left errno alone. */
ssize_t task_join(struct task *t);
/* Joins, and asserts that the thread was cancelled. */
void task_join_cancelled(struct task *t);
/* Cancels first. */
void task_cancel(struct task *t);

#endif
