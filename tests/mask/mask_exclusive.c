/* EPOLLEXCLUSIVE watches of mask eventfds. */
#define _GNU_SOURCE
#include "askboth.h"
#include "maskkit.h"
#include "maskmodel.h"
#include "mate.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

TestSuite(mask_exclusive, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { ADD = EPOLL_CTL_ADD, MOD = EPOLL_CTL_MOD, DEL = EPOLL_CTL_DEL };

static long control(int set, int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = 1};
	return epoll_ctl(set, op, fd, &event);
}

Test(mask_exclusive, what_may_be_asked_for)
{
	int fd = mask_open(0), set = mask_new_set();
	for (uint32_t i = 0; i < MASK_INTERESTS; i++) {
		uint32_t events = i | EPOLLEXCLUSIVE;
		if (i & EPOLLPRI) {
			FAILS(control(set, ADD, fd, events), EINVAL);
			FAILS(control(set, ADD, fd, events | EPOLLET), EINVAL);
			continue;
		}
		FAILS(control(set, ADD, fd, events | EPOLLONESHOT), EINVAL);
		FAILS(control(set, ADD, fd, events | EPOLLRDHUP), EINVAL);
		cr_assert_eq(control(set, ADD, fd, events), 0);
		FAILS(control(set, MOD, fd, i), EINVAL);
		FAILS(control(set, MOD, fd, events), EINVAL);
		FAILS(control(set, MOD, fd, 7 | EPOLLONESHOT), EINVAL);
		FAILS(control(set, ADD, fd, i), EEXIST);
		cr_assert_eq(control(set, DEL, fd, 0), 0);
		cr_assert_eq(control(set, ADD, fd, i), 0);
		FAILS(control(set, MOD, fd, events), EINVAL);
		cr_assert_eq(control(set, DEL, fd, 0), 0);
	}
	close(set);
	mask_close(fd);
}

/* The same in a set that goes over to another process, either way. */
static void over_there(enum mate_kind kind)
{
	int fd = mask_open(0), set = epoll_create1(0);
	cr_assert_eq(control(set, ADD, fd, EPOLLOUT | EPOLLEXCLUSIVE), 0);
	struct mate mate = mate_start(kind);
	struct mate_call mod = {.op = MATE_CTL,
		.ctl = MOD,
		.set = mate_hand(&mate, set),
		.fd = mate_hand(&mate, fd),
		.events = EPOLLIN};
	if (!mate_apart(&mate))
		cr_assert_eq(mate_do(&mate, mod).ret, -EINVAL, "%s", mate_name(kind));
	else
		cr_assert_eq(mate_do(&mate, mod).ret, mod.fd == fd ? -EINVAL : -ENOENT);
	mask_set(fd, EPOLLOUT);
	cr_assert_eq(mate_event(&mate, mod.set, NULL), EPOLLOUT);
	cr_assert_eq(control(set, DEL, fd, 0), 0);
	mod.ctl = ADD;
	mod.events = EPOLLOUT | EPOLLEXCLUSIVE;
	cr_assert_eq(mate_do(&mate, mod).ret, 0);
	if (mod.fd == fd) {
		FAILS(control(set, MOD, fd, EPOLLOUT), EINVAL);
		FAILS(control(set, ADD, fd, EPOLLOUT), EEXIST);
	}
	cr_assert_eq(mask_event(set, NULL), EPOLLOUT);
	mate_end(&mate);
	close(set);
	mask_close(fd);
}

Test(mask_exclusive, in_a_set_of_two_processes)
{
	over_there(MATE_THREAD);
	over_there(MATE_FORKED);
	over_there(MATE_EXECED);
	over_there(MATE_PEER);
	over_there(MATE_STRANGER);
}

Test(mask_exclusive, reports_as_the_others_do)
{
	static const uint32_t interests[] = {0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT};
	int fd = mask_open(0);
	for (int i = 0; i < 8; i++) {
		uint32_t edge = i % 2 ? EPOLLET : 0;
		int set = mask_watch(fd, interests[i / 2] | edge | EPOLLEXCLUSIVE, 1);
		for (uint32_t state = 0; state < MASK_STATES; state++) {
			uint32_t want = model_poll(state, interests[i / 2]);
			for (int times = 0; times < 2; times++) {
				mask_set(fd, state);
				cr_assert_eq(mask_event(set, NULL), want);
				cr_assert_eq(mask_event(set, NULL), edge ? 0 : want);
			}
		}
		close(set);
		mask_set(fd, 0);
	}
	mask_close(fd);
}

/* Each sleeps in a set of its own; a write wakes one of them at least, and nobody is forgotten. */
static void exclusive_sleepers(enum mate_kind kind, uint32_t flags)
{
	enum { COUNT = 4 };
	struct mate mates[COUNT];
	struct pollfd answers[COUNT];
	int fd = mask_open(0), woken = 0;
	for (int i = 0; i < COUNT; i++) {
		mates[i] = mate_start(kind);
		int there = mate_hand(&mates[i], fd), set = mate_new_set(&mates[i]);
		mate_ctl(&mates[i], ADD, set, there, EPOLLOUT | EPOLLEXCLUSIVE | flags, 1);
		mate_ask_asleep(
			&mates[i], (struct mate_call){.op = MATE_WAIT, .fd = set, .limit = -1});
		answers[i] = (struct pollfd){mates[i].sock, POLLIN, 0};
	}
	while (woken < COUNT) {
		mask_set(fd, EPOLLOUT);
		cr_assert_gt(poll(answers, COUNT, 10000), 0, "%d of %d are woken", woken, COUNT);
		for (int i = 0; i < COUNT; i++) {
			if (!answers[i].revents)
				continue;
			struct mate_reply r = mate_answer(&mates[i]);
			cr_assert(r.ret == 1 && r.events == EPOLLOUT);
			answers[i].fd = -1;
			woken++;
		}
	}
	for (int i = 0; i < COUNT; i++)
		mate_end(&mates[i]);
	mask_close(fd);
}

Test(mask_exclusive, sleepers_are_all_woken_in_the_end)
{
	for (uint32_t edge = 0; edge < 2; edge++) {
		exclusive_sleepers(MATE_PEER, edge ? EPOLLET : 0);
		exclusive_sleepers(MATE_STRANGER, edge ? EPOLLET : 0);
	}
}
