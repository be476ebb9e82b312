/* A program that goes on with its eventfds while somebody spoils the files behind them:
 * hostile MODE SEED DIRECTORY FILE. A child works, round by round; after each round the parent does
 * something to the file. What the child gets may be any errno, but it must end by itself, and touch
 * nothing but its eventfds. */
#include "prog.h"
#include "spoil.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 300, LIVE = 24, LIMIT_MS = 20000, PIPE_BYTES = 100, PAGES = 4 * 4096 };

/* What the child has beside its eventfds: nobody else may write to it. */
static struct {
	int pipe[2], file;
	unsigned char *memory;
} own;

static int fds[LIVE], sets[2];
static uint32_t chance;

static unsigned pick(unsigned below)
{
	chance = chance * 1664525u + 1013904223u;
	return (chance >> 8) % below;
}

static void make_own(const char *beside)
{
	char bytes[PIPE_BYTES];

	memset(bytes, 'p', sizeof(bytes));
	own.file = open(beside, O_RDWR | O_CREAT | O_TRUNC, 0600);
	own.memory = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(own.file >= 0 && own.memory != MAP_FAILED && !pipe2(own.pipe, O_NONBLOCK),
		"the child's own things");
	memset(own.memory, 'm', PAGES);
	require(write(own.pipe[1], bytes, sizeof(bytes)) == sizeof(bytes), "the pipe");
	require(write(own.file, bytes, sizeof(bytes)) == sizeof(bytes), "the file");
}

static void require_own(void)
{
	char bytes[2 * PIPE_BYTES];

	require(read(own.pipe[0], bytes, sizeof(bytes)) == PIPE_BYTES, "somebody used the pipe");
	for (int i = 0; i < PIPE_BYTES; i++)
		require(bytes[i] == 'p', "somebody wrote to the pipe");
	require(lseek(own.file, 0, SEEK_CUR) == PIPE_BYTES, "somebody used the file");
	require(lseek(own.file, 0, SEEK_END) == PIPE_BYTES, "somebody wrote to the file");
	for (int i = 0; i < PAGES; i++)
		require(own.memory[i] == 'm', "somebody wrote to the memory");
}

static void renew(int i)
{
	if (fds[i] >= 0)
		close(fds[i]);
	fds[i] = eventfd(pick(3), EFD_NONBLOCK | (pick(2) ? EFD_SEMAPHORE : 0));
}

static void wait_for(int i)
{
	struct pollfd p[2] = {{.fd = fds[i], .events = POLLIN | POLLOUT},
		{.fd = fds[pick(LIVE)], .events = POLLIN}};
	struct epoll_event events[8];

	poll(p, 2, (int)pick(2));
	epoll_wait(sets[pick(2)], events, 8, (int)pick(2));
}

static void watch(int i)
{
	static const uint32_t interests[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT,
		EPOLLIN | EPOLLET, EPOLLOUT | EPOLLET, EPOLLPRI, EPOLLIN | EPOLLONESHOT};
	struct epoll_event event = {.events = interests[pick(7)], .data.u64 = pick(1000)};
	static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};

	epoll_ctl(sets[pick(2)], operations[pick(3)], fds[i], &event);
}

static void copy(int i)
{
	int twin = dup(fds[i]);

	fcntl(twin, F_SETFL, O_NONBLOCK);
	close(twin);
}

static void step(int i)
{
	eventfd_t value = pick(4) ? 1 : UINT64_MAX - 2;

	switch (pick(8)) {
	case 0:
	case 1:
		renew(i);
		break;
	case 2:
		value = write(fds[i], &value, sizeof(value)) > 0;
		break;
	case 3:
		value = read(fds[i], &value, sizeof(value)) > 0;
		break;
	case 4:
		watch(i);
		break;
	case 5:
		copy(i);
		break;
	default:
		wait_for(i);
	}
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Somebody may take O_NONBLOCK away: a call that sleeps is interrupted. */
static void interrupt_sleeps(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 20000}, {0, 20000}};

	sigaction(SIGALRM, &action, NULL);
	require(!setitimer(ITIMER_REAL, &often, NULL), "setitimer");
}

static void child(int tell, int listen, const char *beside)
{
	char byte = 0;

	make_own(beside);
	interrupt_sleeps();
	for (int i = 0; i < 2; i++)
		sets[i] = epoll_create1(0);
	for (int i = 0; i < LIVE; i++)
		fds[i] = prog_eventfd(1, EFD_NONBLOCK);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < LIVE; i++)
			step((int)pick(LIVE));
		while (raw_write(tell, &byte, 1) == -EINTR)
			;
		while (listen >= 0 && raw_read(listen, &byte, 1) == -EINTR)
			;
	}
	for (int i = 0; i < LIVE; i++)
		close(fds[i]);
	require_own();
	raw_syscall3(SYS_exit_group, 0, 0, 0);
}

/* Whoever makes a file shorter that others have mapped ends them with SIGBUS, as with every shared
 * mapping; it is for those who start later to go on. */
static bool shortens(const char *mode)
{
	return strstr(mode, "truncate") || strstr(mode, "hollow");
}

static void check_end(pid_t pid, bool bus_allowed)
{
	char line[80];
	int status = -1;

	require(waitpid(pid, &status, 0) == pid, "waitpid");
	if (bus_allowed && WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		return;
	snprintf(line, sizeof(line), "the child got signal %d", status & 0x7f);
	require(!WIFSIGNALED(status), line);
	require(!status, "the child is wrong");
}

int main(int argc, char **argv)
{
	int there[2], back[2];
	struct spoiler spoiler;
	bool together = argc > 1 && !strncmp(argv[1], "free-", 5); /* without waiting for it */
	pid_t pid;
	char byte;

	require(argc == 6 && !pipe(there) && !pipe(back),
		"usage: hostile MODE SEED DIR FILE BESIDE");
	spoiler =
		spoiler_of(argv[1] + (together ? 5 : 0), argv[3], argv[4], (uint32_t)atoi(argv[2]));
	chance = (uint32_t)atoi(argv[2]);
	pid = fork();
	if (!pid)
		child(there[1], together ? -1 : back[0], argv[5]);
	close(there[1]);
	for (;;) {
		struct pollfd p = {.fd = there[0], .events = POLLIN};

		if (poll(&p, 1, LIMIT_MS) != 1) {
			kill(pid, SIGKILL);
			prog_fail("the child hangs");
		}
		if (read(there[0], &byte, 1) != 1)
			break;
		spoil(&spoiler);
		require(together || write(back[1], "", 1) == 1, "the pipe");
	}
	check_end(pid, shortens(argv[1]));
	return 0;
}
