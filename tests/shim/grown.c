/* A program that forbids itself to write files (RLIMIT_FSIZE), at various times. The signal that a
 * file too big would cost ends it. */
#include "prog.h"
#include "work.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MANY = 900, SOME = 400 }; /* select takes numbers below 1024 */

static int fds[MANY];

static void limit(rlim_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	require(!setrlimit(RLIMIT_FSIZE, &limit), "RLIMIT_FSIZE");
}

static void make(int from, int to)
{
	for (int i = from; i < to; i++)
		fds[i] = prog_eventfd((unsigned)i, EFD_NONBLOCK);
}

static void use(int from, int to)
{
	for (int i = from; i < to; i++)
		require(prog_take(fds[i]) == (unsigned)i, "the count of one of them");
	work_with(fds[from]);
	work_with(fds[to - 1]);
}

static void end(int n)
{
	for (int i = 0; i < n; i++)
		require(!close(fds[i]), "close");
}

static void watch_all(int from, int to)
{
	struct epoll_event event;
	int epfd = epoll_create1(0);

	for (int i = from; i < to; i++) {
		event = (struct epoll_event){.events = i % 2 ? EPOLLOUT : EPOLLIN};
		require(!epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
	}
	require(epoll_wait(epfd, &event, 1, 0) == 1, "an event");
	require(!close(epfd), "close");
}

static void from_the_start(void)
{
	limit(0);
	work(WORK_ALL);
	make(0, MANY);
	watch_all(0, MANY);
	use(0, MANY);
	end(MANY);
}

static void after_some(void)
{
	make(0, SOME);
	limit(0);
	make(SOME, MANY);
	watch_all(0, MANY);
	use(0, MANY);
	end(MANY);
	work(WORK_ALL);
}

static void little_by_little(void)
{
	static const rlim_t sizes[] = {1, 4095, 4096, 4097, 65536, 69632, 69633, 100000, 200000};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		limit(sizes[i]);
		make(0, MANY);
		watch_all(0, SOME);
		use(0, MANY);
		end(MANY);
	}
}

static void for_a_while(void)
{
	limit(0);
	make(0, SOME);
	limit(RLIM_INFINITY);
	make(SOME, MANY);
	use(0, MANY);
	end(MANY);
	work(WORK_ALL);
}

static const struct prog_case cases[] = {
	{"no file may grow", from_the_start},
	{"no file may grow, after some eventfds", after_some},
	{"files may grow little by little", little_by_little},
	{"no file may grow for a while", for_a_while},
};

PROG_MAIN(cases)
