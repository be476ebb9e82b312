/* epoll_ctl while traffic goes on: each answer and each event as the kernel's on the same calls. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <fcntl.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(fast_ctl, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };
enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };
#define ET ((uint32_t)EPOLLET)
#define ONCE ((uint32_t)EPOLLONESHOT)

static void traffic(struct watched w)
{
	for (int i = 0; i < 3; i++) {
		pair_write(w.fd, 1);
		pair_event(w.set);
		pair_event(w.set);
		pair_write(w.fd, 1);
		pair_event(w.set);
		pair_read(w.fd, NULL);
		pair_event(w.set);
	}
}

/* A pair that has been in use. */
static struct watched in_use(uint32_t events)
{
	struct watched w = watch_pair(0, 0, events);
	traffic(w);
	if (events & ONCE)
		pair_ctl(w.set, MOD, w.fd, events, 0x1234);
	return w;
}

Test(fast_ctl, refused_calls_change_nothing)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = in_use(flow_kinds[kind]);
		struct pair none = {-1, -1}, closed = pair_eventfd(0, 0), pipes, other;
		int file = tk_memory_file(O_CLOEXEC), pipefd[2];
		cr_assert_eq(pipe(pipefd), 0);
		pipes = (struct pair){pipefd[0], pipefd[0]};
		other = pair_eventfd(1, EFD_NONBLOCK);
		pair_close(closed);
		pair_write(w.fd, 1);
		cr_assert_eq(pair_ctl(w.set, ADD, w.fd, IN, 1), -EEXIST);
		cr_assert_eq(pair_ctl(w.set, MOD, other, IN, 1), -ENOENT);
		cr_assert_eq(pair_ctl(w.set, DEL, other, 0, 0), -ENOENT);
		cr_assert_eq(pair_ctl(w.set, ADD, none, IN, 1), -EBADF);
		cr_assert_eq(pair_ctl(none, ADD, w.fd, IN, 1), -EBADF);
		cr_assert_eq(pair_ctl(w.set, DEL, closed, 0, 0), -EBADF);
		cr_assert_eq(pair_ctl(w.set, ADD, (struct pair){file, file}, IN, 1), -EPERM);
		cr_assert_eq(pair_ctl(w.set, 4, w.fd, IN, 1), -EINVAL);
		cr_assert_eq(pair_ctl(w.set, 0, w.fd, IN, 1), -EINVAL);
		cr_assert_eq(pair_ctl(w.set, ADD, w.set, IN, 1), -EINVAL);
		cr_assert_eq(pair_ctl(w.fd, ADD, w.set, IN, 1), -EINVAL);
		cr_assert_eq(pair_ctl(pipes, ADD, w.fd, IN, 1), -EINVAL);
		cr_assert_eq(pair_ctl(w.set, MOD, w.fd, IN | EPOLLEXCLUSIVE, 1), -EINVAL);
		cr_assert_eq(pair_ctl(w.set, ADD, other, IN | ONCE | EPOLLEXCLUSIVE, 1), -EINVAL);
		expect_event(w, flow_kinds[kind] & BOTH);
		traffic(w);
		pair_close(other);
		close(file);
		close(pipefd[0]);
		close(pipefd[1]);
		unwatch_pair(w);
	}
}

Test(fast_ctl, a_bad_event_changes_nothing)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		int fd = eventfd_at(0), set = set_watching(fd, flow_kinds[kind], 1);
		add_count(fd, 1);
		cr_assert_eq(answer_of(epoll_ctl(set, MOD, fd, page_unmapped())), -EFAULT);
		cr_assert_eq(answer_of(epoll_ctl(set, ADD, fd, NULL)), -EFAULT);
		cr_assert_eq(set_event(set), flow_kinds[kind] & BOTH);
		cr_assert_eq(epoll_ctl(set, DEL, fd, page_unmapped()), 0);
		cr_assert_eq(set_event(set), 0);
		close(set);
		close(fd);
	}
}

/* From each interest to each other one, at each stage of an event. */
static void modified(uint32_t from, uint32_t to, int stage)
{
	struct watched w = in_use(from);
	if (stage > 0)
		pair_write(w.fd, stage == 4 ? COUNT_LIMIT : 1);
	if (stage > 1)
		pair_event(w.set);
	if (stage > 2)
		pair_read(w.fd, NULL);
	pair_ctl(w.set, MOD, w.fd, to, 77);
	pair_event(w.set);
	pair_event(w.set);
	pair_ctl(w.set, MOD, w.fd, to, 78);
	pair_event(w.set);
	traffic(w);
	pair_ctl(w.set, MOD, w.fd, from, 79);
	traffic(w);
	unwatch_pair(w);
}

Test(fast_ctl, every_interest_to_every_other)
{
	static const uint32_t all[] = {IN, BOTH, IN | ET, IN | ONCE, BOTH | ONCE, IN | ET | ONCE,
		OUT, OUT | ET, BOTH | ET, 0, EPOLLPRI, IN | EPOLLPRI, IN | EPOLLRDHUP, ET,
		IN | EPOLLRDNORM, EPOLLERR | EPOLLHUP};
	for (size_t from = 0; from < ARRAY_LEN(all); from++)
		for (size_t to = 0; to < ARRAY_LEN(all); to++)
			for (int stage = 0; stage < 5; stage++)
				modified(all[from], all[to], stage);
}

Test(fast_ctl, mod_of_a_readable_edge_tells_it_again)
{
	static const uint32_t kinds[] = {IN | ET, IN | ET | ONCE};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct watched w = in_use(kinds[i]);
		pair_write(w.fd, 1);
		for (int round = 0; round < 5; round++) {
			expect_event(w, IN);
			expect_event(w, 0);
			pair_ctl(w.set, MOD, w.fd, kinds[i], (uint64_t)round);
		}
		pair_read(w.fd, NULL);
		expect_event(w, 0);
		pair_ctl(w.set, MOD, w.fd, kinds[i], 1);
		expect_event(w, 0);
		unwatch_pair(w);
	}
}

Test(fast_ctl, mod_changes_the_data_of_a_pending_event)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = in_use(flow_kinds[kind]);
		struct epoll_event event;
		pair_write(w.fd, 1);
		for (uint64_t data = 1; data < 4; data++)
			pair_ctl(w.set, MOD, w.fd, flow_kinds[kind], ~data);
		cr_assert_eq(pair_wait(w.set, &event, 1), 1);
		cr_assert_eq(event.data.u64, ~3ull);
		unwatch_pair(w);
	}
}

Test(fast_ctl, del_takes_a_pending_event_away)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = in_use(flow_kinds[kind]);
		for (int round = 0; round < 4; round++) {
			pair_write(w.fd, 1);
			if (round % 2)
				pair_event(w.set);
			pair_ctl(w.set, DEL, w.fd, 0, 0);
			expect_event(w, 0);
			pair_write(w.fd, 1);
			expect_event(w, 0);
			cr_assert_eq(pair_ctl(w.set, MOD, w.fd, IN, 0), -ENOENT);
			pair_ctl(w.set, ADD, w.fd, flow_kinds[kind], 3);
			expect_event(w, flow_kinds[kind] & BOTH);
		}
		unwatch_pair(w);
	}
}

Test(fast_ctl, add_of_a_readable_one_tells_it_at_once)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = in_use(flow_kinds[kind]);
		struct pair more[4];
		struct epoll_event events[8];
		pair_read(w.fd, NULL);
		pair_event(w.set);
		for (unsigned i = 0; i < 4; i++) {
			more[i] = pair_eventfd(i % 2, EFD_NONBLOCK);
			pair_ctl(w.set, ADD, more[i], flow_kinds[(kind + (int)i) % 6], i);
		}
		pair_wait(w.set, events, 8);
		pair_wait(w.set, events, 8);
		for (int i = 0; i < 4; i++)
			pair_close(more[i]);
		unwatch_pair(w);
	}
}

/* 64 bits come back as they went in, however they look. */
Test(fast_ctl, any_data)
{
	struct watched w = in_use(IN);
	struct epoll_event event;
	uint64_t random = 88172645463325252u;
	pair_write(w.fd, 1);
	for (int i = 0; i < 2000; i++) {
		uint64_t data = i < 64 ? 1ull << i : i < 128 ? ~(1ull << (i - 64)) : random;
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		pair_ctl(w.set, MOD, w.fd, flow_kinds[i % FLOW_FAST_KINDS], data);
		cr_assert_eq(pair_wait(w.set, &event, 1), 1);
		cr_assert_eq(event.data.u64, data);
	}
	unwatch_pair(w);
}

/* Semaphores, and counts at the limit. */
Test(fast_ctl, semaphores)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = watch_pair(5, EFD_SEMAPHORE, flow_kinds[kind]);
		for (int i = 0; i < 20; i++) {
			pair_event(w.set);
			pair_read(w.fd, NULL);
			pair_event(w.set);
			if (i % 7 == 6)
				pair_write(w.fd, 3);
			if (i % 3 == 2)
				pair_ctl(w.set, MOD, w.fd, flow_kinds[kind], 6);
		}
		unwatch_pair(w);
	}
}

Test(fast_ctl, at_the_limit)
{
	for (int kind = 0; kind < FLOW_FAST_KINDS; kind++) {
		struct watched w = in_use(flow_kinds[kind]);
		for (int i = 0; i < 5; i++) {
			pair_write(w.fd, i % 2 ? COUNT_LIMIT : COUNT_LIMIT - 1);
			pair_event(w.set);
			pair_write(w.fd, 1);
			pair_event(w.set);
			cr_assert_eq(pair_write(w.fd, 1), -EAGAIN);
			pair_event(w.set);
			pair_write(w.fd, 0);
			pair_event(w.set);
			pair_read(w.fd, NULL);
			pair_event(w.set);
			pair_write(w.fd, 0);
			pair_event(w.set);
			pair_ctl(w.set, MOD, w.fd, flow_kinds[kind], 6);
		}
		unwatch_pair(w);
	}
}
