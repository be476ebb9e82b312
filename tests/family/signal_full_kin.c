/* A counter at UINT64_MAX: nested sets, more sets at once, watches that are modified, dups. */
#define _GNU_SOURCE
#include "maskkit.h"
#include "signalkit.h"
#include "testkit.h"

#include <unistd.h>

TestSuite(signal_full_kin, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { FULL = EPOLLIN | EPOLLERR };

static const uint32_t interests[] = {0, EPOLLIN, EPOLLOUT, EPOLLPRI};

Test(signal_full_kin, a_set_in_a_set)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, interests[i], 1);
		int outer = set_watching(set, EPOLLIN, 2);
		struct efd_file *file = signal_get(fd);
		signal_fill(fd, file);
		cr_assert_eq(set_event(outer), EPOLLIN, "interest %#x", interests[i]);
		cr_assert_eq(poll_now(set, POLLIN | POLLOUT), POLLIN);
		cr_assert_eq(mask_select(set, TO_ALL), TO_READ);
		cr_assert_eq(set_event(set), FULL & (interests[i] | EPOLLERR));
		take_count(fd);
		uint32_t left = interests[i] == EPOLLOUT ? EPOLLIN : 0;
		cr_assert_eq(set_event(outer), left);
		cr_assert_eq(poll_now(set, POLLIN), left);
		signal_put(file);
		close(outer);
		close(set);
		close(fd);
	}
}

Test(signal_full_kin, a_set_in_a_set_in_a_set)
{
	int fd = eventfd_at(0), set = set_watching(fd, 0, 1);
	int middle = set_watching(set, EPOLLIN, 2), outer = set_watching(middle, EPOLLIN, 3);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(set_event(outer), 0);
	signal_add(file, 1);
	cr_assert_eq(set_event(outer), EPOLLIN);
	cr_assert_eq(poll_now(middle, POLLIN), POLLIN);
	take_count(fd);
	cr_assert_eq(set_event(outer), 0);
	cr_assert_eq(poll_now(middle, POLLIN), 0);
	signal_put(file);
	close(outer);
	close(middle);
	close(set);
	close(fd);
}

Test(signal_full_kin, an_edge_of_an_inner_set)
{
	int fd = eventfd_at(0), set = set_watching(fd, 0, 1);
	int outer = set_watching(set, EPOLLIN | EPOLLET, 2);
	struct efd_file *file = signal_get(fd);
	cr_assert_eq(set_event(outer), 0);
	signal_fill(fd, file);
	cr_assert_eq(set_event(outer), EPOLLIN);
	cr_assert_eq(set_event(outer), 0);
	cr_assert_eq(set_event(set), EPOLLERR);
	signal_put(file);
	close(outer);
	close(set);
	close(fd);
}

Test(signal_full_kin, every_set_is_told)
{
	enum { SETS = 8 };
	int fd = eventfd_at(0), set[SETS];
	for (int i = 0; i < SETS; i++)
		set[i] = set_watching(fd, interests[i % 4] | (i & 4 ? EPOLLET : 0), 1);
	struct efd_file *file = signal_get(fd);
	for (int i = 0; i < SETS; i++)
		set_event(set[i]);
	signal_fill(fd, file);
	for (int i = 0; i < SETS; i++)
		cr_assert_eq(set_event(set[i]), FULL & (interests[i % 4] | EPOLLERR));
	for (int i = 0; i < SETS; i++)
		close(set[i]);
	signal_put(file);
	close(fd);
}

/* MOD shows the state once more, and an interest may be taken back to nothing. */
Test(signal_full_kin, watches_that_are_modified)
{
	int fd = eventfd_at(0), set = set_watching(fd, EPOLLOUT | EPOLLET, 1);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(set_event(set), EPOLLERR);
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		set_ctl(set, EPOLL_CTL_MOD, fd, interests[i] | EPOLLET, 1);
		cr_assert_eq(set_event(set), FULL & (interests[i] | EPOLLERR));
		cr_assert_eq(set_event(set), 0);
	}
	set_ctl(set, EPOLL_CTL_MOD, fd, 0, 1);
	cr_assert_eq(set_event(set), EPOLLERR);
	cr_assert_eq(set_event(set), EPOLLERR);
	set_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
	cr_assert_eq(set_event(set), 0);
	signal_put(file);
	close(set);
	close(fd);
}

/* A watch modified before the counter is full. */
Test(signal_full_kin, watches_that_were_modified)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(0), set = set_watching(fd, EPOLLIN | EPOLLET, 1);
		struct efd_file *file = signal_get(fd);
		set_ctl(set, EPOLL_CTL_MOD, fd, interests[i], 1);
		signal_fill(fd, file);
		cr_assert_eq(set_event(set), FULL & (interests[i] | EPOLLERR));
		signal_put(file);
		close(set);
		close(fd);
	}
}

Test(signal_full_kin, two_watches_of_one_eventfd_in_one_set)
{
	struct epoll_event events[4];
	int fd = eventfd_at(0), copy = dup(fd), set = set_watching(fd, 0, 1);
	set_ctl(set, EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLOUT, 2);
	struct efd_file *file = signal_get(copy);
	signal_fill(fd, file);
	cr_assert_eq(epoll_wait(set, events, 4, 0), 2);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(events[i].events, events[i].data.u64 == 1 ? EPOLLERR : FULL);
	take_count(copy);
	cr_assert_eq(set_event(set), EPOLLOUT);
	signal_put(file);
	close(set);
	close(copy);
	close(fd);
}

Test(signal_full_kin, among_others_in_poll_and_select)
{
	int one = eventfd_at(0), full = eventfd_at(0), ends[2];
	struct efd_file *file = signal_get(full);
	cr_assert_eq(pipe(ends), 0);
	signal_fill(full, file);
	struct pollfd p[3] = {{one, POLLIN, 0}, {full, 0, 0}, {ends[0], POLLIN, 0}};
	cr_assert_eq(poll(p, 3, -1), 1);
	cr_assert(p[0].revents == 0 && p[1].revents == POLLERR && p[2].revents == 0);
	add_count(one, 1);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	cr_assert_eq(poll(p, 3, -1), 3);
	close(ends[0]);
	close(ends[1]);
	signal_put(file);
	close(one);
	close(full);
}

Test(signal_full_kin, dups_show_the_same)
{
	int fd = eventfd_at(0), copy = dup(fd);
	struct efd_file *file = signal_get(fd);
	signal_fill(copy, file);
	close(fd);
	cr_assert_eq(poll_now(copy, 0), POLLERR);
	cr_assert_eq(take_count(copy), COUNT_FULL);
	cr_assert_eq(poll_now(copy, 0), 0);
	signal_put(file);
	close(copy);
}

/* The error stays when the reference is gone. */
Test(signal_full_kin, put_while_full)
{
	int fd = eventfd_at(0), set = set_watching(fd, 0, 1);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	signal_put(file);
	cr_assert_eq(set_event(set), EPOLLERR);
	cr_assert_eq(poll_now(fd, POLLIN), POLLIN | POLLERR);
	int later = set_watching(fd, EPOLLPRI, 1);
	cr_assert_eq(set_event(later), EPOLLERR);
	cr_assert_eq(take_count(fd), COUNT_FULL);
	cr_assert_eq(set_event(set) | set_event(later), 0);
	close(later);
	close(set);
	close(fd);
}
