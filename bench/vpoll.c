/* An event is set, reported to one epoll watcher and cleared: libvpoll's emulation (a socketpair)
 * without the shim, EFD_MASK on the shim, libvpoll on the shim's EFD_VPOLL. Each runs in a process
 * of its own, as libvpoll chooses when it is loaded; they take turns, by pipes. Medians, and their
 * ratios to the emulation; with strace there, the system calls of one round as well.
 * Usage: vpoll LIBRARY */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vpoll.h>

#include "efdshim/eventfd.h"

enum { TURNS = 45, TIMES = 5000, COUNTED = 1000 };

struct contender {
	const char *name;
	const char *dialect; /* EFDSHIM_MASK; NULL: without the shim */
	void (*set)(int fd, uint32_t events);
	int (*make)(void);
	int orders, answers; /* ends of pipes */
	double costs[TURNS];
};

static int make_vpoll(void)
{
	return vpoll_create(EPOLLOUT, 0); /* what an emulated fd costs least with */
}

static void set_vpoll(int fd, uint32_t events)
{
	vpoll_ctl(fd, events ? VPOLL_CTL_ADDEVENTS : VPOLL_CTL_DELEVENTS, EPOLLIN);
}

static int make_mask(void)
{
	return eventfd(0, EFD_MASK);
}

static void set_mask(int fd, uint32_t events)
{
	struct efd_mask mask = {.events = events, .data = 0};

	if (write(fd, &mask, sizeof(mask)) != sizeof(mask))
		exit(2);
}

static struct contender contenders[] = {
	{.name = "libvpoll's emulation", .set = set_vpoll, .make = make_vpoll},
	{.name = "EFD_MASK", .dialect = "mask", .set = set_mask, .make = make_mask},
	{.name = "libvpoll on EFD_VPOLL", .dialect = "vpoll", .set = set_vpoll, .make = make_vpoll},
};

enum { CONTENDERS = sizeof(contenders) / sizeof(contenders[0]) };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Once more than it counts, so that what the first round sets up is not counted. */
static double rounds(const struct contender *contender, int fd, int epfd, int times)
{
	struct epoll_event event;
	double start = 0;

	for (int i = -1; i < times; i++) {
		if (i == 0)
			start = now();
		contender->set(fd, EPOLLIN);
		if (epoll_wait(epfd, &event, 1, -1) != 1 || event.events != EPOLLIN)
			exit(3);
		contender->set(fd, 0);
	}
	return (now() - start) / times;
}

/* One turn for each number of rounds on stdin, its cost to stdout. */
static int work(const struct contender *contender)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = contender->make(), epfd = epoll_create1(0), times;
	double cost;

	if (fd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event))
		return 4;
	while (read(0, &times, sizeof(times)) == sizeof(times)) {
		cost = times ? rounds(contender, fd, epfd, times) : 0;
		if (write(1, &cost, sizeof(cost)) != sizeof(cost))
			return 5;
	}
	return 0;
}

static void set_up(const struct contender *contender, const char *library)
{
	unsetenv("LD_PRELOAD");
	if (!contender->dialect)
		return;
	setenv("LD_PRELOAD", library, 1);
	setenv("EFDSHIM_MASK", contender->dialect, 1);
}

/* Becomes the contender, under strace where a file for its calls is named. */
static _Noreturn void become(int which, const char *self, const char *library, const char *calls)
{
	const struct contender *contender = &contenders[which];
	char number[2] = {(char)('0' + which), 0}, preload[4200], dialect[64];

	if (!calls) {
		set_up(contender, library);
		execl(self, self, "work", number, NULL);
		_exit(6);
	}
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", contender->dialect ? library : "");
	snprintf(dialect, sizeof(dialect), "EFDSHIM_MASK=%s",
		contender->dialect ? contender->dialect : "");
	execlp("strace", "strace", "-f", "-qq", "-o", calls, "-E", preload, "-E", dialect, self,
		"work", number, NULL);
	_exit(6);
}

static void start(int which, const char *self, const char *library, const char *calls)
{
	struct contender *contender = &contenders[which];
	int orders[2], answers[2];

	if (pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
		exit(7);
	if (fork() == 0) {
		dup2(orders[0], 0);
		dup2(answers[1], 1);
		become(which, self, library, calls);
	}
	close(orders[0]);
	close(answers[1]);
	contender->orders = orders[1];
	contender->answers = answers[0];
}

static double turn(const struct contender *contender, int times)
{
	double cost;

	if (write(contender->orders, &times, sizeof(times)) != sizeof(times) ||
		read(contender->answers, &cost, sizeof(cost)) != sizeof(cost))
		return -1;
	return cost;
}

/* Until it has gone, which the end of its answers tells. */
static void stop(const struct contender *contender)
{
	double cost;

	close(contender->orders);
	while (read(contender->answers, &cost, sizeof(cost)) > 0)
		;
	close(contender->answers);
}

static long lines(const char *name)
{
	FILE *file = fopen(name, "r");
	long count = 0;

	for (int c; file && (c = getc(file)) != EOF;)
		count += c == '\n';
	if (file)
		fclose(file);
	return count;
}

/* The system calls of a round: those of many rounds without those of one; -1 without strace. */
static double calls_of(int which, const char *self, const char *library)
{
	char name[] = "/tmp/vpoll-calls.XXXXXX";
	long count[2] = {0, 0};
	int fd = mkstemp(name);
	double cost = 0;

	for (int many = 0; many < 2; many++) {
		start(which, self, library, name);
		cost = cost < 0 ? cost : turn(&contenders[which], many ? 1 + COUNTED : 1);
		stop(&contenders[which]);
		while (wait(NULL) > 0)
			;
		count[many] = lines(name);
	}
	close(fd);
	unlink(name);
	return cost < 0 ? -1 : (double)(count[1] - count[0]) / COUNTED;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void show(struct contender *contender, double emulation, double calls)
{
	double median;

	qsort(contender->costs, TURNS, sizeof(double), compare);
	median = contender->costs[TURNS / 2];
	printf("%-44s        %8.1f ns   emulation/this %6.2f", contender->name, median,
		emulation / median);
	if (calls >= 0)
		printf("   %5.2f system calls", calls);
	printf("\n");
}

int main(int argc, char **argv)
{
	double emulation;

	if (argc == 3 && !strcmp(argv[1], "work"))
		return work(&contenders[argv[2][0] - '0']);
	if (argc != 2)
		return 2;
	signal(SIGPIPE, SIG_IGN); /* strace may not be there, or not be allowed */
	for (int i = 0; i < CONTENDERS; i++)
		start(i, argv[0], argv[1], NULL);
	for (int round = 0; round < TURNS; round++) {
		for (int i = 0; i < CONTENDERS; i++) {
			contenders[i].costs[round] = turn(&contenders[i], TIMES);
			if (contenders[i].costs[round] < 0)
				return 1;
		}
	}
	for (int i = 0; i < CONTENDERS; i++)
		stop(&contenders[i]);
	qsort(contenders[0].costs, TURNS, sizeof(double), compare);
	emulation = contenders[0].costs[TURNS / 2];
	printf("set an event, epoll_wait, clear it:\n");
	for (int i = 0; i < CONTENDERS; i++)
		show(&contenders[i], emulation, calls_of(i, argv[0], argv[1]));
	return 0;
}
