/* eventpoll: what each call does, on fake fds and on the kernel's. */
#define _GNU_SOURCE
#include "testkit.h"

#include <criterion/criterion.h>
#include <efdshim/eventpoll.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(eventpoll_smoke, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static const struct pollfd *got;

static int fake(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	cr_assert_geq(fd, 0);
	return fd;
}

static int create(int maxfds)
{
	int set = eventpoll_create(maxfds);
	cr_assert_geq(set, 0, "errno %d", errno);
	return set;
}

static void put(int fd)
{
	cr_assert_eq(eventfd_write(fd, 1), 0);
}

static void take(int fd)
{
	eventfd_t value;
	cr_assert_eq(eventfd_read(fd, &value), 0);
}

static void add(int set, int fd, unsigned events)
{
	cr_assert_eq(eventpoll_ctl(set, EPOLL_CTL_ADD, fd, events), 0, "errno %d", errno);
}

static int ctl_errno(int set, int op, int fd, unsigned events)
{
	errno = 0;
	return eventpoll_ctl(set, op, fd, events) ? errno : 0;
}

static int wait_errno(int set, int ms)
{
	errno = 0;
	return eventpoll_wait(set, &got, ms) < 0 ? errno : 0;
}

static void expect_none(int set)
{
	int n = eventpoll_wait(set, &got, 0);
	cr_assert_eq(n, 0, "%d, the first is %#x of %d", n, n > 0 ? got->revents : 0,
		n > 0 ? got->fd : 0);
}

static void expect_one(int set, int fd, short revents)
{
	int n = eventpoll_wait(set, &got, 1000);
	cr_assert_eq(n, 1, "%d events, errno %d", n, errno);
	cr_assert_eq(got->fd, fd);
	cr_assert_eq(got->revents, revents, "%#x", got->revents);
}

static void close_all(int a, int b, int c)
{
	cr_assert_eq(close(a), 0);
	if (b >= 0)
		cr_assert_eq(close(b), 0);
	if (c >= 0)
		cr_assert_eq(close(c), 0);
}

Test(eventpoll_smoke, create_makes_a_set)
{
	int set = create(1);
	cr_assert_eq(fcntl(set, F_GETFD), FD_CLOEXEC);
	expect_none(set);
	close(set);
	cr_assert_eq(eventpoll_create(0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(eventpoll_create(-1), -1);
	cr_assert_eq(errno, EINVAL);
	close(create(INT_MAX));
}

Test(eventpoll_smoke, edges_of_a_fake_fd)
{
	int set = create(4), fd = fake();
	put(fd);
	add(set, fd, POLLIN);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(got->events, POLLIN);
	expect_none(set);
	put(fd);
	put(fd);
	expect_one(set, fd, POLLIN);
	take(fd);
	expect_none(set);
	put(fd);
	take(fd);
	expect_none(set);
	put(fd);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), 0);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), 0);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN | POLLOUT), 0);
	expect_one(set, fd, POLLIN | POLLOUT);
	cr_assert_eq(got->events, POLLIN | POLLOUT);
	put(fd);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, fd, ~0u), 0);
	put(fd);
	expect_none(set);
	close_all(set, fd, -1);
}

Test(eventpoll_smoke, edges_of_a_pipe)
{
	int set = create(4), ends[2];
	cr_assert_eq(pipe(ends), 0);
	add(set, ends[0], POLLIN);
	expect_none(set);
	cr_assert_eq(write(ends[1], "ab", 2), 2);
	expect_one(set, ends[0], POLLIN);
	expect_none(set);
	cr_assert_eq(write(ends[1], "c", 1), 1);
	expect_one(set, ends[0], POLLIN);
	cr_assert_eq(write(ends[1], "d", 1), 1);
	close(ends[1]);
	expect_one(set, ends[0], POLLIN | POLLHUP);
	close_all(set, ends[0], -1);
}

Test(eventpoll_smoke, fake_and_real_together)
{
	int set = create(4), fd = fake(), ends[2];
	unsigned seen = 0;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	add(set, fd, POLLIN);
	add(set, ends[0], POLLIN | POLLRDHUP);
	put(fd);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	cr_assert_eq(eventpoll_wait(set, &got, -1), 2);
	for (int i = 0; i < 2; i++)
		seen |= got[i].fd == fd ? 1 : got[i].fd == ends[0] ? 2 : 4;
	cr_assert_eq(seen, 3);
	expect_none(set);
	close_all(set, fd, ends[0]);
	close(ends[1]);
}

Test(eventpoll_smoke, more_than_a_batch)
{
	enum { MANY = 3000 };
	static int fds[MANY];
	int set = create(MANY);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			if (round == 0)
				add(set, fds[i] = fake(), POLLIN);
			put(fds[i]);
		}
		cr_assert_eq(eventpoll_wait(set, &got, 0), MANY);
		for (int i = 0; i < MANY; i++)
			take(got[i].fd);
		expect_none(set);
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	close(set);
}

Test(eventpoll_smoke, events_stay_until_the_next_wait)
{
	int set = create(4), a = fake(), b = fake();
	const struct pollfd *first;
	add(set, a, POLLIN);
	add(set, b, POLLIN);
	put(a);
	expect_one(set, a, POLLIN);
	first = got;
	put(b);
	put(a);
	cr_assert_eq(first->fd, a);
	cr_assert_eq(first->revents, POLLIN);
	cr_assert_eq(eventpoll_wait(set, &got, -1), 2);
	cr_assert_neq(got, first);
	put(b);
	expect_one(set, b, POLLIN);
	cr_assert_eq(got, first);
	close_all(set, a, b);
}

Test(eventpoll_smoke, errors_of_ctl)
{
	int set = create(8), other = create(1), fd = fake(),
	    file = open("/proc/self/exe", O_RDONLY), plain = epoll_create1(0),
	    none = tk_lowest_free();
	static const unsigned bad[] = {
		EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP, 1u << 16, 0x1000, 0x8000, ~0u};
	cr_assert_eq(ctl_errno(none, EPOLL_CTL_ADD, fd, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(-1, EPOLL_CTL_ADD, fd, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, none, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, -1, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, INT_MAX, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(plain, EPOLL_CTL_ADD, fd, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(fd, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(file, EPOLL_CTL_ADD, fd, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	cr_assert_eq(ctl_errno(set, 17, fd, POLLIN), EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, fd, bad[i]), EINVAL, "%#x", bad[i]);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), ENOENT);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, fd, 0), ENOENT);
	add(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, fd, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, EPOLLET), EINVAL);
	add(set, other, POLLIN);
	cr_assert_eq(ctl_errno(other, EPOLL_CTL_ADD, set, POLLIN), ELOOP);
	close_all(set, other, fd);
	close_all(file, plain, -1);
}

Test(eventpoll_smoke, no_more_than_maxfds)
{
	int set = create(2), a = fake(), b = fake(), ends[2],
	    file = open("/proc/self/exe", O_RDONLY), other = create(1);
	cr_assert_eq(pipe(ends), 0);
	add(other, set, POLLIN);
	add(set, a, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	add(set, ends[0], POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, b, POLLIN), ENOSPC);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, ends[1], POLLOUT), ENOSPC);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, ends[0], POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, -1, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, other, POLLIN), ELOOP);
	expect_none(set);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, a, 0), 0);
	add(set, b, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), ENOSPC);
	put(b);
	expect_one(set, b, POLLIN);
	close_all(set, a, b);
	close_all(ends[0], ends[1], file);
	close(other);
}

/* The count must not drift, however they leave. */
Test(eventpoll_smoke, closed_fds_leave)
{
	enum { MOST = 8, TIMES = 300 };
	int set = create(MOST), fds[MOST], shelf = fake();
	for (int i = 0; i < MOST; i++)
		add(set, fds[i] = fake(), POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	for (int i = 0; i < TIMES; i++) {
		int *one = &fds[i * 5 % MOST], ends[2];
		close(*one);
		if (i % 3 == 0) { /* another number */
			int filler = fake();
			*one = fake();
			close(filler);
		} else if (i % 3 == 1) { /* another kind */
			cr_assert_eq(pipe(ends), 0);
			*one = ends[0];
			close(ends[1]);
		} else {
			*one = fake();
		}
		add(set, *one, POLLIN);
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, *one, POLLIN), EEXIST);
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	}
	for (int i = 0; i < MOST; i++)
		close(fds[i]);
	for (int i = 0; i < MOST; i++)
		add(set, fds[i] = dup(shelf), POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	for (int i = 0; i < MOST; i++)
		close(fds[i]);
	close_all(set, shelf, -1);
}

Test(eventpoll_smoke, an_event_of_a_closed_fd_is_nobodys)
{
	for (int again = 0; again < 2; again++) {
		int set = create(4), fd = fake(), fresh;
		add(set, fd, POLLIN);
		put(fd);
		close(fd);
		fresh = fake();
		cr_assert_eq(fresh, fd);
		if (again)
			add(set, fresh, POLLIN);
		expect_none(set);
		put(fresh);
		if (again)
			expect_one(set, fresh, POLLIN);
		else
			expect_none(set);
		close_all(set, fresh, -1);
	}
}

/* The number is another file's, but the old one has a further number: its events go on. */
Test(eventpoll_smoke, an_event_of_an_old_file_is_not_the_new_ones)
{
	int set = create(4), fd = fake(), copy = dup(fd), fresh;
	add(set, fd, POLLIN);
	close(fd);
	fresh = fake();
	cr_assert_eq(fresh, fd);
	add(set, fresh, POLLIN);
	put(copy);
	expect_none(set);
	put(fresh);
	expect_one(set, fresh, POLLIN);
	close_all(set, fresh, copy);
}

static bool polls_in(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	fd_set in;
	int n = poll(&p, 1, 0);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	cr_assert_eq(select(fd + 1, &in, NULL, NULL, &(struct timeval){0}), n);
	return n == 1 && p.revents == POLLIN;
}

Test(eventpoll_smoke, it_can_be_polled)
{
	int set = create(4), fd = fake(), outer = epoll_create1(0), ends[2];
	struct epoll_event event = {.events = EPOLLIN, .data.fd = set};
	cr_assert_eq(pipe(ends), 0);
	add(set, fd, POLLIN);
	add(set, ends[0], POLLIN);
	cr_assert(!polls_in(set));
	put(fd);
	cr_assert(polls_in(set));
	expect_one(set, fd, POLLIN);
	cr_assert(!polls_in(set));
	cr_assert_eq(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event), 0);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 0);
	put(fd);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 1);
	cr_assert_eq(event.data.fd, set);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 0);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 1);
	expect_one(set, ends[0], POLLIN);
	close_all(set, fd, outer);
	close_all(ends[0], ends[1], -1);
}

Test(eventpoll_smoke, it_can_be_nested)
{
	int set = create(4), inner = create(4), fd = fake();
	add(inner, fd, POLLIN);
	add(set, inner, POLLIN);
	expect_none(set);
	put(fd);
	expect_one(set, inner, POLLIN);
	expect_one(inner, fd, POLLIN);
	close_all(set, inner, fd);
}

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

Test(eventpoll_smoke, a_wait_ends_with_its_number)
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

Test(eventpoll_smoke, a_wait_by_another_number_goes_on)
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

Test(eventpoll_smoke, one_waits_at_a_time)
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

Test(eventpoll_smoke, limits_and_bad_pointers)
{
	int set = create(4), fd = fake(), plain = epoll_create1(0);
	int64_t start = tk_now_ms();
	const struct pollfd **page =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_eq(eventpoll_wait(set, &got, 30), 0);
	cr_assert_geq(tk_now_ms() - start, 30);
	add(set, fd, POLLIN);
	cr_assert_eq(eventpoll_wait(set, &got, 30), 0);
	cr_assert_geq(tk_now_ms() - start, 60);
	put(fd);
	cr_assert_eq(eventpoll_wait(set, page, 0), -1);
	cr_assert_eq(errno, EFAULT);
	cr_assert_eq(eventpoll_wait(set, NULL, 0), -1);
	cr_assert_eq(errno, EFAULT);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(wait_errno(plain, 0), EINVAL);
	cr_assert_eq(wait_errno(fd, 0), EINVAL);
	cr_assert_eq(wait_errno(tk_lowest_free(), 0), EBADF);
	munmap(page, 4096);
	close_all(set, fd, plain);
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

Test(eventpoll_smoke, a_handler_interrupts)
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

Test(eventpoll_smoke, a_handler_may_jump_out)
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

Test(eventpoll_smoke, epolls_own_calls_are_refused)
{
	int set = create(4), fd = fake();
	struct epoll_event event = {.events = EPOLLIN};
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_pwait(set, &event, 1, 0, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_pwait2(set, &event, 1, NULL, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	close_all(set, fd, -1);
}

static int child_exit(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(eventpoll_smoke, a_child_shares_it)
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
Test(eventpoll_smoke, a_wait_ends_though_a_child_waits_too)
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
Test(eventpoll_smoke, a_child_does_not_inherit_the_waiter)
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

Test(eventpoll_smoke, nothing_is_lost_between_threads)
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
Test(eventpoll_smoke, closed_at_any_moment)
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
