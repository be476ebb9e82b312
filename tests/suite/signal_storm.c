/* Handlers that use the eventfd which the code they interrupt is using: nothing may hang, and no
 * count may be lost or made up. */
#define _GNU_SOURCE
#include "efd.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

enum { SIGNALS = 3000, ENOUGH_MS = 1000, TICKS = 1000, BIG_SHIFT = 62 };

static int fd;
static int epfd;
static atomic_int handled;
static _Atomic uint64_t in, out;
static atomic_bool over;

static void open_all(void)
{
	tk_setup();
	fd = efd_open(0, EFD_NONBLOCK);
	atomic_store(&over, false);
}

static void close_all(void)
{
	efd_close(fd);
	tk_teardown();
}

TestSuite(signal_storm, .init = open_all, .fini = close_all, .timeout = 30);

static bool put(uint64_t value)
{
	if (write(fd, &value, sizeof(value)) != sizeof(value))
		return false;
	atomic_fetch_add(&in, value);
	return true;
}

static bool get(void)
{
	uint64_t value;
	if (read(fd, &value, sizeof(value)) != sizeof(value))
		return false;
	atomic_fetch_add(&out, value);
	return true;
}

static void on_signal(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
	sigemptyset(&sa.sa_mask);
	cr_assert_eq(sigaction(sig, &sa, NULL), 0);
}

static void *pelt(void *target)
{
	while (!atomic_load(&over)) {
		pthread_kill(*(pthread_t *)target, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static bool stormy(int64_t start)
{
	int n = atomic_load(&handled);
	return n == 0 || (n < SIGNALS && tk_now_ms() - start < ENOUGH_MS);
}

/* Repeats `step` under a hail of signals. */
static void storm(void (*handler)(int), void (*step)(void))
{
	pthread_t self = pthread_self(), thread;
	int64_t start = tk_now_ms();
	on_signal(SIGUSR1, handler, SA_RESTART);
	cr_assert_eq(pthread_create(&thread, NULL, pelt, &self), 0);
	while (stormy(start))
		step();
	atomic_store(&over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	on_signal(SIGUSR1, SIG_IGN, 0);
}

static void expect_conserved(void)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (get())
		continue;
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(atomic_load(&in), atomic_load(&out));
	efd_expect_empty(fd);
	efd_add(fd, 1);
	efd_expect(fd, 1);
}

/* The handlers: errno is kept, as a handler must. */

static void handler_puts(int sig)
{
	int err = errno;
	(void)sig;
	put(1);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void handler_gets(int sig)
{
	int err = errno;
	(void)sig;
	get();
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void handler_puts_and_gets(int sig)
{
	int err = errno;
	(void)sig;
	put(3);
	get();
	put(2);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void handler_puts_by_a_dup(int sig)
{
	int err = errno, other = dup(fd);
	uint64_t one = 1;
	(void)sig;
	if (write(other, &one, 8) == 8)
		atomic_fetch_add(&in, 1);
	close(other);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

static void handler_polls_and_puts(int sig)
{
	int err = errno;
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	(void)sig;
	if (poll(&p, 1, 0) == 1)
		put(1);
	atomic_fetch_add(&handled, 1);
	errno = err;
}

/* The steps: what is interrupted. */

static void step_gets(void)
{
	if (!get())
		cr_assert_eq(errno, EAGAIN);
}

static void step_puts(void)
{
	cr_assert(put(1));
}

static void step_puts_and_gets(void)
{
	put(5);
	get();
}

static void step_fills_and_drains(void)
{
	put(1ull << BIG_SHIFT);
	put(1ull << BIG_SHIFT);
	if (!put(2ull << BIG_SHIFT))
		cr_assert_eq(errno, EAGAIN);
	get();
}

static void step_dups_and_puts(void)
{
	int other = dup(fd);
	uint64_t one = 1;
	cr_assert_eq(write(other, &one, 8), 8);
	atomic_fetch_add(&in, 1);
	cr_assert_eq(close(other), 0);
	get();
}

static void step_polls_and_gets(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n = poll(&p, 1, 1000);
	if (n == 1)
		cr_assert(get());
	else
		cr_assert(n == -1 && errno == EINTR);
}

static void step_waits_by_epoll_and_gets(void)
{
	struct epoll_event e;
	int n = epoll_wait(epfd, &e, 1, 1000);
	if (n == 1)
		cr_assert(get());
	else
		cr_assert(n == -1 && errno == EINTR);
}

Test(signal_storm, a_handler_puts_while_its_thread_gets)
{
	storm(handler_puts, step_gets);
	expect_conserved();
}

Test(signal_storm, a_handler_puts_while_its_thread_puts)
{
	storm(handler_puts, step_puts);
	expect_conserved();
}

Test(signal_storm, a_handler_gets_while_its_thread_puts)
{
	storm(handler_gets, step_puts);
	expect_conserved();
}

Test(signal_storm, a_handler_gets_while_its_thread_gets_and_puts)
{
	storm(handler_gets, step_puts_and_gets);
	expect_conserved();
}

Test(signal_storm, a_handler_puts_and_gets_while_its_thread_does)
{
	storm(handler_puts_and_gets, step_puts_and_gets);
	expect_conserved();
}

Test(signal_storm, a_handler_gets_and_puts_at_the_limit)
{
	storm(handler_puts_and_gets, step_fills_and_drains);
	expect_conserved();
}

Test(signal_storm, a_handler_dups_and_closes_while_its_thread_does)
{
	storm(handler_puts_by_a_dup, step_dups_and_puts);
	expect_conserved();
}

Test(signal_storm, a_handler_feeds_the_blocking_read_of_its_thread)
{
	fcntl(fd, F_SETFL, 0);
	storm(handler_puts, step_gets);
	expect_conserved();
}

Test(signal_storm, a_handler_feeds_the_blocking_semaphore_read_of_its_thread)
{
	efd_close(fd);
	fd = efd_open(0, EFD_SEMAPHORE);
	storm(handler_puts, step_gets);
	expect_conserved();
}

Test(signal_storm, a_handler_feeds_the_poll_of_its_thread)
{
	storm(handler_polls_and_puts, step_polls_and_gets);
	expect_conserved();
}

static void storm_epoll(unsigned events)
{
	struct epoll_event e = {.events = events};
	epfd = epoll_create1(EPOLL_CLOEXEC);
	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e), 0);
	storm(handler_puts, step_waits_by_epoll_and_gets);
	expect_conserved();
	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &e), 0);
	cr_assert_eq(epoll_wait(epfd, &e, 1, 0), 0);
	cr_assert_eq(close(epfd), 0);
}

Test(signal_storm, a_handler_feeds_the_epoll_wait_of_its_thread)
{
	storm_epoll(EPOLLIN);
}

Test(signal_storm, a_handler_writes_whenever_the_timer_strikes)
{
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	on_signal(SIGALRM, handler_puts, SA_RESTART);
	cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (atomic_load(&handled) < TICKS)
		step_puts_and_gets();
	cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	on_signal(SIGALRM, SIG_IGN, 0);
	expect_conserved();
}

static void handler_puts_and_keeps_no_errno(int sig)
{
	(void)sig;
	put(1);
	atomic_fetch_add(&handled, 1);
}

static void step_watches_errno(void)
{
	errno = 12345;
	for (int i = 0; i < 1000; i++)
		atomic_signal_fence(memory_order_seq_cst);
	cr_assert_eq(errno, 12345);
}

Test(signal_storm, a_successful_write_in_a_handler_leaves_errno_alone)
{
	storm(handler_puts_and_keeps_no_errno, step_watches_errno);
	cr_assert_eq(atomic_load(&in), (uint64_t)atomic_load(&handled));
	expect_conserved();
}

Test(signal_storm, two_threads_under_fire_share_one_eventfd)
{
	pthread_t thread, self = pthread_self();
	int64_t start = tk_now_ms();
	on_signal(SIGUSR1, handler_puts_and_gets, SA_RESTART);
	cr_assert_eq(pthread_create(&thread, NULL, pelt, &self), 0);
	while (stormy(start)) {
		step_puts_and_gets();
		pthread_kill(thread, SIGUSR1);
	}
	atomic_store(&over, true);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	on_signal(SIGUSR1, SIG_IGN, 0);
	expect_conserved();
}
