/* From the first fd of a mask eventfd to the last: copies, closes, the next object in its place,
 * processes that are killed. */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(mask_life, .init = tk_setup, .fini = tk_teardown, .timeout = 60);
TestSuite(mask_life_kills, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { ROUNDS = 300, MANY = 64 };

static const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT};
enum { MODES = 3 };

Test(mask_life, a_copy_is_the_same_object)
{
	int fd = mask_open(0), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	mask_put(fd, EPOLLPRI, 1);
	mask_expect(copy, EPOLLPRI, 1);
	mask_put(high, EPOLLOUT, 2);
	mask_expect(fd, EPOLLOUT, 2);
	mask_close(fd);
	mask_expect(copy, EPOLLOUT, 2);
	cr_assert_eq(mask_poll(high, 7), EPOLLOUT);
	mask_close(copy);
	mask_put(high, EPOLLHUP, 3);
	mask_expect(high, EPOLLHUP, 3);
	mask_close(high);
}

Test(mask_life, dup2_onto_one_closes_it)
{
	int a = mask_open(0), b = mask_open(0), set = mask_watch(b, 7, 9);
	mask_set(a, EPOLLIN);
	mask_set(b, EPOLLPRI);
	cr_assert_eq(dup2(a, b), b);
	cr_assert_eq(mask_event(set, NULL), 0);
	cr_assert_eq(mask_poll(b, 7), EPOLLIN);
	cr_assert_eq(dup2(a, a), a);
	mask_ctl(set, EPOLL_CTL_ADD, b, EPOLLIN, 10);
	cr_assert_eq(mask_event(set, NULL), EPOLLIN);
	mask_close(a);
	cr_assert_eq(mask_event(set, NULL), EPOLLIN);
	mask_close(b);
	cr_assert_eq(mask_event(set, NULL), 0);
	close(set);
}

/* Each of them is a watch; they go with the last fd. */
Test(mask_life, closed_fds_leave_their_sets_with_the_last_copy)
{
	for (uint32_t i = 0; i < MASK_INTERESTS * MODES; i++) {
		uint32_t interest = i / MODES, mode = modes[i % MODES];
		int fd = mask_open(0), copy = dup(fd), other = mask_open(0);
		int set = mask_watch(fd, interest | mode, 1);
		mask_ctl(set, EPOLL_CTL_ADD, other, 7, 2);
		mask_set(fd, MASK_STATES - 1);
		mask_close(fd);
		uint64_t data = 0;
		cr_assert_eq(mask_event(set, &data), model_poll(MASK_STATES - 1, interest));
		cr_assert_eq(data, 1);
		mask_set(copy, MASK_STATES - 1);
		cr_assert_eq(mask_event(set, NULL),
			mode == EPOLLONESHOT ? 0 : model_poll(MASK_STATES - 1, interest));
		mask_set(copy, MASK_STATES - 1);
		mask_close(copy);
		cr_assert_eq(mask_event(set, NULL), 0);
		cr_assert_eq(mask_poll(set, EPOLLIN), 0);
		mask_set(other, EPOLLPRI);
		cr_assert_eq(mask_event(set, &data), EPOLLPRI);
		cr_assert_eq(data, 2);
		mask_close(other);
		close(set);
	}
}

Test(mask_life, a_closed_number_is_not_in_the_set_any_more)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = mask_open(0), set = mask_watch(fd, EPOLLPRI, 1);
	mask_close(fd);
	FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), EBADF);
	FAILS(epoll_ctl(set, EPOLL_CTL_DEL, fd, &event), EBADF);
	cr_assert_eq(mask_open(0), fd);
	FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), ENOENT);
	mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLPRI, 2);
	FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
	mask_set(fd, EPOLLPRI);
	uint64_t data = 0;
	cr_assert_eq(mask_event(set, &data), EPOLLPRI);
	cr_assert_eq(data, 2);
	close(set);
	mask_close(fd);
	struct pollfd p = {fd, POLLIN, 0};
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(p.revents, POLLNVAL);
}

/* The number of a watch that is still there, by a copy, may be another object's by now. */
Test(mask_life, one_number_for_two_watches)
{
	int set = mask_new_set(), fd = mask_open(0), copy = dup(fd);
	struct epoll_event events[4];
	mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLPRI, 1);
	mask_close(fd);
	cr_assert_eq(mask_open(0), fd);
	mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLPRI, 2);
	mask_set(copy, EPOLLPRI);
	mask_set(fd, EPOLLPRI | EPOLLHUP);
	int n = epoll_wait(set, events, 4, 0);
	cr_assert_eq(n, 2);
	uint32_t of_first = events[events[0].data.u64 == 1 ? 0 : 1].events;
	uint32_t of_second = events[events[0].data.u64 == 1 ? 1 : 0].events;
	cr_assert(of_first == EPOLLPRI && of_second == (EPOLLPRI | EPOLLHUP));
	mask_ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN, 3);
	mask_set(fd, EPOLLIN);
	mask_set(copy, 0);
	uint64_t data = 0;
	cr_assert_eq(mask_event(set, &data), EPOLLIN);
	cr_assert_eq(data, 3);
	mask_ctl(set, EPOLL_CTL_DEL, fd, 0, 0);
	cr_assert_eq(mask_event(set, NULL), 0);
	mask_set(copy, EPOLLPRI);
	cr_assert_eq(mask_event(set, &data), EPOLLPRI);
	cr_assert_eq(data, 1);
	mask_close(copy);
	cr_assert_eq(mask_event(set, NULL), 0);
	mask_close(fd);
	close(set);
}

/* Whatever the one before it in the same place showed, a new one shows nothing. */
Test(mask_life, each_new_one_starts_without_events)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t state = round % MASK_STATES, interest = round / MASK_STATES % 8;
		int fd = mask_open(0), set = mask_watch(fd, interest | modes[round % MODES], 1);
		mask_expect(fd, 0, 0);
		cr_assert_eq(mask_poll(fd, 7), 0);
		cr_assert_eq(mask_select(fd, 7), 0);
		cr_assert_eq(mask_event(set, NULL), 0);
		mask_set(fd, state);
		cr_assert_eq(mask_poll(fd, 7), state);
		if (round % 2)
			cr_assert_eq(mask_event(set, NULL), model_poll(state, interest));
		if (round % 3)
			mask_close(fd);
		close(set);
		if (!(round % 3))
			mask_close(fd);
	}
}

/* Counters and masks take each other's places. */
Test(mask_life, a_counter_in_the_place_of_a_mask)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		int fd = mask_open(0), set = mask_watch(fd, round % 8, 1);
		mask_set(fd, round % MASK_STATES);
		mask_close(fd);
		cr_assert_eq(mask_event(set, NULL), 0);
		close(set);
		fd = new_eventfd(0, EFD_NONBLOCK);
		set = mask_watch(fd, 7, 2);
		cr_assert_eq(mask_poll(fd, 7), EPOLLOUT);
		cr_assert_eq(mask_event(set, NULL), EPOLLOUT);
		add(fd, round + 1);
		cr_assert_eq(mask_event(set, NULL), EPOLLIN | EPOLLOUT);
		assert_count(fd, round + 1);
		add(fd, 1);
		cr_assert_eq(close(fd), 0);
		close(set);
	}
}

Test(mask_life, many_at_once_are_all_different)
{
	int fds[MANY], set = mask_new_set();
	struct epoll_event events[MANY];
	for (int i = 0; i < MANY; i++) {
		fds[i] = mask_open(0);
		mask_ctl(set, EPOLL_CTL_ADD, fds[i], (uint32_t)i % 8, (uint64_t)i);
	}
	for (int i = 0; i < MANY; i++)
		mask_put(fds[i], (uint32_t)i % MASK_STATES, (uint64_t)i * 1000);
	int expected = 0, n = epoll_wait(set, events, MANY, 0);
	for (int i = 0; i < MANY; i++) {
		mask_expect(fds[i], (uint32_t)i % MASK_STATES, (uint64_t)i * 1000);
		expected += model_wakes((uint32_t)i % MASK_STATES, (uint32_t)i % 8);
	}
	cr_assert_eq(n, expected);
	for (int i = 0; i < n; i++) {
		uint32_t of = (uint32_t)events[i].data.u64;
		cr_assert_eq(events[i].events, model_poll(of % MASK_STATES, of % 8));
	}
	for (int i = 0; i < MANY; i++)
		mask_close(fds[i]);
	cr_assert_eq(epoll_wait(set, events, MANY, 0), 0);
	close(set);
}

/* What others still have is still there. */
Test(mask_life, it_lives_as_long_as_anybody_has_it)
{
	static const enum mate_kind kinds[] = {MATE_FORKED, MATE_EXECED, MATE_PEER, MATE_STRANGER};
	for (int i = 0; i < 4; i++) {
		int fd = mask_open(0), set = mask_watch(fd, EPOLLPRI, 5);
		struct mate mate = mate_start(kinds[i]);
		int there = mate_hand(&mate, fd);
		mask_put(fd, EPOLLPRI, 6);
		mask_close(fd);
		for (int n = 0; n < 50; n++) {
			int other = mask_open(0);
			mask_set(other, EPOLLIN);
			mask_close(other);
		}
		cr_assert_eq(mate_poll(&mate, there, 7), EPOLLPRI);
		cr_assert_eq(mask_event(set, NULL), EPOLLPRI);
		mate_write(&mate, there, EPOLLPRI | EPOLLHUP, 7);
		cr_assert_eq(mask_event(set, NULL), EPOLLPRI | EPOLLHUP);
		fd = mate_give(&mate, there);
		mask_expect(fd, EPOLLPRI | EPOLLHUP, 7);
		mate_end(&mate);
		mask_put(fd, EPOLLPRI, 8);
		cr_assert_eq(mask_event(set, NULL), EPOLLPRI);
		mask_close(fd);
		cr_assert_eq(mask_event(set, NULL), 0);
		close(set);
	}
}

/* In a message that nobody has taken yet. */
Test(mask_life, it_lives_in_a_message)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLOUT, 5), sock[2];
	mask_put(fd, EPOLLOUT, 6);
	rights_pair(sock, SOCK_STREAM);
	rights_send_one(sock[0], fd);
	mask_close(fd);
	for (int n = 0; n < 50; n++)
		mask_close(mask_open(0));
	cr_assert_eq(mask_event(set, NULL), EPOLLOUT);
	fd = rights_receive_one(sock[1], 0);
	mask_expect(fd, EPOLLOUT, 6);
	rights_send_one(sock[0], fd);
	mask_close(fd);
	cr_assert_eq(mask_event(set, NULL), EPOLLOUT);
	close(sock[0]);
	close(sock[1]);
	cr_assert_eq(mask_event(set, NULL), 0);
	close(set);
}

Test(mask_life, a_set_outlives_what_it_watches)
{
	int set = mask_new_set();
	for (unsigned round = 0; round < 100; round++) {
		int fd = mask_open(0), copy = dup(fd);
		mask_ctl(set, EPOLL_CTL_ADD, fd, round % 8, 1);
		mask_ctl(set, EPOLL_CTL_ADD, copy, ~round % 8 | EPOLLET, 2);
		mask_set(copy, EPOLLHUP);
		struct epoll_event events[4];
		cr_assert_eq(epoll_wait(set, events, 4, 0), 2);
		mask_close(fd);
		mask_close(copy);
		cr_assert_eq(epoll_wait(set, events, 4, 0), 0);
	}
	close(set);
}

/* Somebody opens, watches and closes while others do: nothing of one shows up at another. */
static atomic_bool strange;

static void *come_and_go(void *arg)
{
	uint64_t seed = (uint64_t)(intptr_t)arg * 77777 + 1;
	for (int round = 0; round < 400; round++) {
		uint32_t interest = mask_below(&seed, 8), state = mask_below(&seed, MASK_STATES);
		uint32_t mode = modes[mask_below(&seed, MODES)];
		uint64_t data = 0, mine = mask_random(&seed);
		int fd = mask_open(EFD_CLOEXEC), set = mask_watch(fd, interest | mode, mine);
		strange = strange || mask_event(set, NULL) || mask_poll(fd, 7);
		mask_put(fd, state, mine);
		uint32_t told = mask_event(set, &data);
		struct efd_mask mask = mask_get(fd);
		strange = strange || told != model_poll(state, interest) ||
			  (told && data != mine) || mask.data != mine || mask.events != state;
		bool set_first = mask_below(&seed, 2);
		if (set_first)
			close(set);
		mask_close(fd);
		if (set_first)
			continue;
		strange = strange || mask_event(set, NULL);
		close(set);
	}
	return NULL;
}

Test(mask_life, threads_that_come_and_go)
{
	pthread_t threads[4];
	struct mate child = mate_start(MATE_FORKED);
	for (intptr_t i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_not(strange);
	mate_end(&child);
}

/* Killed while it writes, waits or watches: the others go on as before. */
static void write_for_ever(void *race)
{
	for (uint64_t i = 0;; i++)
		mask_try_write(*(int *)race, (uint32_t)i & 31, mask_data((uint32_t)i & 31, i));
}

Test(mask_life_kills, a_writer)
{
	int fd = mask_open(0), set = mask_watch(fd, EPOLLPRI, 1), edge;
	edge = mask_watch(fd, EPOLLOUT | EPOLLET, 2);
	for (int round = 0; round < 40; round++) {
		pid_t pid = start_child(write_for_ever, &fd);
		int64_t end = tk_now_ms() + 5;
		while (tk_now_ms() < end) {
			struct efd_mask mask = mask_get(fd);
			if (!mask_whole(&mask))
				cr_assert_fail("%#x with %#jx", mask.events, (uintmax_t)mask.data);
		}
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		struct efd_mask mask = mask_get(fd);
		cr_assert(mask_whole(&mask));
		/* it may not have come to the wake-up: the next write makes up for that */
		mask_event(set, NULL);
		mask_event(edge, NULL);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			mask_set(fd, state);
			uint32_t level = mask_event(set, NULL), once = mask_event(edge, NULL);
			cr_assert_eq(level, model_poll(state, EPOLLPRI));
			cr_assert_eq(once, model_poll(state, EPOLLOUT));
		}
	}
	close(set);
	close(edge);
	mask_close(fd);
}

Test(mask_life_kills, who_sleeps)
{
	static const enum mate_op ops[] = {MATE_POLL, MATE_SELECT, MATE_WAIT};
	int fd = mask_open(0), set = epoll_create1(0);
	mask_ctl(set, EPOLL_CTL_ADD, fd, EPOLLPRI, 1);
	for (int round = 0; round < 30; round++) {
		enum mate_op op = ops[round % 3];
		struct mate mate = mate_start(round % 2 ? MATE_FORKED : MATE_EXECED);
		struct mate_call call = {.op = op, .fd = op == MATE_WAIT ? set : fd, .limit = -1};
		call.events = op == MATE_SELECT ? SELECT_EXCEPT : EPOLLPRI;
		mask_set(fd, EPOLLIN);
		mate_ask_asleep(&mate, call);
		mate_kill(&mate);
		mask_set(fd, EPOLLPRI);
		cr_assert_eq(mask_event(set, NULL), EPOLLPRI);
		mask_set(fd, EPOLLOUT);
		cr_assert_eq(mask_event(set, NULL), 0);
		cr_assert_eq(mask_poll(fd, 7), EPOLLOUT);
	}
	close(set);
	mask_close(fd);
}

/* It had sets of its own, and all copies but ours. */
Test(mask_life_kills, who_watches)
{
	int fd = mask_open(0);
	for (int round = 0; round < 20; round++) {
		struct mate mate = mate_start(round % 2 ? MATE_PEER : MATE_STRANGER);
		int there = mate_hand(&mate, fd), set = mate_new_set(&mate);
		mate_ctl(&mate, EPOLL_CTL_ADD, set, there, (uint32_t)round % 8 | EPOLLET, 1);
		mask_set(fd, MASK_STATES - 1);
		cr_assert_eq(mate_event(&mate, set, NULL),
			model_poll(MASK_STATES - 1, (uint32_t)round % 8));
		mate_kill(&mate);
		int here = mask_watch(fd, (uint32_t)round % 8, 2);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			mask_set(fd, state);
			cr_assert_eq(
				mask_event(here, NULL), model_poll(state, (uint32_t)round % 8));
		}
		close(here);
	}
	mask_close(fd);
}
