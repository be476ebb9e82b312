/* The number that a message brings may have been an eventfd's before, closed where libc could not
 * see it. */
#define _GNU_SOURCE
#include "efd.h"
#include "pair.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(rights_numbers, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int sock[2];

static void close_raw(int fd)
{
	cr_assert_eq(tk_raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0), 0);
}

/* What is sent arrives at the number that an eventfd had, whose object lives on in `copy`. */
struct arrival {
	int number;
	int copy;
};

static struct arrival arrive(int fd, int way)
{
	struct rights r;
	struct arrival a;
	rights_pair(sock, SOCK_STREAM);
	rights_send_one(sock[0], fd);
	a.number = efd_open(40, 0);
	a.copy = dup(a.number);
	close_raw(a.number);
	int flags = way < RIGHTS_WAYS ? 0 : MSG_PEEK;
	cr_assert_eq(
		rights_try_receive(rights_receivers[way % RIGHTS_WAYS], sock[1], flags, &r), 1);
	cr_assert_eq(r.count, 1);
	cr_assert_eq(r.fds[0], a.number, "fd %d, not %d", r.fds[0], a.number);
	cr_assert_eq(close(sock[0]), 0);
	cr_assert_eq(close(sock[1]), 0);
	return a;
}

static void leave(struct arrival a, int fd)
{
	efd_expect(a.copy, 40);
	efd_close(a.copy);
	cr_assert_eq(close(a.number), 0);
	cr_assert_eq(close(fd), 0);
}

enum { WAYS = 2 * RIGHTS_WAYS };

Test(rights_numbers, a_pipe_at_it_is_a_pipe)
{
	for (int way = 0; way < WAYS; way++) {
		char text[8];
		int ends[2];
		cr_assert_eq(pipe(ends), 0);
		struct arrival a = arrive(ends[0], way);
		cr_assert_eq(poll_now(a.number, POLLIN | POLLOUT), 0);
		cr_assert_eq(write(ends[1], "abc", 3), 3);
		cr_assert_eq(poll_now(a.number, POLLIN | POLLOUT), POLLIN);
		cr_assert_eq(read(a.number, text, sizeof(text)), 3);
		cr_assert_eq(write(a.number, text, 8), -1);
		cr_assert_eq(errno, EBADF);
		leave(a, ends[0]);
		cr_assert_eq(close(ends[1]), 0);
	}
}

Test(rights_numbers, a_file_at_it_is_a_file)
{
	for (int way = 0; way < WAYS; way++) {
		struct stat st;
		int file = tk_memory_file(O_CLOEXEC);
		struct arrival a = arrive(file, way);
		cr_assert_eq(write(a.number, "ABCDEFGH", 8), 8);
		cr_assert_eq(lseek(file, 0, SEEK_CUR), 8);
		efd_add(a.copy, 2);
		efd_expect(a.copy, 42);
		efd_add(a.copy, 40);
		cr_assert_eq(fstat(file, &st), 0);
		cr_assert_eq(st.st_size, 8);
		leave(a, file);
	}
}

Test(rights_numbers, another_eventfd_at_it_is_that_one)
{
	for (int way = 0; way < WAYS; way++) {
		int fd = efd_open(7, EFD_NONBLOCK | EFD_SEMAPHORE);
		struct arrival a = arrive(fd, way);
		cr_assert_eq(fcntl(a.number, F_GETFL), O_RDWR | O_NONBLOCK);
		efd_expect(a.number, 1);
		efd_add(a.number, 2);
		for (int i = 0; i < 8; i++)
			efd_expect(fd, 1);
		efd_expect_empty(a.number);
		leave(a, fd);
	}
}

Test(rights_numbers, the_same_eventfd_at_it_is_the_same)
{
	for (int way = 0; way < WAYS; way++) {
		struct rights r;
		int fd = efd_open(7, 0), copy = dup(fd);
		rights_pair(sock, SOCK_STREAM);
		rights_send_one(sock[0], fd);
		close_raw(fd);
		rights_call call = rights_receivers[way % RIGHTS_WAYS];
		int flags = way < RIGHTS_WAYS ? 0 : MSG_PEEK;
		cr_assert_eq(rights_try_receive(call, sock[1], flags, &r), 1);
		cr_assert_eq(r.fds[0], fd);
		efd_add(fd, 1);
		efd_expect(copy, 8);
		efd_close(fd);
		efd_close(copy);
		close(sock[0]);
		close(sock[1]);
	}
}

/* The watch of the eventfd that had the number is another one, and goes on. */
Test(rights_numbers, a_watch_of_the_old_one_is_not_the_new_ones)
{
	int fd = efd_open(0, EFD_NONBLOCK), old = efd_open(1, 0), copy = dup(old);
	int set = set_watching(old, EPOLLIN, 1);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 2};
	rights_pair(sock, SOCK_STREAM);
	rights_send_one(sock[0], fd);
	close_raw(old);
	cr_assert_eq(rights_receive_one(sock[1], 0), old);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_MOD, old, &event), -1);
	cr_assert_eq(errno, ENOENT);
	set_ctl(set, EPOLL_CTL_ADD, old, EPOLLIN, 2);
	cr_assert_eq(set_event(set), EPOLLIN);
	efd_expect(copy, 1);
	cr_assert_eq(set_event(set), 0);
	efd_add(fd, 1);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
	cr_assert_eq(event.data.u64, 2);
	efd_close(old);
	efd_close(copy);
	efd_close(fd);
	close(set);
	close(sock[0]);
	close(sock[1]);
}

Test(rights_numbers, a_number_that_takes_turns)
{
	int file = tk_memory_file(O_CLOEXEC), fd = efd_open(0, 0), number = -1;
	struct stat st;
	rights_pair(sock, SOCK_STREAM);
	for (int i = 0; i < 100; i++) {
		rights_send_one(sock[0], i % 2 ? file : fd);
		int got = rights_receive_one(sock[1], 0);
		cr_assert(number < 0 || got == number);
		number = got;
		if (i % 2)
			cr_assert_eq(write(number, "x", 1), 1);
		else
			efd_add(number, 1);
		if (i % 3)
			efd_close(number);
		else
			close_raw(number);
	}
	efd_expect(fd, 50);
	cr_assert_eq(fstat(file, &st), 0);
	cr_assert_eq(st.st_size, 50);
	efd_close(fd);
	cr_assert_eq(close(file), 0);
	close(sock[0]);
	close(sock[1]);
}
