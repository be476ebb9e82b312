/* signalfd: the program's own handlers and waits, beside what the emulation needs of them. */
#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(signalfd_handlers, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { LONG = 15000 };

static int poll_in(int fd, int timeout)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	return poll(&one, 1, timeout);
}

Test(signalfd_handlers, the_own_handler_is_called_once_it_is_let_in)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0), before;
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct sigaction action;
	struct sk_kick kick = {0};

	sk_handle(SIGUSR1, 0);
	sk_start(&kick, sk_kill, SIGUSR1);
	cr_assert_eq(poll_in(fd, LONG), 1);
	sk_join(&kick);
	cr_assert_eq(sk_calls, 0);
	pthread_sigmask(SIG_UNBLOCK, &set, &before);
	cr_assert_eq(sk_calls, 1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sk_expect_none(fd);
	cr_assert_eq(sigaction(SIGUSR2, NULL, &action), 0);
	cr_assert_eq(action.sa_handler, SIG_DFL);
	sk_handle(SIGUSR2, SA_RESTART);
	cr_assert_eq(sigaction(SIGUSR2, NULL, &action), 0);
	cr_assert_eq(action.sa_flags & SA_RESTART, SA_RESTART);
	raise(SIGUSR2);
	cr_assert_eq(poll_in(fd, LONG), 1);
	cr_assert_eq(signal(SIGUSR2, SIG_IGN), action.sa_handler);
	sk_expect_none(fd);
	close(fd);
}

static siginfo_t seen;

static void look(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	seen = *info;
}

Test(signalfd_handlers, a_handler_sees_what_was_sent)
{
	sigset_t set = sk_block(SIGRTMIN, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO};
	struct sk_kick kick = {.value = 4711};

	sigaction(SIGRTMIN, &action, NULL);
	sk_start(&kick, sk_send_value, SIGRTMIN);
	cr_assert_eq(poll_in(fd, LONG), 1);
	sk_join(&kick);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	cr_assert_eq(seen.si_value.sival_int, 4711);
	cr_assert_eq(seen.si_pid, getpid());
	cr_assert_eq(seen.si_code, SI_QUEUE);
	close(fd);
}

Test(signalfd_handlers, default_actions_are_in_force)
{
	sigset_t set = sk_block(SIGTERM, SIGCHLD, 0);
	int fd = sk_open(&set, 0), status;
	pid_t pid = fork();

	if (!pid) {
		cr_assert_eq(poll_in(fd, 10), 0); /* whatever it takes is in place */
		raise(SIGTERM);
		cr_assert_eq(poll_in(fd, 0), 1);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		_exit(3);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGTERM);
	sk_expect(fd, SIGCHLD);
	close(fd);
}

Test(signalfd_handlers, sigwait_takes_it_as_it_came)
{
	sigset_t set = sk_block(SIGRTMIN, SIGUSR1, 0), pending;
	int fd = sk_open(&set, SFD_NONBLOCK), sig;
	siginfo_t info;

	for (int i = 0; i < 20; i++) {
		struct sk_kick kick = {.value = i};

		sk_start(&kick, sk_send_value, SIGRTMIN);
		cr_assert_eq(poll_in(fd, LONG), 1);
		sk_join(&kick);
		sk_queue(SIGRTMIN, 1000 + i);
		sigpending(&pending);
		cr_assert(sigismember(&pending, SIGRTMIN));
		cr_assert_eq(sigwaitinfo(&set, &info), SIGRTMIN);
		cr_assert_eq(info.si_value.sival_int, i);
		if (i % 2)
			cr_assert_eq(sk_read(fd).ssi_int, 1000 + i);
		else
			cr_assert_eq(sigwait(&set, &sig), 0);
		cr_assert_eq(poll_in(fd, 0), 0);
	}
	close(fd);
}

/* One to the process, which has woken a sleeper, and one to the thread: these are two. */
Test(signalfd_handlers, sigwait_takes_that_of_the_thread_and_that_of_the_process)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK), sig;
	struct sk_kick kick = {0};

	for (int i = 0; i < 4; i++) {
		sk_start(&kick, sk_kill, SIGUSR1);
		cr_assert_eq(poll_in(fd, LONG), 1);
		sk_join(&kick);
		raise(SIGUSR1);
		cr_assert_eq(sigwait(&set, &sig), 0);
		cr_assert_eq(sig, SIGUSR1);
		cr_assert_eq(poll_in(fd, 0), 1, "one of two is lost");
		sk_expect(fd, SIGUSR1);
		sk_expect_none(fd);
	}
	close(fd);
}

static int ppoll_in(int fd, const sigset_t *mask)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	return ppoll(&one, 1, &(struct timespec){.tv_sec = LONG / 1000}, mask);
}

static int epoll_pwait_in(int fd, const sigset_t *mask)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(0), n;

	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	n = epoll_pwait(set, &event, 1, LONG, mask);
	close(set);
	return n;
}

/* The sleep alone has it blocked: told of first, handled at the end, and let in from then on. */
Test(signalfd_handlers, blocked_during_the_wait_alone)
{
	int (*const ways[])(int, const sigset_t *) = {ppoll_in, epoll_pwait_in};
	sigset_t set = sk_set(SIGUSR1, 0), now;
	int fd = sk_open(&set, SFD_NONBLOCK);

	sk_handle(SIGUSR1, 0);
	for (int i = 0; i < 10; i++) {
		struct sk_kick kick = {0};

		sk_start(&kick, sk_kill, SIGUSR1);
		cr_assert_eq(ways[i % 2](fd, &set), 1);
		sk_join(&kick);
		cr_assert_eq(sk_calls, i + 1);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		cr_assert_not(sigismember(&now, SIGUSR1));
	}
	close(fd);
}

static void nobody(int sig)
{
	(void)sig;
}

static void let_in(const sigset_t *set)
{
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void discard(const sigset_t *set)
{
	(void)set;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR1, nobody);
}

static void take_by_number(const sigset_t *set)
{
	struct timespec now = {0, 0};

	cr_assert_eq(syscall(SYS_rt_sigtimedwait, set, NULL, &now, 8), SIGUSR1);
}

/* However it went: the next one is an edge. */
Test(signalfd_handlers, edges_after_it_was_not_read)
{
	void (*const ways[])(const sigset_t *) = {let_in, discard, take_by_number};
	sigset_t set = sk_block(SIGUSR1, 0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int fd = sk_open(&set, SFD_NONBLOCK), epfd = epoll_create1(0);

	signal(SIGUSR1, nobody);
	cr_assert_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
	cr_assert_eq(epoll_wait(epfd, &event, 1, 10), 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		raise(SIGUSR1);
		cr_assert_eq(epoll_wait(epfd, &event, 1, 1000), 1, "way %zu", i);
		ways[i](&set);
		sk_expect_none(fd);
	}
	raise(SIGUSR1);
	cr_assert_eq(epoll_wait(epfd, &event, 1, 1000), 1);
	sk_expect(fd, SIGUSR1);
	close(epfd);
	close(fd);
}
