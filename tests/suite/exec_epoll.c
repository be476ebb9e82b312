/* An epoll set that goes over an exec goes on reporting the eventfds in it. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efdcheck.h"
#include "reexec.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(exec_epoll, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(exec_epoll_shared, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };
enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };
#define ET ((uint32_t)EPOLLET)
#define ONCE ((uint32_t)EPOLLONESHOT)
#define DATA 0xfeedface87654321

static const uint32_t interests[] = {IN, OUT, BOTH, IN | ET, OUT | ET, BOTH | ET,
	IN | (uint32_t)EPOLLEXCLUSIVE, BOTH | (uint32_t)EPOLLEXCLUSIVE};
enum { INTERESTS = sizeof(interests) / sizeof(interests[0]) };

static int fd, set;

/* A count of 1 in a set. */
static void open_watched(uint32_t interest)
{
	fd = eventfd(1, EFD_NONBLOCK);
	set = epoll_create1(0);
	CHECK(fd >= 0 && set >= 0 && controls(set, ADD, fd, interest, DATA) == 0);
}

static void close_watched(void)
{
	cr_assert_eq(close(set) | close(fd), 0);
}

static bool tells(int from, uint32_t want)
{
	uint64_t data = 0;
	return waited(from, &data) == want && data == DATA;
}

/* The set, the eventfd with a count of 1, the interest. */
ROLE(waits_on_an_old_set)
{
	uint32_t interest = (uint32_t)arg[2], edge = interest & ET;
	CHECK(tells(arg[0], interest & BOTH));
	CHECK(shown(arg[0]) == (edge ? 0 : interest & BOTH));
	CHECK(adds(arg[1], 1));
	CHECK(shown(arg[0]) == (edge && !(interest & IN) ? 0 : interest & BOTH));
	CHECK(takes(arg[1], 2));
	CHECK(shown(arg[0]) == (interest & OUT));
	CHECK(adds(arg[1], UINT64_MAX - 1));
	CHECK(shown(arg[0]) == (interest & IN));
	CHECK(takes(arg[1], UINT64_MAX - 1));
	CHECK(shown(arg[0]) == (interest & OUT));
	CHECK(shown(arg[0]) == (edge ? 0 : interest & OUT));
}

static void goes_over_with_its_set(void *interest)
{
	open_watched(*(uint32_t *)interest);
	become("waits_on_an_old_set %d %d %d", set, fd, (int)*(uint32_t *)interest);
}

Test(exec_epoll, an_event_not_yet_taken_is_reported_over_there)
{
	for (int i = 0; i < INTERESTS; i++)
		in_child(goes_over_with_its_set, (void *)&interests[i]);
}

Test(exec_epoll_shared, an_event_not_yet_taken_is_reported_over_there)
{
	for (int i = 0; i < INTERESTS; i++) {
		open_watched(interests[i]);
		in_role("waits_on_an_old_set %d %d %d", set, fd, (int)interests[i]);
		cr_assert_eq(shown(set), interests[i] & ET ? 0 : interests[i] & OUT);
		add(fd, 1);
		if (interests[i] & IN)
			cr_assert(tells(set, interests[i] & BOTH));
		close_watched();
	}
}

/* The set, the eventfd, the interest: by edge, and its event is taken. */
ROLE(waits_for_the_next_edge)
{
	CHECK(shown(arg[0]) == 0);
	CHECK(adds(arg[1], 1) && tells(arg[0], (uint32_t)arg[2] & BOTH));
	CHECK(shown(arg[0]) == 0);
	CHECK(adds(arg[1], 1) && tells(arg[0], (uint32_t)arg[2] & BOTH));
	CHECK(takes(arg[1], 3) && shown(arg[0]) == ((uint32_t)arg[2] & OUT));
}

static void takes_the_edge_and_goes_over(void *interest)
{
	open_watched(*(uint32_t *)interest);
	CHECK(tells(set, *(uint32_t *)interest & BOTH));
	become("waits_for_the_next_edge %d %d %d", set, fd, (int)*(uint32_t *)interest);
}

Test(exec_epoll, an_edge_taken_before_is_not_told_again)
{
	static uint32_t by_edge[] = {IN | ET, BOTH | ET};
	for (int i = 0; i < 2; i++)
		in_child(takes_the_edge_and_goes_over, &by_edge[i]);
}

ROLE(finds_it_fired)
{
	CHECK(shown(arg[0]) == 0 && adds(arg[1], 1) && shown(arg[0]) == 0);
	CHECK(controls(arg[0], MOD, arg[1], (uint32_t)arg[2], DATA) == 0);
	CHECK(tells(arg[0], (uint32_t)arg[2] & BOTH) && shown(arg[0]) == 0);
}

static void fires_once_and_goes_over(void *interest)
{
	open_watched(*(uint32_t *)interest);
	CHECK(tells(set, *(uint32_t *)interest & BOTH));
	become("finds_it_fired %d %d %d", set, fd, (int)*(uint32_t *)interest);
}

Test(exec_epoll, a_one_shot_that_fired_is_used_up_until_MOD)
{
	static uint32_t once[] = {IN | ONCE, OUT | ONCE, BOTH | ONCE, BOTH | ONCE | ET};
	for (int i = 0; i < 4; i++)
		in_child(fires_once_and_goes_over, &once[i]);
}

/* The set, the eventfd with a count of 1 watched for `arg[2]`, what to watch it for. */
ROLE(changes_an_old_watch)
{
	CHECK(controls(arg[0], ADD, arg[1], IN, 1) == -EEXIST);
	CHECK(controls(arg[0], MOD, arg[1], (uint32_t)arg[3], DATA - 1) == 0);
	struct epoll_event event;
	CHECK(epoll_wait(arg[0], &event, 1, 0) == 1 && event.data.u64 == DATA - 1);
	CHECK(event.events == ((uint32_t)arg[3] & BOTH));
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == 0 && shown(arg[0]) == 0);
	CHECK(controls(arg[0], MOD, arg[1], IN, 1) == -ENOENT);
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == -ENOENT);
	CHECK(adds(arg[1], 1) && shown(arg[0]) == 0);
	CHECK(controls(arg[0], ADD, arg[1], (uint32_t)arg[2], DATA) == 0);
	CHECK(tells(arg[0], (uint32_t)arg[2] & BOTH));
}

static const uint32_t changes[][2] = {{IN, OUT}, {IN, BOTH}, {OUT, IN}, {BOTH, IN}, {BOTH, OUT},
	{IN | ET, BOTH}, {BOTH | ET, IN}};
enum { CHANGES = sizeof(changes) / sizeof(changes[0]) };

static void goes_over_to_change(void *change)
{
	uint32_t *from_to = change;
	open_watched(from_to[0]);
	become("changes_an_old_watch %d %d %d %d", set, fd, (int)from_to[0], (int)from_to[1]);
}

Test(exec_epoll, watches_are_changed_and_removed_over_there)
{
	for (int i = 0; i < CHANGES; i++)
		in_child(goes_over_to_change, (void *)changes[i]);
}

Test(exec_epoll_shared, watches_are_changed_and_removed_over_there)
{
	for (int i = 0; i < CHANGES; i++) {
		open_watched(changes[i][0]);
		in_role("changes_an_old_watch %d %d %d %d", set, fd, (int)changes[i][0],
			(int)changes[i][1]);
		add(fd, 1);
		if (changes[i][0] & IN)
			cr_assert(tells(set, changes[i][0] & BOTH));
		cr_assert_eq(controls(set, ADD, fd, IN, 1), -EEXIST);
		cr_assert_eq(controls(set, DEL, fd, 0, 0), 0);
		close_watched();
	}
}

ROLE(removes_an_old_watch)
{
	CHECK(controls(arg[0], DEL, arg[1], 0, 0) == 0);
}

ROLE(adds_a_watch)
{
	CHECK(controls(arg[0], ADD, arg[1], (uint32_t)arg[2], DATA) == 0);
}

ROLE(rearms_a_watch)
{
	CHECK(controls(arg[0], MOD, arg[1], (uint32_t)arg[2], DATA) == 0);
}

Test(exec_epoll_shared, a_watch_removed_over_there_is_removed_here)
{
	for (int i = 0; i < INTERESTS; i++) {
		open_watched(interests[i]);
		in_role("removes_an_old_watch %d %d", set, fd);
		cr_assert_eq(shown(set), 0);
		cr_assert_eq(controls(set, DEL, fd, 0, 0), -ENOENT);
		cr_assert_eq(controls(set, ADD, fd, interests[i], DATA), 0);
		cr_assert(tells(set, interests[i] & BOTH));
		close_watched();
	}
}

Test(exec_epoll_shared, a_watch_added_over_there_is_here)
{
	for (int i = 0; i < INTERESTS; i++) {
		open_watched(interests[i]);
		cr_assert_eq(controls(set, DEL, fd, 0, 0), 0);
		in_role("adds_a_watch %d %d %d", set, fd, (int)interests[i]);
		cr_assert(tells(set, interests[i] & BOTH));
		cr_assert_eq(controls(set, ADD, fd, IN, 1), -EEXIST);
		close_watched();
	}
}

Test(exec_epoll_shared, a_watch_changed_over_there_is_changed_here)
{
	static const uint32_t plain[] = {IN, OUT, BOTH, BOTH | ET, OUT | ONCE};
	for (int i = 0; i < 5; i++) {
		open_watched(OUT);
		in_role("rearms_a_watch %d %d %d", set, fd, (int)plain[i]);
		cr_assert(tells(set, plain[i] & BOTH));
		cr_assert_eq(shown(set), plain[i] & (ET | ONCE) ? 0 : plain[i] & BOTH);
		close_watched();
	}
}

/* The set, what it must say. */
ROLE(sleeps_in_an_old_set)
{
	CHECK(tells(arg[0], (uint32_t)arg[1]));
}

Test(exec_epoll_shared, asleep_over_there_is_woken_by_a_write_here)
{
	static const uint32_t kinds[] = {IN, IN | ET, BOTH | ET, IN | ONCE};
	for (int i = 0; i < 4; i++) {
		open_watched(kinds[i] & ~(uint32_t)ONCE);
		tells(set, kinds[i] & BOTH);
		cr_assert_eq(take(fd), 1);
		shown(set);
		if (kinds[i] & ONCE)
			cr_assert_eq(controls(set, MOD, fd, kinds[i], DATA), 0);
		pid_t child = start_role("sleeps_in_an_old_set %d %d", set, (int)kinds[i] & BOTH);
		tk_wait_process_asleep(child);
		add(fd, 1);
		end_child(child);
		close_watched();
	}
}

Test(exec_epoll_shared, asleep_over_there_is_woken_by_a_read_here)
{
	static const uint32_t kinds[] = {OUT, OUT | ET};
	for (int i = 0; i < 2; i++) {
		open_watched(kinds[i]);
		add(fd, UINT64_MAX - 2);
		shown(set);
		pid_t child = start_role("sleeps_in_an_old_set %d %d", set, OUT);
		tk_wait_process_asleep(child);
		cr_assert_eq(take(fd), UINT64_MAX - 1);
		end_child(child);
		close_watched();
	}
}

ROLE(adds_under_a_sleeper)
{
	CHECK(falls_asleep(getppid()));
	CHECK(adds(arg[0], 1));
}

Test(exec_epoll_shared, asleep_here_is_woken_by_a_write_over_there)
{
	static const uint32_t kinds[] = {IN, IN | ET, BOTH | ET, IN | ONCE};
	for (int i = 0; i < 4; i++) {
		open_watched(kinds[i]);
		cr_assert_eq(take(fd), 1);
		shown(set);
		pid_t child = start_role("adds_under_a_sleeper %d", fd);
		cr_assert(tells(set, kinds[i] & BOTH));
		end_child(child);
		close_watched();
	}
}
