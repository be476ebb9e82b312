/* signalfd: many signals, many who take them, in every way there is: each signal is taken once. */
#define _GNU_SOURCE
#include "sigkit.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(signalfd_storm, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { MANY = 6000, SIGNALS = 3, LAST = 1 << 20 };

static _Atomic int taken[MANY];
static _Atomic int all;
static int fd;

static void note(int value)
{
	if (value < MANY)
		atomic_fetch_add(&taken[value], 1);
	atomic_fetch_add(&all, value < MANY);
}

static bool is_over(void)
{
	return atomic_load(&all) >= MANY;
}

static void read_some(void)
{
	struct signalfd_siginfo infos[3];
	ssize_t n = read(fd, infos, sizeof(infos));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*infos); i++)
		note(infos[i].ssi_int);
}

static void *by_poll(void *arg)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	(void)arg;
	while (!is_over()) {
		if (poll(&one, 1, 100) > 0)
			read_some();
	}
	return NULL;
}

static void *by_epoll(void *arg)
{
	uint32_t mode = *(uint32_t *)arg;
	struct epoll_event event = {.events = EPOLLIN | mode};
	int epfd = epoll_create1(0);

	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
	while (!is_over()) {
		if (epoll_wait(epfd, &event, 1, 100) > 0)
			read_some();
		event.events = EPOLLIN | mode;
		if (mode & EPOLLONESHOT)
			epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event);
	}
	close(epfd);
	return NULL;
}

static void *by_waiting(void *arg)
{
	struct timespec limit = {.tv_nsec = 100000000};
	siginfo_t info;

	while (!is_over()) {
		if (sigtimedwait(arg, &info, &limit) > 0)
			note(info.si_value.sival_int);
	}
	return NULL;
}

static void *by_reading(void *arg)
{
	int own = signalfd(-1, arg, 0);
	struct signalfd_siginfo info;

	while (!is_over()) {
		if (read(own, &info, sizeof(info)) == sizeof(info))
			note(info.ssi_int);
	}
	close(own);
	return NULL;
}

static void send_all(pid_t to, int count, int first)
{
	for (int i = first; i < first + count; i++) {
		union sigval value = {.sival_int = i};

		while (sigqueue(to, SIGRTMIN + i % SIGNALS, value) && errno == EAGAIN)
			usleep(100);
	}
}

static void storm(void *(*const *ways)(void *), void *const *args, int n, int readers)
{
	pthread_t threads[8];
	int status;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (!child) {
		send_all(getppid(), MANY, 0);
		_exit(0);
	}
	for (int i = 0; i < n; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ways[i], args[i]), 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	for (int64_t end = tk_now_ms() + 20000; !is_over() && tk_now_ms() < end;)
		usleep(1000);
	cr_expect(is_over(), "%d of %d", (int)all, MANY);
	atomic_store(&all, MANY);
	for (int i = 0; i < n; i++) {
		if (i >= n - readers) /* it sleeps for ever */
			sk_queue(SIGRTMIN, LAST);
		pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(taken[i], 1, "%d was taken %d times", i, (int)taken[i]);
}

Test(signalfd_storm, by_one_who_polls)
{
	sigset_t set = sk_block(SIGRTMIN, SIGRTMIN + 1, SIGRTMIN + 2, 0);

	fd = sk_open(&set, SFD_NONBLOCK);
	storm((void *(*const[])(void *)){by_poll}, (void *[]){NULL}, 1, 0);
	close(fd);
}

Test(signalfd_storm, by_sets_of_all_modes)
{
	sigset_t set = sk_block(SIGRTMIN, SIGRTMIN + 1, SIGRTMIN + 2, 0);
	uint32_t modes[3] = {0, EPOLLET, EPOLLONESHOT};

	fd = sk_open(&set, SFD_NONBLOCK);
	storm((void *(*const[])(void *)){by_epoll, by_epoll, by_epoll},
		(void *[]){&modes[0], &modes[1], &modes[2]}, 3, 0);
	close(fd);
}

Test(signalfd_storm, in_every_way)
{
	sigset_t set = sk_block(SIGRTMIN, SIGRTMIN + 1, SIGRTMIN + 2, 0);
	uint32_t mode = 0;

	fd = sk_open(&set, SFD_NONBLOCK);
	storm((void *(*const[])(void *)){by_poll, by_epoll, by_waiting, by_reading},
		(void *[]){NULL, &mode, &set, &set}, 4, 1);
	close(fd);
}

/* Children end while others are waited for: of each there is an end to be told of. */
Test(signalfd_storm, children_are_all_found)
{
	enum { CHILDREN = 300, AT_ONCE = 5 };
	sigset_t set = sk_block(SIGCHLD, 0);
	int started = 0, ended = 0;

	fd = sk_open(&set, SFD_NONBLOCK);
	while (ended < CHILDREN) {
		struct pollfd one = {.fd = fd, .events = POLLIN};
		struct signalfd_siginfo info;

		for (; started < CHILDREN && started < ended + AT_ONCE; started++) {
			if (!fork())
				_exit(0);
		}
		cr_assert_eq(poll(&one, 1, 10000), 1, "after %d", ended);
		cr_assert_eq(read(fd, &info, sizeof(info)), (ssize_t)sizeof(info));
		cr_assert_eq(info.ssi_signo, SIGCHLD);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			ended++;
	}
	close(fd);
}

/* Where nothing can be queued any more, signals are pending all the same. */
Test(signalfd_storm, with_no_room_in_the_queue)
{
	sigset_t set = sk_block(SIGRTMIN, SIGUSR1, 0);
	struct pollfd one = {.fd = sk_open(&set, SFD_NONBLOCK), .events = POLLIN};
	struct rlimit before, none;

	getrlimit(RLIMIT_SIGPENDING, &before);
	none = (struct rlimit){0, before.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	for (int i = 0; i < 10; i++) {
		struct sk_kick kick = {0};
		int sig = i % 2 ? SIGUSR1 : SIGRTMIN;

		sk_start(&kick, sk_kill, sig);
		cr_assert_eq(poll(&one, 1, 5000), 1);
		sk_join(&kick);
		sk_expect(one.fd, sig);
		sk_expect_none(one.fd);
	}
	setrlimit(RLIMIT_SIGPENDING, &before);
	close(one.fd);
}
