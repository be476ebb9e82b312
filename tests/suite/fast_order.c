/* The order of events, rotation where there is room for a few, and fairness: no flood on one fd
 * keeps another from being told by more than one call. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_order, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, MANY = 16, ROOM = 64 };
#define ET ((uint32_t)EPOLLET)
#define ONCE ((uint32_t)EPOLLONESHOT)

static int fd[MANY], set;

static void open_many(uint32_t interest)
{
	set = epoll_create1(0);
	for (int i = 0; i < MANY; i++) {
		fd[i] = eventfd_at(0);
		set_ctl(set, EPOLL_CTL_ADD, fd[i], interest, (uint64_t)i);
	}
}

static void close_many(void)
{
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	close(set);
}

static void write_each(int step)
{
	for (int i = 0; i < MANY; i++)
		add_count(fd[i * step % MANY], 1);
}

/* The events come as they were written. */
static void in_order(uint32_t interest, int step, int room)
{
	struct epoll_event events[ROOM];
	open_many(interest);
	for (int round = 0; round < 4; round++) {
		write_each(step);
		for (int i = 0; i < MANY;) {
			int n = epoll_wait(set, events, room, 0);
			cr_assert_eq(n, MANY - i < room ? MANY - i : room);
			for (int k = 0; k < n; k++, i++) {
				cr_assert_eq(events[k].data.u64, (uint64_t)(i * step % MANY));
				take_count(fd[events[k].data.u64]);
			}
		}
		cr_assert_eq(epoll_wait(set, events, room, 0), 0);
		for (int i = 0; i < MANY; i++)
			set_ctl(set, EPOLL_CTL_MOD, fd[i], interest, (uint64_t)i);
	}
	close_many();
}

Test(fast_order, first_written_first_told)
{
	static const uint32_t interests[] = {IN, IN | ET, IN | ONCE, IN | ET | ONCE};
	static const int rooms[] = {1, 2, 8, ROOM};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++)
		for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
			in_order(interests[i], 1, rooms[r]);
			in_order(interests[i], 7, rooms[r]);
		}
}

/* A second write changes nothing about the place in the order. */
Test(fast_order, written_twice_is_told_once_at_its_first_place)
{
	static const uint32_t interests[] = {IN, IN | ET, IN | ONCE};
	for (size_t k = 0; k < ARRAY_LEN(interests); k++) {
		struct epoll_event events[ROOM];
		open_many(interests[k]);
		write_each(1);
		write_each(5);
		cr_assert_eq(epoll_wait(set, events, ROOM, 0), MANY);
		for (int i = 0; i < MANY; i++)
			cr_assert_eq(events[i].data.u64, (uint64_t)i);
		close_many();
	}
}

/* Level-triggered ones that stay ready take turns. */
static void rotation(uint32_t interest, int room)
{
	struct epoll_event events[ROOM];
	int next = 0;
	open_many(interest);
	if (!(interest & OUT))
		write_each(1);
	for (int round = 0; round < 5 * MANY; round++) {
		int n = epoll_wait(set, events, room, 0);
		cr_assert_eq(n, room < MANY ? room : MANY);
		for (int i = 0; i < n; i++, next = (next + 1) % MANY)
			if (events[i].data.u64 != (uint64_t)next)
				cr_assert_fail("%d instead of %d in round %d, room %d",
					(int)events[i].data.u64, next, round, room);
	}
	close_many();
}

Test(fast_order, those_that_stay_ready_take_turns)
{
	static const int rooms[] = {1, 2, 3, 8, MANY - 1, MANY, ROOM};
	for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
		rotation(IN, rooms[r]);
		rotation(BOTH, rooms[r]);
	}
}

/* In each round of calls that could tell all, every ready one is told once. */
Test(fast_order, all_kinds_are_told_within_one_round)
{
	static const uint32_t kinds[] = {IN, BOTH, IN | ET, IN | ONCE, BOTH | ONCE};
	for (int room = 1; room <= MANY; room++) {
		unsigned seen = 0;
		open_many(IN);
		write_each(3);
		for (int i = 0; i < MANY; i++)
			set_ctl(set, EPOLL_CTL_MOD, fd[i], kinds[i % 5], (uint64_t)i);
		for (int calls = 0; calls < (MANY + room - 1) / room; calls++) {
			struct epoll_event events[ROOM];
			int n = epoll_wait(set, events, room, -1);
			for (int i = 0; i < n; i++)
				seen |= 1u << events[i].data.u64;
		}
		cr_assert_eq(seen, (1u << MANY) - 1, "room for %d: %#x", room, seen);
		close_many();
	}
}

/* A flood on some fds: `flooded` are made ready again before each call; how many calls until `late`
 * is told, which is made ready once. */
static int calls_until_told(int flooders, void (*flood)(int i), void (*late)(void), int room)
{
	for (int round = 0; round < 3 * flooders + 3; round++) {
		struct epoll_event events[ROOM];
		for (int i = 0; i < flooders; i++)
			flood(i);
		cr_assert_geq(epoll_wait(set, events, room, -1), 1);
	}
	late();
	for (int calls = 1;; calls++) {
		struct epoll_event events[ROOM];
		for (int i = 0; i < flooders; i++)
			flood(i);
		int n = epoll_wait(set, events, room, -1);
		for (int i = 0; i < n; i++)
			if (events[i].data.u64 == 99)
				return calls;
		cr_assert(calls <= 2 * MANY, "never told");
	}
}

static int ends[MANY][2], late_fd;

static void flood_eventfd(int i)
{
	add_count(fd[i], 1);
}

static void flood_pipe(int i)
{
	cr_assert_eq(write(ends[i][1], "x", 1), 1);
}

static void late_write(void)
{
	uint64_t one = 1;
	cr_assert_eq(write(late_fd, &one, sizeof(one)), 8);
}

static const int rooms[] = {1, 2, 8};

/* The late one comes after those before it in the queue, which are as many as there are flooders:
 * with room for all of them at once. Where many have to wait, one call more is fair still. */
static int fair(int flooders, int room)
{
	int calls = (flooders + room) / room;
	return flooders == 1 || room > flooders ? calls : calls + 1;
}

Test(fast_order, a_flood_on_eventfds_does_not_starve_a_pipe)
{
	static const uint32_t interests[] = {IN, IN | ET, BOTH};
	for (size_t k = 0; k < ARRAY_LEN(interests); k++)
		for (int flooders = 1; flooders <= MANY; flooders *= 2)
			for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
				int pipefd[2];
				open_many(interests[k]);
				cr_assert_eq(pipe(pipefd), 0);
				late_fd = pipefd[1];
				for (int i = flooders; i < MANY; i++)
					set_ctl(set, EPOLL_CTL_DEL, fd[i], 0, 0);
				set_ctl(set, EPOLL_CTL_ADD, pipefd[0], IN, 99);
				int calls = calls_until_told(
					flooders, flood_eventfd, late_write, rooms[r]);
				cr_assert_leq(calls, fair(flooders, rooms[r]),
					"%d calls, %d flooders, room %d", calls, flooders,
					rooms[r]);
				close(pipefd[0]);
				close(pipefd[1]);
				close_many();
			}
}

Test(fast_order, a_flood_on_pipes_does_not_starve_an_eventfd)
{
	static const uint32_t interests[] = {IN, IN | ET, IN | ONCE};
	for (size_t k = 0; k < ARRAY_LEN(interests); k++)
		for (int flooders = 1; flooders <= MANY; flooders *= 2)
			for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
				set = epoll_create1(0);
				late_fd = eventfd_at(0);
				set_ctl(set, EPOLL_CTL_ADD, late_fd, interests[k], 99);
				for (int i = 0; i < flooders; i++) {
					cr_assert_eq(pipe(ends[i]), 0);
					set_ctl(set, EPOLL_CTL_ADD, ends[i][0], IN, (uint64_t)i);
				}
				int calls = calls_until_told(
					flooders, flood_pipe, late_write, rooms[r]);
				cr_assert_leq(calls, fair(flooders, rooms[r]),
					"%d calls, %d flooders, room %d", calls, flooders,
					rooms[r]);
				for (int i = 0; i < flooders; i++) {
					close(ends[i][0]);
					close(ends[i][1]);
				}
				close(late_fd);
				close(set);
			}
}

Test(fast_order, a_flood_on_eventfds_does_not_starve_another)
{
	static const uint32_t interests[] = {IN, IN | ET, IN | ONCE};
	for (size_t k = 0; k < ARRAY_LEN(interests); k++)
		for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
			open_many(IN);
			late_fd = eventfd_at(0);
			set_ctl(set, EPOLL_CTL_ADD, late_fd, interests[k], 99);
			int calls = calls_until_told(MANY, flood_eventfd, late_write, rooms[r]);
			cr_assert_leq(calls, fair(MANY, rooms[r]));
			close(late_fd);
			close_many();
		}
}

/* All that are ready are told in one call where there is room, real fds and eventfds. */
Test(fast_order, all_that_are_ready_in_one_call)
{
	struct epoll_event events[ROOM];
	int pipefd[2];
	open_many(IN);
	cr_assert_eq(pipe(pipefd), 0);
	set_ctl(set, EPOLL_CTL_ADD, pipefd[0], IN, 98);
	set_ctl(set, EPOLL_CTL_ADD, pipefd[1], OUT | ET, 99);
	for (int round = 0; round < 5; round++) {
		char byte = 'x';
		bool first = round == 0;
		write_each(round * 2 + 1);
		cr_assert_eq(write(pipefd[1], &byte, 1), 1);
		cr_assert_eq(epoll_wait(set, events, MANY + 2, -1), MANY + 1 + first);
		cr_assert_eq(epoll_wait(set, events, ROOM, 0), MANY + 1);
		for (int i = 0; i < MANY; i++)
			take_count(fd[i]);
		cr_assert_eq(epoll_wait(set, events, ROOM, 0), 1);
		cr_assert_eq(read(pipefd[0], &byte, 1), 1);
		cr_assert_eq(epoll_wait(set, events, ROOM, 0), 0);
	}
	close(pipefd[0]);
	close(pipefd[1]);
	close_many();
}
