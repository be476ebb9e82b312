/* An eventfd or its set is sent in a message in the middle of traffic: to this process itself, to a
 * child, to another program. Watches go on on both ends. */
#define _GNU_SOURCE
#include "flow.h"
#include "pair.h"
#include "peer.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(fast_rights, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

/* A duplicate that came by a message. */
static int sent_to_myself(int fd)
{
	int sock[2];
	rights_pair(sock, SOCK_STREAM);
	rights_send_one(sock[0], fd);
	int copy = rights_receive_one(sock[1], 0);
	close(sock[0]);
	close(sock[1]);
	return copy;
}

/* The eventfd under another number: writes and reads by it show. */
static bool eventfd_to_myself(struct flow *f)
{
	int first = f->fd, copy = sent_to_myself(f->fd);
	bool good = flow_tells(f, 0);
	f->fd = copy;
	good = good && flow_write(f) && flow_tells(f, 0) && flow_read(f) && flow_tells(f, 0) &&
	       flow_write(f);
	f->fd = first;
	good = good && flow_tells(f, 0) && flow_runs(f, 0);
	close(copy);
	return good && flow_runs(f, 0);
}

Test(fast_rights, the_eventfd_to_myself)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, eventfd_to_myself));
}

/* The number it was watched under is closed: the watch lives on. */
static bool first_number_closed(struct flow *f)
{
	struct flow_watch w = f->watch[0];
	int copy = sent_to_myself(f->fd);
	cr_assert_eq(close(f->fd), 0);
	f->fd = copy;
	bool good = flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) && flow_tells(f, 0) &&
		    flow_read(f) && flow_tells(f, 0);
	good = good && flow_add(f, 1, w.set, w.interest | EPOLLONESHOT, w.data + 1);
	cr_assert_eq(close(copy), 0);
	f->fd = f->watch[1].set = -1;
	struct epoll_event event;
	return good && HOLDS(epoll_wait(w.set, &event, 1, 0) == 0);
}

Test(fast_rights, the_number_that_was_sent_is_closed)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, first_number_closed));
}

/* In flight only: nobody has a number for it, and its set goes on. */
static bool only_in_flight(struct flow *f)
{
	int sock[2];
	rights_pair(sock, SOCK_STREAM);
	rights_send_one(sock[0], f->fd);
	cr_assert_eq(close(f->fd), 0);
	bool good = flow_tells(f, 0) && flow_tells(f, 0);
	f->fd = rights_receive_one(sock[1], 0);
	good = good && flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) && flow_read(f) &&
	       flow_tells(f, 0);
	close(sock[0]);
	close(sock[1]);
	return good;
}

Test(fast_rights, nobody_has_a_number_while_it_is_in_flight)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, only_in_flight));
}

/* The set under another number: both of them are the same set. */
static bool set_to_myself(struct flow *f)
{
	int copy = sent_to_myself(f->watch[0].set);
	bool good = flow_tells_by(f, 0, copy) && flow_tells(f, 0) && flow_write(f) &&
		    flow_tells_by(f, 0, copy) && flow_tells(f, 0) && flow_runs(f, 0);
	cr_assert_eq(close(f->watch[0].set), 0);
	f->watch[0].set = copy;
	return good && flow_tells(f, 0) && flow_runs(f, 0);
}

Test(fast_rights, the_set_to_myself)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, set_to_myself));
}

static bool both_to_myself(struct flow *f)
{
	int fd = sent_to_myself(f->fd), set = sent_to_myself(f->watch[0].set);
	struct flow_watch w = f->watch[0];
	bool good = flow_tells(f, 0) && flow_write(f);
	f->watch[0].set = set;
	good = good && flow_tells(f, 0) && flow_runs(f, 0);
	good = good && HOLDS(epoll_ctl(set, EPOLL_CTL_DEL, f->fd, NULL) == 0);
	close(f->fd);
	close(w.set);
	f->fd = fd;
	return good && flow_add(f, 0, set, w.interest, 4) && flow_runs(f, 0);
}

Test(fast_rights, both_to_myself)
{
	cr_assert(flow_each(FLOW_FAST_KINDS, both_to_myself));
}

static enum peer_kind kind;

static void for_each_peer(int kinds, flow_run run)
{
	for (kind = 0; kind < PEER_KINDS; kind++) {
		cr_assert(flow_each_at(FLOW_QUIET, kinds, run));
		cr_assert(flow_each_at(FLOW_WRITTEN, kinds, run));
		cr_assert(flow_each_at(FLOW_TOLD, kinds, run));
		cr_assert(flow_each_at(FLOW_UNSEEN, kinds, run));
		cr_assert(flow_each_at(FLOW_ARMED, kinds, run));
	}
}

static bool peer_writes(struct peer p, struct flow *f, int fd)
{
	flow_wrote(f);
	return HOLDS(peer_do(p, PEER_WRITE, fd, 0, 1).ret == 8);
}

static bool peer_reads(struct peer p, struct flow *f, int fd)
{
	bool good = HOLDS(peer_do(p, PEER_READ, fd, 0, 0).ret == 8);
	flow_was_read(f);
	return good;
}

static bool peer_is_told(struct peer p, struct flow *f, int i, int set)
{
	struct peer_answer a = peer_do(p, PEER_LOOK, set, 0, 0);
	return HOLDS(a.ret >= 0) && flow_saw(f, i, (uint32_t)a.ret, a.value);
}

static bool eventfd_to_peer(struct flow *f)
{
	struct peer p = peer_start(kind);
	peer_send_one(p, f->fd);
	bool good = flow_tells(f, 0) && flow_tells(f, 0);
	for (int i = 0; good && i < 3; i++)
		good = peer_writes(p, f, 0) && flow_tells(f, 0) && flow_tells(f, 0) &&
		       peer_writes(p, f, 0) && flow_tells(f, 0) && peer_reads(p, f, 0) &&
		       flow_tells(f, 0) && (!f->watch[0].fired || flow_arm(f, 0)) &&
		       flow_tells(f, 0) && (!f->watch[0].fired || flow_arm(f, 0));
	good = good && flow_runs(f, 0);
	peer_end(p);
	return good && flow_runs(f, 0);
}

Test(fast_rights, the_eventfd_to_another_process)
{
	for_each_peer(FLOW_FAST_KINDS, eventfd_to_peer);
}

/* Watches on both ends, each with its own say. */
static bool watched_on_both_ends(struct flow *f)
{
	struct peer p = peer_start(kind);
	uint32_t interest = f->watch[0].interest;
	peer_send_one(p, f->fd);
	cr_assert_eq(peer_do(p, PEER_SET, 0, (int)interest, 77).ret, 0);
	f->watch[1] = (struct flow_watch){
		.set = INT32_MAX, .interest = interest, .data = 77, .queued = true};
	bool good = peer_is_told(p, f, 1, 1) && flow_tells(f, 0) && flow_write(f) &&
		    flow_tells(f, 0) && peer_is_told(p, f, 1, 1) && peer_is_told(p, f, 1, 1) &&
		    peer_writes(p, f, 0) && peer_is_told(p, f, 1, 1) && flow_tells(f, 0) &&
		    peer_reads(p, f, 0) && flow_tells(f, 0) && peer_is_told(p, f, 1, 1);
	peer_end(p);
	f->watch[1].set = -1;
	return good && flow_runs(f, 0);
}

Test(fast_rights, watched_on_both_ends)
{
	for_each_peer(FLOW_FAST_KINDS, watched_on_both_ends);
}

static bool set_to_peer(struct flow *f)
{
	struct peer p = peer_start(kind);
	peer_send_one(p, f->watch[0].set);
	bool good = peer_is_told(p, f, 0, 0) && flow_tells(f, 0) && flow_write(f) &&
		    peer_is_told(p, f, 0, 0) && flow_tells(f, 0) && flow_write(f) &&
		    flow_tells(f, 0) && peer_is_told(p, f, 0, 0) && flow_runs(f, 0);
	peer_end(p);
	return good && flow_runs(f, 0);
}

Test(fast_rights, the_set_to_another_process)
{
	for_each_peer(FLOW_FAST_KINDS, set_to_peer);
}

static bool both_to_peer(struct flow *f)
{
	struct peer p = peer_start(kind);
	int fds[] = {f->fd, f->watch[0].set};
	peer_send(p, fds, 2);
	close(f->fd);
	close(f->watch[0].set);
	bool good = peer_is_told(p, f, 0, 1) && peer_writes(p, f, 0) && peer_is_told(p, f, 0, 1) &&
		    peer_is_told(p, f, 0, 1);
	f->fd = peer_give(p, 0);
	f->watch[0].set = peer_give(p, 1);
	good = good && flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0) &&
	       peer_is_told(p, f, 0, 1) && flow_read(f);
	peer_end(p);
	return good && flow_tells(f, 0) && flow_write(f) && flow_tells(f, 0);
}

Test(fast_rights, both_there_and_back)
{
	for_each_peer(FLOW_FAST_KINDS, both_to_peer);
}

/* Somebody sleeps in the set when one of the two is sent, and the write comes from there. */
static bool sent_under_sleeper(struct flow *f, bool set_too)
{
	struct waited wait = {.set = f->watch[0].set};
	struct waiter w;
	if (f->watch[0].interest & EPOLLOUT)
		return true;
	int fds[] = {f->fd, wait.set};
	struct peer p = peer_start(kind);
	bool good = flow_ready_for_more(f, 0);
	waiter_start(&w, call_epoll_wait, &wait);
	peer_send(p, fds, set_too ? 2 : 1);
	good = HOLDS(waiter_sleeps(&w)) && good && peer_writes(p, f, 0);
	good = HOLDS(waiter_result(&w) == 1) && good &&
	       flow_saw(f, 0, wait.events[0].events, wait.events[0].data.u64);
	good = good && flow_runs(f, 0);
	peer_end(p);
	return good && flow_runs(f, 0);
}

static bool eventfd_sent_under_sleeper(struct flow *f)
{
	return sent_under_sleeper(f, false);
}

static bool both_sent_under_sleeper(struct flow *f)
{
	return sent_under_sleeper(f, true);
}

Test(fast_rights, a_loop_asleep_is_woken_from_there)
{
	for_each_peer(FLOW_FAST_KINDS, eventfd_sent_under_sleeper);
	for_each_peer(FLOW_FAST_KINDS, both_sent_under_sleeper);
}
