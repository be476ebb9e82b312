/* Four writers and four readers on one eventfd, as threads and as processes: sums are conserved,
 * nothing hangs, and nothing is left readable. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <unistd.h>

TestSuite(stress, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { WORKERS = 4, WRITES = 15000, TOTAL = WORKERS * WRITES, STOP = 1 };

/* How a reader learns that it may read; MIXED gives each reader another of the first four. */
enum style { BY_READ, BY_POLL, BY_EPOLL, BY_EPOLL_EDGE, BY_SELECT, MIXED };

enum { WITH_PROCESSES = 1, AT_THE_LIMIT = 2, ONE_EPOLL_SET = 4 };

struct run {
	int fd;
	int epfd; /* shared by the readers, or -1 */
	enum style style;
	bool semaphore;
	uint64_t unit; /* what one write adds */
	_Atomic uint64_t units_read;
	atomic_uint readers;
};

struct worker {
	struct run *run;
	enum style style;
	int epfd;
};

static int new_set(int fd, enum style style)
{
	struct epoll_event e = {.events = EPOLLIN | (style == BY_EPOLL_EDGE ? EPOLLET : 0u)};
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	CHECK(epfd >= 0);
	CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) == 0);
	return epfd;
}

static void wait_by_poll(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1);
	CHECK(p.revents == POLLIN);
}

static void wait_by_select(int fd)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	CHECK(select(fd + 1, &set, NULL, NULL, NULL) == 1);
	CHECK(FD_ISSET(fd, &set));
}

static void wait_by_epoll(int epfd)
{
	struct epoll_event e;
	CHECK(epoll_wait(epfd, &e, 1, -1) == 1);
	CHECK(e.events == EPOLLIN);
}

static void wait_readable(const struct worker *w)
{
	switch (w->style) {
	case BY_POLL:
		wait_by_poll(w->run->fd);
		break;
	case BY_SELECT:
		wait_by_select(w->run->fd);
		break;
	case BY_EPOLL:
	case BY_EPOLL_EDGE:
		wait_by_epoll(w->epfd);
		break;
	default:
		break;
	}
}

static void put(int fd, uint64_t value)
{
	CHECK(write(fd, &value, sizeof(value)) == sizeof(value));
}

/* The reader that takes the last unit starts the end, and each passes it on. */
static bool ends_semaphore(struct run *r)
{
	uint64_t ticket = atomic_fetch_add(&r->units_read, 1);
	if (ticket == TOTAL - 1)
		put(r->fd, WORKERS);
	return ticket >= TOTAL;
}

static bool ends_counter(struct run *r, uint64_t value)
{
	if (value == STOP) {
		put(r->fd, STOP);
		return true;
	}
	CHECK(value % r->unit == 0);
	uint64_t units = value / r->unit;
	if (atomic_fetch_add(&r->units_read, units) + units == TOTAL)
		put(r->fd, STOP);
	return false;
}

/* An edge is reported once: what it stands for is read until nothing is left. */
static bool read_what_is_there(const struct worker *w)
{
	bool again = w->style == BY_EPOLL_EDGE && w->run->semaphore;
	do {
		uint64_t value;
		ssize_t ret = read(w->run->fd, &value, sizeof(value));
		if (ret == -1) {
			CHECK(errno == EAGAIN);
			return false;
		}
		CHECK(ret == sizeof(value));
		if (w->run->semaphore ? ends_semaphore(w->run) : ends_counter(w->run, value))
			return true;
	} while (again);
	return false;
}

static void read_all(void *arg)
{
	struct run *r = arg;
	struct worker w = {r, r->style, r->epfd};
	bool uses_epoll;
	if (r->style == MIXED)
		w.style = (enum style)(atomic_fetch_add(&r->readers, 1) % WORKERS);
	uses_epoll = w.style == BY_EPOLL || w.style == BY_EPOLL_EDGE;
	if (uses_epoll && w.epfd == -1)
		w.epfd = new_set(r->fd, w.style);
	do
		wait_readable(&w);
	while (!read_what_is_there(&w));
	if (uses_epoll && w.epfd != r->epfd)
		CHECK(close(w.epfd) == 0);
}

static void write_all(void *arg)
{
	struct run *r = arg;
	for (int i = 0; i < WRITES; i++)
		put(r->fd, r->unit);
}

static void *read_all_in_thread(void *arg)
{
	read_all(arg);
	return NULL;
}

static void *write_all_in_thread(void *arg)
{
	write_all(arg);
	return NULL;
}

static void read_all_in_process(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	read_all(arg);
}

static void write_all_in_process(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_all(arg);
}

static void run_threads(struct run *r)
{
	pthread_t threads[2 * WORKERS];
	for (int i = 0; i < 2 * WORKERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL,
				     i & 1 ? write_all_in_thread : read_all_in_thread, r),
			0);
	for (int i = 0; i < 2 * WORKERS; i++)
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

static void run_processes(struct run *r)
{
	pid_t pids[2 * WORKERS];
	for (int i = 0; i < 2 * WORKERS; i++)
		pids[i] = start_child(i & 1 ? write_all_in_process : read_all_in_process, r);
	for (int i = 0; i < 2 * WORKERS; i++)
		end_child(pids[i]);
}

static void expect_quiet(int fd, int epfd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	struct epoll_event e;
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(p.revents, POLLOUT);
	cr_assert_eq(epoll_wait(epfd, &e, 1, 0), 0);
	efd_expect_empty(fd);
	efd_add(fd, 1);
	cr_assert_eq(epoll_wait(epfd, &e, 1, 0), 1);
	cr_assert_eq(e.events, EPOLLIN);
	efd_expect(fd, 1);
	cr_assert_eq(epoll_wait(epfd, &e, 1, 0), 0);
}

static struct run *new_run(enum style style, int flags, int how)
{
	struct run *r =
		mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(r != MAP_FAILED);
	r->fd = efd_open(0, flags);
	r->epfd = how & ONE_EPOLL_SET ? new_set(r->fd, style) : -1;
	r->style = style;
	r->semaphore = flags & EFD_SEMAPHORE;
	r->unit = how & AT_THE_LIMIT ? 1ull << 61 : 2;
	if (r->semaphore)
		r->unit = 1;
	return r;
}

static void run(enum style style, int flags, int how)
{
	struct run *r = new_run(style, flags, how);
	int onlooker = new_set(r->fd, BY_EPOLL);
	if (how & WITH_PROCESSES)
		run_processes(r);
	else
		run_threads(r);
	cr_assert_eq(atomic_load(&r->units_read), TOTAL + (r->semaphore ? WORKERS : 0u));
	if (!r->semaphore)
		efd_expect(r->fd, STOP);
	expect_quiet(r->fd, onlooker);
	if (r->epfd != -1)
		efd_close(r->epfd);
	efd_close(onlooker);
	efd_close(r->fd);
	munmap(r, sizeof(*r));
}

Test(stress, threads_by_blocking_read)
{
	run(BY_READ, 0, 0);
}

Test(stress, processes_by_blocking_read)
{
	run(BY_READ, 0, WITH_PROCESSES);
}

Test(stress, threads_by_blocking_semaphore_read)
{
	run(BY_READ, EFD_SEMAPHORE, 0);
}

Test(stress, processes_by_blocking_semaphore_read)
{
	run(BY_READ, EFD_SEMAPHORE, WITH_PROCESSES);
}

Test(stress, threads_that_block_at_the_limit)
{
	run(BY_READ, 0, AT_THE_LIMIT);
}

Test(stress, processes_that_block_at_the_limit)
{
	run(BY_READ, 0, AT_THE_LIMIT | WITH_PROCESSES);
}

Test(stress, threads_by_poll)
{
	run(BY_POLL, EFD_NONBLOCK, 0);
}

Test(stress, processes_by_poll)
{
	run(BY_POLL, EFD_NONBLOCK, WITH_PROCESSES);
}

Test(stress, threads_by_poll_on_a_semaphore)
{
	run(BY_POLL, EFD_NONBLOCK | EFD_SEMAPHORE, 0);
}

Test(stress, threads_by_select)
{
	run(BY_SELECT, EFD_NONBLOCK, 0);
}

Test(stress, processes_by_select)
{
	run(BY_SELECT, EFD_NONBLOCK, WITH_PROCESSES);
}

Test(stress, threads_by_level_epoll)
{
	run(BY_EPOLL, EFD_NONBLOCK, 0);
}

Test(stress, processes_by_level_epoll)
{
	run(BY_EPOLL, EFD_NONBLOCK, WITH_PROCESSES);
}

Test(stress, threads_by_level_epoll_on_a_semaphore)
{
	run(BY_EPOLL, EFD_NONBLOCK | EFD_SEMAPHORE, 0);
}

Test(stress, threads_by_one_level_epoll_set)
{
	run(BY_EPOLL, EFD_NONBLOCK, ONE_EPOLL_SET);
}

Test(stress, processes_by_one_level_epoll_set)
{
	run(BY_EPOLL, EFD_NONBLOCK, ONE_EPOLL_SET | WITH_PROCESSES);
}

Test(stress, threads_by_edge_epoll)
{
	run(BY_EPOLL_EDGE, EFD_NONBLOCK, 0);
}

Test(stress, processes_by_edge_epoll)
{
	run(BY_EPOLL_EDGE, EFD_NONBLOCK, WITH_PROCESSES);
}

Test(stress, threads_by_edge_epoll_on_a_semaphore)
{
	run(BY_EPOLL_EDGE, EFD_NONBLOCK | EFD_SEMAPHORE, 0);
}

Test(stress, threads_by_one_edge_epoll_set)
{
	run(BY_EPOLL_EDGE, EFD_NONBLOCK, ONE_EPOLL_SET);
}

Test(stress, processes_by_one_edge_epoll_set)
{
	run(BY_EPOLL_EDGE, EFD_NONBLOCK, ONE_EPOLL_SET | WITH_PROCESSES);
}

Test(stress, threads_by_all_ways_at_once)
{
	run(MIXED, 0, 0);
}

Test(stress, processes_by_all_ways_at_once)
{
	run(MIXED, 0, WITH_PROCESSES);
}

Test(stress, threads_by_all_ways_at_once_that_block_at_the_limit)
{
	run(MIXED, 0, AT_THE_LIMIT);
}
