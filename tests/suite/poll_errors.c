/* poll and ppoll: refused arguments, bad memory, time limits. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(poll_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { FD_LIMIT = 40, SHORT_MS = 30 };

static void limit_fds(rlim_t soft)
{
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = soft;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The compiler knows poll and would warn of what is wrong on purpose. */
static long poll_answer(void *fds, nfds_t n, int ms)
{
	void *volatile hidden = fds;
	volatile nfds_t count = n;
	return answer_of(poll(hidden, count, ms));
}

Test(poll_errors, more_entries_than_the_fd_limit_are_refused)
{
	int fd = eventfd_at(1);
	struct pollfd p[FD_LIMIT + 1];
	for (int i = 0; i <= FD_LIMIT; i++)
		p[i] = (struct pollfd){fd, POLLIN, -1};
	limit_fds(FD_LIMIT);
	cr_assert_eq(poll_answer(p, FD_LIMIT + 1, 0), -EINVAL);
	cr_assert_eq(p[0].revents, -1, "nothing may be stored");
	cr_assert_eq(answer_of(ppoll(p, FD_LIMIT + 1, NULL, NULL)), -EINVAL);
	cr_assert_eq(poll_answer(p, UINT_MAX, 0), -EINVAL);
	close(fd);
}

Test(poll_errors, as_many_entries_as_the_fd_limit_are_fine)
{
	int fd = eventfd_at(1);
	struct pollfd p[FD_LIMIT];
	for (int i = 0; i < FD_LIMIT; i++)
		p[i] = (struct pollfd){fd, POLLIN, -1};
	limit_fds(FD_LIMIT);
	cr_assert_eq(poll_answer(p, FD_LIMIT, 0), FD_LIMIT);
	close(fd);
}

Test(poll_errors, the_fd_limit_counts_negative_entries_too)
{
	struct pollfd p[FD_LIMIT + 1];
	for (int i = 0; i <= FD_LIMIT; i++)
		p[i] = (struct pollfd){-1, POLLIN, -1};
	limit_fds(FD_LIMIT);
	cr_assert_eq(poll_answer(p, FD_LIMIT + 1, 0), -EINVAL);
}

Test(poll_errors, too_many_entries_are_refused_before_the_array_is_looked_at)
{
	limit_fds(FD_LIMIT);
	cr_assert_eq(poll_answer(page_unmapped(), FD_LIMIT + 1, 0), -EINVAL);
}

Test(poll_errors, limit_lowered_below_an_open_fd_leaves_it_usable)
{
	int fd = eventfd_at(1), high = dup2(fd, FD_LIMIT + 5);
	limit_fds(FD_LIMIT);
	cr_assert_eq(poll_now(high, POLLIN), POLLIN);
	close(high);
	close(fd);
}

Test(poll_errors, array_that_is_not_there)
{
	cr_assert_eq(poll_answer(NULL, 1, 0), -EFAULT);
	cr_assert_eq(poll_answer(page_unmapped(), 1, 0), -EFAULT);
	cr_assert_eq(poll_answer(page_of(PROT_NONE), 1, 0), -EFAULT);
	cr_assert_eq(answer_of(ppoll(page_unmapped(), 3, NULL, NULL)), -EFAULT);
}

Test(poll_errors, array_in_kernel_space)
{
	cr_assert_eq(poll_answer((void *)(uintptr_t)-4096, 1, 0), -EFAULT);
}

Test(poll_errors, array_that_runs_into_a_hole)
{
	int fd = eventfd_at(1);
	struct pollfd *p = bytes_before_hole(2 * sizeof(*p));
	p[0] = p[1] = (struct pollfd){fd, POLLIN, 0};
	cr_assert_eq(poll_answer(p, 2, 0), 2);
	cr_assert_eq(poll_answer(p, 3, 0), -EFAULT);
	close(fd);
}

Test(poll_errors, big_array_that_runs_into_a_hole)
{
	enum { N = 500 };
	int fd = eventfd_at(1);
	struct pollfd *p = bytes_before_hole(N * sizeof(*p));
	for (int i = 0; i < N; i++)
		p[i] = (struct pollfd){fd, POLLIN, 0};
	cr_assert_eq(poll_answer(p, N, 0), N);
	cr_assert_eq(poll_answer(p, N + 1, 0), -EFAULT);
	close(fd);
}

Test(poll_errors, read_only_array_with_a_ready_fd)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	cr_assert_eq(poll_answer(page_read_only(&p, sizeof(p)), 1, 0), -EFAULT);
	cr_assert_eq(poll_answer(page_read_only(&p, sizeof(p)), 1, -1), -EFAULT);
	close(p.fd);
}

Test(poll_errors, read_only_array_with_nothing_ready)
{
	struct pollfd p = {eventfd_at(0), POLLIN, 0};
	cr_assert_eq(poll_answer(page_read_only(&p, sizeof(p)), 1, 0), -EFAULT);
	cr_assert_eq(poll_answer(page_read_only(&p, sizeof(p)), 1, 1), -EFAULT);
	close(p.fd);
}

Test(poll_errors, read_only_array_of_negative_fds)
{
	struct pollfd p = {-1, POLLIN, 0};
	cr_assert_eq(poll_answer(page_read_only(&p, sizeof(p)), 1, 0), -EFAULT);
}

Test(poll_errors, no_entries_need_no_array)
{
	cr_assert_eq(poll_answer(page_unmapped(), 0, 0), 0);
	cr_assert_eq(answer_of(ppoll(page_unmapped(), 0, &(struct timespec){0}, NULL)), 0);
}

Test(poll_errors, page_made_writable_again_is_good_again)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0}, *at = page_read_only(&p, sizeof(p));
	cr_assert_eq(poll_answer(at, 1, 0), -EFAULT);
	cr_assert_eq(mprotect(at, (size_t)getpagesize(), PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(poll_answer(at, 1, 0), 1);
	cr_assert_eq(at->revents, POLLIN);
	close(p.fd);
}

Test(poll_errors, ppoll_refuses_an_invalid_time)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	static const struct timespec bad[] = {{0, -1}, {0, 1000000000}, {-1, 0}, {0, LONG_MAX}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(answer_of(ppoll(&p, 1, &bad[i], NULL)), -EINVAL, "time %zu", i);
	cr_assert_eq(p.revents, 0);
	close(p.fd);
}

Test(poll_errors, ppoll_with_a_bad_signal_mask)
{
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	cr_assert_eq(answer_of(ppoll(&p, 1, NULL, page_unmapped())), -EFAULT);
	close(p.fd);
}

Test(poll_errors, time_limit_is_never_early)
{
	struct pollfd p = {eventfd_at(0), POLLIN, -1};
	int64_t start = tk_now_ms();
	cr_assert_eq(poll_answer(&p, 1, SHORT_MS), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	cr_assert_eq(p.revents, 0);
	close(p.fd);
}

Test(poll_errors, time_limit_without_fds_is_never_early)
{
	int64_t start = tk_now_ms();
	cr_assert_eq(poll_answer(NULL, 0, SHORT_MS), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
}

Test(poll_errors, time_limit_holds_where_nothing_was_asked)
{
	struct pollfd p[] = {{eventfd_at(1), 0, -1}, {-1, POLLIN, -1}};
	int64_t start = tk_now_ms();
	cr_assert_eq(poll_answer(p, 2, SHORT_MS), 0);
	cr_assert_geq(tk_now_ms() - start, SHORT_MS - 1);
	cr_assert_eq(p[0].revents, 0);
	close(p[0].fd);
}

Test(poll_errors, ppoll_time_limit_is_never_early_nor_written_back)
{
	struct pollfd p = {eventfd_at(0), POLLIN, -1};
	struct timespec limit = {0, 30500000};
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	cr_assert_eq(answer_of(ppoll(&p, 1, &limit, NULL)), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	int64_t ns = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
	cr_assert_geq(ns, 30500000);
	cr_assert_eq(limit.tv_sec, 0);
	cr_assert_eq(limit.tv_nsec, 30500000);
	close(p.fd);
}

Test(poll_errors, ready_fd_returns_whatever_the_time_limit)
{
	static const int limits[] = {0, 1, INT_MAX, -1, -7, INT_MIN};
	struct pollfd p = {eventfd_at(1), POLLIN, 0};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		cr_assert_eq(poll_answer(&p, 1, limits[i]), 1);
	struct timespec huge = {INT64_MAX, 999999999};
	cr_assert_eq(answer_of(ppoll(&p, 1, &huge, NULL)), 1);
	cr_assert_eq(answer_of(ppoll(&p, 1, NULL, NULL)), 1);
	close(p.fd);
}
