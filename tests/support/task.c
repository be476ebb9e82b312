#define _GNU_SOURCE
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t task_read(struct task *t)
{
	return read(t->fd, &t->value, sizeof(t->value));
}

ssize_t task_write(struct task *t)
{
	return write(t->fd, &t->value, sizeof(t->value));
}

ssize_t task_readv(struct task *t)
{
	char *p = (char *)&t->value;
	struct iovec iov[2] = {{p, 3}, {p + 3, 5}};
	return readv(t->fd, iov, 2);
}

ssize_t task_writev(struct task *t)
{
	struct iovec iov = {&t->value, sizeof(t->value)};
	return writev(t->fd, &iov, 1);
}

ssize_t task_eventfd_read(struct task *t)
{
	return eventfd_read(t->fd, &t->value);
}

ssize_t task_eventfd_write(struct task *t)
{
	return eventfd_write(t->fd, t->value);
}

static void *run(void *arg)
{
	struct task *t = arg;
	errno = TASK_ERRNO;
	atomic_store(&t->tid, gettid());
	t->ret = t->call(t);
	t->err = errno;
	atomic_store(&t->done, true);
	return NULL;
}

void task_start(struct task *t, ssize_t (*call)(struct task *), int fd, uint64_t value)
{
	*t = (struct task){.call = call, .fd = fd, .value = value};
	cr_assert_eq(pthread_create(&t->thread, NULL, run, t), 0);
	while (!atomic_load(&t->tid))
		sched_yield();
}

void task_wait_asleep(struct task *t)
{
	cr_assert_not(atomic_load(&t->done), "the call returned %zd", t->ret);
	tk_wait_asleep(atomic_load(&t->tid));
	cr_assert_not(atomic_load(&t->done), "the call returned %zd", t->ret);
}

static int count_done(struct task *tasks, int all)
{
	int done = 0;
	for (int i = 0; i < all; i++)
		done += atomic_load(&tasks[i].done);
	return done;
}

void task_wait_done(struct task *tasks, int all, int count)
{
	while (count_done(tasks, all) < count)
		sched_yield();
	for (int i = 0; i < all; i++) {
		if (!atomic_load(&tasks[i].done))
			task_wait_asleep(&tasks[i]);
	}
	cr_assert_eq(count_done(tasks, all), count);
}

void task_start_blocked(struct task *t, ssize_t (*call)(struct task *), int fd, uint64_t value)
{
	task_start(t, call, fd, value);
	task_wait_asleep(t);
}

ssize_t task_join(struct task *t)
{
	void *result;
	cr_assert_eq(pthread_join(t->thread, &result), 0);
	cr_assert_null(result, "the thread was cancelled");
	if (t->ret == -1)
		return -t->err;
	cr_assert_eq(t->err, TASK_ERRNO, "a success set errno to %d", t->err);
	return t->ret;
}

void task_cancel(struct task *t)
{
	cr_assert_eq(pthread_cancel(t->thread), 0);
	task_join_cancelled(t);
}

void task_join_cancelled(struct task *t)
{
	void *result;
	cr_assert_eq(pthread_join(t->thread, &result), 0);
	cr_assert_eq(result, PTHREAD_CANCELED);
}
