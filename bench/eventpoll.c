/* Rounds of an event loop: write to some of many eventfds, wait, read those that are reported. By
 * eventpoll_wait where that is there (under the shim), else, and with --epoll, by an edge-triggered
 * epoll_wait. A line of 'eventpoll-FDS-ACTIVE NANOSECONDS' each, the median of a round. With
 * --once FDS ACTIVE ROUNDS only those rounds are made. */
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "clock.h"
#include "core.h"
#include "die.h"
#include "efdshim/eventpoll.h"
#include "median.h"

enum { MOST = 10000, SAMPLES = 15, WRITES = 10000, OTHERS = 100 };

static int (*create)(int);
static int (*control)(int, int, int, unsigned);
static int (*wait_for)(int, const struct pollfd **, int);

static int set, fds[MOST];
static struct epoll_event events[MOST];

static void find_eventpoll(void)
{
	*(void **)&create = dlsym(RTLD_DEFAULT, "eventpoll_create");
	*(void **)&control = dlsym(RTLD_DEFAULT, "eventpoll_ctl");
	*(void **)&wait_for = dlsym(RTLD_DEFAULT, "eventpoll_wait");
}

static int add(int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

	return create ? control(set, EPOLL_CTL_ADD, fd, POLLIN)
		      : epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void set_up(int count)
{
	set = create ? create(count) : epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		die(EXIT_CANNOT, "the set");
	for (int i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fds[i] < 0 || add(fds[i]))
			die(EXIT_CANNOT, "an eventfd");
	}
}

static void tear_down(int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
	close(set);
}

static void read_one(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		die(EXIT_WRONG, "read");
}

static int wait_and_read(void)
{
	const struct pollfd *polled;
	int n = create ? wait_for(set, &polled, -1) : epoll_wait(set, events, MOST, -1);

	for (int i = 0; i < n; i++)
		read_one(create ? polled[i].fd : events[i].data.fd);
	return n;
}

/* Those that are active are others in each round. */
static void play(int count, int active, int rounds)
{
	static unsigned next;
	const uint64_t one = 1;

	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < active; k++) {
			if (write(fds[next++ % (unsigned)count], &one, sizeof(one)) != sizeof(one))
				die(EXIT_WRONG, "write");
		}
		for (int left = active, n; left; left -= n) {
			n = wait_and_read();
			if (n <= 0 || n > left)
				die(EXIT_WRONG, "wait");
		}
	}
}

static void measure(int count, int active)
{
	double taken[SAMPLES];
	int rounds = WRITES / active;

	set_up(count);
	play(count, active, rounds);
	for (int i = 0; i < SAMPLES; i++) {
		double start = now_ns();

		play(count, active, rounds);
		taken[i] = (now_ns() - start) / rounds;
	}
	printf("eventpoll-%d-%d %.2f\n", count, active, median(taken, SAMPLES));
	tear_down(count);
}

static void once(char **numbers)
{
	int count = atoi(numbers[0]);

	set_up(count);
	play(count, atoi(numbers[1]), atoi(numbers[2]));
	tear_down(count);
}

/* How many fds there can be. */
static rlim_t raise_limit(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

int main(int argc, char **argv)
{
	static const int counts[] = {10, 1000, MOST};
	rlim_t most;
	int first = argc > 1 && !strcmp(argv[1], "--epoll") ? 2 : 1;

	if (first == 1)
		find_eventpoll();
	most = raise_limit();
	pin_to_core(0);
	if (argc == first + 4 && !strcmp(argv[first], "--once")) {
		once(argv + first + 1);
		return 0;
	}
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		if ((rlim_t)counts[i] + OTHERS > most)
			break;
		measure(counts[i], 1);
		if (counts[i] >= 100)
			measure(counts[i], 100);
	}
	return 0;
}
