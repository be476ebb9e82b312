/* What the example of vpoll(3) does, without its clock: a child adds events to a vpoll fd, the
 * parent waits for them, prints them and takes them away. Before each the parent hears twice that
 * there is nothing ('timeout') and only then tells the child to go on.
 * Usage: vpoll_example [EVENTS...], hexadecimal; without, those of the manual: IN, IN, OUT, HUP. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vpoll.h>

enum { QUIET_MS = 50, LOST_MS = 20000, QUIET_TIMES = 2 };

static _Noreturn void fail(const char *what)
{
	perror(what);
	_exit(2);
}

/* The child's: one step for each byte. */
static _Noreturn void add_events(int fd, int go, int count, char **words)
{
	char byte;

	for (int i = 0; i < count; i++) {
		if (read(go, &byte, 1) != 1)
			_exit(0);
		if (vpoll_ctl(fd, VPOLL_CTL_ADDEVENTS, (uint32_t)strtoul(words[i], NULL, 16)))
			fail("vpoll_ctl in the child");
	}
	_exit(0);
}

/* Waits once, prints what there was, takes it away and returns it. */
static uint32_t report(int epfd, int fd, int timeout)
{
	struct epoll_event event;
	int n = epoll_wait(epfd, &event, 1, timeout);

	if (n < 0)
		fail("epoll_wait");
	if (n == 0) {
		puts("timeout");
		return 0;
	}
	printf("GOT event %x\n", event.events);
	if (vpoll_ctl(fd, VPOLL_CTL_DELEVENTS, event.events))
		fail("vpoll_ctl");
	return event.events;
}

int main(int argc, char **argv)
{
	static char *manual[] = {"1", "1", "4", "10"};
	int count = argc > 1 ? argc - 1 : 4, go[2];
	char **words = argc > 1 ? argv + 1 : manual;
	int fd = vpoll_create(0, FD_CLOEXEC), epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event wanted = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLOUT | EPOLLHUP | EPOLLPRI,
	};

	if (fd < 0 || pipe(go) || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &wanted))
		fail("the fds");
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0)
		add_events(fd, go[0], count, words);
	for (uint32_t got = 0, i = 0; i < (uint32_t)count && !(got & EPOLLHUP); i++) {
		for (int quiet = 0; quiet < QUIET_TIMES; quiet++)
			report(epfd, fd, QUIET_MS);
		if (write(go[1], "", 1) != 1)
			fail("the pipe");
		got = report(epfd, fd, LOST_MS);
	}
	close(go[1]);
	waitpid(child, NULL, 0);
	if (vpoll_close(fd))
		fail("vpoll_close");
	return 0;
}
