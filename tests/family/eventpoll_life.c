/* fds that are closed leave an eventpoll and free their room; numbers that come again; the
 * eventpoll's own fds; children. */
#define _GNU_SOURCE
#include "mate.h"
#include "pollerkit.h"
#include "testkit.h"

#include <efdshim/eventfd.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

TestSuite(eventpoll_life, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

/* A readable eventfd or pipe: its number, and -1 or the writing end. */
struct readable {
	int fd, other;
};

static struct readable readable_open(bool fake)
{
	int ends[2];
	if (fake)
		return (struct readable){eventfd_at(1), -1};
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	return (struct readable){ends[0], ends[1]};
}

static void readable_more(struct readable r)
{
	if (r.other < 0)
		add_count(r.fd, 1);
	else
		cr_assert_eq(write(r.other, "x", 1), 1);
}

static void readable_close(struct readable r)
{
	close(r.fd);
	if (r.other >= 0)
		close(r.other);
}

Test(eventpoll_life, a_closed_fd_leaves_with_its_event)
{
	for (int fake = 0; fake < 2; fake++) {
		struct readable r = readable_open(fake);
		int poller = poller_of(r.fd, POLLIN);
		cr_assert_eq(poller_event(poller, r.fd), POLLIN);
		readable_more(r);
		readable_close(r);
		cr_assert_eq(poller_event(poller, -1), 0);
		cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, r.fd, 0), -EBADF);
		close(poller);
	}
}

/* It comes again under the number of one that was in the set. */
Test(eventpoll_life, a_number_that_comes_again)
{
	for (int way = 0; way < 4; way++) {
		struct readable r = readable_open(way & 1);
		int number = r.fd, poller = poller_of(number, POLLIN);
		struct readable next = readable_open(way & 2);
		readable_close(r);
		cr_assert_eq(dup2(next.fd, number), number);
		close(next.fd);
		next.fd = number;
		readable_more(next);
		cr_assert_eq(poller_event(poller, -1), 0, "way %d", way);
		cr_assert_eq(poller_try(poller, EPOLL_CTL_MOD, number, POLLIN), -ENOENT);
		cr_assert_eq(poller_try(poller, EPOLL_CTL_DEL, number, 0), -ENOENT);
		poller_add(poller, number, POLLIN);
		cr_assert_eq(poller_event(poller, number), POLLIN);
		readable_more(next);
		cr_assert_eq(poller_event(poller, number), POLLIN);
		readable_close(next);
		close(poller);
	}
}

Test(eventpoll_life, dup2_onto_one_that_is_in_it)
{
	for (int way = 0; way < 4; way++) {
		struct readable r = readable_open(way & 1), next = readable_open(way & 2);
		int poller = poller_of(r.fd, POLLIN);
		cr_assert_eq(poller_event(poller, r.fd), POLLIN);
		cr_assert_eq(dup2(next.fd, r.fd), r.fd);
		readable_more(next);
		cr_assert_eq(poller_event(poller, -1), 0);
		poller_add(poller, r.fd, POLLIN);
		cr_assert_eq(poller_event(poller, r.fd), POLLIN);
		close(poller);
		readable_close(next);
		readable_close(r);
	}
}

/* An fd leaves when its file is closed: not before the last dup. */
Test(eventpoll_life, a_dup_keeps_it)
{
	for (int fake = 0; fake < 2; fake++) {
		struct readable r = readable_open(fake);
		int number = r.fd, poller = poller_of(number, POLLIN), copy = dup(number);
		cr_assert_eq(poller_event(poller, number), POLLIN);
		close(number);
		r.fd = copy;
		readable_more(r);
		cr_assert_eq(poller_event(poller, number), POLLIN);
		readable_close(r);
		cr_assert_eq(poller_event(poller, -1), 0);
		close(poller);
	}
}

Test(eventpoll_life, a_reference_keeps_it)
{
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	struct efd_file *file = eventfd_fget(fd);
	cr_assert(file);
	close(fd);
	cr_assert_eq(eventfd_signal(file, 1), 1);
	cr_assert_eq(poller_event(poller, fd), POLLIN);
	efd_fput(file);
	cr_assert_eq(poller_event(poller, -1), 0);
	close(poller);
}

/* Room is free as soon as the fd is closed, again and again. */
Test(eventpoll_life, closed_fds_free_their_room)
{
	enum { ROOM = 5 };
	int poller = poller_open(ROOM);
	for (int round = 0; round < 40; round++) {
		struct readable r[ROOM];
		for (int i = 0; i < ROOM; i++) {
			r[i] = readable_open((i + round) % 2);
			poller_add(poller, r[i].fd, POLLIN);
		}
		struct readable more = readable_open(round & 1);
		cr_assert_eq(poller_try(poller, EPOLL_CTL_ADD, more.fd, POLLIN), -ENOSPC);
		if (round % 3) {
			unsigned seen[1024] = {0};
			cr_assert_eq(poller_collect(poller, seen, 1024), ROOM);
		}
		readable_close(more);
		for (int i = 0; i < ROOM; i++)
			readable_close(r[(i + round) % ROOM]);
		cr_assert_eq(poller_event(poller, -1), 0);
	}
	close(poller);
}

/* Events of numbers used over and over by a thread of churn are those of the file of now. */
Test(eventpoll_life, numbers_that_change_hands_often)
{
	int poller = poller_open(4), keep = eventfd_at(0);
	poller_add(poller, keep, POLLIN);
	for (int i = 0; i < 500; i++) {
		struct readable r = readable_open(i % 3);
		poller_add(poller, r.fd, POLLIN);
		if (i % 2)
			cr_assert_eq(poller_event(poller, r.fd), POLLIN);
		else if (i % 5)
			readable_more(r);
		readable_close(r);
		add_count(keep, 1);
		cr_assert_eq(poller_event(poller, keep), POLLIN);
	}
	close(poller);
	close(keep);
}

Test(eventpoll_life, dups_of_the_eventpoll_are_the_same_one)
{
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN), copy = dup(poller);
	add_count(fd, 1);
	cr_assert_eq(poller_event(copy, fd), POLLIN);
	cr_assert_eq(poller_event(poller, fd), 0);
	cr_assert_eq(poller_try(copy, EPOLL_CTL_ADD, fd, POLLIN), -EEXIST);
	close(poller);
	add_count(fd, 1);
	cr_assert_eq(poller_event(copy, fd), POLLIN);
	int third = fcntl(copy, F_DUPFD_CLOEXEC, 300);
	close(copy);
	poller_mod(third, fd, POLLOUT);
	cr_assert_eq(poller_event(third, fd), POLLOUT);
	close(third);
	close(fd);
}

Test(eventpoll_life, closed_with_events_and_fds_in_it)
{
	for (int i = 0; i < 200; i++) {
		struct readable one = readable_open(true), two = readable_open(false);
		int poller = poller_of(one.fd, POLLIN);
		poller_add(poller, two.fd, POLLIN);
		close(poller);
		readable_more(one);
		readable_more(two);
		readable_close(one);
		readable_close(two);
	}
}

/* A child and its parent share it: each event goes to one of them. */
struct family {
	int poller, fd, go, back;
};

static int takes_one(void *arg)
{
	struct family *f = arg;
	const struct pollfd *events;
	uint64_t one = 1;
	for (int i = 0; i < 20; i++) {
		if (eventpoll_wait(f->poller, &events, 10000) != 1 || events[0].fd != f->fd ||
			events[0].revents != POLLIN)
			return 1;
		if (eventpoll_wait(f->poller, &events, 0) != 0)
			return 2;
		if (write(f->back, &one, sizeof(one)) != sizeof(one))
			return 3;
	}
	return 0;
}

Test(eventpoll_life, a_child_that_waits_gets_the_events)
{
	struct family f = {.fd = eventfd_at(0), .back = eventfd(0, 0)};
	f.poller = poller_of(f.fd, POLLIN);
	pid_t pid = child_start(takes_one, &f);
	for (int i = 0; i < 20; i++) {
		struct pollfd p = {f.back, POLLIN, 0};
		tk_wait_process_asleep(pid);
		add_count(f.fd, 1);
		cr_assert_eq(poll(&p, 1, 10000), 1, "round %d", i);
		take_count(f.back);
		cr_assert_eq(poller_event(f.poller, f.fd), 0);
	}
	cr_assert_eq(child_reap(pid), 0);
	close(f.poller);
	close(f.back);
	close(f.fd);
}

static int finds_none(void *arg)
{
	struct family *f = arg;
	const struct pollfd *events;
	uint64_t value;
	if (read(f->go, &value, sizeof(value)) != sizeof(value))
		return 1;
	return eventpoll_wait(f->poller, &events, 0) == 0 ? 0 : 2;
}

Test(eventpoll_life, what_the_parent_took_the_child_does_not_find)
{
	struct family f = {.fd = eventfd_at(0), .go = eventfd(0, 0)};
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	f.poller = poller_of(f.fd, POLLIN);
	poller_add(f.poller, ends[0], POLLIN);
	pid_t pid = child_start(finds_none, &f);
	add_count(f.fd, 1);
	cr_assert_eq(poller_event(f.poller, f.fd), POLLIN);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	cr_assert_eq(poller_event(f.poller, ends[0]), POLLIN);
	add_count(f.go, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(f.poller);
	close(f.go);
	close(f.fd);
	close(ends[0]);
	close(ends[1]);
}

/* A child that writes wakes its parent; one that closes its copy, or is killed, takes nothing. */
Test(eventpoll_life, a_child_that_writes_and_one_that_is_killed)
{
	int fd = eventfd_at(0), poller = poller_of(fd, POLLIN);
	struct mate writer = mate_start(MATE_FORKED), victim = mate_start(MATE_FORKED);
	mate_close(&writer, poller);
	mate_kill(&victim);
	for (int i = 0; i < 5; i++) {
		struct poller_waited wait = {.poller = poller};
		struct waiter w;
		waiter_start(&w, poller_call, &wait);
		pid_t pid = fork();
		if (pid == 0)
			_exit(eventfd_write(fd, 1) ? 1 : 0);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(wait.events[0].fd, fd);
		cr_assert_eq(child_reap(pid), 0);
	}
	mate_end(&writer);
	close(poller);
	close(fd);
}
