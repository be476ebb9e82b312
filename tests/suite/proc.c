/* Links below /proc/.../fd, and what one process can see of another's eventfds. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(proc_link, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(proc_child, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static const char eventfd_link[] = "anon_inode:[eventfd]";
enum { LINK_LENGTH = sizeof(eventfd_link) - 1 };

static const char *link_path(int fd)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void assert_link(const char *path)
{
	char text[64];
	memset(text, '#', sizeof(text));
	errno = ERRNO_CANARY;
	cr_assert_eq(readlink(path, text, sizeof(text)), LINK_LENGTH);
	cr_assert_eq(errno, ERRNO_CANARY);
	cr_assert_arr_eq(text, eventfd_link, LINK_LENGTH);
	cr_assert_eq(text[LINK_LENGTH], '#');
}

Test(proc_link, is_exactly_the_kernels)
{
	struct both b = both_open(5, 0);
	char text[64] = "";
	assert_link(link_path(b.ours));
	tk_raw_syscall(SYS_readlinkat, AT_FDCWD, addr(link_path(b.kernel)), addr(text), 63, 0, 0);
	cr_assert_str_eq(text, eventfd_link);
	both_close(b);
}

Test(proc_link, is_the_same_by_other_paths)
{
	int fd = new_eventfd(5, 0);
	char path[96];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	assert_link(path);
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	assert_link(path);
	snprintf(path, sizeof(path), "/proc/self/task/%ld/fd/%d", syscall(SYS_gettid), fd);
	assert_link(path);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	assert_link(path);
	cr_assert_eq(close(fd), 0);
}

Test(proc_link, is_cut_to_a_short_buffer)
{
	int fd = new_eventfd(5, 0);
	for (size_t size = 1; size <= LINK_LENGTH; size++) {
		char text[64];
		memset(text, '#', sizeof(text));
		cr_assert_eq(readlink(link_path(fd), text, size), (ssize_t)size);
		cr_assert_arr_eq(text, eventfd_link, size);
		cr_assert_eq(text[size], '#');
	}
	cr_assert_eq(close(fd), 0);
}

static void same_readlink(struct both b, char *text, size_t size)
{
	char ours[64], kernel[64];
	snprintf(ours, sizeof(ours), "/proc/self/fd/%d", b.ours);
	snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", b.kernel);
	SAME(b, ((void)fd, readlink(ours, text, size)), SYS_readlinkat, AT_FDCWD, addr(kernel),
		addr(text), (long)size);
	SAME(b, ((void)fd, readlinkat(AT_FDCWD, ours, text, size)), SYS_readlinkat, AT_FDCWD,
		addr(kernel), addr(text), (long)size);
}

Test(proc_link, into_no_space_or_bad_memory)
{
	struct both b = both_open(5, 0);
	char text[64];
	char *volatile bad = (char *)8;
	volatile size_t enormous = (size_t)1 << 31;
	same_readlink(b, text, 0);
	same_readlink(b, bad, 64);
	same_readlink(b, bad, 0);
	same_readlink(b, text, enormous);
	both_close(b);
}

Test(proc_link, by_readlinkat)
{
	int fd = new_eventfd(5, 0), dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	char number[16], text[64] = "";
	snprintf(number, sizeof(number), "%d", fd);
	cr_assert_eq(readlinkat(dir, number, text, sizeof(text)), LINK_LENGTH);
	cr_assert_str_eq(text, eventfd_link);
	memset(text, 0, sizeof(text));
	cr_assert_eq(readlinkat(-1, link_path(fd), text, 11), 11);
	cr_assert_str_eq(text, "anon_inode:");
	cr_assert_eq(close(dir), 0);
	cr_assert_eq(close(fd), 0);
}

Test(proc_link, in_a_walk_through_the_directory)
{
	int fds[3] = {new_eventfd(1, 0), open("/dev/null", O_RDONLY), new_eventfd(2, EFD_CLOEXEC)};
	int seen = 0;
	DIR *dir = opendir("/proc/self/fd");
	for (struct dirent *e; (e = readdir(dir));) {
		char text[64] = "";
		int fd = atoi(e->d_name);
		readlinkat(dirfd(dir), e->d_name, text, sizeof(text) - 1);
		seen += (fd == fds[0] || fd == fds[2]) && !strcmp(text, eventfd_link);
		seen += fd == fds[1] && !strcmp(text, "/dev/null");
	}
	cr_assert_eq(seen, 3);
	cr_assert_eq(closedir(dir), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(close(fds[i]), 0);
}

Test(proc_link, of_a_copy)
{
	int fd = new_eventfd(5, 0), copy = fcntl(fd, F_DUPFD, 150);
	assert_link(link_path(copy));
	cr_assert_eq(close(fd), 0);
	assert_link(link_path(copy));
	cr_assert_eq(close(copy), 0);
}

Test(proc_link, of_a_closed_number_is_ENOENT)
{
	int fd = new_eventfd(5, 0);
	char text[64];
	cr_assert_eq(close(fd), 0);
	FAILS(readlink(link_path(fd), text, sizeof(text)), ENOENT);
}

Test(proc_link, of_a_number_that_is_a_file_now)
{
	int fd = new_eventfd(5, 0);
	char text[64] = "";
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(open("/dev/null", O_RDONLY), fd);
	cr_assert_eq(readlink(link_path(fd), text, sizeof(text)), 9);
	cr_assert_str_eq(text, "/dev/null");
	cr_assert_eq(close(fd), 0);
}

Test(proc_link, ordinary_links_and_files_are_untouched)
{
	int fd = new_eventfd(5, 0);
	char text[256] = "";
	cr_assert_gt(readlink("/proc/self/exe", text, sizeof(text) - 1), 0);
	cr_assert_eq(text[0], '/');
	FAILS(readlink("/", text, sizeof(text)), EINVAL);
	FAILS(readlink("/proc/self/fd", text, sizeof(text)), EINVAL);
	FAILS(readlink("/proc/self/fd/x", text, sizeof(text)), ENOENT);
	FAILS(readlink("/proc/self/fd/007", text, sizeof(text)), ENOENT);
	cr_assert_eq(close(fd), 0);
}

struct child {
	pid_t pid;
	int to_child, to_parent;
};

static void makes_one_and_waits(void *arg)
{
	struct child *c = arg;
	uint64_t value;
	int own = eventfd(0x4d, EFD_SEMAPHORE);
	CHECK(own >= 0 && dup2(own, 180) == 180);
	CHECK(eventfd_write(c->to_parent, 1) == 0);
	CHECK(read(c->to_child, &value, 8) == 8);
	CHECK(read(own, &value, 8) == 8 && value == 1);
}

static struct child child_with_eventfd_180(void)
{
	struct child c = {.to_child = new_eventfd(0, 0), .to_parent = new_eventfd(0, 0)};
	uint64_t value;
	c.pid = start_child(makes_one_and_waits, &c);
	cr_assert_eq(read(c.to_parent, &value, 8), 8);
	return c;
}

static void let_go(struct child *c)
{
	add(c->to_child, 1);
	end_child(c->pid);
	cr_assert_eq(close(c->to_child), 0);
	cr_assert_eq(close(c->to_parent), 0);
}

static const char *path_of_180(const struct child *c, const char *kind)
{
	static char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s/180", (int)c->pid, kind);
	return path;
}

static void assert_shows_4d(FILE *info)
{
	char text[512] = "";
	cr_assert(info, "%s", strerror(errno));
	cr_assert_gt(fread(text, 1, sizeof(text) - 1, info), 0);
	cr_assert_eq(fclose(info), 0);
	cr_assert(strstr(text, "eventfd-count:               4d\n"), "%s", text);
	cr_assert(strstr(text, "flags:\t02\n"), "%s", text);
}

Test(proc_child, fdinfo_of_the_childs_own_eventfd)
{
	struct child c = child_with_eventfd_180();
	assert_shows_4d(fopen(path_of_180(&c, "fdinfo"), "r"));
	let_go(&c);
}

Test(proc_child, fdinfo_of_the_child_by_openat)
{
	struct child c = child_with_eventfd_180();
	assert_shows_4d(fdopen(openat(AT_FDCWD, path_of_180(&c, "fdinfo"), O_RDONLY), "r"));
	let_go(&c);
}

Test(proc_child, fdinfo_of_the_child_by_syscall)
{
	struct child c = child_with_eventfd_180();
	long info = syscall(SYS_openat, AT_FDCWD, path_of_180(&c, "fdinfo"), O_RDONLY);
	assert_shows_4d(fdopen((int)info, "r"));
	let_go(&c);
}

Test(proc_child, link_of_the_childs_own_eventfd)
{
	struct child c = child_with_eventfd_180();
	assert_link(path_of_180(&c, "fd"));
	FAILS(open(path_of_180(&c, "fd"), O_RDWR), ENXIO);
	let_go(&c);
}

Test(proc_child, the_parents_number_and_the_childs_are_told_apart)
{
	struct child c = child_with_eventfd_180();
	int fd = new_eventfd(0x99, 0);
	cr_assert_eq(dup2(fd, 180), 180);
	assert_shows_4d(fopen(path_of_180(&c, "fdinfo"), "r"));
	assert_count(180, 0x99);
	cr_assert_eq(close(180), 0);
	cr_assert_eq(close(fd), 0);
	let_go(&c);
}

static void looks_at_the_parent(void *unused)
{
	(void)unused;
	char path[64], text[512] = "";
	close(180);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/180", (int)getppid());
	int info = open(path, O_RDONLY);
	CHECK(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "eventfd-count:               2a\n"));
	snprintf(path, sizeof(path), "/proc/%d/fd/180", (int)getppid());
	CHECK(readlink(path, text, sizeof(text)) == LINK_LENGTH);
	CHECK(!memcmp(text, eventfd_link, LINK_LENGTH));
}

Test(proc_child, a_child_sees_the_parents)
{
	int fd = new_eventfd(0x2a, 0);
	cr_assert_eq(dup2(fd, 180), 180);
	in_child(looks_at_the_parent, NULL);
	cr_assert_eq(close(180), 0);
	cr_assert_eq(close(fd), 0);
}
