/* eventpoll: waits that end otherwise than by an event, and who shares a set. */
#define _GNU_SOURCE
#include "eventpoll_steps.h"
#include "testkit.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

TestSuite(eventpoll_ends, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

/* A wait in a thread of its own. */
struct sleeper {
	int set;
	int result, err;
	struct pollfd first;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *sleep_there(void *arg)
{
	struct sleeper *s = arg;
	const struct pollfd *events;
	atomic_store(&s->tid, gettid());
	errno = 0;
	s->result = eventpoll_wait(s->set, &events, -1);
	s->err = errno;
	if (s->result > 0)
		s->first = *events;
	return NULL;
}

static void start_asleep(struct sleeper *s, int set)
{
	*s = (struct sleeper){.set = set};
	cr_assert_eq(pthread_create(&s->thread, NULL, sleep_there, s), 0);
	while (!atomic_load(&s->tid))
		sched_yield();
	tk_wait_asleep(s->tid);
}

static void expect_ended(struct sleeper *s, int err)
{
	pthread_join(s->thread, NULL);
	cr_assert_eq(s->result, -1);
	cr_assert_eq(s->err, err, "errno %d", s->err);
}

enum closing { BY_CLOSE, BY_DUP2, BY_DUP2_OF_FAKE, BY_DUP2_OF_SET, BY_RANGE, BY_SYSCALL, CLOSINGS };

static void close_by(enum closing how, int set)
{
	int other = -1;
	switch (how) {
	case BY_CLOSE:
		cr_assert_eq(close(set), 0);
		return;
	case BY_RANGE:
		cr_assert_eq(close_range((unsigned)set, (unsigned)set, 0), 0);
		return;
	case BY_SYSCALL:
		cr_assert_eq(syscall(SYS_close, set), 0);
		return;
	case BY_DUP2:
		other = open("/dev/null", O_RDONLY);
		break;
	case BY_DUP2_OF_FAKE:
		other = fake();
		break;
	default:
		other = epoll_create1(0);
	}
	cr_assert_eq(dup2(other, set), set);
	close_all(other, set, -1);
}

Test(eventpoll_ends, a_wait_ends_with_its_number)
{
	for (int how = 0; how < CLOSINGS; how++) {
		for (int kind = 0; kind < 4; kind++) {
			int set = create(4), fd = fake(), ends[2], copy = kind & 2 ? dup(set) : -1;
			struct sleeper s;
			cr_assert_eq(pipe(ends), 0);
			add(set, fd, POLLIN);
			if (kind & 1)
				add(set, ends[0], POLLIN);
			start_asleep(&s, set);
			close_by(how, set);
			expect_ended(&s, EBADF);
			cr_assert_eq(wait_errno(set, 0), EBADF);
			if (copy >= 0) {
				cr_assert(!polls_in(copy));
				expect_none(copy);
				put(fd);
				expect_one(copy, fd, POLLIN);
				close(copy);
			}
			close_all(fd, ends[0], ends[1]);
		}
	}
}

Test(eventpoll_ends, a_wait_by_another_number_goes_on)
{
	int set = create(4), fd = fake(), copy = dup(set);
	struct sleeper s;
	add(set, fd, POLLIN);
	start_asleep(&s, copy);
	close(set);
	put(fd);
	pthread_join(s.thread, NULL);
	cr_assert_eq(s.result, 1);
	cr_assert_eq(s.first.fd, fd);
	close_all(copy, fd, -1);
}

Test(eventpoll_ends, one_waits_at_a_time)
{
	int set = create(4), fd = fake();
	struct sleeper s;
	add(set, fd, POLLIN);
	for (int cancelled = 0; cancelled < 2; cancelled++) {
		start_asleep(&s, set);
		cr_assert_eq(wait_errno(set, 0), EBUSY);
		cr_assert_eq(wait_errno(set, -1), EBUSY);
		if (cancelled)
			pthread_cancel(s.thread);
		else
			put(fd);
		pthread_join(s.thread, NULL);
		expect_none(set);
	}
	put(fd);
	expect_one(set, fd, POLLIN);
	close_all(set, fd, -1);
}

static sigjmp_buf back;
static int to_write = -1;
static atomic_int handled;

static void on_alarm(int signo)
{
	(void)signo;
	atomic_fetch_add(&handled, 1);
	if (to_write >= 0)
		eventfd_write(to_write, 1);
}

static void on_alarm_jump(int signo)
{
	(void)signo;
	siglongjmp(back, 1);
}

static void alarm_in(int ms, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};
	struct itimerval timer = {.it_value.tv_usec = ms * 1000};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

Test(eventpoll_ends, a_handler_interrupts)
{
	int set = create(4), fd = fake();
	add(set, fd, POLLIN);
	alarm_in(20, on_alarm);
	cr_assert_eq(wait_errno(set, -1), EINTR);
	cr_assert_eq(atomic_load(&handled), 1);
	expect_none(set);
	to_write = fd;
	alarm_in(20, on_alarm);
	cr_assert_eq(wait_errno(set, -1), EINTR);
	expect_one(set, fd, POLLIN);
	close_all(set, fd, -1);
}

Test(eventpoll_ends, a_handler_may_jump_out)
{
	static int set, fd;
	set = create(4);
	fd = fake();
	add(set, fd, POLLIN);
	alarm_in(20, on_alarm_jump);
	if (!sigsetjmp(back, 1)) {
		eventpoll_wait(set, &got, -1);
		cr_assert_fail();
	}
	cr_assert_eq(eventpoll_wait(set, &got, 0), 0, "errno %d", errno);
	put(fd);
	cr_assert_eq(eventpoll_wait(set, &got, -1), 1);
	close_all(set, fd, -1);
}

static int child_exit(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(eventpoll_ends, a_child_shares_it)
{
	int set = create(4), fd = fake(), ends[2];
	pid_t child;
	cr_assert_eq(pipe(ends), 0);
	add(set, fd, POLLIN);
	child = fork();
	if (!child) {
		int other = eventfd(0, EFD_NONBLOCK);
		const struct pollfd *events;
		if (eventpoll_wait(set, &events, -1) != 1 || events->fd != fd)
			_exit(1);
		if (eventpoll_ctl(set, EPOLL_CTL_ADD, ends[0], POLLIN) ||
			eventpoll_ctl(set, EPOLL_CTL_ADD, other, POLLIN))
			_exit(2);
		eventfd_write(other, 1);
		if (eventpoll_wait(set, &events, -1) != 1 || events->fd != other)
			_exit(3);
		_exit(0);
	}
	put(fd);
	cr_assert_eq(child_exit(child), 0);
	expect_none(set);
	put(fd);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	expect_one(set, ends[0], POLLIN);
	close_all(set, fd, -1);
	close_all(ends[0], ends[1], -1);
}

/* The bell that ends a wait may be heard by the other process: each in turn is the one that closes.
 */
Test(eventpoll_ends, a_wait_ends_though_a_child_waits_too)
{
	for (int i = 0; i < 5; i++) {
		int set = create(4), fd = fake();
		struct sleeper s;
		pid_t child;
		add(set, fd, POLLIN);
		child = fork();
		if (!child) {
			const struct pollfd *events;
			_exit(eventpoll_wait(set, &events, -1) != 1);
		}
		if (i % 2)
			tk_wait_process_asleep(child);
		start_asleep(&s, set);
		tk_wait_process_asleep(child);
		close(set);
		expect_ended(&s, EBADF);
		put(fd);
		cr_assert_eq(child_exit(child), 0);
		close(fd);
	}
}

/* A child that is forked while a thread waits can wait itself. */
Test(eventpoll_ends, a_child_does_not_inherit_the_waiter)
{
	int set = create(4), fd = fake();
	struct sleeper s;
	pid_t child;
	add(set, fd, POLLIN);
	start_asleep(&s, set);
	child = fork();
	if (!child) {
		const struct pollfd *events;
		_exit(eventpoll_wait(set, &events, 0) != 0);
	}
	cr_assert_eq(child_exit(child), 0);
	put(fd);
	pthread_join(s.thread, NULL);
	cr_assert_eq(s.result, 1);
	close_all(set, fd, -1);
}

enum { WRITERS = 4, WRITES = 20000 };

static void *write_often(void *arg)
{
	for (int i = 0; i < WRITES; i++)
		put(*(int *)arg);
	return NULL;
}

Test(eventpoll_ends, nothing_is_lost_between_threads)
{
	int set = create(WRITERS), fds[WRITERS], ends[2];
	pthread_t threads[WRITERS];
	for (int real_too = 0; real_too < 2; real_too++) {
		uint64_t sum = 0;
		cr_assert_eq(pipe(ends), 0);
		for (int i = 0; i < WRITERS; i++) {
			if (i == 0 && real_too)
				add(set, ends[0], POLLIN);
			fds[i] = fake();
			if (i || !real_too)
				add(set, fds[i], POLLIN);
			pthread_create(&threads[i], NULL, write_often, &fds[i]);
		}
		while (sum < (uint64_t)(WRITERS - real_too) * WRITES) {
			int n = eventpoll_wait(set, &got, 10000);
			cr_assert_gt(n, 0, "%d after %lu, errno %d", n, sum, errno);
			for (int i = 0; i < n; i++) {
				eventfd_t value = 0;
				eventfd_read(got[i].fd, &value);
				sum += value;
			}
		}
		for (int i = 0; i < WRITERS; i++) {
			pthread_join(threads[i], NULL);
			close(fds[i]);
		}
		close_all(ends[0], ends[1], -1);
	}
	close(set);
}

/* Closing and waiting at once, many times: each wait ends one way or the other. */
Test(eventpoll_ends, closed_at_any_moment)
{
	for (int i = 0; i < 300; i++) {
		int set = create(4), fd = fake();
		struct sleeper s = {.set = set};
		add(set, fd, POLLIN);
		cr_assert_eq(pthread_create(&s.thread, NULL, sleep_there, &s), 0);
		for (int spin = 0; spin < i * 20; spin++)
			atomic_load(&s.tid);
		if (i % 2)
			put(fd);
		close(set);
		pthread_join(s.thread, NULL);
		cr_assert(s.result == 1 || (s.result == -1 && s.err == EBADF), "%d, errno %d",
			s.result, s.err);
		close(fd);
	}
}
