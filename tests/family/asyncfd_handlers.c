/* Producers in signal handlers that interrupt the consumer's own calls. */
#define _GNU_SOURCE
#include "asynckit.h"
#include "testkit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

TestSuite(asyncfd_handlers, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

static struct ring ring;
static volatile sig_atomic_t stored;

static void handler(int sig)
{
	struct asyncfd_result one = ring_result(ring.sent + 1);
	int err = errno;
	(void)sig;
	errno = RING_ERRNO;
	int ret = asyncfd_add_results(ring.file, &one, 1);
	if (ret < 0 || errno != RING_ERRNO)
		abort();
	ring.sent += (uint64_t)ret;
	stored = stored + ret;
	errno = err;
}

static void handle(void)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

Test(asyncfd_handlers, between_two_calls)
{
	ring = ring_open(4, 0);
	handle();
	for (int i = 0; i < 50; i++) {
		raise(SIGUSR1);
		cr_assert_eq(poll_now(ring.fd, POLLIN), POLLIN);
		ring_expect(&ring, 1);
		cr_assert_eq(poll_now(ring.fd, POLLIN), 0);
	}
	ring_close(&ring);
}

static void interrupt(long (*call)(void *), void *arg, long want)
{
	struct waiter w;
	waiter_start(&w, call, arg);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	cr_assert_eq(waiter_result(&w), want);
}

Test(asyncfd_handlers, poll_that_sleeps)
{
	ring = ring_open(4, 0);
	struct pollfd p = {ring.fd, POLLIN, 0};
	handle();
	for (int i = 0; i < 10; i++) {
		interrupt(call_poll, &p, -EINTR);
		cr_assert_eq(poll_now(ring.fd, POLLIN), POLLIN);
		ring_expect(&ring, 1);
	}
	ring_close(&ring);
}

Test(asyncfd_handlers, epoll_wait_that_sleeps)
{
	static const uint32_t kinds[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
	handle();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		ring = ring_open(4, 0);
		struct waited wait = {.set = set_watching(ring.fd, kinds[i], 1)};
		interrupt(call_epoll_wait, &wait, -EINTR);
		cr_assert_eq(set_event(wait.set), EPOLLIN);
		ring_expect(&ring, 1);
		cr_assert_eq(set_event(wait.set), 0);
		close(wait.set);
		ring_close(&ring);
	}
}

/* Timer signals, while this thread does all there is to do. */
static void on_timer(void (*step)(int set))
{
	enum { ENOUGH = 300 };
	ring = ring_open(64, 0);
	int set = set_watching(ring.fd, EPOLLIN | EPOLLET, 1);
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec each = {{0, 100000}, {0, 100000}}, never = {0};
	timer_t timer;
	handle();
	stored = 0;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	cr_assert_eq(timer_settime(timer, 0, &each, NULL), 0);
	for (int64_t end = tk_now_ms() + 20000; stored < ENOUGH;) {
		struct asyncfd_result got;
		step(set);
		while (asyncfd_take_result(ring.head, &got))
			if (!ring_is_result(&got, ++ring.taken))
				cr_assert_fail("result %ju", (uintmax_t)got.cookie);
		cr_assert(tk_now_ms() < end);
	}
	cr_assert_eq(timer_settime(timer, 0, &never, NULL), 0);
	cr_assert_eq(timer_delete(timer), 0);
	signal(SIGUSR1, SIG_IGN);
	ring_expect(&ring, (int)(ring.sent - ring.taken));
	ring_expect_empty(&ring);
	close(set);
	ring_close(&ring);
}

static void step_wait(int set)
{
	struct epoll_event event;
	epoll_wait(set, &event, 1, 1);
}

static void step_poll(int set)
{
	struct pollfd p[2] = {{ring.fd, POLLIN, 0}, {set, POLLIN, 0}};
	poll(p, 2, 0);
}

static void step_arm(int set)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	epoll_ctl(set, EPOLL_CTL_MOD, ring.fd, &event);
}

/* The handler is held off only while the test itself changes from one to the other. */
static void step_replace(int set)
{
	static struct ring spare;
	static bool there;
	sigset_t usr1;
	(void)set;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	if (!there)
		spare = ring_new(64, 0);
	there = true;
	struct asyncfd_result got;
	while (asyncfd_take_result(ring.head, &got))
		ring.taken++;
	struct asyncfd_uring *old = ring.head;
	if (asyncfd(ring.fd, spare.head) != ring.fd)
		abort();
	ring.head = spare.head;
	spare.head = old;
	struct asyncfd_result *array = ring.array;
	ring.array = spare.array;
	spare.array = array;
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}

Test(asyncfd_handlers, epoll_wait_on_and_on)
{
	on_timer(step_wait);
}

Test(asyncfd_handlers, poll_on_and_on)
{
	on_timer(step_poll);
}

Test(asyncfd_handlers, epoll_ctl_on_and_on)
{
	on_timer(step_arm);
}

Test(asyncfd_handlers, rings_replaced_on_and_on)
{
	on_timer(step_replace);
}
