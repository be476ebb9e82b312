/* What an eventpoll refuses. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "pollerkit.h"
#include "testkit.h"

#include <efdshim/asyncfd.h>
#include <efdshim/eventfd.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>

TestSuite(eventpoll_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static const int all_ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};

static int closed_number(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

Test(eventpoll_errors, sizes)
{
	static const int bad[] = {0, -1, INT_MIN};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(answer_of(eventpoll_create(bad[i])), -EINVAL);
	int poller = poller_open(1);
	cr_assert_eq(fcntl(poller, F_GETFD), FD_CLOEXEC);
	close(poller);
}

Test(eventpoll_errors, fds_that_are_not_open)
{
	const struct pollfd *events;
	int fd = eventfd_at(0), poller = poller_open(4), none;
	none = closed_number();
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(poller_try(poller, all_ops[i], none, POLLIN), -EBADF);
		cr_assert_eq(poller_try(poller, all_ops[i], -1, POLLIN), -EBADF);
		cr_assert_eq(poller_try(none, all_ops[i], fd, POLLIN), -EBADF);
		cr_assert_eq(poller_try(-1, all_ops[i], fd, POLLIN), -EBADF);
	}
	cr_assert_eq(poller_wait(none, &events, 0), -EBADF);
	cr_assert_eq(poller_wait(-1, &events, -1), -EBADF);
	close(poller);
	cr_assert_eq(poller_wait(poller, &events, 0), -EBADF);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, fd, POLLIN), -EBADF);
	close(fd);
}

Test(eventpoll_errors, fds_that_are_no_eventpolls)
{
	const struct pollfd *events;
	int fd = eventfd_at(0), ends[2];
	cr_assert_eq(pipe(ends), 0);
	int others[] = {
		ends[0], eventfd_at(1), eventfd(0, EFD_MASK), epoll_create1(0), tk_memory_file(0)};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		for (int op = 0; op < 3; op++)
			cr_assert_eq(poller_try(others[i], all_ops[op], fd, POLLIN), -EINVAL,
				"fd %zu", i);
		cr_assert_eq(poller_wait(others[i], &events, 0), -EINVAL);
		close(others[i]);
	}
	close(ends[1]);
	close(fd);
}

Test(eventpoll_errors, added_twice_and_never)
{
	int fd = eventfd_at(0), copy = dup(fd), poller = poller_open(4);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_MOD, fd, POLLIN), -ENOENT);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, fd, 0), -ENOENT);
	poller_add(poller, fd, POLLIN);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, fd, POLLIN), -EEXIST);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, fd, POLLOUT), -EEXIST);
	cr_assert_eq(poller_event(poller, fd), 0);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_MOD, copy, POLLIN), -ENOENT);
	poller_add(poller, copy, POLLIN);
	poller_del(poller, fd);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, fd, 0), -ENOENT);
	poller_del(poller, copy);
	close(poller);
	close(copy);
	close(fd);
}

Test(eventpoll_errors, added_twice_and_never_real_ones)
{
	int ends[2], poller = poller_open(4);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_MOD, ends[0], POLLIN), -ENOENT);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, ends[0], 0), -ENOENT);
	poller_add(poller, ends[0], POLLIN);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, ends[0], POLLIN), -EEXIST);
	poller_del(poller, ends[0]);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, ends[0], 0), -ENOENT);
	close(poller);
	close(ends[0]);
	close(ends[1]);
}

Test(eventpoll_errors, operations_and_events)
{
	static const int ops[] = {0, 4, -1, INT_MAX};
	static const unsigned bad[] = {
		EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLEXCLUSIVE | EPOLLIN, EPOLLWAKEUP, 1U << 20};
	int fd = eventfd_at(0), poller = poller_open(4);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		cr_assert_eq(poller_try(poller, ops[i], fd, POLLIN), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, fd, bad[i]), -EINVAL);
	poller_add(poller, fd, POLLIN);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(poller_try(poller, EPOLL_CTL_MOD, fd, bad[i]), -EINVAL);
	add_count(fd, 1);
	cr_assert_eq(poller_event(poller, fd), POLLIN);
	close(poller);
	close(fd);
}

Test(eventpoll_errors, files_that_cannot_be_polled)
{
	int file = tk_memory_file(0), dir = open("/", O_RDONLY | O_DIRECTORY);
	int poller = poller_open(4);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, file, POLLIN), -EPERM);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, dir, POLLIN), -EPERM);
	close(poller);
	close(file);
	close(dir);
}

Test(eventpoll_errors, itself_and_sets_it_is_in)
{
	int poller = poller_open(4), other = poller_open(4);
	int set = set_watching(poller, EPOLLIN, 1), outer = set_watching(set, EPOLLIN, 1);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, poller, POLLIN), -EINVAL);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, set, POLLIN), -ELOOP);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, outer, POLLIN), -ELOOP);
	poller_add(other, poller, POLLIN);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, other, POLLIN), -ELOOP);
	poller_del(other, poller);
	poller_add(poller, other, POLLIN);
	close(outer);
	close(set);
	close(other);
	close(poller);
}

/* epoll_ctl must not make such a ring either. */
Test(eventpoll_errors, an_epoll_set_that_is_in_it)
{
	int set = epoll_create1(EPOLL_CLOEXEC), poller = poller_of(set, POLLIN);
	struct epoll_event event = {.events = EPOLLIN};
	cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, poller, &event)), -ELOOP);
	close(poller);
	close(set);
}

Test(eventpoll_errors, no_place_for_the_answer)
{
	int fd = eventfd_at(1), poller = poller_of(fd, POLLIN);
	const struct pollfd *events = NULL;
	cr_assert_eq(poller_wait(poller, NULL, 0), -EFAULT);
	cr_assert_eq(poller_wait(poller, page_unmapped(), 0), -EFAULT);
	cr_assert_eq(poller_wait(poller, page_read_only(&events, sizeof(events)), 0), -EFAULT);
	cr_assert_eq(poller_event(poller, fd), POLLIN);
	close(poller);
	close(fd);
}

/* Room is for `maxfds`, whatever they are. */
static void room_for(int maxfds)
{
	int fds[8], ends[2], poller = poller_open(maxfds);
	cr_assert_eq(pipe(ends), 0);
	for (int i = 0; i < maxfds; i++) {
		fds[i] = i % 2 ? dup(ends[0]) : eventfd_at(0);
		poller_add(poller, fds[i], POLLIN);
	}
	int more = eventfd_at(1);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, more, POLLIN), -ENOSPC);
		cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, ends[0], POLLIN), -ENOSPC);
	}
	cr_assert_eq(poller_event(poller, more), 0);
	poller_mod(poller, fds[0], POLLIN | POLLPRI);
	poller_del(poller, fds[maxfds - 1]);
	poller_add(poller, more, POLLIN);
	cr_assert_eq(poller_event(poller, more), POLLIN);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, ends[0], POLLIN), -ENOSPC);
	poller_del(poller, more);
	poller_add(poller, ends[0], POLLIN);
	cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, more, POLLIN), -ENOSPC);
	for (int i = 0; i < maxfds; i++)
		close(fds[i]);
	close(poller);
	close(more);
	close(ends[0]);
	close(ends[1]);
}

Test(eventpoll_errors, no_room)
{
	for (int maxfds = 1; maxfds <= 6; maxfds++)
		room_for(maxfds);
}

Test(eventpoll_errors, made_and_closed_often)
{
	int fd = eventfd_at(1);
	for (int i = 0; i < 2000; i++) {
		int poller = poller_open(1 + i % 100);
		poller_add(poller, fd, POLLIN);
		if (i % 2)
			cr_assert_eq(poller_event(poller, fd), POLLIN);
		if (i % 3)
			poller_del(poller, fd);
		close(poller);
	}
	close(fd);
}
