/* Programs that change their user while they have eventfds; run by root. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, MANY = 700, ROUNDS = 500 };

static int fds[MANY];

/* For good. */
static void drop(void)
{
	require(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
			!setresuid(NOBODY, NOBODY, NOBODY),
		"setresuid");
}

static void become(uid_t uid)
{
	require(!seteuid(uid), "seteuid");
}

static int set_of(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.fd = fd};
	int epfd = epoll_create1(0);

	require(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	return epfd;
}

static uint32_t seen(int epfd, int timeout)
{
	struct epoll_event event = {0};
	int n = epoll_wait(epfd, &event, 1, timeout);

	require(n >= 0, "epoll_wait");
	return n ? event.events : 0;
}

static void make(int from, int to)
{
	for (int i = from; i < to; i++)
		fds[i] = prog_eventfd((unsigned)i, EFD_NONBLOCK);
}

static void use_and_close(int from, int to)
{
	for (int i = from; i < to; i++)
		require(prog_take(fds[i]) == (unsigned)i, "the count of one of them");
	work_with(fds[from]);
	work_with(fds[to - 1]);
	for (int i = from; i < to; i++)
		require(!close(fds[i]), "close");
}

/* Old and new ones, side by side, more than were made before. */
static void old_and_new(void)
{
	make(0, 20);
	drop();
	make(20, MANY);
	use_and_close(0, MANY);
	make(0, MANY);
	use_and_close(0, MANY);
	work(WORK_ALL);
}

/* Watches from before, changed after; and new ones of every kind on old eventfds. */
static void watches(void)
{
	int fd = prog_eventfd(0, EFD_NONBLOCK), other = prog_eventfd(0, EFD_NONBLOCK), copy, late;
	int in = set_of(fd, EPOLLIN), out = set_of(fd, EPOLLOUT),
	    edge = set_of(fd, EPOLLIN | EPOLLET);
	struct epoll_event event = {.events = EPOLLOUT};

	drop();
	prog_add(fd, 1);
	require(seen(in, 0) == EPOLLIN && seen(edge, 0) == EPOLLIN && !seen(edge, 0), "readable");
	prog_add(fd, UINT64_MAX - 2);
	require(seen(edge, 0) == EPOLLIN && seen(out, 0) == 0, "full");
	require(!epoll_ctl(in, EPOLL_CTL_MOD, fd, &event), "EPOLL_CTL_MOD");
	require(seen(in, 0) == 0, "full, for OUT");
	late = set_of(fd, EPOLLOUT | EPOLLET);
	require(prog_take(fd) == UINT64_MAX - 1, "the count");
	require(seen(in, 0) == EPOLLOUT && seen(out, 0) == EPOLLOUT && seen(late, 0) == EPOLLOUT,
		"empty");
	copy = dup(other);
	work_with(other);
	require(!close(other), "close");
	work_with(copy);
	require(!close(copy) && !close(late) && !close(edge) && !close(out) && !close(in) &&
			!close(fd),
		"close");
	work(WORK_ALL);
}

struct talk {
	int there, back;
};

static void answer(const struct talk *talk, bool by_epoll)
{
	int epfd = by_epoll ? set_of(talk->there, EPOLLIN | EPOLLET) : -1;

	for (int i = 0; i < ROUNDS; i++) {
		eventfd_t value = 0;

		if (by_epoll)
			require(seen(epfd, -1) == EPOLLIN, "epoll_wait");
		require(!eventfd_read(talk->there, &value), "read");
		require(!eventfd_write(talk->back, value + 1), "write");
	}
}

static void ask(const struct talk *talk, bool by_poll)
{
	struct pollfd p = {.fd = talk->back, .events = POLLIN};

	for (eventfd_t i = 1; i <= ROUNDS; i++) {
		eventfd_t value = 0;

		require(!eventfd_write(talk->there, i), "write");
		if (by_poll)
			require(poll(&p, 1, -1) == 1, "poll");
		require(!eventfd_read(talk->back, &value) && value == i + 1, "the answer");
	}
}

/* Of parent and child one drops its privileges; each sleeps and wakes the other. */
static void talk_across(bool child_drops, bool by_poll)
{
	struct talk talk = {prog_eventfd(0, 0), prog_eventfd(0, 0)};
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		if (child_drops)
			drop();
		answer(&talk, by_poll);
		if (child_drops)
			work(WORK_ALL);
		_exit(0);
	}
	if (!child_drops)
		drop();
	ask(&talk, by_poll);
	require(waitpid(pid, &status, 0) == pid && !status, "the child");
	work_with(prog_eventfd(0, EFD_NONBLOCK));
	work(WORK_ALL);
}

static void child_drops(void)
{
	talk_across(true, false);
	talk_across(true, true);
}

static void parent_drops(void)
{
	talk_across(false, false);
}

static void parent_drops_and_polls(void)
{
	talk_across(false, true);
}

/* As servers do, to open a file in somebody's name. */
static void for_a_while(void)
{
	make(0, 20);
	for (int i = 0; i < 3; i++) {
		become(NOBODY);
		make(20, 40);
		use_and_close(20, 40);
		work(WORK_ALL);
		become(0);
		make(20, 40);
		use_and_close(20, 40);
	}
	become(NOBODY);
	make(20, 40);
	become(0);
	use_and_close(0, 40);
	work(WORK_ALL);
}

/* The first one of all is made in somebody's name. */
static void first_in_a_name(void)
{
	become(NOBODY);
	make(0, 20);
	become(0);
	make(20, 40);
	use_and_close(0, 40);
	work(WORK_ALL);
}

static void by_fsuid(void)
{
	make(0, 20);
	setfsgid(NOBODY);
	setfsuid(NOBODY);
	make(20, MANY);
	use_and_close(0, MANY);
	setfsuid(0);
	setfsgid(0);
	work(WORK_ALL);
}

/* /proc/self is root's afterwards, and the process is none for others to look at. */
static void undumpable(void)
{
	make(0, 20);
	require(!prctl(PR_SET_DUMPABLE, 0), "PR_SET_DUMPABLE");
	drop();
	make(20, 40);
	use_and_close(0, 40);
	work(WORK_ALL);
}

struct sleeper {
	int fd, done;
	_Atomic int tid;
};

static void *sleep_in_read(void *arg)
{
	struct sleeper *sleeper = arg;
	eventfd_t value = 0;

	sleeper->tid = (int)raw_syscall3(SYS_gettid, 0, 0, 0);
	require(!eventfd_read(sleeper->fd, &value) && value == 5, "the sleeper's count");
	return NULL;
}

static void *sleep_in_epoll(void *arg)
{
	struct sleeper *sleeper = arg;
	int epfd = set_of(sleeper->fd, EPOLLIN | EPOLLET), n;
	struct epoll_event event;

	sleeper->tid = (int)raw_syscall3(SYS_gettid, 0, 0, 0);
	/* libc's signal interrupts it, as it does in the kernel */
	while ((n = epoll_wait(epfd, &event, 1, -1)) == -1 && errno == EINTR)
		;
	require(n == 1 && event.events == EPOLLIN && prog_take(sleeper->fd) == 5,
		"the sleeper's event");
	close(epfd);
	return NULL;
}

/* Threads that sleep while the process drops its privileges; libc asks each of them to. */
static void sleepers(void)
{
	struct sleeper one = {.fd = prog_eventfd(0, 0)},
		       two = {.fd = prog_eventfd(0, EFD_NONBLOCK)};
	pthread_t threads[2];

	require(!pthread_create(&threads[0], NULL, sleep_in_read, &one) &&
			!pthread_create(&threads[1], NULL, sleep_in_epoll, &two),
		"pthread_create");
	while (!one.tid || !two.tid)
		sched_yield();
	prog_wait_asleep(one.tid);
	prog_wait_asleep(two.tid);
	drop();
	prog_add(one.fd, 5);
	prog_add(two.fd, 5);
	for (int i = 0; i < 2; i++)
		require(!pthread_join(threads[i], NULL), "pthread_join");
	work_with(two.fd);
	work(WORK_ALL);
}

static const struct prog_case cases[] = {
	{"old eventfds and new ones", old_and_new},
	{"watches from before", watches},
	{"a child drops, its parent does not", child_drops},
	{"a parent drops, its child does not", parent_drops},
	{"a parent drops, its child does not, by poll and epoll", parent_drops_and_polls},
	{"another user for a while", for_a_while},
	{"the first eventfd as another user", first_in_a_name},
	{"another user for files only", by_fsuid},
	{"a process that is not dumpable", undumpable},
	{"threads that sleep meanwhile", sleepers},
};

PROG_MAIN(cases)
