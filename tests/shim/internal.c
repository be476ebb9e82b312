/* The fds that the library keeps for itself: programs close them, replace them, or ask for them.
 * Without the shim there are none, and all of this is easy. */
#include "prog.h"
#include "work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HIGHEST = 8192, MOST = 64 };

/* Fds of the program's own: an eventfd with watches of all kinds, and their epoll set. */
static int fd, epfd, copy;

/* The numbers that are open but were not opened by the program. */
static int internal[MOST], internals;

static bool is_open(int number)
{
	return raw_fcntl(number, F_GETFD, 0) >= 0;
}

static void find_internals(void)
{
	for (int i = 3; i < HIGHEST; i++) {
		if (is_open(i) && i != fd && i != epfd && i != copy && internals < MOST)
			internal[internals++] = i;
	}
	require(!prog_expects_shim() || internals > 0, "the library has no fds");
}

static void watch(int number, uint32_t events)
{
	struct epoll_event event = {.events = events};

	require(!epoll_ctl(epfd, EPOLL_CTL_ADD, number, &event), "epoll_ctl");
}

static void begin(void)
{
	raw_syscall3(SYS_close_range, 3, UINT32_MAX, 0); /* what was inherited */
	fd = prog_eventfd(0, EFD_NONBLOCK);
	epfd = epoll_create1(0);
	copy = dup(fd);
	watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
	watch(copy, EPOLLOUT | EPOLLET);
	find_internals();
}

static void turn(void)
{
	prog_add(fd, 1);
	require(prog_take(copy) == 1, "the count");
}

/* All goes on. */
static void end(void)
{
	struct epoll_event events[2];

	prog_add(fd, 1);
	require(epoll_wait(epfd, events, 2, 0) > 0, "the watches");
	require(prog_take(copy) == 1, "the count");
	work_with(copy);
	work(WORK_ALL);
	require(!close(fd) && !close(copy) && !close(epfd), "close");
	work(WORK_ALL);
}

/* What the program watches through an fd that is closed by an instruction is lost: it must watch
 * anew. */
static void watch_anew(void)
{
	require(!epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), "EPOLL_CTL_DEL");
	require(!epoll_ctl(epfd, EPOLL_CTL_DEL, copy, NULL), "EPOLL_CTL_DEL");
	watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
	watch(copy, EPOLLOUT | EPOLLET);
}

static void require_hidden(int number)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct stat st;
	char byte;

	require(close(number) == -1 && errno == EBADF, "close");
	require(read(number, &byte, 1) == -1 && errno == EBADF, "read");
	require(write(number, "", 1) == -1 && errno == EBADF, "write");
	require(dup(number) == -1 && errno == EBADF, "dup");
	require(dup2(number, copy) == -1 && errno == EBADF, "dup2");
	require(fcntl(number, F_GETFD) == -1 && errno == EBADF, "fcntl");
	require(fcntl(number, F_SETFD, 0) == -1 && errno == EBADF, "fcntl");
	require(fstat(number, &st) == -1 && errno == EBADF, "fstat");
	require(epoll_ctl(epfd, EPOLL_CTL_ADD, number, &event) == -1 && errno == EBADF,
		"epoll_ctl");
}

static void require_invalid(int number)
{
	struct pollfd p = {.fd = number, .events = POLLIN};
	fd_set *set = calloc(HIGHEST / FD_SETSIZE, sizeof(*set));
	unsigned long *words = (unsigned long *)set;

	require(poll(&p, 1, 0) == 1 && p.revents == POLLNVAL, "poll");
	words[number / 64] = 1ul << number % 64;
	require(select(number + 1, set, NULL, NULL, NULL) == -1 && errno == EBADF, "select");
	free(set);
}

static void asked_for(void)
{
	begin();
	for (int i = 0; i < internals; i++) {
		require_hidden(internal[i]);
		require_invalid(internal[i]);
		require(is_open(internal[i]), "an internal fd is gone");
	}
	end();
}

static void closed_by_libc(void)
{
	begin();
	for (int i = epfd + 3; i < HIGHEST; i++)
		close(i);
	require(!close_range((unsigned)copy + 1, UINT32_MAX, 0), "close_range");
	closefrom(copy + 1);
	for (int i = 0; i < internals; i++)
		require(is_open(internal[i]), "an internal fd is gone");
	end();
}

static void closed_with_all_else(void)
{
	begin();
	for (int i = 3; i < HIGHEST; i++)
		raw_close(i);
	require(prog_eventfd(0, 0) == 3, "the lowest number");
	work(WORK_ALL);
	require(!dup2(3, 0), "dup2");
	for (int i = 3; i < HIGHEST; i++)
		raw_close(i);
	require(!fcntl(0, F_SETFL, O_NONBLOCK), "F_SETFL");
	work_with(0);
	work(WORK_ALL);
}

static int empty_file(void)
{
	char path[] = "/tmp/efdshim-internal-XXXXXX";
	int file = mkstemp(path);

	require(file >= 0 && !unlink(path), "a file");
	return file;
}

/* The program's files at the library's numbers are left alone by all that the eventfds do. */
static void require_untouched(const char *what)
{
	struct stat st;

	for (int i = 0; i < internals; i++) {
		require(!raw_syscall3(SYS_fstat, internal[i], (long)&st, 0), what);
		require(S_ISREG(st.st_mode) && st.st_size == 0, what);
		require(raw_syscall3(SYS_lseek, internal[i], 0, SEEK_CUR) == 0, what);
	}
}

/* And they are the program's. */
static void use_files(void)
{
	char back[4] = "";

	for (int i = 0; i < internals; i++) {
		require(write(internal[i], "abc", 3) == 3,
			"write to a file at the library's number");
		require(pread(internal[i], back, 3, 0) == 3 && back[2] == 'c',
			"pread of such a file");
		require(!close(internal[i]) && !is_open(internal[i]), "close of such a file");
	}
}

static void put_files(bool close_first, int (*put)(int file, int number))
{
	int file;

	begin();
	file = empty_file();
	for (int i = 0; i < internals; i++) {
		if (close_first)
			raw_close(internal[i]);
		require(put(file, internal[i]) == internal[i], "a file at the library's number");
	}
	close(file);
	require_untouched("a file is there");
	turn();
	require_untouched("a write to the eventfd touched a file at the library's number");
	if (close_first)
		watch_anew();
	end();
	require_untouched("a file at the library's number was touched");
	use_files();
}

static int by_dup2(int file, int number)
{
	return dup2(file, number);
}

static int by_dup3(int file, int number)
{
	return dup3(file, number, O_CLOEXEC);
}

static int by_f_dupfd(int file, int number)
{
	return fcntl(file, F_DUPFD, number);
}

static void replaced_by_dup2(void)
{
	put_files(false, by_dup2);
}

static void replaced_by_dup3(void)
{
	put_files(false, by_dup3);
}

static void closed_then_dup2(void)
{
	put_files(true, by_dup2);
}

static void closed_then_f_dupfd(void)
{
	put_files(true, by_f_dupfd);
}

/* dup2 of an eventfd itself onto one of them. */
static void replaced_by_an_eventfd(void)
{
	begin();
	for (int i = 0; i < internals; i++) {
		require(dup2(fd, internal[i]) == internal[i], "dup2");
		work_with(internal[i]);
	}
	end();
	for (int i = 0; i < internals; i++) {
		work_with(internal[i]);
		require(!close(internal[i]) && !is_open(internal[i]), "close");
	}
}

/* Numbers that dup2 cannot take leave everything as it is. */
static void refused(void)
{
	begin();
	for (int i = 0; i < internals; i++)
		require(dup2(500, internal[i]) == -1 && errno == EBADF,
			"dup2 of a number that is not open");
	end();
}

static void inherited(void)
{
	begin();
	for (int i = 0; i < internals; i++)
		require(raw_fcntl(internal[i], F_GETFD, 0) == FD_CLOEXEC,
			"an internal fd survives exec");
	end();
}

static const struct prog_case cases[] = {
	{"the library's fds are not open to the program", asked_for},
	{"the library's fds survive close, close_range and closefrom", closed_by_libc},
	{"the library's fds are closed on exec", inherited},
	{"all fds closed by instructions", closed_with_all_else},
	{"dup2 of a file onto the library's fds", replaced_by_dup2},
	{"dup3 of a file onto the library's fds", replaced_by_dup3},
	{"dup2 of an eventfd onto the library's fds", replaced_by_an_eventfd},
	{"dup2 of nothing onto the library's fds", refused},
	{"the library's fds closed by instructions, files put there by dup2", closed_then_dup2},
	{"the library's fds closed by instructions, files put there by F_DUPFD",
		closed_then_f_dupfd},
};

PROG_MAIN(cases)
