/* signalfd: copies, children, new images; and where the kernel has none, or only the older call. */
#define _GNU_SOURCE
#include "askboth.h"
#include "reexec.h"
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(signalfd_life, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { LONG = 15000 };

static int poll_in(int fd, int timeout)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	return poll(&one, 1, timeout);
}

static bool is_fifo(int fd)
{
	struct stat st;

	cr_assert_eq(tk_raw_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0), 0);
	return S_ISFIFO(st.st_mode);
}

static bool kernel_has_any(void)
{
#ifdef SYS_signalfd
	if (!tk_lacks(SYS_signalfd))
		return true;
#endif
	return !tk_lacks(SYS_signalfd4);
}

Test(signalfd_life, is_emulated_where_that_is_asked_for_or_needed)
{
	const char *forced = getenv("EFDSHIM_SIGNALFD");
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, 0);

	cr_assert_eq(is_fifo(fd),
		!kernel_has_any() || (tk_under_shim() && forced && !strcmp(forced, "emulate")));
	close(fd);
}

Test(signalfd_life, copies_are_the_same)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0), one = sk_set(SIGUSR2, 0);
	int fd = sk_open(&set, 0), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 500);

	kill(getpid(), SIGUSR1);
	cr_assert_eq(poll_in(copy, 0), 1);
	close(fd);
	fcntl(high, F_SETFL, O_NONBLOCK);
	sk_expect(copy, SIGUSR1);
	sk_expect_none(copy);
	cr_assert_eq(signalfd(copy, &one, 0), copy);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	sk_expect(high, SIGUSR2);
	sk_expect_none(high);
	close(copy);
	close(high);
}

static void wait_for_own(int fd)
{
	for (int i = 0; i < 5; i++) {
		struct sk_kick kick = {.value = i};

		sk_start(&kick, sk_send_value, SIGRTMIN);
		if (poll_in(fd, LONG) != 1 || sk_read(fd).ssi_int != i)
			_exit(1);
		sk_join(&kick);
	}
	_exit(0);
}

Test(signalfd_life, a_child_has_its_own_signals)
{
	sigset_t set = sk_block(SIGUSR1, SIGRTMIN, 0);
	int fd = sk_open(&set, SFD_NONBLOCK), status;
	pid_t pid;

	raise(SIGUSR1);
	sk_queue(SIGRTMIN, 99);
	cr_assert_eq(poll_in(fd, LONG), 1);
	pid = fork();
	if (!pid) {
		if (poll_in(fd, 0) || poll_in(fd, 10))
			_exit(2);
		wait_for_own(fd);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	sk_expect(fd, SIGUSR1);
	cr_assert_eq(sk_read(fd).ssi_int, 99);
	sk_expect_none(fd);
	close(fd);
}

/* One that slept, and was woken, before it forked. */
Test(signalfd_life, a_child_of_one_that_was_woken)
{
	sigset_t set = sk_block(SIGRTMIN, 0);
	int fd = sk_open(&set, SFD_NONBLOCK), status;
	struct sk_kick kick = {.value = 5};
	pid_t pid;

	sk_start(&kick, sk_send_value, SIGRTMIN);
	cr_assert_eq(poll_in(fd, LONG), 1);
	sk_join(&kick);
	pid = fork();
	if (!pid) {
		sk_expect_none(fd);
		wait_for_own(fd);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	cr_assert_eq(sk_read(fd).ssi_int, 5);
	close(fd);
}

/* arg: the fd, the value of the signal that is pending */
ROLE(reader)
{
	struct signalfd_siginfo info;
	struct pollfd one = {.fd = arg[0], .events = POLLIN};

	CHECK(poll(&one, 1, LONG) == 1);
	CHECK(read(arg[0], &info, sizeof(info)) == sizeof(info));
	CHECK(info.ssi_signo == (uint32_t)SIGRTMIN);
	CHECK(info.ssi_code == SI_QUEUE);
	CHECK(info.ssi_int == arg[1]);
	CHECK(info.ssi_pid == (uint32_t)getpid());
	CHECK(poll(&one, 1, 10) == 0);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(read(arg[0], &info, sizeof(info)) == sizeof(info));
	CHECK(info.ssi_signo == SIGUSR1);
}

static void exec_with_pending(bool slept)
{
	sigset_t set = sk_block(SIGUSR1, SIGRTMIN, 0);
	int fd = sk_open(&set, 0), status;
	pid_t pid = fork();

	if (!pid) {
		struct sk_kick kick = {.value = 12};

		if (slept) {
			sk_start(&kick, sk_send_value, SIGRTMIN);
			if (poll_in(fd, LONG) != 1)
				_exit(3);
			sk_join(&kick);
		} else {
			sk_queue(SIGRTMIN, 12);
		}
		become("reader %d %d", fd, 12);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	close(fd);
}

Test(signalfd_life, a_new_image_has_what_was_pending)
{
	exec_with_pending(false);
}

Test(signalfd_life, a_new_image_has_what_woke_the_old_one)
{
	exec_with_pending(true);
}

/* arg: a signal that is to be ignored, one that is not */
ROLE(ignorer)
{
	struct sigaction action;

	CHECK(sigaction(arg[0], NULL, &action) == 0);
	CHECK(action.sa_handler == SIG_IGN);
	CHECK(sigaction(arg[1], NULL, &action) == 0);
	CHECK(action.sa_handler == SIG_DFL);
}

Test(signalfd_life, a_new_image_ignores_what_was_ignored)
{
	sigset_t set = sk_block(SIGHUP, SIGUSR1, 0);
	int fd = sk_open(&set, SFD_CLOEXEC), status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGHUP, SIG_IGN);
		poll_in(fd, 10);
		become("ignorer %d %d", SIGHUP, SIGUSR1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	close(fd);
}

#ifdef SYS_signalfd
static int without(long one, long two)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd, status;
	pid_t pid = fork();

	if (pid) {
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFEXITED(status));
		return WEXITSTATUS(status);
	}
	unsetenv("EFDSHIM_SIGNALFD");
	tk_deny(one, two);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		_exit(errno == ENOSYS ? 1 : 2);
	if (fcntl(fd, F_GETFD) != FD_CLOEXEC || !(fcntl(fd, F_GETFL) & O_NONBLOCK))
		_exit(3);
	if (poll_in(fd, 10))
		_exit(4);
	kill(getpid(), SIGUSR1);
	if (poll_in(fd, LONG) != 1)
		_exit(5);
	sk_expect(fd, SIGUSR1);
	sk_expect_none(fd);
	_exit(0);
}

static void expect_without(long one, long two)
{
	int result = without(one, two);

	if (result == 77)
		cr_skip_test("no filters");
	cr_assert_eq(result, tk_under_shim() ? 0 : 1);
}

Test(signalfd_life, where_the_kernel_has_the_older_call_only)
{
	expect_without(SYS_signalfd4, SYS_signalfd4);
}

Test(signalfd_life, where_the_kernel_has_none)
{
	expect_without(SYS_signalfd4, SYS_signalfd);
}
#endif
