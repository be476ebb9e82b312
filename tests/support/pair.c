#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { UNTOUCHED = 4242, SIGSET_BYTES = 8, ROOM = 64 };

volatile sig_atomic_t signals_seen;

long answer_of(long ret)
{
	return ret == -1 ? -errno : ret;
}

/* Assertions of the framework cost a message each: only failures call it. */
static long same(const char *what, long kernel, long ret)
{
	int err = errno;
	long libc = ret == -1 ? -err : ret;
	if (kernel != libc)
		cr_assert_fail("%s: the kernel says %ld, libc %ld", what, kernel, libc);
	if (ret != -1 && err != UNTOUCHED)
		cr_assert_fail("%s: errno became %d on success", what, err);
	return kernel;
}

static long raw3(long nr, long a, long b, long c)
{
	return tk_raw_syscall(nr, a, b, c, 0, 0, 0);
}

struct pair pair_eventfd(uint64_t count, int flags)
{
	struct pair p = {(int)raw3(SYS_eventfd2, 0, flags, 0), eventfd(0, flags)};
	cr_assert(p.kernel >= 0 && p.libc >= 0);
	if (count)
		cr_assert_eq(pair_write(p, count), 8);
	return p;
}

struct pair pair_epoll(void)
{
	struct pair set = {
		(int)raw3(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0), epoll_create1(EPOLL_CLOEXEC)};
	cr_assert(set.kernel >= 0 && set.libc >= 0);
	return set;
}

struct pair pair_dup(struct pair p)
{
	struct pair copy = {(int)raw3(SYS_dup, p.kernel, 0, 0), dup(p.libc)};
	cr_assert(copy.kernel >= 0 && copy.libc >= 0);
	return copy;
}

void pair_close(struct pair p)
{
	long kernel = raw3(SYS_close, p.kernel, 0, 0);
	errno = UNTOUCHED;
	same("close", kernel, close(p.libc));
}

long pair_write(struct pair p, uint64_t value)
{
	long kernel = raw3(SYS_write, p.kernel, (long)&value, sizeof(value));
	errno = UNTOUCHED;
	return same("write", kernel, write(p.libc, &value, sizeof(value)));
}

long pair_read(struct pair p, uint64_t *value)
{
	uint64_t from_kernel = 0, from_libc = 0;
	long kernel = raw3(SYS_read, p.kernel, (long)&from_kernel, sizeof(from_kernel));
	errno = UNTOUCHED;
	long ret = same("read", kernel, read(p.libc, &from_libc, sizeof(from_libc)));
	if (from_kernel != from_libc)
		cr_assert_fail("read: the kernel's count is %ju, libc's %ju",
			(uintmax_t)from_kernel, (uintmax_t)from_libc);
	if (value)
		*value = from_kernel;
	return ret;
}

long pair_ctl(struct pair set, int op, struct pair p, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	long kernel = tk_raw_syscall(SYS_epoll_ctl, set.kernel, op, p.kernel, (long)&event, 0, 0);
	errno = UNTOUCHED;
	return same("epoll_ctl", kernel, epoll_ctl(set.libc, op, p.libc, &event));
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;
	uint64_t left = x->data.u64, right = y->data.u64;
	return (left > right) - (left < right);
}

long pair_wait(struct pair set, struct epoll_event *events, int max)
{
	struct epoll_event from_kernel[ROOM];
	cr_assert(max <= ROOM);
	long kernel = tk_raw_syscall(
		SYS_epoll_pwait, set.kernel, (long)from_kernel, max, 0, 0, SIGSET_BYTES);
	errno = UNTOUCHED;
	long n = same("epoll_wait", kernel, epoll_wait(set.libc, events, max, 0));
	if (n <= 0)
		return n;
	qsort(from_kernel, (size_t)n, sizeof(*events), by_data);
	qsort(events, (size_t)n, sizeof(*events), by_data);
	for (long i = 0; i < n; i++) {
		if (from_kernel[i].events != events[i].events)
			cr_assert_fail("epoll_wait: the kernel's event is %#x, libc's %#x",
				from_kernel[i].events, events[i].events);
		if (from_kernel[i].data.u64 != events[i].data.u64)
			cr_assert_fail("epoll_wait: another data than the kernel's");
	}
	return n;
}

uint32_t pair_event(struct pair set)
{
	struct epoll_event events[8];
	long n = pair_wait(set, events, 8);
	if (n != 0 && n != 1)
		cr_assert_fail("%ld events where one at most is possible", n);
	return n ? events[0].events : 0;
}

struct watched watch_pair(uint64_t count, int flags, uint32_t events)
{
	struct watched w = {pair_eventfd(count, flags | EFD_NONBLOCK), pair_epoll()};
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, events, 0x1234), 0);
	return w;
}

void unwatch_pair(struct watched w)
{
	pair_close(w.set);
	pair_close(w.fd);
}

void expect_event(struct watched w, uint32_t events)
{
	uint32_t got = pair_event(w.set);
	if (got != events)
		cr_assert_fail("%#x instead of %#x", got, events);
}

unsigned pair_poll(struct pair p, short events)
{
	struct pollfd k = {p.kernel, events, -1}, c = {p.libc, events, -1};
	struct timespec none = {0};
	long kernel = tk_raw_syscall(SYS_ppoll, (long)&k, 1, (long)&none, 0, SIGSET_BYTES, 0);
	errno = UNTOUCHED;
	same("poll", kernel, poll(&c, 1, 0));
	same("revents", k.revents, (errno = UNTOUCHED, c.revents));
	if (c.events != events || c.fd != p.libc)
		cr_assert_fail("poll changed the request");
	return (unsigned short)c.revents;
}

static unsigned bits_of(int fd, const fd_set set[3])
{
	unsigned bits = 0;
	for (unsigned i = 0; i < 3; i++)
		bits |= FD_ISSET(fd, &set[i]) ? 1u << i : 0;
	return bits;
}

static void fill_sets(int fd, unsigned sets, fd_set set[3], fd_set *arg[3])
{
	for (unsigned i = 0; i < 3; i++) {
		FD_ZERO(&set[i]);
		arg[i] = sets & 1u << i ? &set[i] : NULL;
		if (arg[i])
			FD_SET(fd, arg[i]);
	}
}

unsigned pair_select(struct pair p, unsigned sets)
{
	fd_set k[3], c[3], *arg[3];
	struct timespec none = {0};
	struct timeval now = {0};
	fill_sets(p.kernel, sets, k, arg);
	long kernel = tk_raw_syscall(SYS_pselect6, p.kernel + 1, (long)arg[0], (long)arg[1],
		(long)arg[2], (long)&none, 0);
	fill_sets(p.libc, sets, c, arg);
	errno = UNTOUCHED;
	same("select", kernel, select(p.libc + 1, arg[0], arg[1], arg[2], &now));
	same("sets", bits_of(p.kernel, k), (errno = UNTOUCHED, bits_of(p.libc, c)));
	return bits_of(p.libc, c);
}

void add_count(int fd, uint64_t value)
{
	cr_assert_eq(write(fd, &value, sizeof(value)), 8);
}

uint64_t take_count(int fd)
{
	uint64_t value;
	cr_assert_eq(read(fd, &value, sizeof(value)), 8);
	return value;
}

int eventfd_at(uint64_t count)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cr_assert(fd >= 0);
	if (count)
		add_count(fd, count);
	return fd;
}

void set_ctl(int set, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	long ret = answer_of(epoll_ctl(set, op, fd, &event));
	cr_assert_eq(ret, 0, "epoll_ctl %d says %ld", op, ret);
}

int set_watching(int fd, uint32_t events, uint64_t data)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	cr_assert(set >= 0);
	set_ctl(set, EPOLL_CTL_ADD, fd, events, data);
	return set;
}

uint32_t set_event(int set)
{
	struct epoll_event events[8];
	int n = epoll_wait(set, events, 8, 0);
	if (n != 0 && n != 1)
		cr_assert_fail("%d events where one at most is possible", n);
	return n ? events[0].events : 0;
}

unsigned poll_now(int fd, short events)
{
	struct pollfd p = {fd, events, -1};
	int n = poll(&p, 1, 0);
	cr_assert_eq(n, p.revents != 0);
	return (unsigned short)p.revents;
}

static void *waiter_run(void *arg)
{
	struct waiter *w = arg;
	w->tid = gettid();
	sem_post(&w->started);
	w->ret = answer_of(w->call(w->arg));
	w->done = true;
	return NULL;
}

void waiter_start(struct waiter *w, long (*call)(void *arg), void *arg)
{
	memset(w, 0, sizeof(*w));
	w->call = call;
	w->arg = arg;
	cr_assert_eq(sem_init(&w->started, 0, 0), 0);
	cr_assert_eq(pthread_create(&w->thread, NULL, waiter_run, w), 0);
	while (sem_wait(&w->started) == -1)
		cr_assert_eq(errno, EINTR);
	cr_assert(waiter_sleeps(w), "the call did not block");
}

bool waiter_sleeps(struct waiter *w)
{
	tk_wait_asleep(w->tid);
	return !w->done;
}

long waiter_result(struct waiter *w)
{
	cr_assert_eq(pthread_join(w->thread, NULL), 0);
	sem_destroy(&w->started);
	return w->ret;
}

bool waiter_cancel(struct waiter *w)
{
	void *result;
	cr_assert_eq(pthread_cancel(w->thread), 0);
	cr_assert_eq(pthread_join(w->thread, &result), 0);
	sem_destroy(&w->started);
	return result == PTHREAD_CANCELED;
}

long call_poll(void *pollfd)
{
	return poll(pollfd, 1, -1);
}

long call_epoll_wait(void *waited)
{
	struct waited *w = waited;
	return epoll_wait(w->set, w->events, ARRAY_LEN(w->events), -1);
}

pid_t child_start(int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();
	cr_assert(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(run(arg));
}

int child_reap(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void count_signal(int sig)
{
	(void)sig;
	signals_seen = signals_seen + 1;
}

void count_signals(int sa_flags)
{
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = sa_flags};
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

void make_signal_pending(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	cr_assert_eq(raise(SIGUSR1), 0);
	cr_assert_eq(signals_seen, 0);
}

bool signal_is_pending(void)
{
	sigset_t set;
	cr_assert_eq(sigpending(&set), 0);
	return sigismember(&set, SIGUSR1) == 1;
}

static void *map(size_t size, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(at != MAP_FAILED);
	return at;
}

void *page_of(int prot)
{
	return map((size_t)getpagesize(), prot);
}

void *page_unmapped(void)
{
	void *at = page_of(PROT_READ);
	cr_assert_eq(munmap(at, (size_t)getpagesize()), 0);
	return at;
}

void *page_read_only(const void *from, size_t size)
{
	void *at = page_of(PROT_READ | PROT_WRITE);
	memcpy(at, from, size);
	cr_assert_eq(mprotect(at, (size_t)getpagesize(), PROT_READ), 0);
	return at;
}

void *bytes_before_hole(size_t size)
{
	size_t page = (size_t)getpagesize();
	char *at = map(2 * page, PROT_READ | PROT_WRITE);
	cr_assert_eq(mprotect(at + page, page, PROT_NONE), 0); /* unmapped, it may be taken again */
	return at + page - size;
}
