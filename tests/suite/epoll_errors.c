/* epoll_create, epoll_ctl and epoll_wait: what they refuse, and with which errno. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(epoll_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static const uint32_t interests[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT};

static long ctl_of(int set, int op, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	return answer_of(epoll_ctl(set, op, fd, &event));
}

static long wait_now(int set, void *events, int max)
{
	return answer_of(epoll_wait(set, events, max, 0));
}

Test(epoll_errors, create_wants_a_positive_size)
{
	cr_assert_eq(answer_of(epoll_create(0)), -EINVAL);
	cr_assert_eq(answer_of(epoll_create(-1)), -EINVAL);
	int set = epoll_create(1);
	cr_assert_geq(set, 0);
	cr_assert_eq(fcntl(set, F_GETFD), 0);
	close(set);
}

Test(epoll_errors, create1_knows_one_flag)
{
	cr_assert_eq(answer_of(epoll_create1(1)), -EINVAL);
	cr_assert_eq(answer_of(epoll_create1(EPOLL_CLOEXEC | O_NONBLOCK)), -EINVAL);
	cr_assert_eq(answer_of(epoll_create1(-1)), -EINVAL);
	int plain = epoll_create1(0), cloexec = epoll_create1(EPOLL_CLOEXEC);
	cr_assert_eq(fcntl(plain, F_GETFD), 0);
	cr_assert_eq(fcntl(cloexec, F_GETFD), FD_CLOEXEC);
	close(plain);
	close(cloexec);
}

Test(epoll_errors, create_returns_the_lowest_free_number)
{
	int fd = eventfd_at(0);
	close(fd);
	int set = epoll_create1(EPOLL_CLOEXEC);
	cr_assert_eq(set, fd);
	close(set);
}

Test(epoll_errors, add_twice)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct watched w = watch_pair(1, 0, interests[i]);
		for (size_t j = 0; j < ARRAY_LEN(interests); j++)
			cr_assert_eq(
				pair_ctl(w.set, EPOLL_CTL_ADD, w.fd, interests[j], 9), -EEXIST);
		expect_event(w, interests[i]);
		unwatch_pair(w);
	}
}

Test(epoll_errors, mod_and_del_of_what_is_not_there)
{
	struct watched w = watch_pair(1, 0, EPOLLIN);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0), 0);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_DEL, w.fd, 0, 0), -ENOENT);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, EPOLLIN, 0), -ENOENT);
	cr_assert_eq(pair_ctl(w.set, EPOLL_CTL_MOD, w.fd, EPOLLOUT, 0), -ENOENT);
	expect_event(w, 0);
	unwatch_pair(w);
}

Test(epoll_errors, fds_that_are_not_open)
{
	int fd = eventfd_at(1), closed = eventfd_at(1), set = epoll_create1(0);
	static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	close(closed);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		cr_assert_eq(ctl_of(set, ops[i], closed), -EBADF);
		cr_assert_eq(ctl_of(set, ops[i], -1), -EBADF);
		cr_assert_eq(ctl_of(closed, ops[i], fd), -EBADF);
		cr_assert_eq(ctl_of(-1, ops[i], fd), -EBADF);
	}
	struct epoll_event event;
	cr_assert_eq(wait_now(closed, &event, 1), -EBADF);
	cr_assert_eq(wait_now(-1, &event, 1), -EBADF);
	close(set);
	close(fd);
}

Test(epoll_errors, watched_fd_that_was_closed_is_ebadf_not_enoent)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLOUT, 1);
	close(fd);
	cr_assert_eq(ctl_of(set, EPOLL_CTL_DEL, fd), -EBADF);
	cr_assert_eq(ctl_of(set, EPOLL_CTL_MOD, fd), -EBADF);
	close(set);
}

Test(epoll_errors, regular_files_cannot_be_watched)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), set = epoll_create1(0);
	int fd = eventfd_at(1);
	cr_assert_eq(ctl_of(set, EPOLL_CTL_ADD, file), -EPERM);
	cr_assert_eq(ctl_of(set, EPOLL_CTL_DEL, file), -EPERM);
	cr_assert_eq(ctl_of(fd, EPOLL_CTL_ADD, file), -EPERM);
	cr_assert_eq(ctl_of(file, EPOLL_CTL_ADD, fd), -EINVAL);
	close(file);
	close(set);
	close(fd);
}

Test(epoll_errors, number_of_an_eventfd_reused_by_a_file_is_the_file)
{
	int set = epoll_create1(0), fd = eventfd_at(1);
	close(fd);
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(file, fd);
	cr_assert_eq(ctl_of(set, EPOLL_CTL_ADD, fd), -EPERM);
	close(file);
	close(set);
}

Test(epoll_errors, an_eventfd_is_no_set)
{
	int fd = eventfd_at(1), other = eventfd_at(1), pipefd[2];
	struct epoll_event event;
	cr_assert_eq(pipe(pipefd), 0);
	static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		cr_assert_eq(ctl_of(fd, ops[i], other), -EINVAL);
		cr_assert_eq(ctl_of(fd, ops[i], fd), -EINVAL);
		cr_assert_eq(ctl_of(pipefd[0], ops[i], fd), -EINVAL);
		cr_assert_eq(ctl_of(fd, ops[i], pipefd[0]), -EINVAL);
	}
	cr_assert_eq(wait_now(fd, &event, 1), -EINVAL);
	cr_assert_eq(wait_now(pipefd[0], &event, 1), -EINVAL);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
	close(other);
}

Test(epoll_errors, unknown_operation)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN, 1);
	static const int ops[] = {0, 4, 99, -1, INT_MAX};
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		cr_assert_eq(ctl_of(set, ops[i], fd), -EINVAL);
	cr_assert_eq(answer_of(epoll_ctl(set, 99, fd, page_unmapped())), -EFAULT);
	cr_assert_eq(set_event(set), EPOLLIN);
	close(set);
	close(fd);
}

Test(epoll_errors, event_that_is_not_there)
{
	int fd = eventfd_at(1), other = eventfd_at(1), set = set_watching(other, EPOLLIN, 1);
	struct epoll_event *bad[] = {
		NULL, page_unmapped(), page_of(PROT_NONE), (void *)(uintptr_t)-4096};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_ADD, fd, bad[i])), -EFAULT);
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_MOD, other, bad[i])), -EFAULT);
		cr_assert_eq(answer_of(epoll_ctl(-1, EPOLL_CTL_ADD, -1, bad[i])), -EFAULT);
	}
	cr_assert_eq(set_event(set), EPOLLIN);
	close(set);
	close(fd);
	close(other);
}

Test(epoll_errors, del_does_not_look_at_the_event)
{
	int set = epoll_create1(0);
	struct epoll_event *bad[] = {NULL, page_unmapped(), page_of(PROT_NONE)};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int fd = eventfd_at(1);
		set_ctl(set, EPOLL_CTL_ADD, fd, interests[i], 1);
		cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_DEL, fd, bad[i])), 0);
		cr_assert_eq(set_event(set), 0);
		close(fd);
	}
	close(set);
}

Test(epoll_errors, event_from_read_only_memory_is_fine)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 1};
	struct epoll_event *at = page_read_only(&event, sizeof(event));
	int fd = eventfd_at(1), set = epoll_create1(0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, at), 0);
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_MOD, fd, at), 0);
	cr_assert_eq(set_event(set), EPOLLOUT);
	close(set);
	close(fd);
}

Test(epoll_errors, event_at_the_end_of_its_page)
{
	struct epoll_event *at = bytes_before_hole(sizeof(*at));
	int fd = eventfd_at(1), set = epoll_create1(0);
	*at = (struct epoll_event){.events = EPOLLOUT, .data.u64 = 1};
	cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, at), 0);
	at = (void *)((char *)at + 1);
	cr_assert_eq(answer_of(epoll_ctl(set, EPOLL_CTL_MOD, fd, at)), -EFAULT);
	close(set);
	close(fd);
}

Test(epoll_errors, wait_wants_a_positive_number_of_events)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN, 1);
	struct epoll_event event;
	static const int bad[] = {0, -1, INT_MIN, INT_MAX};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_eq(wait_now(set, &event, bad[i]), -EINVAL);
		cr_assert_eq(wait_now(set, NULL, bad[i]), -EINVAL);
		cr_assert_eq(answer_of(epoll_pwait(set, &event, bad[i], -1, NULL)), -EINVAL);
		cr_assert_eq(answer_of(epoll_pwait2(set, &event, bad[i], NULL, NULL)), -EINVAL);
	}
	close(set);
	close(fd);
}

Test(epoll_errors, room_for_more_events_than_there_is_memory)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLOUT, 1);
	struct epoll_event *at = bytes_before_hole(sizeof(*at));
	int most = INT_MAX / (int)sizeof(*at);
	cr_assert_eq(wait_now(set, at, most), 1);
	cr_assert_eq(at->events, EPOLLOUT);
	cr_assert_eq(wait_now(set, at, most + 1), -EINVAL);
	close(set);
	close(fd);
}

Test(epoll_errors, buffer_that_is_not_there_matters_only_with_events)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(COUNT_LIMIT), set = set_watching(fd, EPOLLPRI, 1);
		void *bad[] = {NULL, page_unmapped(), page_of(PROT_NONE), page_of(PROT_READ)};
		for (size_t j = 0; j < ARRAY_LEN(bad); j++)
			cr_assert_eq(wait_now(set, bad[j], 4), 0);
		take_count(fd);
		add_count(fd, 1);
		set_ctl(set, EPOLL_CTL_MOD, fd, interests[i], 1);
		for (size_t j = 0; j < ARRAY_LEN(bad); j++)
			cr_assert_eq(wait_now(set, bad[j], 4), -EFAULT);
		cr_assert_eq(set_event(set), interests[i]);
		close(set);
		close(fd);
	}
}

Test(epoll_errors, edge_that_could_not_be_stored_is_not_lost)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int fd = eventfd_at(1), set = set_watching(fd, interests[i] | EPOLLET, 1);
		cr_assert_eq(wait_now(set, page_unmapped(), 4), -EFAULT);
		cr_assert_eq(wait_now(set, page_of(PROT_READ), 4), -EFAULT);
		cr_assert_eq(set_event(set), interests[i]);
		cr_assert_eq(set_event(set), 0);
		close(set);
		close(fd);
	}
}

Test(epoll_errors, buffer_that_runs_into_a_hole_gets_what_fits)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		uint32_t events = interests[i] | EPOLLET;
		int one = eventfd_at(1), two = eventfd_at(1), set = set_watching(one, events, 1);
		struct epoll_event *at = bytes_before_hole(sizeof(*at));
		set_ctl(set, EPOLL_CTL_ADD, two, events, 2);
		cr_assert_eq(wait_now(set, at, 2), 1);
		uint64_t first = at->data.u64;
		cr_assert_eq(wait_now(set, at, 2), 1);
		cr_assert_eq(first + at->data.u64, 3);
		cr_assert_eq(wait_now(set, at, 2), 0);
		close(set);
		close(one);
		close(two);
	}
}

Test(epoll_errors, pwait_with_a_bad_signal_mask)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN, 1);
	struct epoll_event event;
	cr_assert_eq(answer_of(epoll_pwait(set, &event, 1, 0, page_unmapped())), -EFAULT);
	cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, NULL, page_unmapped())), -EFAULT);
	close(set);
	close(fd);
}

Test(epoll_errors, pwait2_with_a_bad_time)
{
	int fd = eventfd_at(1), set = set_watching(fd, EPOLLIN, 1);
	static const struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {0, LONG_MAX}};
	struct epoll_event event;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, &bad[i], NULL)), -EINVAL);
	cr_assert_eq(answer_of(epoll_pwait2(set, &event, 1, page_unmapped(), NULL)), -EFAULT);
	close(set);
	close(fd);
}
