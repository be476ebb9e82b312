#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t sk_calls;

static sigset_t collect(int sig, va_list more)
{
	sigset_t set;

	sigemptyset(&set);
	for (; sig; sig = va_arg(more, int))
		sigaddset(&set, sig);
	return set;
}

sigset_t sk_set(int sig, ...)
{
	va_list more;
	sigset_t set;

	va_start(more, sig);
	set = collect(sig, more);
	va_end(more);
	return set;
}

sigset_t sk_block(int sig, ...)
{
	va_list more;
	sigset_t set;

	va_start(more, sig);
	set = collect(sig, more);
	va_end(more);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	return set;
}

int sk_open(const sigset_t *set, int flags)
{
	int fd = signalfd(-1, set, flags);

	cr_assert_geq(fd, 0, "signalfd: %s", strerror(errno));
	return fd;
}

struct signalfd_siginfo sk_read(int fd)
{
	struct signalfd_siginfo info;
	ssize_t n;

	memset(&info, 0xee, sizeof(info));
	n = read(fd, &info, sizeof(info));
	cr_assert_eq(n, (ssize_t)sizeof(info), "read: %zd %s", n, strerror(errno));
	return info;
}

void sk_expect(int fd, int sig)
{
	cr_assert_eq((int)sk_read(fd).ssi_signo, sig);
}

void sk_expect_none(int fd)
{
	struct signalfd_siginfo info;

	cr_assert_eq(read(fd, &info, sizeof(info)), -1, "signal %d", (int)info.ssi_signo);
	cr_assert_eq(errno, EAGAIN);
}

void sk_queue(int sig, int value)
{
	cr_assert_eq(sigqueue(getpid(), sig, (union sigval){.sival_int = value}), 0);
}

void sk_kill(const struct sk_kick *kick)
{
	kill(getpid(), kick->sig);
}

void sk_send_value(const struct sk_kick *kick)
{
	sk_queue(kick->sig, kick->value);
}

void sk_kill_thread(const struct sk_kick *kick)
{
	pthread_kill(kick->to, kick->sig);
}

static void *run(void *arg)
{
	struct sk_kick *kick = arg;

	tk_wait_asleep(kick->tid);
	kick->act(kick);
	return NULL;
}

void sk_start(struct sk_kick *kick, void (*act)(const struct sk_kick *), int sig)
{
	sigset_t all, before;

	kick->act = act;
	kick->sig = sig;
	kick->to = pthread_self();
	kick->tid = gettid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	cr_assert_eq(pthread_create(&kick->thread, NULL, run, kick), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sk_join(struct sk_kick *kick)
{
	pthread_join(kick->thread, NULL);
}

static void count(int sig)
{
	(void)sig;
	sk_calls++;
}

void sk_handle(int sig, int flags)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = flags};

	cr_assert_eq(sigaction(sig, &action, NULL), 0);
}
