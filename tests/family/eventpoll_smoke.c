/* eventpoll: what each call does, on fake fds and on the kernel's. */
#define _GNU_SOURCE
#include "eventpoll_steps.h"
#include "testkit.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>

TestSuite(eventpoll_smoke, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

Test(eventpoll_smoke, create_makes_a_set)
{
	int set = create(1);
	cr_assert_eq(fcntl(set, F_GETFD), FD_CLOEXEC);
	expect_none(set);
	close(set);
	cr_assert_eq(eventpoll_create(0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(eventpoll_create(-1), -1);
	cr_assert_eq(errno, EINVAL);
	close(create(INT_MAX));
}

Test(eventpoll_smoke, edges_of_a_fake_fd)
{
	int set = create(4), fd = fake();
	put(fd);
	add(set, fd, POLLIN);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(got->events, POLLIN);
	expect_none(set);
	put(fd);
	put(fd);
	expect_one(set, fd, POLLIN);
	take(fd);
	expect_none(set);
	put(fd);
	take(fd);
	expect_none(set);
	put(fd);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), 0);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), 0);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN | POLLOUT), 0);
	expect_one(set, fd, POLLIN | POLLOUT);
	cr_assert_eq(got->events, POLLIN | POLLOUT);
	put(fd);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, fd, ~0u), 0);
	put(fd);
	expect_none(set);
	close_all(set, fd, -1);
}

Test(eventpoll_smoke, edges_of_a_pipe)
{
	int set = create(4), ends[2];
	cr_assert_eq(pipe(ends), 0);
	add(set, ends[0], POLLIN);
	expect_none(set);
	cr_assert_eq(write(ends[1], "ab", 2), 2);
	expect_one(set, ends[0], POLLIN);
	expect_none(set);
	cr_assert_eq(write(ends[1], "c", 1), 1);
	expect_one(set, ends[0], POLLIN);
	cr_assert_eq(write(ends[1], "d", 1), 1);
	close(ends[1]);
	expect_one(set, ends[0], POLLIN | POLLHUP);
	close_all(set, ends[0], -1);
}

Test(eventpoll_smoke, fake_and_real_together)
{
	int set = create(4), fd = fake(), ends[2];
	unsigned seen = 0;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	add(set, fd, POLLIN);
	add(set, ends[0], POLLIN | POLLRDHUP);
	put(fd);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	cr_assert_eq(eventpoll_wait(set, &got, -1), 2);
	for (int i = 0; i < 2; i++)
		seen |= got[i].fd == fd ? 1 : got[i].fd == ends[0] ? 2 : 4;
	cr_assert_eq(seen, 3);
	expect_none(set);
	close_all(set, fd, ends[0]);
	close(ends[1]);
}

Test(eventpoll_smoke, more_than_a_batch)
{
	enum { MANY = 3000 };
	static int fds[MANY];
	int set = create(MANY);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			if (round == 0)
				add(set, fds[i] = fake(), POLLIN);
			put(fds[i]);
		}
		cr_assert_eq(eventpoll_wait(set, &got, 0), MANY);
		for (int i = 0; i < MANY; i++)
			take(got[i].fd);
		expect_none(set);
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	close(set);
}

Test(eventpoll_smoke, events_stay_until_the_next_wait)
{
	int set = create(4), a = fake(), b = fake();
	const struct pollfd *first;
	add(set, a, POLLIN);
	add(set, b, POLLIN);
	put(a);
	expect_one(set, a, POLLIN);
	first = got;
	put(b);
	put(a);
	cr_assert_eq(first->fd, a);
	cr_assert_eq(first->revents, POLLIN);
	cr_assert_eq(eventpoll_wait(set, &got, -1), 2);
	cr_assert_neq(got, first);
	put(b);
	expect_one(set, b, POLLIN);
	cr_assert_eq(got, first);
	close_all(set, a, b);
}

Test(eventpoll_smoke, errors_of_ctl)
{
	int set = create(8), other = create(1), fd = fake(),
	    file = open("/proc/self/exe", O_RDONLY), plain = epoll_create1(0),
	    none = tk_lowest_free();
	static const unsigned bad[] = {
		EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP, 1u << 16, 0x1000, 0x8000, ~0u};
	cr_assert_eq(ctl_errno(none, EPOLL_CTL_ADD, fd, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(-1, EPOLL_CTL_ADD, fd, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, none, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, -1, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, INT_MAX, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(plain, EPOLL_CTL_ADD, fd, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(fd, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(file, EPOLL_CTL_ADD, fd, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	cr_assert_eq(ctl_errno(set, 17, fd, POLLIN), EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, fd, bad[i]), EINVAL, "%#x", bad[i]);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, POLLIN), ENOENT);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, fd, 0), ENOENT);
	add(set, fd, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, fd, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_MOD, fd, EPOLLET), EINVAL);
	add(set, other, POLLIN);
	cr_assert_eq(ctl_errno(other, EPOLL_CTL_ADD, set, POLLIN), ELOOP);
	close_all(set, other, fd);
	close_all(file, plain, -1);
}

Test(eventpoll_smoke, no_more_than_maxfds)
{
	int set = create(2), a = fake(), b = fake(), ends[2],
	    file = open("/proc/self/exe", O_RDONLY), other = create(1);
	cr_assert_eq(pipe(ends), 0);
	add(other, set, POLLIN);
	add(set, a, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	add(set, ends[0], POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, b, POLLIN), ENOSPC);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, ends[1], POLLOUT), ENOSPC);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, ends[0], POLLIN), EEXIST);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, file, POLLIN), EPERM);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, -1, POLLIN), EBADF);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, set, POLLIN), EINVAL);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, other, POLLIN), ELOOP);
	expect_none(set);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_DEL, a, 0), 0);
	add(set, b, POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, a, POLLIN), ENOSPC);
	put(b);
	expect_one(set, b, POLLIN);
	close_all(set, a, b);
	close_all(ends[0], ends[1], file);
	close(other);
}

/* The count must not drift, however they leave. */
Test(eventpoll_smoke, closed_fds_leave)
{
	enum { MOST = 8, TIMES = 300 };
	int set = create(MOST), fds[MOST], shelf = fake();
	for (int i = 0; i < MOST; i++)
		add(set, fds[i] = fake(), POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	for (int i = 0; i < TIMES; i++) {
		int *one = &fds[i * 5 % MOST], ends[2];
		close(*one);
		if (i % 3 == 0) { /* another number */
			int filler = fake();
			*one = fake();
			close(filler);
		} else if (i % 3 == 1) { /* another kind */
			cr_assert_eq(pipe(ends), 0);
			*one = ends[0];
			close(ends[1]);
		} else {
			*one = fake();
		}
		add(set, *one, POLLIN);
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, *one, POLLIN), EEXIST);
		cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	}
	for (int i = 0; i < MOST; i++)
		close(fds[i]);
	for (int i = 0; i < MOST; i++)
		add(set, fds[i] = dup(shelf), POLLIN);
	cr_assert_eq(ctl_errno(set, EPOLL_CTL_ADD, shelf, POLLIN), ENOSPC);
	for (int i = 0; i < MOST; i++)
		close(fds[i]);
	close_all(set, shelf, -1);
}

Test(eventpoll_smoke, an_event_of_a_closed_fd_is_nobodys)
{
	for (int again = 0; again < 2; again++) {
		int set = create(4), fd = fake(), fresh;
		add(set, fd, POLLIN);
		put(fd);
		close(fd);
		fresh = fake();
		cr_assert_eq(fresh, fd);
		if (again)
			add(set, fresh, POLLIN);
		expect_none(set);
		put(fresh);
		if (again)
			expect_one(set, fresh, POLLIN);
		else
			expect_none(set);
		close_all(set, fresh, -1);
	}
}

/* The number is another file's, but the old one has a further number: its events go on. */
Test(eventpoll_smoke, an_event_of_an_old_file_is_not_the_new_ones)
{
	int set = create(4), fd = fake(), copy = dup(fd), fresh;
	add(set, fd, POLLIN);
	close(fd);
	fresh = fake();
	cr_assert_eq(fresh, fd);
	add(set, fresh, POLLIN);
	put(copy);
	expect_none(set);
	put(fresh);
	expect_one(set, fresh, POLLIN);
	close_all(set, fresh, copy);
}

Test(eventpoll_smoke, it_can_be_polled)
{
	int set = create(4), fd = fake(), outer = epoll_create1(0), ends[2];
	struct epoll_event event = {.events = EPOLLIN, .data.fd = set};
	cr_assert_eq(pipe(ends), 0);
	add(set, fd, POLLIN);
	add(set, ends[0], POLLIN);
	cr_assert(!polls_in(set));
	put(fd);
	cr_assert(polls_in(set));
	expect_one(set, fd, POLLIN);
	cr_assert(!polls_in(set));
	cr_assert_eq(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event), 0);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 0);
	put(fd);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 1);
	cr_assert_eq(event.data.fd, set);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 0);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	cr_assert_eq(epoll_wait(outer, &event, 1, 0), 1);
	expect_one(set, ends[0], POLLIN);
	close_all(set, fd, outer);
	close_all(ends[0], ends[1], -1);
}

Test(eventpoll_smoke, it_can_be_nested)
{
	int set = create(4), inner = create(4), fd = fake();
	add(inner, fd, POLLIN);
	add(set, inner, POLLIN);
	expect_none(set);
	put(fd);
	expect_one(set, inner, POLLIN);
	expect_one(inner, fd, POLLIN);
	close_all(set, inner, fd);
}

Test(eventpoll_smoke, limits_and_bad_pointers)
{
	int set = create(4), fd = fake(), plain = epoll_create1(0);
	int64_t start = tk_now_ms();
	const struct pollfd **page =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_eq(eventpoll_wait(set, &got, 30), 0);
	cr_assert_geq(tk_now_ms() - start, 30);
	add(set, fd, POLLIN);
	cr_assert_eq(eventpoll_wait(set, &got, 30), 0);
	cr_assert_geq(tk_now_ms() - start, 60);
	put(fd);
	cr_assert_eq(eventpoll_wait(set, page, 0), -1);
	cr_assert_eq(errno, EFAULT);
	cr_assert_eq(eventpoll_wait(set, NULL, 0), -1);
	cr_assert_eq(errno, EFAULT);
	expect_one(set, fd, POLLIN);
	cr_assert_eq(wait_errno(plain, 0), EINVAL);
	cr_assert_eq(wait_errno(fd, 0), EINVAL);
	cr_assert_eq(wait_errno(tk_lowest_free(), 0), EBADF);
	munmap(page, 4096);
	close_all(set, fd, plain);
}

Test(eventpoll_smoke, epolls_own_calls_are_refused)
{
	int set = create(4), fd = fake();
	struct epoll_event event = {.events = EPOLLIN};
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_wait(set, &event, 1, 0), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_pwait(set, &event, 1, 0, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(epoll_pwait2(set, &event, 1, NULL, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	close_all(set, fd, -1);
}
