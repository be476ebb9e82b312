/* A vfork child closes, dups and makes fds, and the parent's numbers stay what they are, also under
 * the hands of the parent's other threads. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(vfork, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(vfork_threads, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { ENDS_BY_EXIT, ENDS_BY_EXEC, ENDINGS };

/* What the child does to each is in its name. `in` and `out` are pipes' ends. */
struct numbers {
	int closed, covered, source, kept, flagged;
	int in, out, covered_in, covered_out;
};

static struct numbers open_numbers(void)
{
	struct numbers n;
	int ends[2];
	n.closed = new_eventfd(1, EFD_NONBLOCK);
	n.covered = new_eventfd(2, EFD_NONBLOCK);
	n.source = new_eventfd(3, EFD_NONBLOCK);
	n.kept = new_eventfd(4, EFD_NONBLOCK | EFD_SEMAPHORE);
	n.flagged = new_eventfd(5, EFD_NONBLOCK);
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	n.in = ends[0];
	n.out = ends[1];
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	n.covered_in = ends[0];
	n.covered_out = ends[1];
	return n;
}

static void close_numbers(struct numbers n)
{
	cr_assert_eq(close(n.closed) | close(n.covered) | close(n.source) | close(n.kept), 0);
	cr_assert_eq(close(n.flagged) | close(n.in) | close(n.out), 0);
	cr_assert_eq(close(n.covered_in) | close(n.covered_out), 0);
}

/* The arguments are the numbers after what the child did. */
ROLE(has_the_childs_numbers)
{
	struct numbers n = {.closed = arg[0],
		.covered = arg[1],
		.source = arg[2],
		.kept = arg[3],
		.flagged = arg[4],
		.covered_out = arg[5]};
	CHECK(is_closed(n.closed) && is_closed(n.flagged));
	CHECK(write(n.covered, "over", 4) == 4 && polled(n.covered) == POLLOUT);
	CHECK(adds(n.covered_out, 1000) && polled(n.source) == (POLLIN | POLLOUT));
	CHECK(takes(n.kept, 1));
	CHECK(fresh_one_works());
}

static void child_changes_numbers(struct numbers n)
{
	CHECK(tell_close(n.closed) == 0);
	CHECK(is_closed(n.closed) && tell_close(n.closed) == -EBADF);
	CHECK(dup2(n.out, n.covered) == n.covered);
	CHECK(write(n.covered, "hello", 5) == 5);
	CHECK(dup2(n.source, n.covered_out) == n.covered_out);
	CHECK(adds(n.covered_out, 100));
	CHECK(takes(n.kept, 1));
	CHECK(fcntl(n.flagged, F_SETFD, FD_CLOEXEC) == 0);
	CHECK(fcntl(n.flagged, F_GETFD) == FD_CLOEXEC);
}

static void child_makes_its_own(struct numbers n)
{
	int own = eventfd(50, EFD_NONBLOCK);
	CHECK(own == n.closed && takes(own, 50) && adds(own, 7));
	int copy = dup(own);
	CHECK(copy > own && takes(copy, 7) && polled(own) == POLLOUT);
	CHECK(tell_close(own) == 0 && adds(copy, 8) && takes(copy, 8));
	CHECK(tell_close(copy) == 0 && is_closed(own));
	CHECK(fresh_one_works());
}

static pid_t vfork_child(struct numbers n, int ending)
{
	char **argv = role_argv("has_the_childs_numbers %d %d %d %d %d %d", n.closed, n.covered,
		n.source, n.kept, n.flagged, n.covered_out);
	pid_t child = vfork();
	if (child)
		return child;
	child_changes_numbers(n);
	child_makes_its_own(n);
	if (ending == ENDS_BY_EXEC)
		execv(role_path(), argv);
	_exit(ending == ENDS_BY_EXEC);
}

/* The counts are those of open_numbers() and what the child and its role did to the objects. */
static void assert_numbers(struct numbers n, int ending)
{
	char text[32] = "";
	int role = ending == ENDS_BY_EXEC;
	assert_count(n.closed, 1);
	assert_count(n.covered, 2);
	assert_count(n.source, role ? 1103 : 103);
	for (int i = 0; i < (role ? 2 : 3); i++)
		assert_count(n.kept, 1);
	assert_empty(n.kept);
	assert_count(n.flagged, 5);
	cr_assert_eq(fcntl(n.flagged, F_GETFD), 0);
	cr_assert_eq(read(n.in, text, sizeof(text)), role ? 9 : 5);
	cr_assert_str_eq(text, role ? "helloover" : "hello");
	cr_assert_eq(write(n.covered_out, "abc", 3), 3);
	cr_assert_eq(read(n.covered_in, text, sizeof(text)), 3);
}

Test(vfork, every_number_of_the_parent_is_what_it_was)
{
	for (int ending = 0; ending < ENDINGS; ending++) {
		struct numbers n = open_numbers();
		end_child(vfork_child(n, ending));
		assert_numbers(n, ending);
		cr_assert(fresh_one_works());
		close_numbers(n);
	}
}

Test(vfork, fifty_children_one_after_the_other)
{
	struct numbers n = open_numbers();
	for (int i = 0; i < 50; i++) {
		end_child(vfork_child(n, ENDS_BY_EXIT));
		assert_numbers(n, ENDS_BY_EXIT);
		add(n.closed, 1);
		add(n.covered, 2);
		add(n.source, 3);
		add(n.kept, 4);
		add(n.flagged, 5);
	}
	close_numbers(n);
}

/* A thread of the parent that uses one number all the while. */
struct user {
	int fd;
	atomic_bool *stop;
	atomic_int rounds, wrong;
	pthread_t thread;
};

static void *uses(void *arg)
{
	struct user *u = arg;
	int set = epoll_create1(EPOLL_CLOEXEC);
	u->wrong += controls(set, EPOLL_CTL_ADD, u->fd, EPOLLIN, 6) != 0;
	while (!*u->stop) {
		u->wrong += !adds(u->fd, 1000000);
		u->wrong += polled(u->fd) != (POLLIN | POLLOUT);
		u->wrong += shown(set) != EPOLLIN;
		u->wrong += !takes(u->fd, 1000000);
		u->wrong += polled(u->fd) != POLLOUT;
		u->rounds++;
	}
	close(set);
	return NULL;
}

static void use_by_threads(struct user *users, int count, atomic_bool *stop)
{
	for (int i = 0; i < count; i++) {
		users[i].stop = stop;
		cr_assert_eq(pthread_create(&users[i].thread, NULL, uses, &users[i]), 0);
		while (!users[i].rounds)
			sched_yield();
	}
}

static void end_use(struct user *users, int count, atomic_bool *stop)
{
	*stop = true;
	for (int i = 0; i < count; i++) {
		cr_assert_eq(pthread_join(users[i].thread, NULL), 0);
		cr_assert_eq(users[i].wrong, 0, "thread %d: %d wrong", i, users[i].wrong);
	}
}

/* Told by a pipe that the threads went on while the child had its numbers changed. */
static void *reports_progress(void *arg)
{
	struct user *users = arg;
	char go;
	cr_assert_eq(read(users[2].fd, &go, 1), 1);
	int seen[2] = {users[0].rounds, users[1].rounds};
	while (users[0].rounds < seen[0] + 50 || users[1].rounds < seen[1] + 50)
		sched_yield();
	cr_assert_eq(write(users[3].fd, "x", 1), 1);
	return NULL;
}

static pid_t vfork_child_that_stays(struct numbers n, int to_parent, int from_parent)
{
	pid_t child = vfork();
	if (child)
		return child;
	char c;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child_changes_numbers(n);
	CHECK(write(to_parent, "x", 1) == 1 && read(from_parent, &c, 1) == 1);
	CHECK(is_closed(n.closed) && write(n.covered, "again", 5) == 5);
	child_makes_its_own(n);
	_exit(0);
}

Test(vfork_threads, use_the_numbers_the_child_closed_and_covered)
{
	struct numbers n = open_numbers();
	int there[2], back[2];
	char text[32] = "";
	cr_assert(pipe(there) == 0 && pipe(back) == 0);
	struct user users[4] = {
		{.fd = n.closed}, {.fd = n.covered}, {.fd = there[0]}, {.fd = back[1]}};
	atomic_bool stop = false;
	pthread_t reporter;
	take(n.closed);
	take(n.covered);
	use_by_threads(users, 2, &stop);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(pthread_create(&reporter, NULL, reports_progress, users), 0);
		end_child(vfork_child_that_stays(n, there[1], back[0]));
		cr_assert_eq(pthread_join(reporter, NULL), 0);
		cr_assert_eq(read(n.in, text, sizeof(text)), 10);
		cr_assert_str_eq(text, "helloagain");
		assert_count(n.source, i ? 100 : 103);
		add(n.kept, 1);
	}
	end_use(users, 2, &stop);
	assert_empty(n.closed);
	assert_empty(n.covered);
	cr_assert_eq(close(there[0]) | close(there[1]) | close(back[0]) | close(back[1]), 0);
	close_numbers(n);
}

static pid_t vfork_child_with_its_own(int fd)
{
	pid_t child = vfork();
	if (child)
		return child;
	CHECK(tell_close(fd) == 0);
	int own = eventfd(9, EFD_NONBLOCK);
	CHECK(own >= 0 && takes(own, 9) && dup2(own, fd) == fd);
	CHECK(adds(fd, 5) && takes(own, 5));
	_exit(0);
}

static void *vforks_often(void *arg)
{
	struct user *u = arg;
	for (int i = 0; i < 40; i++) {
		int status = -1;
		pid_t child = vfork_child_with_its_own(u->fd);
		u->wrong += waitpid(child, &status, 0) != child || status != 0;
		u->wrong += !adds(u->fd, 2) || !takes(u->fd, 2);
	}
	return NULL;
}

Test(vfork_threads, vfork_all_at_once)
{
	enum { ALL = 4 };
	struct user users[ALL] = {0};
	for (int i = 0; i < ALL; i++)
		users[i].fd = new_eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < ALL; i++)
		cr_assert_eq(pthread_create(&users[i].thread, NULL, vforks_often, &users[i]), 0);
	for (int i = 0; i < ALL; i++) {
		cr_assert_eq(pthread_join(users[i].thread, NULL), 0);
		cr_assert_eq(users[i].wrong, 0);
		assert_empty(users[i].fd);
		cr_assert_eq(close(users[i].fd), 0);
	}
}

static void *opens_and_closes(void *arg)
{
	struct user *u = arg;
	while (!*u->stop) {
		int fd = eventfd(3, EFD_NONBLOCK);
		u->wrong += !takes(fd, 3) || tell_close(fd) != 0;
		u->rounds++;
	}
	return NULL;
}

static pid_t vfork_child_with_fresh_ones(struct numbers n)
{
	pid_t child = vfork();
	if (child)
		return child;
	child_changes_numbers(n);
	CHECK(fresh_one_works());
	_exit(0);
}

Test(vfork_threads, open_and_close_meanwhile)
{
	struct numbers n = open_numbers();
	atomic_bool stop = false;
	struct user u = {.stop = &stop};
	cr_assert_eq(pthread_create(&u.thread, NULL, opens_and_closes, &u), 0);
	for (int i = 0; i < 40; i++) {
		end_child(vfork_child_with_fresh_ones(n));
		add(n.kept, 1);
	}
	end_use(&u, 1, &stop);
	assert_count(n.closed, 1);
	assert_count(n.covered, 2);
	assert_count(n.source, 3 + 40 * 100);
	close_numbers(n);
}
