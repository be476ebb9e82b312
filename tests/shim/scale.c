/* Very many eventfds, half of them watched. Usage:
 * scale one MOST [leave]: in one process; with 'leave' it ends without closing them
 * scale processes COUNT: in as many processes as that takes
 * scale calls COUNT: the system calls of 100 of each operation, COUNT other eventfds being there
 * scale held DIRECTORY: fails where any FIFO of the directory is open somewhere */
#include "callcount.h"
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPARE = 64, SAMPLE = 100, PROCESSES_MOST = 512 };

static int *fds, count, epfd;

static void allocate(int most)
{
	fds = calloc((size_t)most + 1, sizeof(*fds));
	require(fds, "memory");
}

static int raise_limit(void)
{
	struct rlimit limit;

	require(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	require(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	return limit.rlim_cur > 1 << 20 ? 1 << 20 : (int)limit.rlim_cur;
}

/* Every other one is watched. */
static void watch(int i)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)i};

	if (i % 2)
		require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
}

/* Until there are `most`, or no number is left. */
static void make(int most)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	require(epfd >= 0, "epoll_create1");
	while (count < most) {
		fds[count] = eventfd(0, EFD_NONBLOCK);
		if (fds[count] < 0)
			break;
		prog_require_served(fds[count]);
		watch(count++);
	}
	require(count == most || errno == EMFILE, "eventfd");
}

static void expect_events(int step, const char *what)
{
	struct epoll_event *events = calloc((size_t)count + 1, sizeof(*events));
	int expected = 0, n = epoll_wait(epfd, events, count + 1, 0);

	for (int i = 1; step && i < count; i += 2)
		expected += i % step == 0;
	for (int i = 0; i < n; i++)
		require(events[i].events == EPOLLIN && events[i].data.u64 % (unsigned)step == 0 &&
				events[i].data.u64 % 2,
			what);
	require(n == expected, what);
	free(events);
}

/* Every count, and the event of each that is watched and was written to. */
static void check(void)
{
	expect_events(0, "events before any write");
	for (int i = 0; i < count; i += 3)
		prog_add(fds[i], (unsigned long)i + 1);
	expect_events(3, "the events of every third");
	for (int i = 0; i < count; i++)
		require(prog_take(fds[i]) == (i % 3 ? 0 : (unsigned long)i + 1), "a count");
	expect_events(0, "events after all reads");
}

static void close_all(void)
{
	for (int i = 0; i < count; i++)
		require(!close(fds[i]), "close");
	require(!close(epfd), "close of the set");
}

static void one(int most, bool leave)
{
	int limit = raise_limit();

	allocate(most);
	make(most);
	require(count == most || count >= limit - SPARE, "too few eventfds");
	check();
	if (leave)
		return;
	int first = fds[0];
	close_all();
	require(eventfd(0, 0) <= first, "the lowest number");
}

/* A share of them: says that they are there, waits until all are, then checks them. */
static void child(int share, const int ready[2], const int go[2])
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	require(!close(go[1]), "close");
	make(share);
	require(count == share, "too few eventfds");
	require(write(ready[1], "", 1) == 1, "pipe");
	require(read(go[0], &byte, 1) == 0, "pipe");
	check();
	close_all();
	exit(0);
}

static void processes(int most)
{
	int per = raise_limit() - SPARE, n, status, ready[2], go[2];
	char byte;

	per = per < most / 5 ? per : most / 5;
	n = (most + per - 1) / per;
	require(n <= PROCESSES_MOST, "the limit of fds is too low");
	require(!pipe(ready) && !pipe(go), "pipe");
	allocate(per);
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid)
			child(i < n - 1 ? per : most - per * (n - 1), ready, go);
	}
	require(!close(ready[1]), "close");
	for (int i = 0; i < n; i++)
		require(read(ready[0], &byte, 1) == 1, "a process failed");
	close(go[1]);
	for (int i = 0; i < n; i++)
		require(wait(&status) > 0 && !status, "a process failed");
}

static int sample[SAMPLE];

static void create(void)
{
	for (int i = 0; i < SAMPLE; i++)
		sample[i] = eventfd(0, EFD_NONBLOCK);
}

static void close_sample(void)
{
	for (int i = 0; i < SAMPLE; i++)
		require(sample[i] >= 0 && !close(sample[i]), "close");
}

static void write_sample(void)
{
	for (int i = 0; i < SAMPLE; i++)
		prog_add(sample[i], 1);
}

static void read_sample(void)
{
	for (int i = 0; i < SAMPLE; i++)
		require(prog_take(sample[i]) == 1, "a count");
}

static void watch_sample(void)
{
	for (int i = 0; i < SAMPLE; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		require(!epoll_ctl(epfd, EPOLL_CTL_ADD, sample[i], &event), "epoll_ctl");
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} steps[] = {
	{"create", create},
	{"write", write_sample},
	{"read", read_sample},
	{"watch", watch_sample},
	{"write-watched", write_sample},
	{"read-watched", read_sample},
	{"close", close_sample},
	{"create-again", create},
	{"write-again", write_sample},
	{"close-again", close_sample},
};

enum { STEPS = sizeof(steps) / sizeof(*steps) };

static void run_steps(int others)
{
	allocate(others);
	make(others);
	require(count == others, "too few eventfds");
	callcount_begin();
	callcount_mark();
	for (int i = 0; i < STEPS; i++) {
		steps[i].run();
		callcount_mark();
	}
	exit(0);
}

static void calls(int others)
{
	long made[CALLCOUNT_MOST] = {0};
	int most = raise_limit() - SPARE - SAMPLE;
	pid_t pid = fork();

	require(pid >= 0, "fork");
	if (!pid)
		run_steps(others < most ? others : most);
	if (callcount_follow(pid, made) < 0)
		exit(77);
	for (int i = 0; i < STEPS; i++)
		printf("%s %ld\n", steps[i].name, made[i]);
}

static void held(const char *directory)
{
	int open_ones = 0, dir = raw_openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
	DIR *list = fdopendir(dir);

	require(list, "the directory");
	for (const struct dirent *e; (e = readdir(list));) {
		struct stat st;

		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISFIFO(st.st_mode))
			continue;
		if (openat(dir, e->d_name, O_WRONLY | O_NONBLOCK) >= 0)
			open_ones++;
		else
			require(errno == ENXIO, "open of a FIFO");
	}
	errno = 0;
	require(!open_ones, "a FIFO is still open somewhere");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		prog_fail("usage: scale one|processes|calls COUNT, scale held DIRECTORY");
	if (!strcmp(argv[1], "one"))
		one(atoi(argv[2]), argc > 3);
	else if (!strcmp(argv[1], "processes"))
		processes(atoi(argv[2]));
	else if (!strcmp(argv[1], "calls"))
		calls(atoi(argv[2]));
	else if (!strcmp(argv[1], "held"))
		held(argv[2]);
	return 0;
}
