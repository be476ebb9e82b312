/* A program that uses eventfds, in circumstances where the shim may be unable to serve it.
 * Usage: serve [CIRCUMSTANCE [ARGUMENT]]. SERVED says who is expected to serve what is made in
 * them. */
#include "prog.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deny.h"

enum { MANY = 600, MOST_LOCKED_PAGES = 4096 };

/* What a sandbox may take away from a program that has all its files open. */
static void seal(const char *unused)
{
	static const struct deny denied[] = {
		{SYS_openat, 0, 0},
		{SYS_mknodat, 0, 0},
		{SYS_mmap, 3, MAP_SHARED},
		{SYS_mkdirat, 0, 0},
		{SYS_linkat, 0, 0},
		{SYS_unlinkat, 0, 0},
		{SYS_fallocate, 0, 0},
	};

	(void)unused;
	require(deny_all(denied, sizeof(denied) / sizeof(*denied), EPERM), "seccomp");
}

static void enter(const char *directory)
{
	require(!chroot(directory) && !chdir("/"), "chroot");
}

static void drop_privileges(const char *uid)
{
	uid_t to = (uid_t)atoi(uid);

	require(!setgroups(0, NULL) && !setgid(to) && !setuid(to), "setuid");
}

static void lock_memory(const char *unused)
{
	(void)unused;
	require(!mlockall(MCL_FUTURE), "mlockall");
}

static long resident_pages(void)
{
	char line[128] = "";
	int fd = raw_openat(AT_FDCWD, "/proc/self/statm", O_RDONLY, 0);

	raw_read(fd, line, sizeof(line) - 1);
	raw_close(fd);
	return atol(strchr(line, ' '));
}

/* Where all memory is locked, what is mapped is taken. */
static void lock_memory_and_weigh(const char *unused)
{
	long before;

	lock_memory(unused);
	before = resident_pages();
	close(prog_eventfd(0, 0));
	require(resident_pages() - before < MOST_LOCKED_PAGES, "too much memory is locked");
}

/* The file system is full from now on. */
static void fill_up(const char *directory)
{
	char name[512], zeros[4096] = {0};
	long n;
	int fd;

	strcpy(name, directory);
	strcat(name, "/filler");
	fd = raw_openat(AT_FDCWD, name, O_WRONLY | O_CREAT, 0600);
	require(fd >= 0, "the filler");
	do
		n = raw_write(fd, zeros, sizeof(zeros));
	while (n > 0);
	require(n == -ENOSPC, "a full file system");
	raw_close(fd);
}

/* All of them work: those that the shim serves, and those that the kernel has to. */
static void make_many(const char *unused)
{
	static int fds[MANY];

	(void)unused;
	for (int i = 0; i < MANY; i++)
		fds[i] = prog_eventfd((unsigned)i, EFD_NONBLOCK);
	for (int i = 0; i < MANY; i++)
		require(prog_take(fds[i]) == (unsigned)i, "one of many");
	work_with(fds[0]);
	work_with(fds[MANY - 1]);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
}

static void nothing(const char *unused)
{
	(void)unused;
}

static const struct {
	const char *name;
	void (*enter)(const char *argument);
} circumstances[] = {
	{"plain", nothing},
	{"sealed", seal},
	{"chroot", enter},
	{"dropped", drop_privileges},
	{"locked", lock_memory},
	{"weighed", lock_memory_and_weigh},
	{"full", fill_up},
	{"many", make_many},
};

/* With a 'late-' in front: eventfds that were made before go on as ever. */
static void go_on(void (*enter_it)(const char *), const char *argument)
{
	int made = eventfd(0, EFD_NONBLOCK), watched = eventfd(0, EFD_NONBLOCK);

	require(made >= 0 && watched >= 0, "eventfd");
	work_with(watched);
	enter_it(argument);
	work_with(watched);
	work_with(made);
	require(!close(made) && !close(watched), "close");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "plain", *argument = argc > 2 ? argv[2] : "";
	bool late = !strncmp(name, "late-", 5);

	if (late)
		name += 5;
	for (size_t i = 0; i < sizeof(circumstances) / sizeof(*circumstances); i++) {
		if (strcmp(name, circumstances[i].name))
			continue;
		if (late)
			go_on(circumstances[i].enter, argument);
		else
			circumstances[i].enter(argument);
		work(WORK_ALL);
		work(WORK_ALL);
		return 0;
	}
	prog_fail("usage: serve [late-]CIRCUMSTANCE [ARGUMENT]");
}
