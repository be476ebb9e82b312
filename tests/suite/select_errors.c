/* select and pselect: refused arguments, bad memory, time limits and what is written back. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <unistd.h>

TestSuite(select_errors, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { SHORT_US = 30000 };

static fd_set only(int fd)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return set;
}

static long select_at(int nfds, void *r, void *w, void *e)
{
	struct timeval now = {0};
	return answer_of(select(nfds, r, w, e, &now));
}

static int64_t us_since(const struct timespec *start)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000000 + (now.tv_nsec - start->tv_nsec) / 1000;
}

Test(select_errors, negative_nfds)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd), before = r;
	cr_assert_eq(select_at(-1, &r, NULL, NULL), -EINVAL);
	cr_assert_eq(select_at(INT_MIN, NULL, NULL, NULL), -EINVAL);
	cr_assert_eq(answer_of(pselect(-1, &r, NULL, NULL, NULL, NULL)), -EINVAL);
	cr_assert_eq(memcmp(&r, &before, sizeof(r)), 0);
	close(fd);
}

Test(select_errors, invalid_time)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd), before = r;
	struct timeval bad[] = {{-1, 0}, {0, -1}, {-1, 999999}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, &bad[i])), -EINVAL, "%zu", i);
	cr_assert_eq(memcmp(&r, &before, sizeof(r)), 0);
	close(fd);
}

Test(select_errors, pselect_invalid_time)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd), before = r;
	static const struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {0, LONG_MAX}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(answer_of(pselect(fd + 1, &r, NULL, NULL, &bad[i], NULL)), -EINVAL,
			"%zu", i);
	cr_assert_eq(memcmp(&r, &before, sizeof(r)), 0);
	close(fd);
}

Test(select_errors, microseconds_above_a_second_carry_over)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd);
	struct timeval limit = {1, 2500000};
	cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, &limit)), 1);
	cr_assert_leq(limit.tv_sec, 3);
	cr_assert_geq(limit.tv_usec, 0);
	cr_assert_lt(limit.tv_usec, 1000000);
	close(fd);
}

Test(select_errors, sets_that_are_not_there)
{
	int fd = eventfd_at(1);
	void *bad[] = {page_unmapped(), page_of(PROT_NONE), (void *)(uintptr_t)-4096};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_eq(select_at(fd + 1, bad[i], NULL, NULL), -EFAULT);
		cr_assert_eq(select_at(fd + 1, NULL, bad[i], NULL), -EFAULT);
		cr_assert_eq(select_at(fd + 1, NULL, NULL, bad[i]), -EFAULT);
	}
	close(fd);
}

Test(select_errors, pselect_sets_that_are_not_there)
{
	int fd = eventfd_at(1);
	fd_set *bad = page_unmapped();
	cr_assert_eq(answer_of(pselect(fd + 1, bad, NULL, NULL, NULL, NULL)), -EFAULT);
	cr_assert_eq(answer_of(pselect(fd + 1, NULL, bad, NULL, NULL, NULL)), -EFAULT);
	cr_assert_eq(answer_of(pselect(fd + 1, NULL, NULL, bad, NULL, NULL)), -EFAULT);
	close(fd);
}

Test(select_errors, read_only_set_with_a_ready_fd)
{
	int fd = eventfd_at(1);
	fd_set set = only(fd);
	void *at = page_read_only(&set, sizeof(set));
	cr_assert_eq(select_at(fd + 1, at, NULL, NULL), -EFAULT);
	cr_assert_eq(select_at(fd + 1, NULL, at, NULL), -EFAULT);
	cr_assert_eq(answer_of(select(fd + 1, at, NULL, NULL, NULL)), -EFAULT);
	close(fd);
}

Test(select_errors, read_only_set_with_nothing_ready)
{
	int fd = eventfd_at(0);
	fd_set set = only(fd);
	void *at = page_read_only(&set, sizeof(set));
	cr_assert_eq(select_at(fd + 1, at, NULL, NULL), -EFAULT);
	cr_assert_eq(select_at(fd + 1, NULL, NULL, at), -EFAULT);
	close(fd);
}

Test(select_errors, empty_set_that_is_not_there)
{
	int fd = eventfd_at(1);
	cr_assert_eq(select_at(1, page_unmapped(), NULL, NULL), -EFAULT);
	cr_assert_eq(select_at(0, page_unmapped(), page_unmapped(), page_unmapped()), 0);
	close(fd);
}

Test(select_errors, only_the_words_below_nfds_must_be_there)
{
	int fd = eventfd_at(1);
	unsigned long *r = bytes_before_hole(sizeof(*r));
	cr_assert_lt(fd, 63);
	*r = 1ul << fd;
	cr_assert_eq(select_at(fd + 1, r, NULL, NULL), 1);
	*r = 1ul << fd;
	cr_assert_eq(select_at(64, r, NULL, NULL), 1);
	close(fd);
}

Test(select_errors, bad_signal_mask)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd);
	cr_assert_eq(answer_of(pselect(fd + 1, &r, NULL, NULL, NULL, page_unmapped())), -EFAULT);
	close(fd);
}

Test(select_errors, time_limit_is_never_early_and_runs_down_to_zero)
{
	int fd = eventfd_at(0);
	fd_set r = only(fd);
	struct timeval limit = {0, SHORT_US};
	struct timespec start;
	clock_gettime(CLOCK_MONOTONIC, &start);
	cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, &limit)), 0);
	cr_assert_geq(us_since(&start), SHORT_US);
	cr_assert(!FD_ISSET(fd, &r));
	cr_assert_eq(limit.tv_sec, 0);
	cr_assert_eq(limit.tv_usec, 0);
	close(fd);
}

Test(select_errors, time_limit_without_fds_is_never_early)
{
	struct timeval limit = {0, SHORT_US};
	struct timespec start;
	clock_gettime(CLOCK_MONOTONIC, &start);
	cr_assert_eq(answer_of(select(0, NULL, NULL, NULL, &limit)), 0);
	cr_assert_geq(us_since(&start), SHORT_US);
}

Test(select_errors, pselect_time_limit_is_never_early_nor_written_back)
{
	int fd = eventfd_at(0);
	fd_set r = only(fd);
	struct timespec limit = {0, SHORT_US * 1000}, start;
	clock_gettime(CLOCK_MONOTONIC, &start);
	cr_assert_eq(answer_of(pselect(fd + 1, &r, NULL, NULL, &limit, NULL)), 0);
	cr_assert_geq(us_since(&start), SHORT_US);
	cr_assert_eq(limit.tv_sec, 0);
	cr_assert_eq(limit.tv_nsec, SHORT_US * 1000);
	close(fd);
}

Test(select_errors, pselect_takes_its_time_limit_from_read_only_memory)
{
	int fd = eventfd_at(0);
	fd_set r = only(fd);
	struct timespec brief = {0, 1000};
	const struct timespec *at = page_read_only(&brief, sizeof(brief));
	cr_assert_eq(answer_of(pselect(fd + 1, &r, NULL, NULL, at, NULL)), 0);
	close(fd);
}

Test(select_errors, what_is_left_of_the_time_limit_is_written_back)
{
	int fd = eventfd_at(1);
	fd_set r = only(fd);
	struct timeval limit = {1000, 0};
	cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, &limit)), 1);
	cr_assert_geq(limit.tv_sec, 900);
	cr_assert(limit.tv_sec < 1000 || limit.tv_usec == 0);
	close(fd);
}

Test(select_errors, time_already_spent_is_taken_off_the_limit)
{
	int fd = eventfd_at(0), pipefd[2];
	cr_assert_eq(pipe(pipefd), 0);
	fd_set r = only(fd);
	struct timeval limit = {1000, 0};
	struct timespec start;
	FD_SET(pipefd[0], &r);
	clock_gettime(CLOCK_MONOTONIC, &start);
	cr_assert_eq(write(pipefd[1], "x", 1), 1);
	int top = pipefd[0] > fd ? pipefd[0] : fd;
	cr_assert_eq(answer_of(select(top + 1, &r, NULL, NULL, &limit)), 1);
	int64_t left = limit.tv_sec * 1000000 + limit.tv_usec;
	cr_assert_geq(left, 1000 * 1000000LL - us_since(&start) - 1000);
	cr_assert_lt(left, 1000 * 1000000LL);
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

Test(select_errors, ready_fd_returns_whatever_the_time_limit)
{
	int fd = eventfd_at(1);
	struct timeval limits[] = {{0, 0}, {0, 1}, {INT64_MAX, 0}};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		fd_set r = only(fd);
		cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, &limits[i])), 1);
	}
	fd_set r = only(fd);
	cr_assert_eq(answer_of(select(fd + 1, &r, NULL, NULL, NULL)), 1);
	r = only(fd);
	cr_assert_eq(answer_of(pselect(fd + 1, &r, NULL, NULL, NULL, NULL)), 1);
	close(fd);
}
