/* Eventfds on small stacks: a signal handler's, and a thread's. Below each lies a page that must
 * not be touched. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { PAGE = 4096, FRAME = 2048 };

static int fd;
static volatile sig_atomic_t handled;

static char *stack_of(size_t size)
{
	size_t whole = (size + PAGE - 1) / PAGE * PAGE;
	char *map = mmap(
		NULL, PAGE + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(map != MAP_FAILED && !mprotect(map, PAGE, PROT_NONE), "a stack");
	return map + PAGE;
}

static void handle(int signo)
{
	uint64_t one = 1;
	int saved = errno;

	if (write(fd, &one, sizeof(one)) == sizeof(one))
		handled++;
	errno = saved;
	(void)signo;
}

/* What the kernel itself puts on the stack is not counted. */
static void handle_on(size_t size)
{
	unsigned long frame = getauxval(AT_MINSIGSTKSZ);
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_size = size + (frame ? frame : FRAME)};

	stack.ss_sp = stack_of(stack.ss_size);
	require(!sigaltstack(&stack, NULL) && !sigaction(SIGUSR1, &action, NULL), "sigaltstack");
	handle(0); /* the loader, which binds a function at its first call, needs more */
	require(handled == 1 && prog_take(fd) == 1, "a write");
	handled = 0;
	for (int i = 1; i <= 3; i++) {
		raise(SIGUSR1);
		require(handled == i, "the handler's write");
	}
	require(prog_take(fd) == 3, "the handler's count");
	stack.ss_flags = SS_DISABLE;
	handled = 0;
	require(!sigaltstack(&stack, NULL), "sigaltstack");
}

static void handle_on_each(void)
{
	for (size_t size = 1024; size <= 16384; size *= 2)
		handle_on(size);
}

static void take(int signo)
{
	uint64_t value;
	int saved = errno;

	if (read(fd, &value, sizeof(value)) == sizeof(value))
		handled++;
	errno = saved;
	(void)signo;
}

static void take_on(size_t size)
{
	unsigned long frame = getauxval(AT_MINSIGSTKSZ);
	struct sigaction action = {.sa_handler = take, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_size = size + (frame ? frame : FRAME)};

	stack.ss_sp = stack_of(stack.ss_size);
	require(!sigaltstack(&stack, NULL) && !sigaction(SIGUSR2, &action, NULL), "sigaltstack");
	prog_add(fd, 1);
	take(0);
	prog_add(fd, 1);
	raise(SIGUSR2);
	require(handled == 2, "the handler's read");
	stack.ss_flags = SS_DISABLE;
	handled = 0;
	require(!sigaltstack(&stack, NULL), "sigaltstack");
}

static void watch(uint32_t events)
{
	struct epoll_event event = {.events = events};
	int epfd = epoll_create1(0);

	require(epfd >= 0 && !epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void unwatched(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	handle_on_each();
}

static void watched(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	watch(EPOLLIN);
	handle_on_each();
}

static void watched_by_edges(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	watch(EPOLLIN | EPOLLET);
	watch(EPOLLIN | EPOLLOUT | EPOLLET);
	handle_on_each();
}

static void read_while_watched(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	watch(EPOLLIN);
	for (size_t size = 1024; size <= 16384; size *= 2)
		take_on(size);
}

/* The kernel's view is full of unread edges. */
static void watched_by_many_edges(void)
{
	fd = prog_eventfd(0, EFD_NONBLOCK);
	watch(EPOLLIN | EPOLLET);
	for (int i = 0; i < 70000; i++)
		prog_add(fd, 1);
	require(prog_take(fd) == 70000, "many writes");
	for (int i = 0; i < 65536; i++)
		prog_add(fd, 1);
	require(prog_take(fd) == 65536, "a FIFO full of writes");
	handle_on_each();
}

static void *work_small(void *unused)
{
	work(WORK_COUNTERS);
	return unused;
}

static void threads(void)
{
	for (size_t size = (size_t)sysconf(_SC_THREAD_STACK_MIN); size <= 65536; size *= 2) {
		pthread_attr_t attributes;
		pthread_t thread;

		pthread_attr_init(&attributes);
		require(!pthread_attr_setstack(&attributes, stack_of(size), size),
			"the stack's size");
		require(!pthread_create(&thread, &attributes, work_small, NULL), "pthread_create");
		require(!pthread_join(thread, NULL), "pthread_join");
	}
}

static const struct prog_case cases[] = {
	{"a handler on a small stack, nobody watching", unwatched},
	{"a handler on a small stack, with a level-triggered watch", watched},
	{"a handler on a small stack, with edge-triggered watches", watched_by_edges},
	{"a handler on a small stack that reads what is watched", read_while_watched},
	{"a handler on a small stack, with many edges unread", watched_by_many_edges},
	{"threads with the least stack", threads},
};

PROG_MAIN(cases)
