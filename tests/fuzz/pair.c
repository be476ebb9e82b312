/* The two executors: starting them, feeding them the same operations, comparing. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	exit(2);
}

static _Noreturn void become_executor(const struct executor *e, int sock, int arena)
{
	char fault[16];
	if (dup2(sock, CONTROL_FD) < 0 || dup2(arena, ARENA_FD) < 0)
		_exit(2);
	close_range(3, CONTROL_FD - 1, 0);
	close_range(ARENA_FD + 1, ~0u, 0);
	if (*e->preload)
		setenv("LD_PRELOAD", e->preload, 1);
	else
		unsetenv("LD_PRELOAD");
	snprintf(fault, sizeof(fault), "%u",
		(unsigned)e->fault | (e->models ? MODELS : 0u) | (e->crowd ? CROWDED : 0u) |
			e->allow << ALLOW_SHIFT);
	execl("/proc/self/exe", "fuzz-diff", "--executor", fault, (char *)NULL);
	_exit(2);
}

/* A kernel's eventfd in the executor that should use fakes would make every run clean. */
static bool uses_right_eventfd(const struct executor *e, int fd)
{
	char path[64], link[PATH_MAX];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)e->pid, fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = 0;
	bool from_kernel = strcmp(link, "anon_inode:[eventfd]") == 0;
	return from_kernel == !*e->preload;
}

static void meet(struct executor *e)
{
	int fd;
	if (read(e->sock, &fd, sizeof(fd)) != sizeof(fd))
		give_up("an executor did not start");
	if (!uses_right_eventfd(e, fd)) {
		fprintf(stderr, "fuzz: the executor preloading '%s' has eventfds of the %s\n",
			e->preload, *e->preload ? "kernel" : "shim");
		exit(2);
	}
	if (write(e->sock, "", 1) != 1)
		give_up("an executor went away");
}

static void executor_stop(struct executor *e)
{
	if (!e->pid)
		return;
	kill(e->pid, SIGKILL);
	close(e->sock);
	while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	munmap(e->arena, sizeof(*e->arena));
	e->pid = 0;
}

static void executor_start(struct executor *e)
{
	int ends[2], arena = memfd_create("arena", MFD_CLOEXEC);
	if (arena < 0 || ftruncate(arena, sizeof(*e->arena)) != 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		give_up("no channel to an executor");
	e->arena = mmap(NULL, sizeof(*e->arena), PROT_READ | PROT_WRITE, MAP_SHARED, arena, 0);
	if (e->arena == MAP_FAILED)
		give_up("no memory for an executor");
	e->pid = fork();
	if (e->pid < 0)
		give_up("fork");
	if (e->pid == 0)
		become_executor(e, ends[1], arena);
	e->sock = ends[0];
	close(ends[1]);
	close(arena);
}

void pair_stop(struct pair *p)
{
	executor_stop(&p->side[0]);
	executor_stop(&p->side[1]);
}

void pair_end(struct pair *p)
{
	pair_stop(p);
	executor_stop(&p->crowd);
}

static void start_crowd(struct pair *p)
{
	p->crowd.preload = p->side[1].preload;
	executor_start(&p->crowd);
	meet(&p->crowd);
}

void pair_restart(struct pair *p)
{
	pair_stop(p);
	if (p->crowd.crowd && !p->crowd.pid)
		start_crowd(p);
	for (int i = 0; i < 2; i++)
		executor_start(&p->side[i]);
	for (int i = 0; i < 2; i++)
		meet(&p->side[i]);
}

static void send_ops(struct executor *e, const struct op *ops, size_t n)
{
	memcpy(e->arena->ops, ops, n * sizeof(*ops));
	e->arena->count = (uint32_t)n;
	atomic_store(&e->arena->done, 0);
	if (send(e->sock, "", 1, MSG_NOSIGNAL) != 1)
		e->arena->count = 0;
}

/* The limit holds for the whole batch, so it starts anew whenever an operation was finished. */
static enum status await(struct executor *e, int limit_ms)
{
	struct pollfd p = {.fd = e->sock, .events = POLLIN};
	char byte;
	uint32_t seen;
	int n;
	do {
		seen = atomic_load(&e->arena->done);
		n = poll(&p, 1, limit_ms);
	} while ((n < 0 && errno == EINTR) || (n == 0 && atomic_load(&e->arena->done) != seen));
	if (n == 0)
		return HUNG;
	return read(e->sock, &byte, 1) == 1 ? DONE : CRASHED;
}

/* Returns how many operations have a result; one that ended the executor counts. */
static size_t collect(struct executor *e, size_t n, int limit_ms)
{
	enum status status = await(e, limit_ms);
	if (status == DONE)
		return n;
	size_t done = atomic_load(&e->arena->done);
	if (done >= n)
		return n;
	e->arena->results[done].status = (uint16_t)status;
	return done + 1;
}

static bool some_modelled(const struct op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ops[i].kind == K_RESET && ops[i].arg[3])
			return true;
	return false;
}

/* Where either answer would be right, the model, on side 0, has to know which one was given. */
static void run_after(struct pair *p, const struct op *ops, size_t n, size_t got[2])
{
	struct arena *first = p->side[1].arena, *second = p->side[0].arena;
	memset(first->results, 0, n * sizeof(*first->results));
	send_ops(&p->side[1], ops, n);
	got[1] = collect(&p->side[1], n, p->watchdog_ms);
	memcpy(second->results, first->results, n * sizeof(*first->results));
	send_ops(&p->side[0], ops, n);
	got[0] = collect(&p->side[0], n, p->watchdog_ms);
}

ssize_t pair_run(struct pair *p, const struct op *ops, size_t n)
{
	size_t got[2];
	if (some_modelled(ops, n)) {
		run_after(p, ops, n, got);
	} else {
		for (int i = 0; i < 2; i++)
			send_ops(&p->side[i], ops, n);
		for (int i = 0; i < 2; i++)
			got[i] = collect(&p->side[i], n, p->watchdog_ms);
	}
	size_t common = got[0] < got[1] ? got[0] : got[1];
	for (size_t i = 0; i < common; i++)
		if (!agree(&p->side[0].arena->results[i], &p->side[1].arena->results[i]))
			return (ssize_t)i;
	return common < n ? (ssize_t)common - 1 : -1;
}
