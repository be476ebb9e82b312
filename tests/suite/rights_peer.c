/* An eventfd shared with a process that got it in a message: a forked one, and an unrelated one. */
#define _GNU_SOURCE
#include "efd.h"
#include "pair.h"
#include "peer.h"
#include "rights.h"
#include "task.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

TestSuite(rights_peer, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { ROUNDS = 300, ALL = 253 };

/* Each test runs with either kind of process. */
#define TestWithPeer(name)                                                                         \
	static void name(struct peer p);                                                           \
	Test(rights_peer, name)                                                                    \
	{                                                                                          \
		for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {                         \
			struct peer p = peer_start(kind);                                          \
			name(p);                                                                   \
			peer_end(p);                                                               \
		}                                                                                  \
	}                                                                                          \
	static void name(struct peer p)

static int sent(struct peer p, unsigned count, int flags)
{
	int fd = efd_open(count, flags);
	peer_send_one(p, fd);
	return fd;
}

static void expect_read(struct peer p, int fd, uint64_t value)
{
	struct peer_answer a = peer_do(p, PEER_READ, fd, 0, 0);
	cr_assert_eq(a.ret, 8, "read: %ld", a.ret);
	cr_assert_eq(a.value, value, "read %#llx", (unsigned long long)a.value);
}

static void expect_write(struct peer p, int fd, uint64_t value)
{
	long ret = peer_do(p, PEER_WRITE, fd, 0, value).ret;
	cr_assert_eq(ret, 8, "write: %ld", ret);
}

TestWithPeer(counts_are_seen_on_both_sides)
{
	int fd = sent(p, 5, EFD_NONBLOCK);
	expect_read(p, 0, 5);
	efd_expect_empty(fd);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		expect_write(p, 0, i);
		efd_add(fd, 1000);
		if (i % 2)
			efd_expect(fd, i + 1000);
		else
			expect_read(p, 0, i + 1000);
	}
	cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).ret, -EAGAIN);
	efd_add(fd, EFD_LIMIT);
	cr_assert_eq(peer_do(p, PEER_WRITE, 0, 0, 1).ret, -EAGAIN);
	cr_assert_eq(peer_do(p, PEER_WRITE, 0, 0, UINT64_MAX).ret, -EINVAL);
	expect_read(p, 0, EFD_LIMIT);
	efd_close(fd);
}

TestWithPeer(a_semaphore_is_one_on_both_sides)
{
	int fd = sent(p, 3, EFD_SEMAPHORE | EFD_NONBLOCK);
	expect_read(p, 0, 1);
	efd_expect(fd, 1);
	expect_write(p, 0, 5);
	for (int i = 0; i < 6; i++)
		expect_read(p, 0, 1);
	cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).ret, -EAGAIN);
	efd_close(fd);
}

TestWithPeer(flags_are_the_objects_and_close_on_exec_is_not)
{
	int on = 1, fd = sent(p, 0, EFD_CLOEXEC);
	cr_assert_eq(peer_do(p, PEER_GETFL, 0, 0, 0).ret, O_RDWR);
	cr_assert_eq(peer_do(p, PEER_GETFD, 0, 0, 0).ret, 0);
	cr_assert_eq(ioctl(fd, FIONBIO, &on), 0);
	cr_assert_eq(peer_do(p, PEER_GETFL, 0, 0, 0).ret, O_RDWR | O_NONBLOCK);
	cr_assert_eq(peer_do(p, PEER_READ, 0, 0, 0).ret, -EAGAIN);
	cr_assert_eq(peer_do(p, PEER_SETFL, 0, 0, 0).ret, 0);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR);
	cr_assert_eq(peer_do(p, PEER_SETFL, 0, O_NONBLOCK | O_APPEND, 0).ret, 0);
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK | O_APPEND);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	efd_close(fd);
}

TestWithPeer(a_read_that_blocks_there_is_woken_from_here)
{
	int fd = sent(p, 0, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		peer_ask_asleep(p, PEER_READ, 0, 0, 0);
		efd_add(fd, i);
		cr_assert_eq(peer_answer(p).value, i);
	}
	efd_expect_empty(fd);
	efd_close(fd);
}

TestWithPeer(a_read_that_blocks_here_is_woken_from_there)
{
	struct task t;
	int fd = sent(p, 0, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		task_start_blocked(&t, task_read, fd, 0);
		expect_write(p, 0, i);
		cr_assert_eq(task_join(&t), 8);
		cr_assert_eq(t.value, i);
	}
	efd_close(fd);
}

TestWithPeer(a_read_that_blocked_before_it_was_sent_is_woken_from_there)
{
	struct task t;
	int fd = efd_open(0, 0);
	task_start_blocked(&t, task_read, fd, 0);
	peer_send_one(p, fd);
	expect_write(p, 0, 4);
	cr_assert_eq(task_join(&t), 8);
	cr_assert_eq(t.value, 4);
	efd_close(fd);
}

TestWithPeer(writes_that_block_on_either_side_are_woken_from_the_other)
{
	struct task t;
	int fd = sent(p, 0, 0);
	efd_add(fd, EFD_LIMIT);
	peer_ask_asleep(p, PEER_WRITE, 0, 0, 3);
	efd_expect(fd, EFD_LIMIT);
	cr_assert_eq(peer_answer(p).ret, 8);
	efd_expect(fd, 3);
	efd_add(fd, EFD_LIMIT);
	task_start_blocked(&t, task_write, fd, 4);
	expect_read(p, 0, EFD_LIMIT);
	cr_assert_eq(task_join(&t), 8);
	expect_read(p, 0, 4);
	efd_close(fd);
}

TestWithPeer(poll_there_shows_what_is_done_here)
{
	int fd = sent(p, 0, EFD_NONBLOCK);
	cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN | POLLOUT, 0).ret, POLLOUT);
	efd_add(fd, 1);
	cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN | POLLOUT, 0).ret, POLLIN | POLLOUT);
	efd_add(fd, EFD_LIMIT - 1);
	cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN | POLLOUT, 0).ret, POLLIN);
	for (int i = 0; i < 20; i++) {
		peer_ask_asleep(p, PEER_POLL, 0, POLLOUT, 20000);
		efd_expect(fd, EFD_LIMIT);
		cr_assert_eq(peer_answer(p).ret, POLLOUT);
		peer_ask_asleep(p, PEER_POLL, 0, POLLIN, 20000);
		efd_add(fd, EFD_LIMIT);
		cr_assert_eq(peer_answer(p).ret, POLLIN);
	}
	efd_close(fd);
}

TestWithPeer(poll_here_shows_what_is_done_there)
{
	int fd = sent(p, 0, 0);
	struct pollfd in = {.fd = fd, .events = POLLIN};
	struct waiter w;
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	for (int i = 0; i < 20; i++) {
		waiter_start(&w, call_poll, &in);
		expect_write(p, 0, EFD_LIMIT);
		cr_assert_eq(waiter_result(&w), 1);
		cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN);
		expect_read(p, 0, EFD_LIMIT);
		cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	}
	efd_close(fd);
}

TestWithPeer(select_there_is_woken_from_here)
{
	int fd = sent(p, 0, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		peer_ask_asleep(p, PEER_SELECT, 0, 0, 0);
		efd_add(fd, i);
		cr_assert_eq(peer_answer(p).ret, 1);
		expect_read(p, 0, i);
	}
	efd_close(fd);
}

TestWithPeer(what_it_made_is_ours_too)
{
	cr_assert_gt(peer_do(p, PEER_MAKE, 0, EFD_SEMAPHORE, 2).ret, 2);
	int fd = peer_give(p, 0);
	efd_expect(fd, 1);
	expect_write(p, 0, 1);
	efd_expect(fd, 1);
	cr_assert_eq(peer_do(p, PEER_CLOSE, 0, 0, 0).ret, 0);
	efd_expect(fd, 1);
	efd_expect_empty(fd);
	efd_close(fd);
}

TestWithPeer(it_keeps_what_we_closed)
{
	int fd = sent(p, 6, 0);
	efd_close(fd);
	for (unsigned i = 0; i < ROUNDS; i++)
		efd_close(efd_open(i, 0));
	expect_read(p, 0, 6);
	expect_write(p, 0, 9);
	fd = peer_give(p, 0);
	efd_expect(fd, 9);
	efd_close(fd);
}

TestWithPeer(two_hundred_and_fifty_three_at_once)
{
	int fds[ALL];
	for (int i = 0; i < ALL; i++)
		fds[i] = efd_open((unsigned)i + 1, EFD_NONBLOCK);
	peer_send(p, fds, ALL);
	for (int i = 0; i < ALL; i += 9) {
		expect_read(p, i, (uint64_t)i + 1);
		expect_write(p, i, (uint64_t)i + 2);
	}
	for (int i = 0; i < ALL; i++) {
		efd_expect(fds[i], (uint64_t)i + (i % 9 ? 1 : 2));
		efd_close(fds[i]);
	}
}

TestWithPeer(from_it_to_a_third_one)
{
	struct peer third = peer_start(PEER_EXECED);
	int fd = sent(p, 0, 0), passed = peer_give(p, 0);
	peer_send_one(third, passed);
	efd_close(passed);
	cr_assert_eq(peer_do(p, PEER_CLOSE, 0, 0, 0).ret, 0);
	peer_ask_asleep(third, PEER_READ, 0, 0, 0);
	efd_add(fd, 4);
	cr_assert_eq(peer_answer(third).value, 4);
	expect_write(third, 0, 5);
	peer_end(third);
	efd_expect(fd, 5);
	efd_close(fd);
}

Test(rights_peer, one_that_is_killed_leaves_ours_in_order)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		static const enum peer_op ops[] = {PEER_READ, PEER_POLL, PEER_SELECT, PEER_TAKE};
		for (int i = 0; i < 4; i++) {
			struct peer p = peer_start(kind);
			int fd = sent(p, 0, 0);
			if (ops[i] == PEER_TAKE)
				expect_write(p, 0, 2);
			else
				peer_ask_asleep(p, ops[i], 0, POLLIN, 20000);
			peer_kill(p);
			efd_add(fd, 3);
			efd_expect(fd, ops[i] == PEER_TAKE ? 5 : 3);
			efd_expect_empty(fd);
			efd_close(fd);
		}
	}
}

/* Where the shim is not in the other process, it can still poll for IN, and that must be right. */
Test(rights_peer, one_without_the_shim_can_poll)
{
	struct peer p = peer_start(PEER_UNLOADED);
	int fd = sent(p, 0, EFD_NONBLOCK);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN, 0).ret, 0, "round %d", i);
		efd_add(fd, 1);
		cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN, 0).ret, POLLIN, "round %d", i);
		efd_add(fd, 1);
		cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN, 0).ret, POLLIN, "round %d", i);
		efd_expect(fd, 2);
		peer_ask_asleep(p, PEER_POLL, 0, POLLIN, 20000);
		efd_add(fd, 1);
		cr_assert_eq(peer_answer(p).ret, POLLIN);
		efd_expect(fd, 1);
	}
	efd_close(fd);
	peer_end(p);
}

Test(rights_peer, one_without_the_shim_sees_the_count_it_came_with)
{
	struct peer p = peer_start(PEER_UNLOADED);
	int fd = sent(p, 1, EFD_NONBLOCK);
	cr_assert_eq(peer_do(p, PEER_POLL, 0, POLLIN, 0).ret, POLLIN);
	cr_assert_eq(peer_do(p, PEER_SET, 0, EPOLLIN, 77).ret, 0);
	cr_assert_eq(peer_do(p, PEER_LOOK, 1, 0, 0).value, 77);
	efd_expect(fd, 1);
	cr_assert_eq(peer_do(p, PEER_LOOK, 1, 0, 0).ret, 0);
	peer_ask_asleep(p, PEER_WAIT, 1, 0, 0);
	efd_add(fd, 1);
	cr_assert_eq(peer_answer(p).ret, EPOLLIN);
	efd_close(fd);
	peer_end(p);
}
