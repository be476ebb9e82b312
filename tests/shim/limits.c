/* Few fds, many fds, and numbers that select was not made for. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FEW = 16, MANY = 20000, SOME = 5000, FIRST = 3, ABOVE = 1500 };

static int fds[MANY];

static void limit(rlim_t n)
{
	struct rlimit limit = {n, n};

	require(!setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
}

static void begin(rlim_t n)
{
	raw_syscall3(SYS_close_range, FIRST, UINT32_MAX, 0); /* what was inherited */
	limit(n);
}

/* Makes as many as there is room for. */
static int fill(void)
{
	int n = 0;

	while (n < MANY && (fds[n] = eventfd(0, EFD_NONBLOCK)) >= 0)
		n++;
	require(errno == EMFILE, "eventfd where all numbers are taken");
	return n;
}

static void few(void)
{
	int n;

	begin(FEW);
	n = fill();
	require(n == FEW - FIRST, "not as many eventfds as there are numbers");
	for (int i = 0; i < n; i++)
		require(fds[i] == FIRST + i, "not the lowest number");
	for (int i = 0; i < n; i++)
		prog_add(fds[i], (unsigned long)i + 1);
	for (int i = 0; i < n; i++)
		require(prog_take(fds[i]) == (unsigned long)i + 1, "the count of one of them");
	require(!close(fds[5]) && eventfd(0, EFD_NONBLOCK) == fds[5],
		"the number that was given back");
}

/* Other files have the room that they would have. */
static void few_others(void)
{
	begin(FEW);
	fds[0] = eventfd(0, 0);
	for (int i = FIRST + 1; i < FEW; i++)
		require(open("/dev/null", O_RDONLY) == i, "not the lowest number for a file");
	require(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE,
		"open where all numbers are taken");
}

static void exhausted_watches(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	struct pollfd p = {.events = POLLIN};
	int epfd;

	begin(FEW);
	epfd = epoll_create1(0);
	fill();
	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event), "a watch");
	prog_add(fds[0], 1);
	require(epoll_wait(epfd, &event, 1, 0) == 1 && event.events == (EPOLLIN | EPOLLOUT),
		"its events");
	require(prog_take(fds[0]) == 1, "the count");
	p.fd = fds[1];
	require(poll(&p, 1, 1) == 0, "poll with a timeout");
	prog_add(fds[1], 1);
	require(poll(&p, 1, -1) == 1 && p.revents == POLLIN, "poll");
}

static uint64_t words[2] = {1, 1};

/* Calls whose answer depends on the kernel, by number, and their arguments after the fd. */
static const struct {
	const char *name;
	long number, a, b, c;
} questions[] = {
	{"a write of 16 bytes", SYS_write, (long)words, sizeof(words), 0},
	{"lseek", SYS_lseek, 0, SEEK_CUR, 0},
	{"lseek to nowhere", SYS_lseek, 0, 77, 0},
	{"pread", SYS_pread64, (long)words, 8, 0},
	{"pwrite", SYS_pwrite64, (long)words, 8, 0},
	{"ftruncate", SYS_ftruncate, 0, 0, 0},
	{"fsync", SYS_fsync, 0, 0, 0},
	{"fchmod", SYS_fchmod, 0600, 0, 0},
	{"ioctl", SYS_ioctl, TIOCGWINSZ, (long)words, 0},
	{"fadvise", SYS_fadvise64, 0, 0, 4},
	{"read to a bad address", SYS_read, -4096, 8, 0},
};

enum { QUESTIONS = sizeof(questions) / sizeof(*questions) };

static void ask_kernel(long answers[QUESTIONS])
{
	int fd = raw_eventfd(2, EFD_NONBLOCK);

	for (int i = 0; i < QUESTIONS; i++)
		answers[i] = raw_syscall6(questions[i].number, fd, questions[i].a, questions[i].b,
			questions[i].c, 0, 0);
	raw_close(fd);
}

static void require_answers(int fd, const long answers[QUESTIONS])
{
	for (int i = 0; i < QUESTIONS; i++) {
		long answer = syscall(questions[i].number, fd, questions[i].a, questions[i].b,
			questions[i].c, 0, 0);

		require((answer < 0 ? -errno : answer) == answers[i], questions[i].name);
	}
}

/* Whoever asks the kernel what it says of an eventfd has no number left to ask with, at first. */
static void exhausted_answers(void)
{
	long answers[QUESTIONS];
	int n;

	begin(FEW);
	ask_kernel(answers);
	n = fill();
	require_answers(fds[0], answers);
	require(!close(fds[n - 1]), "close");
	require_answers(fds[1], answers);
}

static void raised_and_lowered(void)
{
	begin(1200);
	fds[0] = prog_eventfd(0, EFD_NONBLOCK);
	limit(FEW);
	work_with(fds[0]);
	work(WORK_ALL);
	require(!close(fds[0]), "close");
	work(WORK_ALL);
}

static void many(void)
{
	struct pollfd *set = calloc(SOME, sizeof(*set));

	begin(MANY);
	for (int i = 0; i < SOME; i++) {
		fds[i] = prog_eventfd(1, EFD_NONBLOCK);
		set[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	}
	require(poll(set, SOME, -1) == SOME, "poll of all");
	for (int i = 0; i < SOME; i++)
		require(prog_take(fds[i]) == 1 && set[i].revents == POLLIN,
			"the count of one of them");
	require(poll(set, SOME, 1) == 0, "poll of all, in vain");
	prog_add(fds[SOME - 1], 1);
	require(poll(set, SOME, -1) == 1 && set[SOME - 1].revents == POLLIN, "poll for one");
	for (int i = 0; i < SOME; i++)
		require(!close(fds[i]), "close");
	require(eventfd(0, 0) == FIRST, "the lowest number");
	free(set);
}

struct sets {
	unsigned long in[MANY / 64 + 1];
	unsigned long out[MANY / 64 + 1];
};

static bool has(const unsigned long *set, int fd)
{
	return set[fd / 64] >> fd % 64 & 1;
}

static void set_only(struct sets *sets, int fd)
{
	*sets = (struct sets){0};
	sets->in[fd / 64] = 1ul << fd % 64;
	sets->out[fd / 64] = 1ul << fd % 64;
}

/* A program that makes its own, longer sets. */
static void select_above(void)
{
	static const int numbers[] = {ABOVE, 1023, 1024, MANY - 1};
	static struct sets sets;
	struct timeval soon = {.tv_usec = 1000};
	int fd;

	begin(MANY);
	fd = prog_eventfd(0, EFD_NONBLOCK);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		int high = numbers[i];

		require(dup2(fd, high) == high, "dup2");
		set_only(&sets, high);
		require(select(high + 1, (fd_set *)sets.in, (fd_set *)sets.out, NULL, NULL) == 1,
			"select");
		require(!has(sets.in, high) && has(sets.out, high),
			"an empty eventfd in select's sets");
		prog_add(high, 1);
		set_only(&sets, high);
		require(select(high + 1, (fd_set *)sets.in, (fd_set *)sets.out, NULL, NULL) == 2,
			"select");
		require(has(sets.in, high) && has(sets.out, high),
			"a readable one in select's sets");
		require(prog_take(high) == 1, "the count");
		set_only(&sets, high);
		require(select(high + 1, (fd_set *)sets.in, NULL, NULL, &soon) == 0,
			"select in vain");
		require(!has(sets.in, high), "the sets of a select in vain");
		work_with(fd);
	}
}

/* The library's own fds lie above what the program's sets can hold. */
static void select_below(void)
{
	static fd_set in, all;
	struct timeval soon = {.tv_usec = 1000};
	int first, count = 0;

	begin(MANY);
	first = prog_eventfd(0, EFD_NONBLOCK);
	for (int fd = first; fd < FD_SETSIZE; fd = dup(first)) {
		FD_SET(fd, &all);
		count++;
	}
	in = all;
	require(select(FD_SETSIZE, &in, NULL, NULL, &soon) == 0, "select of all in vain");
	prog_add(first, 1);
	in = all;
	require(select(FD_SETSIZE, &in, NULL, NULL, NULL) == count, "select of all");
}

static const struct prog_case cases[] = {
	{"16 fds, all of them eventfds", few},
	{"16 fds, one of them an eventfd", few_others},
	{"watches where all numbers are taken", exhausted_watches},
	{"the kernel's answers where all numbers are taken", exhausted_answers},
	{"a limit that is lowered", raised_and_lowered},
	{"20,000 fds, 5,000 eventfds", many},
	{"select of numbers beyond FD_SETSIZE", select_above},
	{"select of all numbers below FD_SETSIZE", select_below},
};

PROG_MAIN(cases)
