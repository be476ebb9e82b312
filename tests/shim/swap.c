/* Eventfds are made while the directory is exchanged for something else, back and forth: swap WHEN
 * NAME OTHER [INSIDE]. NAME and OTHER are exchanged, atomically (WHEN begins with 'gap-': with a
 * moment in which there is none); a planted directory that must stay empty is the script's to look
 * at. WHEN: 'first', each child makes its first eventfd; 'later', it has some, and loses the
 * library's fds. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 150, ROUNDS = 50, ENOUGH = 200, EXCHANGE = 2 /* RENAME_EXCHANGE */ };

/* Shared by all processes. */
static struct {
	_Atomic long exchanges, fake, kernels;
	_Atomic int over;
} * shared;

static const char *name, *other;

static void exchange(void)
{
	require(!raw_syscall6(
			SYS_renameat2, AT_FDCWD, (long)name, AT_FDCWD, (long)other, EXCHANGE, 0),
		"renameat2");
}

/* Through a third name. Somebody may make a new directory in the moment between: then that one is
 * set aside. */
static void exchange_with_gap(void)
{
	static unsigned long made;
	char third[600], aside[600];

	snprintf(third, sizeof(third), "%s.third", name);
	snprintf(aside, sizeof(aside), "%s.aside.%lu", name, made);
	require(!rename(name, third), "rename: who made a file at a name of the exchange's own?");
	while (raw_syscall6(SYS_renameat2, AT_FDCWD, (long)other, AT_FDCWD, (long)name,
		       1 /* RENAME_NOREPLACE */, 0) == -EEXIST) {
		require(!rename(name, aside), "rename");
		snprintf(aside, sizeof(aside), "%s.aside.%lu", name, ++made);
	}
	require(!rename(third, other), "rename: who made a file at the other name?");
}

static pid_t start_exchanging(void (*once)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* ends after an even number: then all is as it was */
	while (!atomic_load(&shared->over) || atomic_load(&shared->exchanges) % 2) {
		once();
		atomic_fetch_add(&shared->exchanges, 1);
	}
	raw_syscall3(SYS_exit_group, 0, 0, 0);
	return 0;
}

static int one_more(void)
{
	int fd = prog_eventfd(0, EFD_NONBLOCK);

	if (prog_is_kernels(fd))
		atomic_fetch_add(&shared->kernels, 1);
	else
		atomic_fetch_add(&shared->fake, 1);
	return fd;
}

static void first(void)
{
	int fd = one_more();

	work(WORK_COUNTERS);
	work_with(fd);
}

/* The library's fds are closed behind its back: it looks for its directory again. */
static void later(void)
{
	int fd = one_more();

	for (int i = 0; i < ROUNDS; i++) {
		int more;

		raw_syscall3(SYS_close_range, (long)fd + 1, UINT32_MAX, 0);
		more = one_more();
		work_with(more);
		close(more);
		prog_add(fd, 1);
		require(prog_take(fd) == 1, "the count of the first");
	}
}

static void make_all(void (*make)(void), int children)
{
	for (int i = 0; i < children; i++) {
		int status = -1;
		pid_t pid = fork();

		if (!pid) {
			make();
			raw_syscall3(SYS_exit_group, 0, 0, 0);
		}
		require(waitpid(pid, &status, 0) == pid && !status, "a child");
	}
}

int main(int argc, char **argv)
{
	int status = -1, gap, is_later;
	pid_t pid;

	require(argc == 4, "usage: swap WHEN NAME OTHER");
	gap = !strncmp(argv[1], "gap-", 4);
	is_later = !strcmp(argv[1] + (gap ? 4 : 0), "later");
	name = argv[2];
	other = argv[3];
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	require(shared != MAP_FAILED, "mmap");
	pid = start_exchanging(gap ? exchange_with_gap : exchange);
	make_all(is_later ? later : first, is_later ? CHILDREN / 15 : CHILDREN);
	atomic_store(&shared->over, 1);
	require(waitpid(pid, &status, 0) == pid && !status, "the exchanging child");
	require(shared->exchanges > ENOUGH, "too few exchanges");
	/* both must have happened, else nothing was tried */
	require(!getenv("BOTH") || (shared->fake && shared->kernels), "not seen both ways");
	return 0;
}
