/* signalfd: poll and select, and reads that sleep; what wakes them is read afterwards as it came.
 */
#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(signalfd_poll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { LONG = 15000, ROUNDS = 50 };

static int poll_in(int fd, int timeout)
{
	struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
	int n = poll(&one, 1, timeout);

	if (n > 0)
		cr_assert_eq(one.revents, POLLIN);
	return n;
}

static int select_in(int fd, int timeout)
{
	struct timeval limit = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
	fd_set in, out;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	n = select(fd + 1, &in, &out, NULL, &limit);
	if (n >= 0)
		cr_assert_eq(!!FD_ISSET(fd, &in), n > 0);
	if (n > 0)
		cr_assert_not(FD_ISSET(fd, &out));
	return n;
}

/* As poll sleeps, but in the read itself. */
static int no_wait(int fd, int timeout)
{
	(void)fd;
	return timeout ? 1 : 0;
}

static int (*const ways[])(int fd, int timeout) = {poll_in, select_in, no_wait};
enum { WAYS = sizeof(ways) / sizeof(ways[0]), POLLED = 2 };

Test(signalfd_poll, shows_what_is_pending)
{
	sigset_t set = sk_block(SIGUSR1, 0), other = sk_block(SIGUSR2, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);

	(void)other;
	for (int way = 0; way < POLLED; way++) {
		cr_assert_eq(ways[way](fd, 0), 0);
		kill(getpid(), SIGUSR2);
		cr_assert_eq(ways[way](fd, 0), 0);
		kill(getpid(), SIGUSR1);
		cr_assert_eq(ways[way](fd, 0), 1);
		cr_assert_eq(ways[way](fd, LONG), 1);
		sk_expect(fd, SIGUSR1);
		cr_assert_eq(ways[way](fd, 0), 0);
		cr_assert_eq(ways[way](fd, 20), 0);
	}
	close(fd);
}

Test(signalfd_poll, a_sleeper_wakes_and_reads_what_was_sent)
{
	sigset_t set = sk_block(SIGRTMIN + 1, 0);
	int fd = sk_open(&set, 0);

	for (int i = 0; i < ROUNDS; i++) {
		struct sk_kick kick = {.value = i};
		struct signalfd_siginfo info;

		sk_start(&kick, sk_send_value, SIGRTMIN + 1);
		cr_assert_eq(ways[i % WAYS](fd, LONG), 1);
		info = sk_read(fd);
		cr_assert_eq(info.ssi_signo, (uint32_t)SIGRTMIN + 1);
		cr_assert_eq(info.ssi_code, SI_QUEUE);
		cr_assert_eq(info.ssi_int, i);
		cr_assert_eq(info.ssi_pid, (uint32_t)getpid());
		cr_assert_eq(info.ssi_uid, getuid());
		cr_assert_eq(poll_in(fd, 0), 0);
		sk_join(&kick);
	}
	close(fd);
}

Test(signalfd_poll, a_sleeper_wakes_for_kill)
{
	sigset_t set = sk_block(SIGUSR1, SIGTERM, 0);
	int fd = sk_open(&set, 0);

	for (int i = 0; i < ROUNDS; i++) {
		struct sk_kick kick = {0};
		struct signalfd_siginfo info;

		sk_start(&kick, sk_kill, i % 2 ? SIGUSR1 : SIGTERM);
		cr_assert_eq(ways[i % WAYS](fd, LONG), 1);
		info = sk_read(fd);
		cr_assert_eq(info.ssi_signo, (uint32_t)kick.sig);
		cr_assert_eq(info.ssi_code, SI_USER);
		cr_assert_eq(info.ssi_pid, (uint32_t)getpid());
		cr_assert_eq(info.ssi_ptr, 0);
		sk_join(&kick);
	}
	close(fd);
}

Test(signalfd_poll, a_sleeper_wakes_for_a_signal_to_its_thread)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, 0);

	for (int i = 0; i < ROUNDS; i++) {
		struct sk_kick kick = {0};
		struct signalfd_siginfo info;

		sk_start(&kick, sk_kill_thread, SIGUSR1);
		cr_assert_eq(ways[i % WAYS](fd, LONG), 1);
		info = sk_read(fd);
		cr_assert_eq(info.ssi_code, SI_TKILL);
		cr_assert_eq(info.ssi_pid, (uint32_t)getpid());
		sk_join(&kick);
	}
	close(fd);
}

static void exit_child(const struct sk_kick *kick)
{
	kill(kick->value, SIGCONT); /* nothing: it waits in read */
	uint64_t one = 1;
	cr_assert_eq(write(kick->fd, &one, sizeof(one)), 8);
}

Test(signalfd_poll, a_sleeper_wakes_for_a_child)
{
	sigset_t set = sk_block(SIGCHLD, 0);
	int fd = sk_open(&set, 0);

	for (int i = 0; i < 12; i++) {
		struct sk_kick kick = {.fd = eventfd(0, 0)};
		struct signalfd_siginfo info;
		uint64_t word;
		pid_t pid = fork();

		if (!pid)
			_exit(read(kick.fd, &word, 8) == 8 ? i : 99);
		kick.value = pid;
		sk_start(&kick, exit_child, 0);
		cr_assert_eq(ways[i % WAYS](fd, LONG), 1);
		info = sk_read(fd);
		cr_assert_eq(info.ssi_signo, SIGCHLD);
		cr_assert_eq(info.ssi_code, CLD_EXITED);
		cr_assert_eq(info.ssi_pid, (uint32_t)pid);
		cr_assert_eq(info.ssi_status, i);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		sk_join(&kick);
		close(kick.fd);
	}
	close(fd);
}

static void send_many(const struct sk_kick *kick)
{
	for (int i = 0; i < kick->value; i++)
		sk_queue(kick->sig, i);
}

Test(signalfd_poll, realtime_signals_stay_in_order)
{
	enum { MANY = 2000 };
	sigset_t set = sk_block(SIGRTMIN + 4, 0);
	int fd = sk_open(&set, SFD_NONBLOCK), got = 0;
	struct sk_kick kick = {.value = MANY};
	struct signalfd_siginfo infos[3];

	sk_start(&kick, send_many, SIGRTMIN + 4);
	while (got < MANY) {
		ssize_t n;

		cr_assert_eq(poll_in(fd, LONG), 1, "after %d", got);
		n = read(fd, infos, sizeof(infos));
		cr_assert(n > 0, "%s after %d", strerror(errno), got);
		for (int i = 0; i < n / (ssize_t)sizeof(*infos); i++)
			cr_assert_eq(
				infos[i].ssi_int, got++, "%d is %d", got - 1, infos[i].ssi_int);
	}
	sk_expect_none(fd);
	sk_join(&kick);
	close(fd);
}

Test(signalfd_poll, beside_other_fds)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int ends[2], event = eventfd(0, EFD_NONBLOCK), fd = sk_open(&set, 0);
	struct pollfd fds[3];
	struct sk_kick kick = {0};

	cr_assert_eq(pipe(ends), 0);
	fds[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
	fds[1] = (struct pollfd){.fd = event, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = fd, .events = POLLIN};
	cr_assert_eq(poll(fds, 3, 0), 0);
	sk_start(&kick, sk_kill, SIGUSR1);
	cr_assert_eq(poll(fds, 3, LONG), 1);
	cr_assert_eq(fds[2].revents, POLLIN);
	sk_join(&kick);
	eventfd_write(event, 1);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	cr_assert_eq(poll(fds, 3, LONG), 3);
	sk_expect(fd, SIGUSR1);
	cr_assert_eq(poll(fds, 3, LONG), 2);
	cr_assert_eq(fds[2].revents, 0);
	close(fd);
	close(event);
	close(ends[0]);
	close(ends[1]);
}

Test(signalfd_poll, other_signals_interrupt)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, 0);

	sk_handle(SIGUSR2, SA_RESTART);
	for (int way = 0; way < POLLED; way++) {
		struct sk_kick kick = {0};

		sk_start(&kick, sk_kill_thread, SIGUSR2);
		cr_assert_eq(ways[way](fd, LONG), -1);
		cr_assert_eq(errno, EINTR);
		sk_join(&kick);
	}
	cr_assert_eq(sk_calls, 2);
	close(fd);
}

Test(signalfd_poll, a_read_is_interrupted_unless_it_is_to_be_restarted)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, 0);
	struct signalfd_siginfo info;
	struct sk_kick first = {0}, second = {0};

	sk_handle(SIGUSR2, 0);
	sk_start(&first, sk_kill_thread, SIGUSR2);
	cr_assert_eq(read(fd, &info, sizeof(info)), -1);
	cr_assert_eq(errno, EINTR);
	sk_join(&first);
	sk_handle(SIGUSR2, SA_RESTART);
	sk_start(&first, sk_kill_thread, SIGUSR2);
	sk_start(&second, sk_kill, SIGUSR1);
	sk_expect(fd, SIGUSR1);
	sk_join(&first);
	sk_join(&second);
	close(fd);
}

Test(signalfd_poll, ppoll_with_a_mask)
{
	sigset_t all = sk_block(SIGUSR1, SIGUSR2, SIGALRM, 0), set = sk_set(SIGUSR1, SIGALRM, 0),
		 mask;
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct pollfd one = {.fd = fd, .events = POLLIN};
	struct timespec limit = {.tv_sec = 15};
	struct sk_kick kick = {0};

	sk_handle(SIGUSR2, 0);
	sk_handle(SIGALRM, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGUSR2);
	sigdelset(&mask, SIGALRM);
	(void)all;
	sk_start(&kick, sk_kill_thread, SIGUSR2);
	cr_assert_eq(ppoll(&one, 1, &limit, &mask), -1);
	cr_assert_eq(errno, EINTR);
	cr_assert_eq(sk_calls, 1);
	sk_join(&kick);
	sk_start(&kick, sk_kill_thread, SIGUSR1);
	cr_assert_eq(ppoll(&one, 1, &limit, &mask), 1);
	sk_join(&kick);
	sk_expect(fd, SIGUSR1);
	sk_start(&kick, sk_kill_thread, SIGALRM);
	cr_assert_eq(ppoll(&one, 1, &limit, &mask), 1);
	sk_join(&kick);
	cr_assert_eq(sk_calls, 1);
	sk_expect(fd, SIGALRM);
	close(fd);
}

static void *poll_and_tell(void *arg)
{
	return (void *)(long)poll_in(*(int *)arg, LONG);
}

Test(signalfd_poll, all_sleepers_wake)
{
	enum { SLEEPERS = 4 };
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	pthread_t threads[SLEEPERS];
	void *result;

	for (int i = 0; i < SLEEPERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, poll_and_tell, &fd), 0);
	usleep(50000);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < SLEEPERS; i++) {
		pthread_join(threads[i], &result);
		cr_assert_eq((long)result, 1);
	}
	sk_expect(fd, SIGUSR1);
	close(fd);
}

static void *read_three(void *arg)
{
	for (int i = 0; i < 500; i++)
		sk_read(*(int *)arg);
	return NULL;
}

Test(signalfd_poll, several_readers_lose_nothing)
{
	enum { READERS = 4, ALL = READERS * 500 };
	sigset_t set = sk_block(SIGRTMIN, 0);
	int fd = sk_open(&set, 0);
	pthread_t threads[READERS];

	for (int i = 0; i < READERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, read_three, &fd), 0);
	for (int i = 0; i < ALL; i++)
		sk_queue(SIGRTMIN, i);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(poll_in(fd, 0), 0);
	close(fd);
}

static void *read_for_ever(void *arg)
{
	struct signalfd_siginfo info;

	return (void *)(long)read(*(int *)arg, &info, sizeof(info));
}

Test(signalfd_poll, sleepers_can_be_cancelled)
{
	void *(*const calls[])(void *) = {read_for_ever, poll_and_tell};
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, 0);

	for (int i = 0; i < 2; i++) {
		pthread_t thread;
		void *result;

		cr_assert_eq(pthread_create(&thread, NULL, calls[i], &fd), 0);
		usleep(20000);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		cr_assert_eq(result, PTHREAD_CANCELED);
	}
	kill(getpid(), SIGUSR1);
	sk_expect(fd, SIGUSR1);
	close(fd);
}
