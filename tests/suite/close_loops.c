/* Loops that close everything: what each single call says, and that all works afterwards. Each runs
 * in a child, whose fds from 3 on are those of one layout. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(close_loops, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(close_pieces, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, ADD = EPOLL_CTL_ADD };
enum { TOP = 1600 };
#define ET ((uint32_t)EPOLLET)

static const int eventfds[] = {3, 4, 10, 20, 21, 64, 100, 511, 1023, 1024, 1500};
static const int others[] = {6, 7, 8, 11, 300, 301};
enum { EVENTFDS = sizeof(eventfds) / sizeof(eventfds[0]) };
enum { OTHERS = sizeof(others) / sizeof(others[0]) };

static bool is_open[TOP];

static void move_to(int fd, int number)
{
	CHECK(fd >= 0);
	if (fd != number)
		CHECK(dup2(fd, number) == number && tell_close(fd) == 0);
	is_open[number] = true;
}

static void watch(int set, int first, int step)
{
	static const uint32_t interests[] = {IN, OUT, BOTH, BOTH | ET};
	for (int i = first; i < EVENTFDS; i += step)
		CHECK(controls(set, ADD, eventfds[i], interests[i % 4], 1) == 0);
}

/* Eventfds (10 is a copy of 3), a pipe, a set in a set, files; gaps between them. */
static void lay_out(void)
{
	int ends[2];
	CHECK(close_range(3, ~0U, 0) == 0);
	for (int i = 0; i < EVENTFDS; i++)
		move_to(eventfds[i] == 10 ? dup(3) : eventfd(1, EFD_NONBLOCK), eventfds[i]);
	CHECK(pipe(ends) == 0);
	move_to(ends[0], 600);
	move_to(ends[1], 7);
	move_to(600, 6);
	is_open[600] = false;
	move_to(epoll_create1(0), 8);
	move_to(open("/dev/null", O_RDWR), 11);
	move_to(epoll_create1(EPOLL_CLOEXEC), 300);
	move_to(open("/", O_RDONLY | O_DIRECTORY), 301);
	watch(8, 0, 1);
	watch(300, 0, 3);
	CHECK(controls(300, ADD, 8, IN, 2) == 0 && polled(300) == POLLIN);
}

static int adds_and_ends(int to)
{
	CHECK(falls_asleep(getppid()));
	CHECK(adds(to, 1));
	_exit(0);
}

static void sleeps_until_a_child_writes(int fd, int set)
{
	int status;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	for (int by_poll = 0; by_poll < 2; by_poll++) {
		pid_t child = fork();
		if (!child)
			adds_and_ends(fd);
		if (by_poll)
			CHECK(poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
		else
			CHECK(waited(set, NULL) == BOTH);
		CHECK(waitpid(child, &status, 0) == child && status == 0);
		CHECK(takes(fd, 1));
	}
}

/* The lowest free number comes first; then everything as ever. */
static void all_works(int lowest)
{
	int fd = eventfd(0, EFD_NONBLOCK), set = epoll_create1(0);
	CHECK(fd == lowest && set > fd);
	CHECK(controls(set, ADD, fd, BOTH | ET, 5) == 0 && shown(set) == OUT && shown(set) == 0);
	sleeps_until_a_child_writes(fd, set);
	CHECK(tell_close(set) == 0 && tell_close(fd) == 0);
	CHECK(fresh_one_works());
}

static long by_libc(int fd)
{
	return tell_close(fd);
}

static long by_syscall(int fd)
{
	errno = ERRNO_CANARY;
	long ret = syscall(SYS_close, fd);
	return ret == -1 ? -errno : ret;
}

static long by_range(int fd)
{
	errno = ERRNO_CANARY;
	long ret = close_range((unsigned int)fd, (unsigned int)fd, 0);
	return ret == -1 ? -errno : ret;
}

static long by_fcntl_first(int fd)
{
	return fcntl(fd, F_GETFD) == -1 ? -errno : tell_close(fd);
}

static long by_raw(int fd)
{
	return tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

struct loop {
	long (*close)(int fd);
	int from, to, step;
	bool always_0; /* close_range has no complaints about gaps */
	bool raw;      /* these also close what the shim keeps for itself, and it may not know */
};

static const struct loop loops[] = {
	{by_libc, 3, TOP, 1, false, false},
	{by_libc, TOP - 1, 2, -1, false, false},
	{by_syscall, 3, TOP, 1, false, false},
	{by_syscall, TOP - 1, 2, -1, false, false},
	{by_range, 3, TOP, 1, true, false},
	{by_range, TOP - 1, 2, -1, true, false},
	{by_fcntl_first, 3, TOP, 1, false, false},
	{by_raw, 3, TOP, 1, false, true},
};
enum { LOOPS = sizeof(loops) / sizeof(loops[0]) };

static void closes_each(void *arg)
{
	const struct loop *l = arg;
	lay_out();
	for (int twice = 0; twice < 2; twice++) {
		for (int fd = l->from; fd != l->to; fd += l->step) {
			long ret = l->close(fd), want = is_open[fd] || l->always_0 ? 0 : -EBADF;
			if (ret == 0 && l->raw && tk_under_shim())
				want = 0;
			if (ret != want)
				dprintf(2, "fd %d: %ld, not %ld\n", fd, ret, want);
			CHECK(ret == want);
			is_open[fd] = false;
		}
	}
	for (int i = 0; i < EVENTFDS; i++)
		CHECK(l->raw ? fcntl(eventfds[i], F_GETFD) == -1 : is_closed(eventfds[i]));
	all_works(3);
}

Test(close_loops, each_call_answers_as_the_kernel_and_all_works_afterwards)
{
	for (int i = 0; i < LOOPS; i++)
		in_child(closes_each, (void *)&loops[i]);
}

/* The numbers above the layout, up to the limit. */
static void closes_up_to_the_limit(void *unused)
{
	(void)unused;
	struct rlimit limit;
	lay_out();
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	int top = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
	for (int fd = 3; fd < top; fd++) {
		long want = fd < TOP && is_open[fd] ? 0 : -EBADF, ret = tell_close(fd);
		if (ret != want)
			dprintf(2, "fd %d: %ld, not %ld\n", fd, ret, want);
		CHECK(ret == want);
	}
	all_works(3);
	for (int fd = top - 1; fd >= 3; fd--)
		CHECK(tell_close(fd) == -EBADF);
	all_works(3);
}

Test(close_loops, up_to_the_limit_of_fds)
{
	in_child(closes_up_to_the_limit, NULL);
}

/* By what /proc/self/fd shows: the layout, and what the shim keeps for itself. */
static void closes_what_is_listed(void *unused)
{
	(void)unused;
	int numbers[TOP], count = 0;
	lay_out();
	DIR *dir = opendir("/proc/self/fd");
	CHECK(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		int fd = atoi(e->d_name);
		if (e->d_name[0] != '.' && fd > 2 && fd != dirfd(dir) && count < TOP)
			numbers[count++] = fd;
	}
	CHECK(closedir(dir) == 0);
	for (int i = 0; i < count; i++) {
		bool listed = numbers[i] < TOP && is_open[numbers[i]];
		CHECK(listed || tk_under_shim());
		CHECK(tell_close(numbers[i]) == (listed ? 0 : -EBADF));
	}
	CHECK(count >= EVENTFDS + OTHERS);
	for (int i = 0; i < EVENTFDS; i++)
		CHECK(is_closed(eventfds[i]));
	for (int i = 0; i < OTHERS; i++)
		CHECK(is_closed(others[i]));
	all_works(3);
}

Test(close_loops, by_what_proc_lists)
{
	in_child(closes_what_is_listed, NULL);
}

static int shared, shared_set;

static void closes_what_it_shares(void *unused)
{
	(void)unused;
	CHECK(adds(shared, 5));
	for (int fd = 3; fd < TOP; fd++)
		tell_close(fd);
	CHECK(is_closed(shared));
	all_works(3);
}

Test(close_loops, in_a_child_leave_the_parents_numbers)
{
	shared = new_eventfd(0, EFD_NONBLOCK);
	shared_set = epoll_create1(0);
	cr_assert_eq(controls(shared_set, ADD, shared, BOTH | ET, 1), 0);
	cr_assert_eq(shown(shared_set), OUT);
	for (int i = 0; i < 5; i++) {
		in_child(closes_what_it_shares, NULL);
		cr_assert_eq(shown(shared_set), BOTH);
		assert_count(shared, 5);
		cr_assert_eq(shown(shared_set), OUT);
	}
	cr_assert_eq(close(shared_set) | close(shared), 0);
}

Test(close_loops, in_a_vfork_child_leave_the_parents_numbers)
{
	shared = new_eventfd(0, EFD_NONBLOCK);
	pid_t child = vfork();
	if (!child) {
		closes_what_it_shares(NULL);
		_exit(0);
	}
	end_child(child);
	assert_count(shared, 5);
	cr_assert(fresh_one_works());
	cr_assert_eq(close(shared), 0);
}

ROLE(has_the_standard_files_only)
{
	for (int fd = 3; fd < TOP; fd++)
		CHECK(fd == arg[0] ? takes(fd, 1) : is_closed(fd));
	CHECK(fresh_one_works());
}

static void closes_and_executes(void *unused)
{
	(void)unused;
	lay_out();
	for (int fd = 3; fd < TOP; fd++)
		CHECK(fd == 511 || tell_close(fd) == (is_open[fd] ? 0 : -EBADF));
	become("has_the_standard_files_only 511");
}

Test(close_loops, and_then_an_exec)
{
	in_child(closes_and_executes, NULL);
}

static void marks_and_executes(void *unused)
{
	(void)unused;
	lay_out();
	errno = ERRNO_CANARY;
	CHECK(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0 && errno == ERRNO_CANARY);
	for (int i = 0; i < EVENTFDS; i++)
		CHECK(fcntl(eventfds[i], F_GETFD) == FD_CLOEXEC && polled(eventfds[i]) == 5);
	CHECK(takes(10, 1) && adds(3, 1) && polled(300) == POLLIN);
	CHECK(fcntl(64, F_SETFD, 0) == 0);
	become("has_the_standard_files_only 64");
}

Test(close_pieces, marked_close_on_exec_and_then_an_exec)
{
	in_child(marks_and_executes, NULL);
}

static void is_as_laid_out_outside(int from, int to)
{
	for (int i = 0; i < EVENTFDS; i++) {
		int fd = eventfds[i];
		if (fd >= from && fd <= to)
			CHECK(is_closed(fd));
		else if (is_open[fd])
			CHECK(adds(fd, 1) && polled(fd) == 5 && fcntl(fd, F_GETFD) == 0);
	}
}

static void closes_by_pieces(void *size)
{
	lay_out();
	for (int from = 3; from < TOP; from += *(int *)size) {
		int to = from + *(int *)size - 1;
		errno = ERRNO_CANARY;
		CHECK(close_range((unsigned int)from, (unsigned int)to, 0) == 0);
		CHECK(errno == ERRNO_CANARY);
		is_as_laid_out_outside(3, to);
	}
	all_works(3);
}

Test(close_pieces, of_several_sizes)
{
	static int sizes[] = {1, 2, 7, 64, 1000, 100000};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		in_child(closes_by_pieces, &sizes[i]);
}

static void closes_from(void *lowest)
{
	int from = *(int *)lowest;
	lay_out();
	errno = ERRNO_CANARY;
	closefrom(from);
	CHECK(errno == ERRNO_CANARY);
	is_as_laid_out_outside(from, TOP);
	CHECK(from <= 8 || shown(8) != 0);
	closefrom(3);
	all_works(3);
}

Test(close_pieces, by_closefrom)
{
	static int lowest[] = {3, 4, 5, 10, 11, 64, 65, 1024, 1501, 3000};
	for (size_t i = 0; i < sizeof(lowest) / sizeof(lowest[0]); i++)
		in_child(closes_from, &lowest[i]);
}
