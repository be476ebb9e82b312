/* epoll_pwait and epoll_pwait2, by libc's functions and by syscall(): what they answer, which
 * signals they let in, and when they return. "answers" prints what does not depend on time;
 * "signals" passes where no signal is lost, each ending a wait of its own ("together": or several
 * one), "taken" where none is that comes as another thing ends
 * the sleep; "times" passes where no wait returns early, and the median one at most 50 us later
 * than a sleep of that time. */
#include "older.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	SIGNALS = 10000,
	TAKEN = 1000,
	ROUNDS = 101,
	NS_IN_US = 1000,
	NS = 1000000000,
	SIGSET = 8,
	EXACT_NS = 50000,
	TRIES = 5
};

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static struct epoll_event events[4];
static _Atomic int handled;
static sigset_t none, usr1;

static void count(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (int64_t)NS + t.tv_nsec;
}

static int set_of(int fd, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.u64 = 77};
	int set = epoll_create1(0);

	if (fd >= 0)
		epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	return set;
}

static void show_events(int n)
{
	for (int i = 0; i < n; i++)
		printf("    %x of %lu\n", events[i].events, (unsigned long)events[i].data.u64);
}

#define WAIT(call) show_events((int)SAY(call))

static void errors(int set)
{
	struct timespec bad = {0, NS}, negative = {-1, 0}, zero = {0, 0};
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pipe = open("/dev/null", O_RDONLY);

	SAY(epoll_pwait(set, events, 0, 0, &none));
	SAY(syscall(SYS_epoll_pwait, set, events, -1, 10, &none, SIGSET));
	SAY(epoll_pwait(900, events, 1, 0, &none));
	SAY(epoll_pwait(pipe, events, 1, 10, &none));
	SAY(epoll_pwait(set, events, 1, 0, hole));
	SAY(epoll_pwait(900, events, 0, 0, hole));
	SAY(syscall(SYS_epoll_pwait, set, events, 1, 0, &none, 4));
	SAY(syscall(SYS_epoll_pwait, set, events, 1, 0, hole, SIGSET));
	SAY(epoll_pwait2(set, events, 0, &zero, NULL));
	SAY(epoll_pwait2(900, events, 1, &zero, &none));
	SAY(epoll_pwait2(set, events, 1, &bad, &none));
	SAY(epoll_pwait2(set, events, 1, &negative, NULL));
	SAY(epoll_pwait2(set, events, 1, hole, NULL));
	SAY(epoll_pwait2(set, events, 0, &bad, hole));
	SAY(epoll_pwait2(set, events, 0, &zero, hole));
	SAY(syscall(SYS_epoll_pwait2, set, events, 1, hole, &none, 4));
	SAY(syscall(SYS_epoll_pwait2, set, events, 1, &zero, &none, 4));
	close(pipe);
}

static void write_one(int fd)
{
	uint64_t one = 1;

	SAY(write(fd, &one, sizeof(one)));
}

static void ready(int set, int fd)
{
	struct timespec zero = {0, 0}, some = {0, 1500000};

	WAIT(epoll_pwait(set, events, 4, 0, &none));
	WAIT(epoll_pwait(set, events, 4, 2, &none));
	WAIT(epoll_pwait2(set, events, 4, &some, &none));
	write_one(fd);
	WAIT(epoll_pwait(set, events, 4, 0, &none));
	WAIT(epoll_pwait(set, events, 4, 1, &none));
	write_one(fd);
	WAIT(epoll_pwait(set, events, 4, -1, &none));
	write_one(fd);
	WAIT(epoll_pwait(set, events, 4, -1, NULL));
	WAIT(epoll_pwait2(set, events, 4, &zero, &none));
	write_one(fd);
	WAIT(epoll_pwait2(set, events, 4, &some, NULL));
	write_one(fd);
	WAIT(epoll_pwait2(set, events, 4, NULL, &none));
	write_one(fd);
	WAIT(syscall(SYS_epoll_pwait2, set, events, 4, &some, &none, SIGSET));
}

/* A pending signal that the mask lets in: it interrupts a wait that would sleep, and no other. */
static void pending(int set)
{
	struct timespec zero = {0, 0}, some = {0, 5000000};

	raise(SIGUSR1);
	WAIT(epoll_pwait(set, events, 4, 0, &none));
	SAY(atomic_load(&handled));
	WAIT(epoll_pwait(set, events, 4, 5, &none));
	SAY(atomic_load(&handled));
	raise(SIGUSR1);
	WAIT(epoll_pwait2(set, events, 4, &zero, &none));
	SAY(atomic_load(&handled));
	WAIT(epoll_pwait2(set, events, 4, &some, &usr1)); /* does not let it in */
	SAY(atomic_load(&handled));
	WAIT(epoll_pwait2(set, events, 4, NULL, &none));
	SAY(atomic_load(&handled));
}

static void answers_of(int fd, uint32_t interest)
{
	int set = set_of(fd, interest);

	atomic_store(&handled, 0);
	errors(set);
	pending(set);
	ready(set, fd);
	pending(set);
	close(set);
	close(fd);
}

/* Rules that came with EPOLLEXCLUSIVE. */
static void exclusive_of(int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	int set = epoll_create1(0), other = epoll_create1(0);

	SAY(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	event.events = EPOLLIN;
	SAY(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_DEL, fd, &event));
	event.events = EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	event.events = EPOLLIN | EPOLLPRI | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	event.events = EPOLLIN | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	event.events = EPOLLIN | EPOLLRDHUP | EPOLLWAKEUP;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	event.events = EPOLLIN | EPOLLEXCLUSIVE;
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, other, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, set, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, 900, &event));
	SAY(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL));
	close(set);
	close(other);
	close(fd);
}

static int empty_pipe(void)
{
	int *ends = calloc(2, sizeof(*ends));

	return pipe(ends) ? -1 : ends[0];
}

static int answers(void)
{
	answers_of(eventfd(0, EFD_NONBLOCK), EPOLLIN);
	answers_of(eventfd(0, EFD_NONBLOCK), EPOLLIN | EPOLLET);
	exclusive_of(eventfd(0, EFD_NONBLOCK));
	exclusive_of(empty_pipe());
	return 0;
}

static pthread_t waiter;
static _Atomic int64_t sent;

static void *send_all(void *arg)
{
	unsigned seed = 1;

	(void)arg;
	for (int i = 0; i < SIGNALS; i++) {
		while (atomic_load(&handled) < i)
			;
		for (int pause = rand_r(&seed) % 300; pause; pause--)
			atomic_fetch_add(&sent, 0);
		pthread_kill(waiter, SIGUSR1);
	}
	return NULL;
}

/* Each signal comes at a moment of its own, and must end a wait that lasts for good. */
/* `together`: a wait may let several in, where there is no ppoll. */
static int signals(bool together)
{
	int set = set_of(eventfd(0, 0), EPOLLIN), interrupted = 0;
	struct timespec long_one = {3600, 1};
	pthread_t sender;

	waiter = pthread_self();
	alarm(60);
	pthread_create(&sender, NULL, send_all, NULL);
	while (atomic_load(&handled) < SIGNALS) {
		int before = atomic_load(&handled);
		int n = before % 2 ? epoll_pwait(set, events, 4, -1, &none)
				   : epoll_pwait2(set, events, 4, &long_one, &none);

		int came = atomic_load(&handled) - before;

		if (n != -1 || errno != EINTR || came < 1 || (came > 1 && !together))
			return fprintf(stderr, "%d after %d signals: %m\n", n, before);
		interrupted++;
	}
	pthread_join(sender, NULL);
	return interrupted != SIGNALS && !together;
}

static int taken_pipe[2];

static void count_and_take(int number)
{
	char byte;

	if (read(taken_pipe[0], &byte, 1) == 1)
		count(number);
}

/* With each signal comes a byte, which the handler takes. */
static void *send_both(void *arg)
{
	unsigned seed = 1;

	(void)arg;
	for (int i = 0; i < TAKEN; i++) {
		while (atomic_load(&sent) <= i)
			;
		for (int pause = 20000 + rand_r(&seed) % 3000; pause; pause--)
			atomic_load(&handled);
		if (write(taken_pipe[1], "", 1) == 1)
			pthread_kill(waiter, SIGUSR1);
	}
	return NULL;
}

/* The wait ends with the event, or is interrupted: it does not go on when a handler has run. */
static int taken(void)
{
	struct timespec long_one = {3600, 1};
	pthread_t sender;
	int set;

	if (pipe(taken_pipe) || fcntl(taken_pipe[0], F_SETFL, O_NONBLOCK))
		return 1;
	set = set_of(taken_pipe[0], EPOLLIN);
	signal(SIGUSR1, count_and_take);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	waiter = pthread_self();
	alarm(60);
	pthread_create(&sender, NULL, send_both, NULL);
	for (int i = 0; i < TAKEN; i++) {
		atomic_store(&sent, i + 1);
		if (!epoll_pwait2(set, events, 4, &long_one, NULL))
			return fprintf(stderr, "0 events after an hour\n");
		while (atomic_load(&handled) <= i)
			;
	}
	pthread_join(sender, NULL);
	return 0;
}

static int by_number(const void *one, const void *other)
{
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;

	return a < b ? -1 : a > b;
}

static int64_t median(int64_t *all)
{
	qsort(all, ROUNDS, sizeof(*all), by_number);
	return all[ROUNDS / 2];
}

/* How late the median wait is, beyond what a sleep of that time is; -1 where one is early. */
static int64_t beyond_sleep(int set, long ns)
{
	struct timespec timeout = {0, ns};
	int64_t late[ROUNDS], slept[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		int64_t start = now(), woken;

		if (epoll_pwait2(set, events, 4, &timeout, i % 2 ? &none : NULL))
			return fprintf(stderr, "not 0\n"), -1;
		woken = now();
		late[i] = woken - start - ns;
		if (late[i] < 0)
			return fprintf(stderr, "%ld ns too early\n", (long)-late[i]), -1;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL);
		slept[i] = now() - woken - ns;
	}
	int64_t more = median(late) - median(slept);
	return more > 0 ? more : 0;
}

static int times_of(int fd, long ns)
{
	int set = set_of(fd, EPOLLIN);
	int64_t more = EXACT_NS + 1;

	for (int i = 0; i < TRIES && more > EXACT_NS; i++) {
		more = beyond_sleep(set, ns);
		if (more < 0)
			return 1;
	}
	close(set);
	close(fd);
	if (more <= EXACT_NS)
		return 0;
	return fprintf(stderr, "%ld us: %ld us later than a sleep\n", ns / NS_IN_US,
		(long)more / NS_IN_US);
}

static int times(void)
{
	static const long waits[] = {1, 30000, 120000, 700000, 1000000, 1300000};

	for (unsigned i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		if (times_of(eventfd(0, 0), waits[i]) || times_of(empty_pipe(), waits[i]))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	if (!strcmp(what, "answers"))
		return answers();
	if (!strcmp(what, "signals") || !strcmp(what, "together"))
		return signals(!strcmp(what, "together"));
	if (!strcmp(what, "taken"))
		return taken();
	return times();
}
