/* epoll sets and eventfds shared with a child. */
#define _GNU_SOURCE
#include "pair.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(epoll_fork, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT };

static const uint32_t kinds[] = {
	IN, OUT, BOTH, IN | EPOLLET, OUT | EPOLLET, BOTH | EPOLLET, IN | EPOLLEXCLUSIVE};

/* What a child gets; it may not assert, its exit code tells. */
struct shared {
	int fd, set;
	uint32_t events;
	int says[2], hears[2];
};

static void open_talk(struct shared *s)
{
	cr_assert_eq(pipe(s->says), 0);
	cr_assert_eq(pipe(s->hears), 0);
}

static void close_talk(struct shared *s)
{
	for (int i = 0; i < 2; i++) {
		close(s->says[i]);
		close(s->hears[i]);
	}
}

static bool say(int to[2])
{
	return write(to[1], "x", 1) == 1;
}

static bool hear(int from[2])
{
	char c;
	return read(from[0], &c, 1) == 1;
}

static int child_adds_one(void *arg)
{
	struct shared *s = arg;
	uint64_t one = 1;
	return write(s->fd, &one, sizeof(one)) != 8;
}

static int child_takes(void *arg)
{
	struct shared *s = arg;
	uint64_t value;
	return read(s->fd, &value, sizeof(value)) != 8;
}

static int child_waits(void *arg)
{
	struct shared *s = arg;
	struct epoll_event event;
	int n = epoll_wait(s->set, &event, 1, -1);
	return n == 1 && event.events == s->events && event.data.u64 == UINT64_MAX ? 0 : 1;
}

Test(epoll_fork, write_of_a_child_shows)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.fd = eventfd_at(0)};
		s.set = set_watching(s.fd, kinds[i], 1);
		set_event(s.set);
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(child_reap(child_start(child_adds_one, &s)), 0);
			uint32_t want =
				kinds[i] & EPOLLET && !(kinds[i] & IN) ? 0 : kinds[i] & BOTH;
			cr_assert_eq(set_event(s.set), want);
		}
		cr_assert_eq(take_count(s.fd), 2);
		close(s.set);
		close(s.fd);
	}
}

Test(epoll_fork, read_of_a_child_shows)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.fd = eventfd_at(COUNT_LIMIT)};
		s.set = set_watching(s.fd, kinds[i], 1);
		cr_assert_eq(set_event(s.set), kinds[i] & IN);
		cr_assert_eq(child_reap(child_start(child_takes, &s)), 0);
		cr_assert_eq(set_event(s.set), kinds[i] & OUT);
		close(s.set);
		close(s.fd);
	}
}

Test(epoll_fork, blocked_wait_is_woken_by_a_child)
{
	struct shared s = {.fd = eventfd_at(0)};
	struct waited wait = {.set = set_watching(s.fd, IN, 7)};
	struct waiter w;
	waiter_start(&w, call_epoll_wait, &wait);
	cr_assert_eq(child_reap(child_start(child_adds_one, &s)), 0);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].data.u64, 7);
	close(wait.set);
	close(s.fd);
}

Test(epoll_fork, blocked_wait_for_out_is_woken_by_a_child)
{
	struct shared s = {.fd = eventfd_at(COUNT_LIMIT)};
	struct waited wait = {.set = set_watching(s.fd, OUT, 7)};
	struct waiter w;
	waiter_start(&w, call_epoll_wait, &wait);
	cr_assert_eq(child_reap(child_start(child_takes, &s)), 0);
	cr_assert_eq(waiter_result(&w), 1);
	cr_assert_eq(wait.events[0].events, OUT);
	close(wait.set);
	close(s.fd);
}

Test(epoll_fork, waiter_in_the_child_gets_event_and_data)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.events = kinds[i] & BOTH};
		s.fd = eventfd_at(kinds[i] & IN ? 0 : COUNT_LIMIT);
		s.set = set_watching(s.fd, kinds[i], UINT64_MAX);
		set_event(s.set);
		if (kinds[i] & IN)
			add_count(s.fd, 1);
		else
			take_count(s.fd);
		cr_assert_eq(child_reap(child_start(child_waits, &s)), 0, "kind %zu", i);
		close(s.set);
		close(s.fd);
	}
}

Test(epoll_fork, sleeping_waiter_in_the_child_is_woken)
{
	struct shared s = {.fd = eventfd_at(0), .events = IN};
	s.set = set_watching(s.fd, IN, UINT64_MAX);
	pid_t pid = child_start(child_waits, &s);
	tk_wait_process_asleep(pid);
	add_count(s.fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	close(s.set);
	close(s.fd);
}

Test(epoll_fork, sleeping_waiter_for_out_in_the_child_is_woken)
{
	struct shared s = {.fd = eventfd_at(COUNT_LIMIT), .events = OUT};
	s.set = set_watching(s.fd, OUT, UINT64_MAX);
	pid_t pid = child_start(child_waits, &s);
	tk_wait_process_asleep(pid);
	take_count(s.fd);
	cr_assert_eq(child_reap(pid), 0);
	close(s.set);
	close(s.fd);
}

Test(epoll_fork, an_edge_goes_to_one_of_the_two)
{
	struct shared s = {.fd = eventfd_at(1), .events = BOTH};
	s.set = set_watching(s.fd, BOTH | EPOLLET, UINT64_MAX);
	cr_assert_eq(child_reap(child_start(child_waits, &s)), 0);
	cr_assert_eq(set_event(s.set), 0);
	add_count(s.fd, 1);
	cr_assert_eq(set_event(s.set), BOTH);
	close(s.set);
	close(s.fd);
}

Test(epoll_fork, one_shot_fired_in_the_child_is_used_up)
{
	struct shared s = {.fd = eventfd_at(1), .events = OUT};
	s.set = set_watching(s.fd, OUT | EPOLLONESHOT, UINT64_MAX);
	cr_assert_eq(child_reap(child_start(child_waits, &s)), 0);
	cr_assert_eq(set_event(s.set), 0);
	set_ctl(s.set, EPOLL_CTL_MOD, s.fd, OUT | EPOLLONESHOT, UINT64_MAX);
	cr_assert_eq(child_reap(child_start(child_waits, &s)), 0);
	cr_assert_eq(set_event(s.set), 0);
	close(s.set);
	close(s.fd);
}

static int child_adds_watch(void *arg)
{
	struct shared *s = arg;
	struct epoll_event event = {.events = s->events, .data.u64 = UINT64_MAX - 5};
	return epoll_ctl(s->set, EPOLL_CTL_ADD, s->fd, &event) != 0;
}

static int child_changes_watch(void *arg)
{
	struct shared *s = arg;
	struct epoll_event event = {.events = s->events, .data.u64 = UINT64_MAX - 5};
	return epoll_ctl(s->set, EPOLL_CTL_MOD, s->fd, &event) != 0;
}

static int child_removes_watch(void *arg)
{
	struct shared *s = arg;
	return epoll_ctl(s->set, EPOLL_CTL_DEL, s->fd, NULL) != 0;
}

static void expect_data(int set, uint32_t events)
{
	struct epoll_event event;
	cr_assert_eq(epoll_wait(set, &event, 1, 0), 1);
	cr_assert_eq(event.events, events);
	cr_assert_eq(event.data.u64, UINT64_MAX - 5);
}

Test(epoll_fork, watch_added_by_the_child_is_there)
{
	static const uint32_t interests[] = {IN, OUT, BOTH, BOTH | EPOLLET};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct shared s = {.fd = eventfd_at(1), .set = epoll_create1(0)};
		struct epoll_event event = {.events = IN};
		s.events = interests[i];
		cr_assert_eq(child_reap(child_start(child_adds_watch, &s)), 0);
		expect_data(s.set, interests[i] & BOTH);
		long again = answer_of(epoll_ctl(s.set, EPOLL_CTL_ADD, s.fd, &event));
		cr_assert_eq(again, -EEXIST);
		set_ctl(s.set, EPOLL_CTL_DEL, s.fd, 0, 0);
		cr_assert_eq(set_event(s.set), 0);
		close(s.set);
		close(s.fd);
	}
}

Test(epoll_fork, watch_changed_by_the_child_is_changed)
{
	static const uint32_t interests[] = {IN, OUT, BOTH};
	for (size_t i = 0; i < 9; i++) {
		struct shared s = {.fd = eventfd_at(1), .events = interests[i % 3]};
		s.set = set_watching(s.fd, interests[i / 3], 1);
		cr_assert_eq(child_reap(child_start(child_changes_watch, &s)), 0);
		expect_data(s.set, interests[i % 3]);
		s.events = EPOLLPRI;
		cr_assert_eq(child_reap(child_start(child_changes_watch, &s)), 0);
		cr_assert_eq(set_event(s.set), 0);
		close(s.set);
		close(s.fd);
	}
}

Test(epoll_fork, watch_removed_by_the_child_is_gone)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.fd = eventfd_at(1)};
		struct epoll_event event = {.events = IN};
		s.set = set_watching(s.fd, kinds[i], 1);
		cr_assert_eq(child_reap(child_start(child_removes_watch, &s)), 0);
		cr_assert_eq(set_event(s.set), 0);
		long ret = answer_of(epoll_ctl(s.set, EPOLL_CTL_MOD, s.fd, &event));
		cr_assert_eq(ret, -ENOENT);
		close(s.set);
		close(s.fd);
	}
}

/* Watches an eventfd only the child has, and keeps it until told to go. */
static int child_watches_its_own(void *arg)
{
	struct shared *s = arg;
	s->fd = eventfd(1, 0);
	if (child_adds_watch(s))
		return 1;
	return say(s->says) && hear(s->hears) ? 0 : 2;
}

Test(epoll_fork, watch_of_an_fd_only_the_child_has_lives_as_long_as_it)
{
	static const uint32_t interests[] = {IN, OUT, BOTH};
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		struct shared s = {.set = epoll_create1(0), .events = interests[i]};
		open_talk(&s);
		pid_t pid = child_start(child_watches_its_own, &s);
		cr_assert(hear(s.says));
		expect_data(s.set, interests[i]);
		cr_assert(say(s.hears));
		cr_assert_eq(child_reap(pid), 0);
		cr_assert_eq(set_event(s.set), 0);
		close_talk(&s);
		close(s.set);
	}
}

/* Holds its copy of the fd until told to go. */
static int child_holds(void *arg)
{
	struct shared *s = arg;
	return say(s->says) && hear(s->hears) ? 0 : 1;
}

Test(epoll_fork, closing_the_fd_while_a_child_holds_it_keeps_the_watch)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.fd = eventfd_at(1)};
		s.set = set_watching(s.fd, kinds[i], 1);
		open_talk(&s);
		pid_t pid = child_start(child_holds, &s);
		cr_assert(hear(s.says));
		close(s.fd);
		cr_assert_eq(set_event(s.set), kinds[i] & BOTH);
		cr_assert(say(s.hears));
		cr_assert_eq(child_reap(pid), 0);
		cr_assert_eq(set_event(s.set), 0);
		close_talk(&s);
		close(s.set);
	}
}

static int child_closes(void *arg)
{
	struct shared *s = arg;
	return close(s->fd) != 0 || close(s->set) != 0;
}

Test(epoll_fork, closing_in_the_child_changes_nothing_here)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct shared s = {.fd = eventfd_at(0)};
		s.set = set_watching(s.fd, kinds[i], 1);
		set_event(s.set);
		cr_assert_eq(child_reap(child_start(child_closes, &s)), 0);
		add_count(s.fd, COUNT_LIMIT);
		cr_assert_eq(set_event(s.set), kinds[i] & IN);
		take_count(s.fd);
		cr_assert_eq(set_event(s.set), kinds[i] & OUT);
		close(s.set);
		close(s.fd);
	}
}

static int child_uses_its_own_set(void *arg)
{
	struct shared *s = arg;
	struct epoll_event event = {.events = s->events, .data.u64 = UINT64_MAX};
	s->set = epoll_create1(0);
	if (epoll_ctl(s->set, EPOLL_CTL_ADD, s->fd, &event) != 0)
		return 1;
	return child_waits(s);
}

Test(epoll_fork, set_of_the_child_watches_the_shared_eventfd)
{
	struct shared s = {.fd = eventfd_at(0), .events = IN};
	s.set = set_watching(s.fd, IN, 1);
	pid_t pid = child_start(child_uses_its_own_set, &s);
	tk_wait_process_asleep(pid);
	add_count(s.fd, 1);
	cr_assert_eq(child_reap(pid), 0);
	cr_assert_eq(set_event(s.set), IN);
	close(s.set);
	close(s.fd);
}
