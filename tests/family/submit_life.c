/* The library's threads: how many there are, when they go, and what forks, exits and signals do. */
#define _GNU_SOURCE
#include "submitkit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TestSuite(submit_life, .init = tk_setup, .fini = tk_teardown, .timeout = 120);

enum { OPS = 200, MOST_THREADS = 5, RINGS = 64, SUBMITTERS = 4 };

static struct asyncfd_op write_op(int fd, uint64_t cookie)
{
	return (struct asyncfd_op){.cookie = cookie,
		.code = ASYNCFD_PWRITE,
		.fd = fd,
		.buf = "x",
		.len = 1,
		.offset = (int64_t)cookie - 1};
}

static void send_many(struct submit_ring *ring, int fd)
{
	struct asyncfd_op ops[OPS];
	for (int i = 0; i < OPS; i++)
		ops[i] = write_op(fd, (uint64_t)i + 1);
	submit(ring, ops, OPS);
}

static void take_many(struct submit_ring *ring)
{
	bool seen[OPS + 1] = {false};
	for (int i = 0; i < OPS; i++) {
		struct asyncfd_result result = submit_take(ring);
		cr_assert(result.cookie >= 1 && result.cookie <= OPS && result.res == 1);
		cr_assert(!seen[result.cookie]);
		seen[result.cookie] = true;
	}
	cr_assert_eq(poll(&(struct pollfd){.fd = ring->fd, .events = POLLIN}, 1, 0), 0);
}

static int wait_for(pid_t pid)
{
	int status = -1;
	int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (tk_now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		submit_pause();
	}
	return status;
}

Test(submit_life, threads_are_few_and_leave)
{
	struct submit_ring ring = submit_open(64);
	int fd = submit_file(), before = submit_threads();
	for (int round = 0; round < 2; round++) {
		send_many(&ring, fd);
		int now = submit_threads();
		cr_assert(now > before && now <= before + MOST_THREADS, "%d", now - before);
		take_many(&ring);
		cr_assert(submit_threads() <= before + MOST_THREADS);
		submit_wait_threads(before);
	}
	close(fd);
	submit_close(&ring);
}

Test(submit_life, each_ring_gets_its_own_results)
{
	enum { EACH = 12 };
	static struct submit_ring rings[RINGS];
	int fd = submit_file();
	for (int r = 0; r < RINGS; r++)
		rings[r] = submit_open(2 + (uint32_t)r % 8);
	for (uint64_t i = 0; i < EACH; i++) {
		for (uint64_t r = 0; r < RINGS; r++) {
			struct asyncfd_op op = write_op(fd, i + 1);
			op.obj = r;
			submit(&rings[r], &op, 1);
		}
	}
	for (uint64_t r = 0; r < RINGS; r++) {
		for (int i = 0; i < EACH; i++)
			cr_assert_eq(submit_take(&rings[r]).obj, r);
		cr_assert_eq(poll(&(struct pollfd){.fd = rings[r].fd, .events = POLLIN}, 1, 0), 0);
	}
	for (int r = 0; r < RINGS; r++)
		submit_close(&rings[r]);
	close(fd);
}

struct submitter {
	struct submit_ring *ring;
	uint64_t name;
	int fd;
	_Atomic int *stop;
	uint64_t sent;
};

static void *keep_submitting(void *arg)
{
	struct submitter *me = arg;
	while (!atomic_load(me->stop)) {
		struct asyncfd_op op = write_op(me->fd, me->sent % 1000 + 1);
		op.obj = me->name;
		int ret = submit_try(me->ring->fd, &op, 1);
		if (ret != 1 && ret != -EAGAIN)
			abort();
		me->sent += ret == 1;
	}
	return NULL;
}

/* A child has no operations, and threads of its own. */
static int child(int fd)
{
	struct submit_ring ring = submit_open(8);
	send_many(&ring, fd);
	take_many(&ring);
	return close(ring.fd);
}

static void drain(struct submit_ring *ring, uint64_t taken[SUBMITTERS])
{
	struct asyncfd_result result;
	while (asyncfd_take_result(ring->head, &result)) {
		cr_assert(result.obj < SUBMITTERS && result.res == 1);
		taken[result.obj]++;
	}
}

/* Forks at any moment of it: while threads are at the table, in the ring, or begin. */
/* The sanitizer's allocator may stay locked in the child of a process with threads. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

Test(submit_life, forks_in_the_middle)
{
	struct submit_ring ring = submit_open(64);
	struct submitter submitters[SUBMITTERS];
	pthread_t threads[SUBMITTERS];
	uint64_t taken[SUBMITTERS] = {0};
	_Atomic int stop = 0;
	int fd = submit_file();
	for (uint64_t i = 0; i < SUBMITTERS; i++) {
		submitters[i] = (struct submitter){&ring, i, fd, &stop, 0};
		pthread_create(&threads[i], NULL, keep_submitting, &submitters[i]);
	}
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork(); /* by libc: its locks are free in the child */
		if (!pid)
			_exit(SANITIZED ? 0 : child(fd));
		drain(&ring, taken);
		cr_assert_eq(wait_for(pid), 0, "child %d", i);
		drain(&ring, taken);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < SUBMITTERS; i++) {
		while (taken[i] < submitters[i].sent)
			taken[submit_take(&ring).obj]++;
		cr_assert_eq(taken[i], submitters[i].sent);
	}
	cr_assert_eq(poll(&(struct pollfd){.fd = ring.fd, .events = POLLIN}, 1, 20), 0);
	close(fd);
	submit_close(&ring);
}

static void leave(int way)
{
#ifndef __SANITIZE_ADDRESS__ /* which takes the runner's threads for the child's, and says so */
	if (way == 0)
		exit(3);
#endif
	if (way == 1)
		_exit(3);
	syscall(SYS_exit_group, 3);
}

/* Some operations have not begun, results wait, and a thread may hang in one for ever. */
Test(submit_life, exits_in_the_middle)
{
	char name[] = "/tmp/submit-XXXXXX";
	cr_assert(mkdtemp(name));
	char path[64];
	snprintf(path, sizeof(path), "%s/fifo", name);
	cr_assert_eq(mkfifo(path, 0600), 0);
	for (int i = 0; i < 24; i++) {
		pid_t pid = fork();
		if (!pid) {
			struct submit_ring ring = submit_open(i % 2 ? 2 : 512);
			struct asyncfd_op op = {.cookie = 1,
				.code = ASYNCFD_OPENAT,
				.fd = AT_FDCWD,
				.path = path,
				.flags = O_RDONLY};
			int fd = submit_file();
			if (i % 3 == 2)
				submit(&ring, &op, 1);
			send_many(&ring, fd);
			leave(i / 2 % 3);
		}
		int status = wait_for(pid);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3, "status %x", status);
	}
	unlink(path), rmdir(name);
}

/* All that may do operations hang in one: results that wait are delivered all the same. */
Test(submit_life, hanging_operations_hold_up_no_results)
{
	struct submit_ring ring = submit_open(2), other = submit_open(8);
	char name[] = "/tmp/submit-XXXXXX";
	int fd = submit_file(), fds[2];
	struct asyncfd_op op = {.code = ASYNCFD_OPENAT, .fd = AT_FDCWD, .flags = O_WRONLY};
	cr_assert(mkdtemp(name));
	char path[64];
	snprintf(path, sizeof(path), "%s/fifo", name);
	cr_assert_eq(mkfifo(path, 0600), 0);
	send_many(&ring, fd);
	submit_wait_size(fd, OPS);
	op.path = path;
	for (op.cookie = 1; op.cookie <= 4; op.cookie++)
		submit(&other, &op, 1);
	take_many(&ring);
	fds[0] = open(path, O_RDONLY);
	for (int i = 0; i < 4; i++) {
		fds[1] = (int)submit_take(&other).res;
		cr_assert(fds[1] >= 0);
		close(fds[1]);
	}
	close(fds[0]), close(fd);
	unlink(path), rmdir(name);
	submit_close(&ring), submit_close(&other);
}

static _Atomic int handled_by;

static void note_thread(int sig)
{
	(void)sig;
	atomic_store(&handled_by, (int)syscall(SYS_gettid));
}

/* A signal for the process is for the program's threads. */
Test(submit_life, signals_are_not_for_them)
{
	struct submit_ring ring = submit_open(8);
	sigset_t set, pending;
	int fd = submit_file();
	signal(SIGUSR1, note_thread);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	send_many(&ring, fd);
	for (int i = 0; i < 100; i++)
		kill(getpid(), SIGUSR1);
	take_many(&ring);
	sigpending(&pending);
	cr_assert(sigismember(&pending, SIGUSR1));
	cr_assert_eq(atomic_load(&handled_by), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	cr_assert_eq(atomic_load(&handled_by), (int)syscall(SYS_gettid));
	signal(SIGUSR1, SIG_DFL);
	close(fd);
	submit_close(&ring);
}

/* libc reaches every thread for that, by a signal of its own. */
Test(submit_life, ids_can_be_set)
{
	struct submit_ring ring = submit_open(8);
	int fd = submit_file();
	for (int i = 0; i < 20; i++) {
		send_many(&ring, fd);
		cr_assert_eq(setresgid((gid_t)-1, getegid(), (gid_t)-1), 0);
		take_many(&ring);
	}
	close(fd);
	submit_close(&ring);
}

/* The asyncfd is closed by one of its own operations. */
Test(submit_life, closed_by_its_own_operation)
{
	int threads = submit_threads(), file = submit_file();
	for (int i = 0; i < 50; i++) {
		struct submit_ring ring = submit_open(4);
		struct asyncfd_op op = {.cookie = 1, .code = ASYNCFD_CLOSE, .fd = ring.fd};
		struct asyncfd_op other = write_op(file, 1);
		for (int n = 0; n < 10; n++)
			submit(&ring, &other, 1);
		submit(&ring, &op, 1);
		int64_t end = tk_now_ms() + SUBMIT_LIMIT_MS;
		while (fcntl(ring.fd, F_GETFD) >= 0)
			cr_assert(tk_now_ms() < end);
	}
	submit_wait_threads(threads);
	close(file);
}

static void by_handler(int sig)
{
	(void)sig;
	atomic_fetch_add(&handled_by, 1);
}

/* Handlers interrupt submitters at any place; nothing is lost, and no call is broken off. */
Test(submit_life, interrupted_submitters)
{
	struct submit_ring ring = submit_open(64);
	timer_t timer;
	const struct itimerspec often = {{0, 100000}, {0, 100000}};
	int fd = submit_file();
	atomic_store(&handled_by, 0);
	signal(SIGALRM, by_handler);
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	timer_settime(timer, 0, &often, NULL);
	for (int i = 0; i < 100; i++) {
		send_many(&ring, fd);
		for (int n = 0; n < OPS;) {
			struct asyncfd_result result;
			n += asyncfd_take_result(ring.head, &result);
		}
	}
	timer_delete(timer);
	cr_assert(atomic_load(&handled_by) > 0);
	close(fd);
	submit_close(&ring);
}

/* From now on no thread of this process can make another. */
static void refuse_threads(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	if (tk_raw_syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) ||
		tk_raw_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
			(long)(intptr_t)&program, 0, 0, 0))
		_exit(9);
}

static int child_without_threads(int fd)
{
	struct submit_ring ring = submit_open(8);
	struct asyncfd_op op = write_op(fd, 1);
	refuse_threads();
	for (int i = 0; i < 3; i++) {
		if (submit_try(ring.fd, &op, 1) != -EAGAIN)
			return 1;
	}
	return poll(&(struct pollfd){.fd = ring.fd, .events = POLLIN}, 1, 20) ||
	       lseek(fd, 0, SEEK_END) != 0;
}

Test(submit_life, where_no_thread_can_be_had_nothing_is_accepted)
{
	int fd = submit_file();
	pid_t pid = fork();
	if (!pid)
		_exit(child_without_threads(fd));
	cr_assert_eq(wait_for(pid), 0);
	close(fd);
}

/* One thread is there already: it does everything, and delivers besides. */
static int child_with_one_thread(int fd)
{
	struct submit_ring ring = submit_open(2);
	struct asyncfd_op op = write_op(fd, 1);
	submit(&ring, &op, 1);
	submit_take(&ring);
	refuse_threads();
	send_many(&ring, fd);
	submit_wait_size(fd, OPS);
	take_many(&ring);
	return submit_threads() > 2;
}

Test(submit_life, one_thread_does_it_all)
{
	int fd = submit_file();
	pid_t pid = fork();
	if (!pid)
		_exit(child_with_one_thread(fd));
	cr_assert_eq(wait_for(pid), 0);
	close(fd);
}

/* No handler of libc's runs in a child of a bare system call. */
Test(submit_life, a_child_that_nobody_told_of)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(page, 4096, MADV_WIPEONFORK) != 0) /* before 4.14 it cannot be known */
		return;
	struct submit_ring ring = submit_open(8);
	int fd = submit_file();
	send_many(&ring, fd);
	take_many(&ring);
	for (int i = 0; i < 10; i++) {
		pid_t pid = (pid_t)tk_raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
		if (!pid)
			_exit(child(fd));
		cr_assert_eq(wait_for(pid), 0);
	}
	send_many(&ring, fd);
	take_many(&ring);
	close(fd);
	submit_close(&ring);
}
