/* select and pselect that need not sleep: what an eventfd reports, the rules of nfds and of the
 * sets. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(select, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { READ = 1, WRITE = 2, EXCEPT = 4, ALL_SETS = 7 };

static int bigger(int a, int b)
{
	return a > b ? a : b;
}

static int select_now(int nfds, fd_set *r, fd_set *w, fd_set *e)
{
	struct timeval now = {0};
	return select(nfds, r, w, e, &now);
}

static void compare_all_sets(uint64_t count, int flags, unsigned level)
{
	struct pair p = pair_eventfd(count, flags);
	for (unsigned sets = 0; sets <= ALL_SETS; sets++)
		cr_assert_eq(pair_select(p, sets), sets & level);
	pair_close(p);
}

Test(select, all_sets_at_zero)
{
	compare_all_sets(0, EFD_NONBLOCK, WRITE);
}

Test(select, all_sets_at_one)
{
	compare_all_sets(1, 0, READ | WRITE);
}

Test(select, all_sets_at_the_limit)
{
	compare_all_sets(COUNT_LIMIT, EFD_NONBLOCK, READ);
	compare_all_sets(COUNT_LIMIT - 1, EFD_NONBLOCK, READ | WRITE);
}

Test(select, all_sets_on_a_semaphore)
{
	compare_all_sets(0, EFD_SEMAPHORE, WRITE);
	compare_all_sets(2, EFD_SEMAPHORE, READ | WRITE);
	compare_all_sets(COUNT_LIMIT, EFD_SEMAPHORE, READ);
}

Test(select, level_follows_writes_and_reads)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	for (uint64_t i = 1; i < 100; i++) {
		cr_assert_eq(pair_select(p, ALL_SETS), WRITE);
		pair_write(p, i);
		cr_assert_eq(pair_select(p, ALL_SETS), READ | WRITE);
		pair_read(p, NULL);
	}
	pair_close(p);
}

Test(select, write_of_zero_and_failed_calls_leave_the_level)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK);
	cr_assert_eq(pair_write(p, 0), 8);
	cr_assert_eq(pair_select(p, ALL_SETS), WRITE);
	cr_assert_eq(pair_read(p, NULL), -EAGAIN);
	cr_assert_eq(pair_select(p, ALL_SETS), WRITE);
	cr_assert_eq(pair_write(p, COUNT_LIMIT), 8);
	cr_assert_eq(pair_write(p, 1), -EAGAIN);
	cr_assert_eq(pair_select(p, ALL_SETS), READ);
	pair_close(p);
}

Test(select, answer_counts_bits_not_fds)
{
	int one = eventfd_at(1), zero = eventfd_at(0);
	fd_set r, w, e;
	FD_ZERO(&r);
	FD_SET(one, &r);
	FD_SET(zero, &r);
	w = e = r;
	cr_assert_eq(select_now(bigger(one, zero) + 1, &r, &w, &e), 3);
	cr_assert(FD_ISSET(one, &r) && !FD_ISSET(zero, &r));
	cr_assert(FD_ISSET(one, &w) && FD_ISSET(zero, &w));
	cr_assert(!FD_ISSET(one, &e) && !FD_ISSET(zero, &e));
	close(one);
	close(zero);
}

Test(select, without_sets)
{
	errno = ENOTTY;
	cr_assert_eq(select_now(0, NULL, NULL, NULL), 0);
	cr_assert_eq(select_now(FD_SETSIZE, NULL, NULL, NULL), 0);
	cr_assert_eq(errno, ENOTTY);
}

Test(select, pselect_gives_the_same_answers)
{
	static const uint64_t counts[] = {0, 1, COUNT_LIMIT};
	static const int bits[] = {1, 2, 1};
	struct timespec now = {0};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		int fd = eventfd_at(counts[i]);
		fd_set r, w, e;
		FD_ZERO(&r);
		FD_SET(fd, &r);
		w = e = r;
		errno = ENOTTY;
		cr_assert_eq(pselect(fd + 1, &r, &w, &e, &now, NULL), bits[i]);
		cr_assert_eq(errno, ENOTTY);
		cr_assert_eq(!!FD_ISSET(fd, &r), counts[i] > 0);
		cr_assert_eq(!!FD_ISSET(fd, &w), counts[i] < COUNT_LIMIT);
		cr_assert(!FD_ISSET(fd, &e));
		close(fd);
	}
}

Test(select, fd_at_nfds_and_above_is_not_looked_at)
{
	int fd = eventfd_at(1);
	fd_set r;
	FD_ZERO(&r);
	FD_SET(fd, &r);
	cr_assert_eq(select_now(fd, &r, NULL, NULL), 0);
	FD_SET(fd, &r);
	cr_assert_eq(select_now(fd + 1, &r, NULL, NULL), 1);
	FD_SET(fd, &r);
	cr_assert_eq(select_now(0, &r, NULL, NULL), 0);
	cr_assert(FD_ISSET(fd, &r), "without nfds no set is stored");
	close(fd);
}

Test(select, bits_above_nfds_are_stored_word_by_word)
{
	int fd = eventfd_at(1);
	unsigned long r[4] = {~0ul, ~0ul, ~0ul, ~0ul};
	r[0] = 1ul << fd | ~0ul << (fd + 1);
	cr_assert_lt(fd, 63);
	cr_assert_eq(select_now(fd + 1, (fd_set *)r, NULL, NULL), 1);
	cr_assert_eq(r[0], 1ul << fd, "the rest of the last word is cleared");
	cr_assert_eq(r[1], ~0ul, "words behind it are left alone");
	close(fd);
}

Test(select, closed_fd_is_ebadf_and_the_sets_stay)
{
	int fd = eventfd_at(1), closed = eventfd_at(1);
	fd_set r, w, before;
	close(closed);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(closed, &r);
	w = before = r;
	cr_assert_eq(answer_of(select_now(bigger(fd, closed) + 1, &r, NULL, NULL)), -EBADF);
	cr_assert_eq(answer_of(select_now(bigger(fd, closed) + 1, NULL, &w, NULL)), -EBADF);
	cr_assert_eq(answer_of(select_now(bigger(fd, closed) + 1, NULL, NULL, &w)), -EBADF);
	cr_assert_eq(memcmp(&r, &before, sizeof(r)), 0);
	cr_assert_eq(memcmp(&w, &before, sizeof(w)), 0);
	close(fd);
}

Test(select, closed_fd_above_nfds_does_no_harm)
{
	int fd = eventfd_at(1), closed = eventfd_at(1);
	fd_set r;
	close(closed);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(closed, &r);
	cr_assert_lt(fd, closed);
	cr_assert_eq(select_now(fd + 1, &r, NULL, NULL), 1);
	close(fd);
}

Test(select, number_reused_by_a_pipe_is_the_pipe)
{
	int fd = eventfd_at(1), pipefd[2];
	fd_set r, w;
	close(fd);
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(pipefd[0], fd);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	w = r;
	cr_assert_eq(select_now(fd + 1, &r, &w, NULL), 0);
	close(pipefd[0]);
	close(pipefd[1]);
}

Test(select, eventfds_among_pipes_and_sockets)
{
	int idle = eventfd_at(0), ready = eventfd_at(1), pipefd[2], s[2];
	cr_assert_eq(pipe(pipefd), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	cr_assert_eq(write(s[1], "x", 1), 1);
	int fds[] = {idle, ready, pipefd[0], pipefd[1], s[0]}, top = 0;
	fd_set r, w;
	FD_ZERO(&r);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		FD_SET(fds[i], &r);
		top = bigger(top, fds[i]);
	}
	w = r;
	cr_assert_eq(select_now(top + 1, &r, &w, NULL), 6);
	cr_assert(!FD_ISSET(idle, &r) && FD_ISSET(ready, &r) && FD_ISSET(s[0], &r));
	cr_assert(!FD_ISSET(pipefd[0], &r) && !FD_ISSET(pipefd[1], &r));
	cr_assert(FD_ISSET(idle, &w) && FD_ISSET(ready, &w) && FD_ISSET(s[0], &w));
	cr_assert(!FD_ISSET(pipefd[0], &w) && FD_ISSET(pipefd[1], &w));
	close(s[1]);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

Test(select, duplicates_count_one_each)
{
	int fd = eventfd_at(1), copy = dup(fd);
	fd_set r;
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(copy, &r);
	cr_assert_eq(select_now(bigger(fd, copy) + 1, &r, NULL, NULL), 2);
	close(fd);
	close(copy);
}

Test(select, many_eventfds)
{
	enum { MANY = 300 };
	int fds[MANY], top = 0;
	fd_set r;
	FD_ZERO(&r);
	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd_at(i % 3 == 0);
		FD_SET(fds[i], &r);
		top = bigger(top, fds[i]);
	}
	cr_assert_eq(select_now(top + 1, &r, NULL, NULL), MANY / 3);
	for (int i = 0; i < MANY; i++) {
		if (!!FD_ISSET(fds[i], &r) != (i % 3 == 0))
			cr_assert_fail("fd %d", fds[i]);
		close(fds[i]);
	}
}

static void allow_fds(rlim_t wanted)
{
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted)
		cr_skip_test("the fd limit is too low here");
	limit.rlim_cur = wanted;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(select, fd_beyond_fd_setsize_in_a_larger_bitmap)
{
	enum { HIGH = 2500, WORD = 8 * sizeof(unsigned long), WORDS = HIGH / WORD + 1 };
	unsigned long r[WORDS] = {0}, w[WORDS] = {0};
	allow_fds(HIGH + 1);
	int fd = eventfd_at(1), high = dup2(fd, HIGH);
	cr_assert_eq(high, HIGH);
	r[HIGH / WORD] = w[HIGH / WORD] = 1ul << HIGH % WORD;
	r[fd / WORD] = 1ul << fd % WORD;
	cr_assert_eq(select_now(HIGH + 1, (fd_set *)r, (fd_set *)w, NULL), 3);
	cr_assert_eq(r[HIGH / WORD], 1ul << HIGH % WORD);
	cr_assert_eq(w[HIGH / WORD], 1ul << HIGH % WORD);
	take_count(fd);
	cr_assert_eq(select_now(HIGH + 1, (fd_set *)r, (fd_set *)w, NULL), 1);
	cr_assert_eq(r[HIGH / WORD], 0);
	close(high);
	close(fd);
	w[HIGH / WORD] = 1ul << HIGH % WORD;
	cr_assert_eq(answer_of(select_now(HIGH + 1, NULL, (fd_set *)w, NULL)), -EBADF);
}

Test(select, nfds_beyond_every_fd_is_fine)
{
	enum { BYTES = INT_MAX / 8 + 1 };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *big = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	cr_assert(big != MAP_FAILED);
	int fd = eventfd_at(1);
	fd_set *r = big;
	FD_SET(fd, r);
	cr_assert_eq(select_now(INT_MAX, r, NULL, NULL), 1);
	cr_assert(FD_ISSET(fd, r));
	close(fd);
}

Test(select, duplicates_are_the_same_object)
{
	struct pair p = pair_eventfd(0, EFD_NONBLOCK), copy = pair_dup(p);
	pair_write(copy, 1);
	cr_assert_eq(pair_select(p, READ), READ);
	pair_read(p, NULL);
	cr_assert_eq(pair_select(copy, READ), 0);
	pair_close(p);
	cr_assert_eq(pair_select(copy, ALL_SETS), WRITE);
	pair_close(copy);
}
