/* poll and ppoll that need not sleep: what an eventfd reports, alone and among other fds. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(poll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { MANY = 1000, EVERY_BIT = 0xffff };

static void compare_every_request(uint64_t count, int flags, unsigned level)
{
	struct pair p = pair_eventfd(count, flags);
	for (unsigned events = 0; events <= EVERY_BIT; events++) {
		unsigned revents = pair_poll(p, (short)events);
		if (revents != (level & events))
			cr_assert_fail("asked for %#x: %#x", events, revents);
	}
	pair_close(p);
}

Test(poll, every_request_at_zero)
{
	compare_every_request(0, EFD_NONBLOCK, POLLOUT);
}

Test(poll, every_request_at_one)
{
	compare_every_request(1, EFD_NONBLOCK, POLLIN | POLLOUT);
}

Test(poll, every_request_just_below_the_limit)
{
	compare_every_request(COUNT_LIMIT - 1, 0, POLLIN | POLLOUT);
}

Test(poll, every_request_at_the_limit)
{
	compare_every_request(COUNT_LIMIT, EFD_NONBLOCK, POLLIN);
}

Test(poll, every_request_on_a_semaphore)
{
	compare_every_request(0, EFD_SEMAPHORE, POLLOUT);
	compare_every_request(2, EFD_SEMAPHORE, POLLIN | POLLOUT);
	compare_every_request(COUNT_LIMIT, EFD_SEMAPHORE, POLLIN);
}

Test(poll, band_and_hangup_bits_are_never_reported)
{
	struct pair p = pair_eventfd(1, EFD_NONBLOCK);
	cr_assert_eq(pair_poll(p, POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND), 0);
	cr_assert_eq(pair_poll(p, POLLPRI | POLLRDHUP | POLLMSG), 0);
	cr_assert_eq(pair_poll(p, POLLERR | POLLHUP | POLLNVAL), 0);
	pair_close(p);
}

Test(poll, level_follows_writes_and_reads)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	for (uint64_t i = 1; i < 200; i++) {
		cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLOUT);
		pair_write(p, i);
		cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLIN | POLLOUT);
		pair_read(p, NULL);
	}
	pair_close(p);
}

Test(poll, looking_does_not_change_the_answer)
{
	struct pair p = pair_eventfd(3, EFD_NONBLOCK);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(pair_poll(p, POLLIN), POLLIN);
	uint64_t count;
	cr_assert_eq(pair_read(p, &count), 8);
	cr_assert_eq(count, 3);
	pair_close(p);
}

Test(poll, initial_count_is_readable_at_once)
{
	int fd = eventfd(7, EFD_NONBLOCK);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	close(fd);
}

Test(poll, semaphore_is_readable_until_its_last_unit_is_taken)
{
	struct pair p = pair_eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(pair_poll(p, POLLIN), POLLIN);
		cr_assert_eq(pair_read(p, NULL), 8);
	}
	cr_assert_eq(pair_poll(p, POLLIN), 0);
	pair_close(p);
}

Test(poll, write_of_zero_makes_nothing_readable)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	cr_assert_eq(pair_write(p, 0), 8);
	cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLOUT);
	pair_close(p);
}

Test(poll, failed_write_and_read_leave_the_level)
{
	struct pair p = pair_eventfd(COUNT_LIMIT, EFD_NONBLOCK);
	cr_assert_eq(pair_write(p, 1), -EAGAIN);
	cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLIN);
	cr_assert_eq(pair_read(p, NULL), 8);
	cr_assert_eq(pair_read(p, NULL), -EAGAIN);
	cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLOUT);
	cr_assert_eq(pair_write(p, UINT64_MAX), -EINVAL);
	cr_assert_eq(pair_poll(p, POLLIN | POLLOUT), POLLOUT);
	pair_close(p);
}

Test(poll, semaphore_read_at_the_limit_makes_it_writable)
{
	struct pair p = pair_eventfd(COUNT_LIMIT, EFD_NONBLOCK | EFD_SEMAPHORE);
	cr_assert_eq(pair_poll(p, POLLOUT), 0);
	cr_assert_eq(pair_read(p, NULL), 8);
	cr_assert_eq(pair_poll(p, POLLOUT), POLLOUT);
	cr_assert_eq(pair_write(p, 1), 8);
	cr_assert_eq(pair_poll(p, POLLOUT), 0);
	pair_close(p);
}

Test(poll, ppoll_gives_the_same_answers)
{
	static const uint64_t counts[] = {0, 1, COUNT_LIMIT};
	static const short levels[] = {POLLOUT, POLLIN | POLLOUT, POLLIN};
	struct timespec now = {0};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		int fd = eventfd_at(counts[i]);
		struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDNORM, -1};
		cr_assert_eq(ppoll(&p, 1, &now, NULL), 1);
		cr_assert_eq(p.revents, levels[i]);
		close(fd);
	}
}

Test(poll, errno_stays_on_success)
{
	int fd = eventfd_at(1);
	struct pollfd p = {fd, POLLIN, 0};
	errno = ENOTTY;
	cr_assert_eq(poll(&p, 1, -1), 1);
	cr_assert_eq(errno, ENOTTY);
	p.events = POLLPRI;
	cr_assert_eq(poll(&p, 1, 1), 0);
	cr_assert_eq(errno, ENOTTY);
	cr_assert_eq(ppoll(&p, 1, &(struct timespec){0}, NULL), 0);
	cr_assert_eq(errno, ENOTTY);
	close(fd);
}

Test(poll, closed_eventfd_is_nval_whatever_is_asked)
{
	int fd = eventfd_at(1);
	close(fd);
	cr_assert_eq(poll_now(fd, POLLIN), POLLNVAL);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLNVAL);
	cr_assert_eq(poll_now(fd, 0), POLLNVAL);
}

Test(poll, nval_counts_and_does_not_hide_the_ready_ones)
{
	int closed = eventfd_at(1), ready = eventfd_at(1), idle = eventfd_at(0);
	close(closed);
	struct pollfd p[] = {{closed, POLLIN, 0}, {ready, POLLIN, 0}, {idle, POLLIN, -1}};
	cr_assert_eq(poll(p, 3, -1), 2);
	cr_assert_eq(p[0].revents, POLLNVAL);
	cr_assert_eq(p[1].revents, POLLIN);
	cr_assert_eq(p[2].revents, 0);
	close(ready);
	close(idle);
}

Test(poll, number_reused_by_a_pipe_is_the_pipe)
{
	int fd = eventfd_at(1), pipefd[2];
	close(fd);
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(pipefd[0], fd);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), 0);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	cr_assert_eq(poll_now(fd, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
	close(pipefd[0]);
	close(pipefd[1]);
}

Test(poll, number_overlaid_by_dup2_is_the_new_file)
{
	int fd = eventfd_at(1), full = eventfd_at(COUNT_LIMIT), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(dup2(pipefd[1], fd), fd);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	cr_assert_eq(dup2(full, pipefd[0]), pipefd[0]);
	cr_assert_eq(poll_now(pipefd[0], POLLIN | POLLOUT), POLLIN);
	close(fd);
	close(full);
	close(pipefd[0]);
	close(pipefd[1]);
}

Test(poll, negative_fds_are_skipped_and_their_revents_cleared)
{
	int fd = eventfd_at(1);
	struct pollfd p[] = {{-1, POLLIN, -1}, {fd, POLLIN, -1}, {INT_MIN, POLLOUT, -1},
		{-fd - 1, EVERY_BIT >> 1, -1}};
	cr_assert_eq(poll(p, 4, -1), 1);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[1].revents, POLLIN);
	cr_assert_eq(p[2].revents, 0);
	cr_assert_eq(p[3].revents, 0);
	close(fd);
}

Test(poll, nothing_but_negative_fds_is_nothing_ready)
{
	struct pollfd p[] = {{-1, POLLIN, -1}, {-2, POLLIN, -1}};
	cr_assert_eq(poll(p, 2, 0), 0);
	cr_assert_eq(p[0].revents | p[1].revents, 0);
}

Test(poll, no_fds_at_all)
{
	errno = 0;
	cr_assert_eq(poll(NULL, 0, 0), 0);
	cr_assert_eq(ppoll(NULL, 0, &(struct timespec){0}, NULL), 0);
	cr_assert_eq(errno, 0);
}

Test(poll, one_fd_many_times)
{
	int fd = eventfd_at(1);
	struct pollfd p[MANY];
	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){fd, i % 2 ? POLLIN : POLLPRI, -1};
	cr_assert_eq(poll(p, MANY, -1), MANY / 2);
	for (int i = 0; i < MANY; i++)
		if (p[i].revents != (i % 2 ? POLLIN : 0))
			cr_assert_fail("entry %d: %#x", i, (unsigned)p[i].revents);
	close(fd);
}

Test(poll, one_fd_with_different_requests)
{
	int fd = eventfd_at(1);
	struct pollfd p[] = {
		{fd, POLLIN, 0}, {fd, POLLOUT, 0}, {fd, POLLIN | POLLOUT, 0}, {fd, 0, -1}};
	cr_assert_eq(poll(p, 4, -1), 3);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, POLLOUT);
	cr_assert_eq(p[2].revents, POLLIN | POLLOUT);
	cr_assert_eq(p[3].revents, 0);
	close(fd);
}

Test(poll, thousand_entries_over_many_objects)
{
	enum { OBJECTS = 200 };
	int fds[OBJECTS];
	struct pollfd p[MANY];
	for (int i = 0; i < OBJECTS; i++)
		fds[i] = eventfd_at(i % 3 == 0);
	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){fds[i % OBJECTS], POLLIN, -1};
	int ready = 0;
	for (int i = 0; i < MANY; i++)
		ready += i % OBJECTS % 3 == 0;
	cr_assert_eq(poll(p, MANY, 0), ready);
	for (int i = 0; i < MANY; i++)
		if (p[i].revents != (i % OBJECTS % 3 == 0 ? POLLIN : 0))
			cr_assert_fail("entry %d: %#x", i, (unsigned)p[i].revents);
	for (int i = 0; i < OBJECTS; i++)
		close(fds[i]);
}

Test(poll, duplicates_of_the_fd_are_the_same_object)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK), copy = pair_dup(p);
	pair_write(p, 1);
	cr_assert_eq(pair_poll(copy, POLLIN), POLLIN);
	pair_close(p);
	cr_assert_eq(pair_poll(copy, POLLIN | POLLOUT), POLLIN | POLLOUT);
	pair_read(copy, NULL);
	cr_assert_eq(pair_poll(copy, POLLIN | POLLOUT), POLLOUT);
	pair_close(copy);
}

Test(poll, eventfds_among_pipes)
{
	int idle = eventfd_at(0), ready = eventfd_at(1), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	struct pollfd p[] = {{pipefd[0], POLLIN, 0}, {idle, POLLIN, 0}, {pipefd[1], POLLOUT, 0},
		{ready, POLLIN, 0}};
	cr_assert_eq(poll(p, 4, -1), 2);
	cr_assert_eq(p[0].revents, 0);
	cr_assert_eq(p[1].revents, 0);
	cr_assert_eq(p[2].revents, POLLOUT);
	cr_assert_eq(p[3].revents, POLLIN);
	close(pipefd[1]);
	cr_assert_eq(poll(p, 2, -1), 1);
	cr_assert_eq(p[0].revents, POLLHUP);
	close(pipefd[0]);
	close(idle);
	close(ready);
}

Test(poll, eventfds_among_sockets)
{
	int fd = eventfd_at(0), s[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	struct pollfd p[] = {{fd, POLLIN | POLLRDHUP, 0}, {s[0], POLLIN | POLLRDHUP, 0}};
	cr_assert_eq(poll(p, 2, 0), 0);
	add_count(fd, 1);
	cr_assert_eq(poll(p, 2, -1), 1);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, 0);
	close(s[1]);
	cr_assert_eq(poll(p, 2, -1), 2);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, POLLIN | POLLRDHUP | POLLHUP);
	close(s[0]);
	close(fd);
}

Test(poll, eventfds_beside_a_regular_file)
{
	int fd = eventfd_at(0), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct pollfd p[] = {{file, POLLIN | POLLOUT, 0}, {fd, POLLIN, 0}};
	cr_assert_eq(poll(p, 2, -1), 1);
	cr_assert_eq(p[0].revents, POLLIN | POLLOUT);
	cr_assert_eq(p[1].revents, 0);
	close(file);
	close(fd);
}

static int add_one(void *fd)
{
	uint64_t one = 1;
	return write(*(int *)fd, &one, sizeof(one)) != 8;
}

Test(poll, write_by_a_child_is_seen)
{
	int fd = eventfd_at(0);
	cr_assert_eq(child_reap(child_start(add_one, &fd)), 0);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	cr_assert_eq(take_count(fd), 1);
	close(fd);
}

Test(poll, kernel_and_libc_eventfds_in_one_array)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	struct pollfd both[] = {{p.kernel, POLLIN, 0}, {p.libc, POLLIN, 0}};
	cr_assert_eq(poll(both, 2, 0), 0);
	pair_write(p, 1);
	cr_assert_eq(poll(both, 2, -1), 2);
	cr_assert_eq(both[0].revents, POLLIN);
	cr_assert_eq(both[1].revents, POLLIN);
	pair_close(p);
}
