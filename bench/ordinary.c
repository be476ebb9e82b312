/* What ordinary fds cost with the shim and without: the same program, once with the library
 * preloaded and once without, by turns and on one processor.
 *
 *     ordinary LIBRARY [PAIRS]
 *
 * Each of the two children does a round of each work when it is told to, and says how long it took.
 * The figures are medians over the rounds; the ratio is the median of the rounds' own ratios. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 1000, POLLED = 16, EVENTFDS = 8, SIDES = 2, ROUNDS_OF_PAIR = 6 };

/* A pipe in a set of its own, and one in a set that has an eventfd, too, where there is one. */
static int ends[2], others[2];
static int epfd, mixed;
static struct pollfd polled[POLLED];

static void pipe_write_read(void)
{
	char byte = 1;

	if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1)
		abort();
}

static void pipe_write_read_8(void)
{
	uint64_t word = 1;

	if (write(ends[1], &word, sizeof(word)) != sizeof(word) ||
		read(ends[0], &word, sizeof(word)) != sizeof(word))
		abort();
}

static void read_nothing(void)
{
	char space[64];

	if (read(ends[0], space, sizeof(space)) >= 0)
		abort();
}

static void poll_16(void)
{
	poll(polled, POLLED, 0);
}

static void select_16(void)
{
	struct timeval now = {0, 0};
	fd_set set;

	FD_ZERO(&set);
	for (int i = 0; i < POLLED; i++)
		FD_SET(polled[i].fd, &set);
	select(polled[POLLED - 1].fd + 1, &set, NULL, NULL, &now);
}

static void wait_for_nothing(void)
{
	struct epoll_event events[8];

	epoll_wait(epfd, events, 8, 0);
}

static void write_wait_read(const int pipe[2], int set, int timeout)
{
	struct epoll_event events[8];
	char byte = 1;

	if (write(pipe[1], &byte, 1) != 1 || epoll_wait(set, events, 8, timeout) != 1 ||
		read(pipe[0], &byte, 1) != 1)
		abort();
}

static void wait_for_one(void)
{
	write_wait_read(ends, epfd, -1);
}

static void wait_within_a_second(void)
{
	write_wait_read(ends, epfd, 1000);
}

static void wait_for_nothing_mixed(void)
{
	struct epoll_event events[8];

	epoll_wait(mixed, events, 8, 0);
}

static void wait_for_one_mixed(void)
{
	write_wait_read(others, mixed, -1);
}

static void open_close(void)
{
	close(open("/dev/null", O_RDONLY));
}

static void dup_close(void)
{
	close(dup(ends[0]));
}

static void ask_flags(void)
{
	fcntl(ends[0], F_GETFL);
}

static const struct work {
	const char *name;
	void (*step)(void);
} works[] = {
	{"pipe: write + read, 1 byte", pipe_write_read},
	{"pipe: write + read, 8 bytes", pipe_write_read_8},
	{"pipe: read that finds nothing", read_nothing},
	{"poll of 16", poll_16},
	{"select of 16", select_16},
	{"epoll_wait, no event", wait_for_nothing},
	{"write + epoll_wait + read", wait_for_one},
	{"the same, with a timeout", wait_within_a_second},
	{"epoll_wait, set with an eventfd", wait_for_nothing_mixed},
	{"write + that + read", wait_for_one_mixed},
	{"open + close", open_close},
	{"dup + close", dup_close},
	{"fcntl F_GETFL", ask_flags},
};

enum { WORKS = sizeof(works) / sizeof(works[0]) };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make_eventfds(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	for (int i = 0; i < EVENTFDS; i++) {
		int fd = eventfd(0, EFD_NONBLOCK);

		if (fd < 0 || (!i && epoll_ctl(mixed, EPOLL_CTL_ADD, fd, &event)))
			abort();
	}
}

static void set_up(bool eventfds)
{
	struct epoll_event event = {.events = EPOLLIN};

	epfd = epoll_create1(0);
	mixed = epoll_create1(0);
	if (pipe2(ends, O_NONBLOCK) || pipe2(others, O_NONBLOCK))
		abort();
	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd){.fd = i ? dup(ends[0]) : ends[0], .events = POLLIN};
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, ends[0], &event) ||
		epoll_ctl(mixed, EPOLL_CTL_ADD, others[0], &event))
		abort();
	if (eventfds)
		make_eventfds();
}

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* A child: each byte it reads is the work to do. */
static int serve(const char *way)
{
	unsigned char number;
	pthread_t thread;

	set_up(!strstr(way, "without"));
	if (strstr(way, "two threads") && pthread_create(&thread, NULL, sleep_on, NULL))
		return 1;
	while (read(STDIN_FILENO, &number, 1) == 1) {
		double start = now(), taken;

		for (int i = 0; i < TIMES; i++)
			works[number].step();
		taken = (now() - start) / TIMES;
		if (write(STDOUT_FILENO, &taken, sizeof(taken)) != sizeof(taken))
			return 1;
	}
	return 0;
}

struct child {
	pid_t pid;
	int to, from;
};

static struct child start(const char *self, const char *library, const char *way)
{
	struct child child;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		abort();
	child.pid = fork();
	if (child.pid == 0) {
		if (library)
			setenv("LD_PRELOAD", library, 1);
		else
			unsetenv("LD_PRELOAD");
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(self, self, "--serve", way, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child.to = in[1];
	child.from = out[0];
	return child;
}

static double ask(const struct child *child, unsigned char number)
{
	double taken;

	if (write(child->to, &number, 1) != 1 ||
		read(child->from, &taken, sizeof(taken)) != sizeof(taken)) {
		fprintf(stderr, "ordinary: a child has died\n");
		exit(1);
	}
	return taken;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return values[n / 2];
}

/* Nanoseconds without, nanoseconds with, and their ratio. */
static double *figures[WORKS][SIDES + 1];

static void measure(const struct child children[SIDES], int round)
{
	int first = round % SIDES;

	for (unsigned char i = 0; i < WORKS; i++) {
		double *taken[SIDES] = {&figures[i][0][round], &figures[i][1][round]};

		*taken[first] = ask(&children[first], i);
		*taken[!first] = ask(&children[!first], i);
		figures[i][SIDES][round] = *taken[1] / *taken[0];
	}
}

static void measure_pair(const char *self, const char *library, const char *way, int from)
{
	struct child children[SIDES] = {start(self, NULL, way), start(self, library, way)};

	for (int round = from; round < from + ROUNDS_OF_PAIR; round++)
		measure(children, round);
	for (int i = 0; i < SIDES; i++) {
		close(children[i].to);
		close(children[i].from);
		waitpid(children[i].pid, NULL, 0);
	}
}

static void report(int rounds)
{
	for (int i = 0; i < WORKS; i++) {
		double without = median(figures[i][0], rounds);
		double with = median(figures[i][1], rounds);

		printf("  %-32s without %7.1f (least %7.1f)  with %7.1f (least %7.1f) ns  ratio "
		       "%.3f\n",
			works[i].name, without, figures[i][0][0], with, figures[i][1][0],
			median(figures[i][SIDES], rounds));
	}
}

/* Pair after pair, as two processes of the same program are never quite equally fast: their memory
 * lies elsewhere. */
static void compare_all(const char *self, const char *library, const char *way, int pairs)
{
	int rounds = pairs * ROUNDS_OF_PAIR;

	for (int i = 0; i < WORKS; i++) {
		for (int side = 0; side <= SIDES; side++)
			figures[i][side] = calloc((size_t)rounds, sizeof(double));
	}
	for (int i = 0; i < pairs; i++)
		measure_pair(self, library, way, i * ROUNDS_OF_PAIR);
	report(rounds);
	for (int i = 0; i < WORKS; i++) {
		for (int side = 0; side <= SIDES; side++)
			free(figures[i][side]);
	}
}

static void stay_on_one_processor(void)
{
	cpu_set_t set;
	int last = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &set) ? i : last;
	CPU_ZERO(&set);
	CPU_SET(last, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static const char *const ways[] = {
	"without eventfds",
	"with eventfds, one of them watched",
	"of two threads, without eventfds",
	"of two threads, with eventfds",
};

int main(int argc, char **argv)
{
	int pairs = argc > 2 ? atoi(argv[2]) : 20;

	if (argc == 3 && !strcmp(argv[1], "--serve"))
		return serve(argv[2]);
	if (argc < 2 || pairs < 1) {
		fprintf(stderr, "usage: ordinary LIBRARY [PAIRS]\n");
		return 2;
	}
	stay_on_one_processor();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		printf("a program %s\n", ways[i]);
		compare_all("/proc/self/exe", argv[1], ways[i], pairs);
	}
	return 0;
}
