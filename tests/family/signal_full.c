/* A counter at UINT64_MAX: POLLERR with POLLIN in every watcher, whenever it came and whatever it
 * asks for. */
#define _GNU_SOURCE
#include "efd.h"
#include "maskkit.h"
#include "signalkit.h"
#include "testkit.h"

#include <limits.h>
#include <unistd.h>

TestSuite(signal_full, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum { ALWAYS = EPOLLERR | EPOLLHUP, FULL = EPOLLIN | EPOLLERR };

Test(signal_full, stops_at_the_top)
{
	static const struct {
		uint64_t start;
		int n;
		long added;
	} cases[] = {
		{COUNT_LIMIT - 1, 1, 1},
		{COUNT_LIMIT - 1, 2, 2},
		{COUNT_LIMIT - 1, 3, 2},
		{COUNT_LIMIT - 1, INT_MAX, 2},
		{COUNT_LIMIT, 0, 0},
		{COUNT_LIMIT, 1, 1},
		{COUNT_LIMIT, 2, 1},
		{COUNT_LIMIT, INT_MAX, 1},
		{COUNT_FULL - INT_MAX, INT_MAX, INT_MAX},
		{COUNT_FULL - INT_MAX + 1, INT_MAX, INT_MAX - 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = eventfd_at(cases[i].start);
		struct efd_file *file = signal_get(fd);
		long added = signal_try(file, cases[i].n);
		cr_assert_eq(added, cases[i].added, "case %zu: %ld", i, added);
		cr_assert_eq(take_count(fd), cases[i].start + (uint64_t)added);
		signal_put(file);
		close(fd);
	}
}

Test(signal_full, adds_nothing_more_when_full)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(signal_try(file, 0), 0);
	cr_assert_eq(signal_try(file, 1), 0);
	cr_assert_eq(signal_try(file, INT_MAX), 0);
	cr_assert_eq(take_count(fd), COUNT_FULL);
	efd_expect_empty(fd);
	signal_put(file);
	close(fd);
}

Test(signal_full, poll_shows_an_error_whatever_it_asks_for)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT | POLLPRI), POLLIN);
	signal_add(file, 1);
	for (short events = 0; events < 8; events++)
		cr_assert_eq(poll_now(fd, events), (events & POLLIN) | POLLERR);
	take_count(fd);
	for (short events = 0; events < 8; events++)
		cr_assert_eq(poll_now(fd, events), events & POLLOUT);
	signal_put(file);
	close(fd);
}

/* To the kernel's select an error is readable and writable, and no exception. */
Test(signal_full, select_shows_it_in_the_read_and_the_write_set)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(mask_select(fd, TO_ALL), TO_READ);
	signal_add(file, 1);
	for (unsigned sets = 0; sets <= TO_ALL; sets++)
		cr_assert_eq(mask_select(fd, sets), sets & (TO_READ | TO_WRITE));
	take_count(fd);
	cr_assert_eq(mask_select(fd, TO_ALL), TO_WRITE);
	signal_put(file);
	close(fd);
}

Test(signal_full, a_read_takes_all_and_clears)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	for (int i = 0; i < 3; i++) {
		signal_fill(fd, file);
		efd_expect(fd, COUNT_FULL);
		efd_expect_empty(fd);
		cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLOUT);
	}
	signal_put(file);
	close(fd);
}

Test(signal_full, a_semaphore_gives_one)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
	struct efd_file *file = signal_get(fd);
	signal_fill(fd, file);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN | POLLERR);
	efd_expect(fd, 1);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN);
	cr_assert_eq(signal_try(file, 5), 1);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN | POLLERR);
	efd_expect(fd, 1);
	efd_expect(fd, 1);
	cr_assert_eq(poll_now(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	efd_add(fd, 1);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	signal_put(file);
	close(fd);
}

Test(signal_full, writes_fail)
{
	int fd = eventfd_at(0);
	struct efd_file *file = signal_get(fd);
	add_count(fd, COUNT_LIMIT);
	cr_assert_eq(efd_try_write(fd, 0), 8);
	signal_add(file, 1);
	cr_assert_eq(efd_try_write(fd, 1), -EAGAIN);
	cr_assert_eq(efd_try_write(fd, COUNT_LIMIT), -EAGAIN);
	cr_assert_eq(efd_try_write(fd, COUNT_FULL), -EINVAL);
	cr_assert_eq(efd_try_write(fd, 0), -EAGAIN, "the kernel refuses 0 too");
	efd_expect(fd, COUNT_FULL);
	efd_add(fd, COUNT_LIMIT);
	signal_put(file);
	close(fd);
}

/* epoll: interests x kinds of watches x when the watch is added. */
enum moment { BEFORE_GET, AFTER_GET, AFTER_FULL, MOMENTS };

static const uint32_t interests[] = {0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLPRI};

struct scene {
	int fd, set;
	struct efd_file *file;
};

static struct scene scene_full(uint32_t events, enum moment when, bool told)
{
	struct scene s = {.fd = eventfd_at(0), .set = epoll_create1(EPOLL_CLOEXEC)};
	if (when == BEFORE_GET)
		set_ctl(s.set, EPOLL_CTL_ADD, s.fd, events, 9);
	s.file = signal_get(s.fd);
	if (when == AFTER_GET)
		set_ctl(s.set, EPOLL_CTL_ADD, s.fd, events, 9);
	add_count(s.fd, COUNT_LIMIT);
	if (when != AFTER_FULL && told)
		set_event(s.set);
	signal_add(s.file, 1);
	if (when == AFTER_FULL)
		set_ctl(s.set, EPOLL_CTL_ADD, s.fd, events, 9);
	return s;
}

static void scene_end(struct scene s)
{
	signal_put(s.file);
	close(s.set);
	close(s.fd);
}

static void expect_shown(struct scene s, uint32_t want, uint32_t events, enum moment when)
{
	uint32_t got = set_event(s.set);
	if (got != want)
		cr_assert_fail("interest %#x, added at moment %d: %#x, not %#x", events, (int)when,
			got, want);
}

static void each_watch(uint32_t kind, bool told, void (*check)(struct scene, uint32_t, enum moment))
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		if (kind & EPOLLEXCLUSIVE && interests[i] & EPOLLPRI)
			continue; /* epoll_ctl takes no such watch */
		for (enum moment when = 0; when < MOMENTS; when++) {
			struct scene s = scene_full(interests[i] | kind, when, told);
			check(s, interests[i] | kind, when);
			scene_end(s);
		}
	}
}

static void by_level(struct scene s, uint32_t events, enum moment when)
{
	for (int i = 0; i < 3; i++)
		expect_shown(s, FULL & (events | ALWAYS), events, when);
	cr_assert_eq(signal_try(s.file, 1), 0);
	expect_shown(s, FULL & (events | ALWAYS), events, when);
	take_count(s.fd);
	expect_shown(s, EPOLLOUT & events, events, when);
	signal_fill(s.fd, s.file);
	expect_shown(s, FULL & (events | ALWAYS), events, when);
}

static void by_edge(struct scene s, uint32_t events, enum moment when)
{
	expect_shown(s, FULL & (events | ALWAYS), events, when);
	expect_shown(s, 0, events, when);
	take_count(s.fd);
	expect_shown(s, EPOLLOUT & events, events, when);
	expect_shown(s, 0, events, when);
	signal_fill(s.fd, s.file);
	expect_shown(s, FULL & (events | ALWAYS), events, when);
	expect_shown(s, 0, events, when);
}

static void by_one_shot(struct scene s, uint32_t events, enum moment when)
{
	expect_shown(s, FULL & (events | ALWAYS), events, when);
	expect_shown(s, 0, events, when);
	cr_assert_eq(signal_try(s.file, 1), 0);
	expect_shown(s, 0, events, when);
	set_ctl(s.set, EPOLL_CTL_MOD, s.fd, events, 9);
	expect_shown(s, FULL & (events | ALWAYS), events, when);
	expect_shown(s, 0, events, when);
}

Test(signal_full, watches_by_level)
{
	each_watch(0, true, by_level);
	each_watch(0, false, by_level);
}

Test(signal_full, watches_by_edge)
{
	each_watch(EPOLLET, true, by_edge);
	each_watch(EPOLLET, false, by_edge);
}

Test(signal_full, watches_of_one_shot)
{
	each_watch(EPOLLONESHOT, false, by_one_shot);
	each_watch(EPOLLONESHOT | EPOLLET, false, by_one_shot);
}

Test(signal_full, exclusive_watches)
{
	each_watch(EPOLLEXCLUSIVE, true, by_level);
	each_watch(EPOLLEXCLUSIVE, false, by_level);
	each_watch(EPOLLEXCLUSIVE | EPOLLET, true, by_edge);
	each_watch(EPOLLEXCLUSIVE | EPOLLET, false, by_edge);
}
