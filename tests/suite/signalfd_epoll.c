/* signalfd in epoll sets. */
#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(signalfd_epoll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { LONG = 15000, ROUNDS = 30 };

static int control(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epfd, op, fd, &event) ? -errno : 0;
}

/* One event with that data, or none. */
static void expect(int epfd, int timeout, uint64_t data)
{
	struct epoll_event events[4];
	int n = epoll_wait(epfd, events, 4, timeout);

	cr_assert_eq(n, data ? 1 : 0, "%d events, %s", n, strerror(errno));
	if (data) {
		cr_assert_eq(events[0].events, EPOLLIN);
		cr_assert_eq(events[0].data.u64, data);
	}
}

struct watched {
	int epfd;
	int fd;
};

static struct watched watch(const sigset_t *set, uint32_t events)
{
	struct watched w = {epoll_create1(0), sk_open(set, SFD_NONBLOCK)};

	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, w.fd, events, 42), 0);
	return w;
}

static void unwatch(struct watched w)
{
	close(w.fd);
	close(w.epfd);
}

Test(signalfd_epoll, level_triggered)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0);
	struct watched w = watch(&set, EPOLLIN);

	expect(w.epfd, 0, 0);
	expect(w.epfd, 10, 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	for (int i = 0; i < 3; i++)
		expect(w.epfd, i ? LONG : 0, 42);
	sk_expect(w.fd, SIGUSR1);
	expect(w.epfd, 0, 42);
	sk_expect(w.fd, SIGUSR2);
	expect(w.epfd, 0, 0);
	unwatch(w);
}

Test(signalfd_epoll, edge_triggered)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0);
	struct watched w = watch(&set, EPOLLIN | EPOLLET);

	expect(w.epfd, 0, 0);
	kill(getpid(), SIGUSR1);
	expect(w.epfd, 0, 42);
	expect(w.epfd, 10, 0);
	kill(getpid(), SIGUSR2);
	expect(w.epfd, 0, 42);
	expect(w.epfd, 0, 0);
	sk_expect(w.fd, SIGUSR1);
	expect(w.epfd, 0, 0);
	kill(getpid(), SIGUSR1);
	expect(w.epfd, LONG, 42);
	sk_expect(w.fd, SIGUSR1);
	sk_expect(w.fd, SIGUSR2);
	kill(getpid(), SIGUSR2);
	expect(w.epfd, 0, 42);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_MOD, w.fd, EPOLLIN | EPOLLET, 43), 0);
	expect(w.epfd, 0, 43);
	expect(w.epfd, 0, 0);
	sk_expect(w.fd, SIGUSR2);
	unwatch(w);
}

Test(signalfd_epoll, one_shot)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN | EPOLLONESHOT);

	expect(w.epfd, 0, 0);
	kill(getpid(), SIGUSR1);
	expect(w.epfd, 0, 42);
	expect(w.epfd, 10, 0);
	sk_expect(w.fd, SIGUSR1);
	kill(getpid(), SIGUSR1);
	expect(w.epfd, 0, 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_MOD, w.fd, EPOLLIN | EPOLLONESHOT, 44), 0);
	expect(w.epfd, 0, 44);
	expect(w.epfd, 0, 0);
	sk_expect(w.fd, SIGUSR1);
	unwatch(w);
}

Test(signalfd_epoll, sleepers_wake)
{
	static const uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT,
		EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP};
	static void (*const acts[])(const struct sk_kick *) = {sk_kill, sk_kill_thread};
	sigset_t set = sk_block(SIGUSR1, SIGTERM, 0);
	struct watched w = watch(&set, EPOLLIN);

	for (int i = 0; i < ROUNDS; i++) {
		struct sk_kick kick = {0};
		struct signalfd_siginfo info;

		control(w.epfd, EPOLL_CTL_MOD, w.fd, modes[i % 4], 50);
		sk_start(&kick, acts[i / 4 % 2], i % 2 ? SIGUSR1 : SIGTERM);
		expect(w.epfd, i % 3 ? LONG : -1, 50);
		info = sk_read(w.fd);
		cr_assert_eq(info.ssi_signo, (uint32_t)kick.sig);
		cr_assert_eq(info.ssi_code, i / 4 % 2 ? SI_TKILL : SI_USER);
		cr_assert_eq(info.ssi_pid, (uint32_t)getpid());
		expect(w.epfd, 0, 0);
		sk_join(&kick);
	}
	unwatch(w);
}

static void write_one(const struct sk_kick *kick)
{
	eventfd_write(kick->fd, 1);
}

Test(signalfd_epoll, beside_eventfds_and_pipes)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int event = eventfd(0, EFD_NONBLOCK), ends[2];
	struct epoll_event events[4];
	char byte;

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, event, EPOLLIN, 1), 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, ends[0], EPOLLIN, 2), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct sk_kick kick = {.fd = event};
		eventfd_t value;

		expect(w.epfd, 0, 0);
		sk_start(&kick, write_one, 0);
		expect(w.epfd, LONG, 1);
		sk_join(&kick);
		eventfd_read(event, &value);
		sk_start(&kick, sk_kill, SIGUSR1);
		expect(w.epfd, LONG, 42);
		sk_join(&kick);
		eventfd_write(event, 1);
		cr_assert_eq(write(ends[1], "x", 1), 1);
		cr_assert_eq(epoll_wait(w.epfd, events, 4, LONG), 3);
		sk_expect(w.fd, SIGUSR1);
		cr_assert_eq(epoll_wait(w.epfd, events, 4, LONG), 2);
		cr_assert_eq(read(ends[0], &byte, 1), 1);
		eventfd_read(event, &value);
	}
	close(event);
	close(ends[0]);
	close(ends[1]);
	unwatch(w);
}

Test(signalfd_epoll, all_have_their_turn)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int event = eventfd(1, EFD_NONBLOCK);
	unsigned seen = 0;

	control(w.epfd, EPOLL_CTL_ADD, event, EPOLLIN, 1);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 10; i++) {
		struct epoll_event one;

		cr_assert_eq(epoll_wait(w.epfd, &one, 1, LONG), 1);
		seen |= one.data.u64 == 1 ? 1 : 2;
	}
	cr_assert_eq(seen, 3);
	sk_expect(w.fd, SIGUSR1);
	close(event);
	unwatch(w);
}

Test(signalfd_epoll, what_epoll_ctl_refuses)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int other = sk_open(&set, 0);

	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, w.fd, EPOLLIN, 1), -EEXIST);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_MOD, other, EPOLLIN, 1), -ENOENT);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_DEL, other, 0, 1), -ENOENT);
	cr_assert_eq(epoll_ctl(w.epfd, EPOLL_CTL_ADD, other, NULL), -1);
	cr_assert_eq(errno, EFAULT);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_DEL, w.fd, 0, 0), 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_DEL, w.fd, 0, 0), -ENOENT);
	raise(SIGUSR1);
	expect(w.epfd, 0, 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, w.fd, EPOLLIN, 7), 0);
	expect(w.epfd, 0, 7);
	sk_expect(w.fd, SIGUSR1);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_MOD, w.fd, EPOLLIN | EPOLLEXCLUSIVE, 1), -EINVAL);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, other, EPOLLPRI | EPOLLEXCLUSIVE, 1), -EINVAL);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLEXCLUSIVE, 1), 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_MOD, other, EPOLLIN, 1), -EINVAL);
	close(other);
	unwatch(w);
}

Test(signalfd_epoll, what_epoll_wait_refuses)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	struct epoll_event event;
	struct epoll_event *volatile nowhere = (void *)8; /* compilers know better */
	volatile int few = -3;

	raise(SIGUSR1);
	cr_assert_eq(epoll_wait(w.epfd, &event, 0, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_wait(w.epfd, &event, few, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_wait(w.epfd, nowhere, 1, 0), -1);
	cr_assert_eq(errno, EFAULT);
	expect(w.epfd, 0, 42);
	sk_expect(w.fd, SIGUSR1);
	unwatch(w);
}

Test(signalfd_epoll, closed_ones_are_gone)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int copy = dup(w.fd), again;

	raise(SIGUSR1);
	close(w.fd);
	expect(w.epfd, 0, 42);
	close(copy);
	expect(w.epfd, 0, 0);
	again = sk_open(&set, SFD_NONBLOCK);
	expect(w.epfd, 0, 0);
	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, again, EPOLLIN, 9), 0);
	expect(w.epfd, 0, 9);
	sk_expect(again, SIGUSR1);
	close(again);
	close(w.epfd);
}

Test(signalfd_epoll, copies_have_watches_of_their_own)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int copy = dup(w.fd);
	struct epoll_event events[4];

	cr_assert_eq(control(w.epfd, EPOLL_CTL_ADD, copy, EPOLLIN, 43), 0);
	raise(SIGUSR1);
	cr_assert_eq(epoll_wait(w.epfd, events, 4, 0), 2);
	sk_expect(copy, SIGUSR1);
	expect(w.epfd, 0, 0);
	close(copy);
	unwatch(w);
}

Test(signalfd_epoll, a_set_can_be_polled)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	struct pollfd one = {.fd = w.epfd, .events = POLLIN};

	cr_assert_eq(poll(&one, 1, 0), 0);
	for (int i = 0; i < 5; i++) {
		struct sk_kick kick = {0};

		sk_start(&kick, sk_kill, SIGUSR1);
		cr_assert_eq(poll(&one, 1, LONG), 1);
		cr_assert_eq(one.revents, POLLIN);
		sk_join(&kick);
		expect(w.epfd, 0, 42);
		sk_expect(w.fd, SIGUSR1);
		cr_assert_eq(poll(&one, 1, 0), 0);
	}
	unwatch(w);
}

Test(signalfd_epoll, a_set_in_a_set)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	struct watched w = watch(&set, EPOLLIN);
	int outer = epoll_create1(0);

	cr_assert_eq(control(outer, EPOLL_CTL_ADD, w.epfd, EPOLLIN, 5), 0);
	expect(outer, 0, 0);
	for (int i = 0; i < 5; i++) {
		struct sk_kick kick = {0};

		sk_start(&kick, sk_kill, SIGUSR1);
		expect(outer, LONG, 5);
		sk_join(&kick);
		expect(w.epfd, 0, 42);
		sk_expect(w.fd, SIGUSR1);
		expect(outer, 0, 0);
	}
	close(outer);
	unwatch(w);
}

Test(signalfd_epoll, epoll_pwait)
{
	sigset_t set = sk_block(SIGUSR1, 0), other = sk_block(SIGUSR2, 0), mask;
	struct watched w = watch(&set, EPOLLIN);
	struct sk_kick kick = {0};
	struct epoll_event event;

	(void)other;
	sk_handle(SIGUSR2, SA_RESTART);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGUSR2);
	sk_start(&kick, sk_kill_thread, SIGUSR2);
	cr_assert_eq(epoll_pwait(w.epfd, &event, 1, LONG, &mask), -1);
	cr_assert_eq(errno, EINTR);
	sk_join(&kick);
	cr_assert_eq(sk_calls, 1);
	sk_start(&kick, sk_kill, SIGUSR1);
	cr_assert_eq(epoll_pwait(w.epfd, &event, 1, LONG, &mask), 1);
	sk_join(&kick);
	sk_expect(w.fd, SIGUSR1);
	unwatch(w);
}

Test(signalfd_epoll, a_child_sees_its_own)
{
	sigset_t set = sk_block(SIGUSR1, SIGCHLD, 0);
	struct watched w = watch(&set, EPOLLIN);
	int status;
	pid_t pid;

	raise(SIGUSR1);
	pid = fork();
	if (!pid) {
		struct watched own = watch(&set, EPOLLIN);

		expect(own.epfd, 0, 0);
		sk_expect_none(w.fd);
		kill(getpid(), SIGUSR1);
		expect(own.epfd, LONG, 42);
		sk_expect(w.fd, SIGUSR1);
		unwatch(own);
		_exit(7);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	expect(w.epfd, 0, 42);
	sk_expect(w.fd, SIGUSR1);
	sk_expect(w.fd, SIGCHLD);
	expect(w.epfd, 0, 0);
	unwatch(w);
}
