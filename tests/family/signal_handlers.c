/* eventfd_signal in signal handlers that interrupt calls on the same eventfd. */
#define _GNU_SOURCE
#include "signalkit.h"
#include "testkit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static int fd, set;
static struct efd_file *file;
static _Atomic uint64_t in, out;
static atomic_int handled;
static atomic_bool over;

static void open_all(void)
{
	tk_setup();
	fd = eventfd_at(0);
	set = set_watching(fd, EPOLLIN | EPOLLET, 1);
	file = signal_get(fd);
}

static void close_all(void)
{
	signal_put(file);
	close(set);
	close(fd);
	tk_teardown();
}

TestSuite(signal_handlers, .init = open_all, .fini = close_all, .timeout = 60);

enum { SIGNALS = 3000, ENOUGH_MS = 1000, IN_HANDLER = 3 };

static void put(int n)
{
	int added = eventfd_signal(file, n);
	if (added != n)
		abort();
	atomic_fetch_add(&in, (uint64_t)added);
}

static void get(void)
{
	uint64_t value;
	if (read(fd, &value, sizeof(value)) == sizeof(value))
		atomic_fetch_add(&out, value);
}

static void handler(int sig)
{
	int err = errno;
	(void)sig;
	errno = ERRNO_KEPT;
	put(IN_HANDLER);
	if (errno != ERRNO_KEPT)
		abort();
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void handle(int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

static void *pelt(void *target)
{
	while (!atomic_load(&over)) {
		pthread_kill(*(pthread_t *)target, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static bool enough(int64_t start)
{
	int n = atomic_load(&handled);
	return n >= SIGNALS || (n > 0 && tk_now_ms() - start >= ENOUGH_MS);
}

/* Repeats `step` under a hail of signals, then counts. */
static void storm(void (*step)(void))
{
	pthread_t self = pthread_self(), thread;
	int64_t start = tk_now_ms();
	handle(SA_RESTART);
	cr_assert_eq(pthread_create(&thread, NULL, pelt, &self), 0);
	while (!enough(start))
		step();
	atomic_store(&over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	signal(SIGUSR1, SIG_IGN);
	get();
	cr_assert_eq(atomic_load(&in), atomic_load(&out));
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	set_event(set);
	put(1);
	cr_assert_eq(set_event(set), EPOLLIN);
}

static void step_read(void)
{
	get();
}

static void step_write(void)
{
	uint64_t one = 1;
	if (write(fd, &one, sizeof(one)) == sizeof(one))
		atomic_fetch_add(&in, 1);
}

static void step_signal(void)
{
	put(1);
}

static void step_wait(void)
{
	struct epoll_event event;
	epoll_wait(set, &event, 1, 1);
}

static void step_poll(void)
{
	struct pollfd p = {fd, POLLIN | POLLPRI, 0};
	poll(&p, 1, 0);
}

static void step_arm(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

static void step_references(void)
{
	struct efd_file *more = eventfd_fget(fd);
	if (!more)
		abort();
	efd_fput(more);
}

static void step_mixed(void)
{
	step_write();
	step_wait();
	step_signal();
	step_read();
	step_arm();
}

Test(signal_handlers, interrupt_read)
{
	storm(step_read);
}

Test(signal_handlers, interrupt_write)
{
	storm(step_write);
}

Test(signal_handlers, interrupt_signal)
{
	storm(step_signal);
}

Test(signal_handlers, interrupt_epoll_wait)
{
	storm(step_wait);
}

Test(signal_handlers, interrupt_poll)
{
	storm(step_poll);
}

Test(signal_handlers, interrupt_epoll_ctl)
{
	storm(step_arm);
}

Test(signal_handlers, interrupt_fget_and_fput)
{
	storm(step_references);
}

Test(signal_handlers, interrupt_all_in_turn)
{
	storm(step_mixed);
}

/* Each call asleep, interrupted once by a handler that adds what it waits for. */

static long blocked_read(void *arg)
{
	(void)arg;
	uint64_t value;
	ssize_t n = read(fd, &value, sizeof(value));
	return n == -1 ? -1 : (long)value;
}

Test(signal_handlers, a_read_that_sleeps_and_is_restarted)
{
	struct waiter w;
	handle(SA_RESTART);
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
	waiter_start(&w, blocked_read, NULL);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	cr_assert_eq(waiter_result(&w), IN_HANDLER);
}

Test(signal_handlers, a_read_that_sleeps_and_is_not_restarted)
{
	struct waiter w;
	handle(0);
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
	waiter_start(&w, blocked_read, NULL);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(take_count(fd), IN_HANDLER);
}

Test(signal_handlers, epoll_wait_that_sleeps)
{
	struct waited wait = {.set = set};
	struct waiter w;
	handle(SA_RESTART);
	waiter_start(&w, call_epoll_wait, &wait);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(set_event(set), EPOLLIN);
	cr_assert_eq(take_count(fd), IN_HANDLER);
}

Test(signal_handlers, poll_that_sleeps)
{
	struct pollfd p = {fd, POLLIN, 0};
	struct waiter w;
	handle(SA_RESTART);
	waiter_start(&w, call_poll, &p);
	cr_assert_eq(pthread_kill(w.thread, SIGUSR1), 0);
	cr_assert_eq(waiter_result(&w), -EINTR);
	cr_assert_eq(take_count(fd), IN_HANDLER);
}

/* A handler in one thread fills the counter while another sleeps for nothing but errors. */
Test(signal_handlers, fill_it_for_one_who_sleeps)
{
	struct pollfd p = {fd, 0, 0};
	struct waiter w;
	add_count(fd, COUNT_FULL - IN_HANDLER);
	handle(SA_RESTART);
	waiter_start(&w, call_poll, &p);
	raise(SIGUSR1);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(p.revents, POLLERR);
	cr_assert_eq(take_count(fd), COUNT_FULL);
}
