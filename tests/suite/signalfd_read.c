/* signalfd: what is read, and what is refused. */
#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(signalfd_read, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { SIZE = sizeof(struct signalfd_siginfo) };

Test(signalfd_read, a_signal_from_kill)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct signalfd_siginfo info, want = {0};

	sk_expect_none(fd);
	kill(getpid(), SIGUSR1);
	info = sk_read(fd);
	want.ssi_signo = SIGUSR1;
	want.ssi_pid = (uint32_t)getpid();
	want.ssi_uid = getuid();
	cr_assert_eq(memcmp(&info, &want, SIZE), 0);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, a_signal_from_sigqueue)
{
	sigset_t set = sk_block(SIGRTMIN + 1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct signalfd_siginfo info, want = {0};
	union sigval value = {.sival_ptr = (void *)0x123456789abcull};

	sigqueue(getpid(), SIGRTMIN + 1, value);
	info = sk_read(fd);
	want.ssi_signo = (uint32_t)SIGRTMIN + 1;
	want.ssi_code = SI_QUEUE;
	want.ssi_pid = (uint32_t)getpid();
	want.ssi_uid = getuid();
	want.ssi_ptr = 0x123456789abcull;
	want.ssi_int = 0x56789abc;
	cr_assert_eq(memcmp(&info, &want, SIZE), 0);
	close(fd);
}

Test(signalfd_read, a_signal_of_a_thread)
{
	sigset_t set = sk_block(SIGUSR2, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct signalfd_siginfo info;

	pthread_kill(pthread_self(), SIGUSR2);
	info = sk_read(fd);
	cr_assert_eq(info.ssi_code, SI_TKILL);
	cr_assert_eq(info.ssi_pid, (uint32_t)getpid());
	cr_assert_eq(info.ssi_uid, getuid());
	sk_expect_none(fd);
	close(fd);
}

static void *see_none(void *arg)
{
	sk_expect_none(*(int *)arg);
	return NULL;
}

Test(signalfd_read, the_signal_of_one_thread_is_not_for_another)
{
	sigset_t set = sk_block(SIGUSR2, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	pthread_t thread;

	pthread_kill(pthread_self(), SIGUSR2);
	pthread_create(&thread, NULL, see_none, &fd);
	pthread_join(thread, NULL);
	sk_expect(fd, SIGUSR2);
	close(fd);
}

static void child_with(int status, int sig)
{
	sigset_t set = sk_block(SIGCHLD, 0);
	int fd = sk_open(&set, 0);
	struct signalfd_siginfo info;
	pid_t pid = fork();

	if (!pid) {
		if (sig)
			raise(sig);
		_exit(status);
	}
	info = sk_read(fd);
	cr_assert_eq(info.ssi_signo, SIGCHLD);
	cr_assert_eq(info.ssi_code, sig ? CLD_KILLED : CLD_EXITED);
	cr_assert_eq(info.ssi_pid, (uint32_t)pid);
	cr_assert_eq(info.ssi_uid, getuid());
	cr_assert_eq(info.ssi_status, sig ? sig : status);
	cr_assert_eq(info.ssi_ptr, 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
}

Test(signalfd_read, a_child_that_exited)
{
	child_with(42, 0);
}

Test(signalfd_read, a_child_that_was_killed)
{
	child_with(0, SIGKILL);
}

Test(signalfd_read, a_timer)
{
	sigset_t set = sk_block(SIGRTMIN + 2, 0);
	int fd = sk_open(&set, 0);
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
	struct itimerspec soon = {.it_value.tv_nsec = 1000000};
	struct signalfd_siginfo info;
	timer_t timer;

	event.sigev_value.sival_int = 77;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	timer_settime(timer, 0, &soon, NULL);
	info = sk_read(fd);
	cr_assert_eq(info.ssi_code, SI_TIMER);
	cr_assert_eq(info.ssi_int, 77);
	cr_assert_eq(info.ssi_overrun, 0);
	cr_assert_eq(info.ssi_pid, 0);
	timer_delete(timer);
	close(fd);
}

Test(signalfd_read, what_was_pending_before_it_was_made)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0);
	int fd;

	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	fd = sk_open(&set, SFD_NONBLOCK);
	sk_expect(fd, SIGUSR1);
	sk_expect(fd, SIGUSR2);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, ordinary_signals_are_pending_once_realtime_ones_are_queued)
{
	sigset_t set = sk_block(SIGUSR1, SIGRTMIN, SIGRTMIN + 3, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);

	for (int i = 0; i < 5; i++) {
		kill(getpid(), SIGUSR1);
		sk_queue(SIGRTMIN + 3, i);
		sk_queue(SIGRTMIN, 10 + i);
	}
	sk_expect(fd, SIGUSR1);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(sk_read(fd).ssi_int, 10 + i);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(sk_read(fd).ssi_int, i);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, as_many_as_fit)
{
	sigset_t set = sk_block(SIGRTMIN, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct signalfd_siginfo infos[4];

	for (int i = 0; i < 6; i++)
		sk_queue(SIGRTMIN, i);
	cr_assert_eq(read(fd, infos, sizeof(infos) - 1), 3 * SIZE);
	cr_assert_eq(infos[2].ssi_int, 2);
	cr_assert_eq(read(fd, infos, sizeof(infos)), 3 * SIZE);
	cr_assert_eq(infos[0].ssi_int, 3);
	cr_assert_eq(infos[2].ssi_int, 5);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, less_than_one_is_einval)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	char space[SIZE];

	kill(getpid(), SIGUSR1);
	for (size_t n = 0; n < SIZE; n += 127) {
		cr_assert_eq(read(fd, space, n), -1);
		cr_assert_eq(errno, EINVAL);
	}
	sk_expect(fd, SIGUSR1);
	cr_assert_eq(read(fd, space, 8), -1);
	cr_assert_eq(errno, EINVAL);
	close(fd);
}

Test(signalfd_read, bad_memory)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(
		NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(map + page, (size_t)page, PROT_NONE);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	cr_assert_eq(read(fd, map + page - SIZE, 2 * SIZE), SIZE);
	cr_assert_eq(((struct signalfd_siginfo *)(map + page - SIZE))->ssi_signo, SIGUSR1);
	sk_expect_none(fd);
	kill(getpid(), SIGUSR1);
	cr_assert_eq(read(fd, map + page, SIZE), -1);
	cr_assert_eq(errno, EFAULT);
	sk_expect_none(fd);
	munmap(map, (size_t)page * 2);
	close(fd);
}

Test(signalfd_read, cannot_be_written)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	uint64_t one = 1;
	struct iovec vector = {&one, sizeof(one)};

	cr_assert_eq(write(fd, &one, sizeof(one)), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(writev(fd, &vector, 1), -1);
	cr_assert_eq(errno, EINVAL);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, into_a_vector)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);
	struct signalfd_siginfo infos[2];
	struct iovec vector[2] = {{&infos[1], SIZE}, {&infos[0], SIZE}};

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	cr_assert_eq(readv(fd, vector, 2), 2 * SIZE);
	cr_assert_eq(infos[1].ssi_signo, SIGUSR1);
	cr_assert_eq(infos[0].ssi_signo, SIGUSR2);
	close(fd);
}

Test(signalfd_read, flags)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int plain = sk_open(&set, 0), both = sk_open(&set, SFD_CLOEXEC | SFD_NONBLOCK);

	cr_assert_eq(fcntl(plain, F_GETFD), 0);
	cr_assert_eq(fcntl(plain, F_GETFL) & O_NONBLOCK, 0);
	cr_assert_eq(fcntl(both, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(both, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	fcntl(plain, F_SETFL, O_NONBLOCK);
	sk_expect_none(plain);
	cr_assert_eq(signalfd(-1, &set, 1), -1);
	cr_assert_eq(errno, EINVAL);
	close(plain);
	close(both);
}

Test(signalfd_read, another_mask)
{
	sigset_t one = sk_block(SIGUSR1, 0), two = sk_block(SIGUSR2, 0);
	int fd = sk_open(&one, SFD_NONBLOCK);

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	cr_assert_eq(signalfd(fd, &two, 0), fd);
	cr_assert_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	sk_expect(fd, SIGUSR2);
	sk_expect_none(fd);
	cr_assert_eq(signalfd(fd, &one, SFD_CLOEXEC), fd);
	cr_assert_eq(fcntl(fd, F_GETFD), 0);
	sk_expect(fd, SIGUSR1);
	cr_assert_eq(signalfd(fd, &one, 5), -1);
	cr_assert_eq(errno, EINVAL);
	close(fd);
}

Test(signalfd_read, a_mask_for_what_is_no_signalfd)
{
	sigset_t set = sk_block(SIGUSR1, 0);
	int ends[2], fd = dup(0);

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(signalfd(ends[0], &set, 0), -1);
	cr_assert_eq(errno, EINVAL);
	close(fd);
	cr_assert_eq(signalfd(fd, &set, 0), -1);
	cr_assert_eq(errno, EBADF);
	cr_assert_eq(signalfd(-2, &set, 0), -1);
	cr_assert_eq(errno, EBADF);
	close(ends[0]);
	close(ends[1]);
}

Test(signalfd_read, signals_that_cannot_be_had)
{
	sigset_t set = sk_set(SIGKILL, SIGSTOP, SIGUSR1, 0), own = sk_block(SIGUSR1, 0);
	int fd = sk_open(&set, SFD_NONBLOCK);

	(void)own;
	kill(getpid(), SIGUSR1);
	sk_expect(fd, SIGUSR1);
	sk_expect_none(fd);
	close(fd);
}

Test(signalfd_read, by_number)
{
	sigset_t set = sk_block(SIGUSR1, SIGUSR2, 0), two = sk_set(SIGUSR2, 0);
	int fd = (int)syscall(SYS_signalfd4, -1, &set, 8, SFD_NONBLOCK);

	cr_assert_geq(fd, 0);
	kill(getpid(), SIGUSR1);
	sk_expect(fd, SIGUSR1);
	kill(getpid(), SIGUSR1);
	cr_assert_eq(syscall(SYS_signalfd4, fd, &two, 8, 0), fd);
	sk_expect_none(fd);
	cr_assert_eq(syscall(SYS_signalfd4, -1, &set, 16, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(syscall(SYS_signalfd4, -1, (void *)8, 8, 0), -1);
	cr_assert_eq(errno, EFAULT);
	close(fd);
#ifdef SYS_signalfd
	fd = (int)syscall(SYS_signalfd, -1, &set, 8);
	sk_expect(fd, SIGUSR1);
	close(fd);
#endif
}

Test(signalfd_read, overlapping_masks)
{
	sigset_t both = sk_block(SIGUSR1, SIGUSR2, 0), one = sk_set(SIGUSR2, 0);
	int a = sk_open(&both, SFD_NONBLOCK), b = sk_open(&one, SFD_NONBLOCK);

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	sk_expect(b, SIGUSR2);
	sk_expect_none(b);
	sk_expect(a, SIGUSR1);
	sk_expect_none(a);
	close(a);
	close(b);
}

Test(signalfd_read, its_name)
{
	sigset_t set = sk_block(SIGUSR1, SIGRTMIN, 0);
	int fd = sk_open(&set, 0), info;
	char path[64], text[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = 0;
	cr_assert_str_eq(text, "anon_inode:[signalfd]");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY);
	n = read(info, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = 0;
	cr_assert_not_null(strstr(text, "sigmask:\t0000000200000200\n"), "%s", text);
	cr_assert_null(strstr(text, "eventfd"));
	close(info);
	close(fd);
}
