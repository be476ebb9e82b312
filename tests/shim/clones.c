/* Threads that clone makes, of which libc does not know: its word that a process has one thread
 * only means nothing then. */
#include "prog.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 1 << 18, DATA = 77, LONG = 3000 };

static _Alignas(16) char stack[STACK];
static int set, fd;
static int waiter; /* the state of who waits */

static int clone_thread(int (*run)(void *))
{
	int pid = clone(run, stack + STACK, CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);

	require(pid > 0, "clone");
	return pid;
}

static void end_of(int pid)
{
	int status;

	require(waitpid(pid, &status, 0) == pid && !status, "what clone made");
}

/* Not a thread of this process as /proc has it. */
static void wait_asleep(void)
{
	char line[512];

	for (;;) {
		ssize_t n = pread(waiter, line, sizeof(line) - 1, 0);
		const char *state;

		require(n > 0, "a state");
		line[n] = 0;
		state = strrchr(line, ')');
		if (state && state[1] && state[2] == 'S')
			return;
		sched_yield();
	}
}

static void put_in(int number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = DATA};

	require(!epoll_ctl(set, EPOLL_CTL_ADD, number, &event), "EPOLL_CTL_ADD");
}

static int add_and_write(void *arg)
{
	(void)arg;
	wait_asleep();
	put_in(fd);
	wait_asleep();
	prog_add(fd, 1);
	return 0;
}

static int only_write(void *arg)
{
	(void)arg;
	wait_asleep();
	prog_add(fd, 1);
	return 0;
}

static void expect_event(int (*other)(void *))
{
	struct epoll_event event;
	int pid;

	waiter = open("/proc/self/stat", O_RDONLY);
	require(waiter >= 0, "/proc/self/stat");
	pid = clone_thread(other);
	require(epoll_wait(set, &event, 1, LONG) == 1 && event.data.u64 == DATA, "epoll_wait");
	require(prog_take(fd) == 1, "the count");
	end_of(pid);
	close(waiter);
}

static void into_an_empty_set(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	set = epoll_create1(0);
	expect_event(add_and_write);
}

static void into_a_set_of_pipes(void)
{
	int ends[2];

	require(!pipe(ends), "pipe");
	fd = prog_eventfd(0, EFD_NONBLOCK);
	set = epoll_create1(0);
	put_in(ends[0]);
	expect_event(add_and_write);
}

static void to_a_watched_one(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	set = epoll_create1(0);
	put_in(fd);
	expect_event(only_write);
	expect_event(only_write);
}

static const struct prog_case cases[] = {
	{"an eventfd comes into an empty set while it is waited for", into_an_empty_set},
	{"an eventfd comes into a set of pipes while it is waited for", into_a_set_of_pipes},
	{"a write to an eventfd in a set that is waited for", to_a_watched_one},
};

PROG_MAIN(cases)
