/* An eventfd in a message lives as long as the message does, with nobody else holding it. */
#define _GNU_SOURCE
#include "askboth.h"
#include "efd.h"
#include "pair.h"
#include "rights.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(rights_life, .init = tk_setup, .fini = tk_teardown, .timeout = 30);

enum { IN = EPOLLIN, OUT = EPOLLOUT, BOTH = EPOLLIN | EPOLLOUT, CHURN = 300, HOPS = 200 };

static const uint32_t interests[] = {IN, OUT, BOTH, IN | EPOLLET, BOTH | EPOLLET};

static int sock[2];

static void open_pair(void)
{
	rights_pair(sock, SOCK_STREAM);
}

static void close_pair(void)
{
	cr_assert_eq(close(sock[0]), 0);
	cr_assert_eq(close(sock[1]), 0);
}

static void send_and_close(int fd)
{
	rights_send_one(sock[0], fd);
	efd_close(fd);
}

/* Others come and go: none may get the place of one that is on its way. */
static void churn(void)
{
	int fds[CHURN];
	for (int i = 0; i < CHURN; i++)
		fds[i] = efd_open((unsigned)i + 1000, 0);
	for (int i = 0; i < CHURN; i++) {
		efd_expect(fds[i], (uint64_t)i + 1000);
		efd_close(fds[i]);
	}
}

static void churn_in_child(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < CHURN; i++) {
		uint64_t value;
		int fd = eventfd(i + 1, 0);
		CHECK(fd >= 0 && read(fd, &value, 8) == 8 && value == i + 1);
		CHECK(i % 2 || close(fd) == 0);
	}
}

static void expect_whole(int fd, uint64_t count, int flags)
{
	cr_assert_eq(fcntl(fd, F_GETFL), O_RDWR | (flags & EFD_NONBLOCK));
	if (flags & EFD_SEMAPHORE) {
		for (uint64_t i = 0; i < count; i++)
			efd_expect(fd, 1);
	} else {
		efd_expect(fd, count);
	}
	efd_expect_empty(fd);
	efd_add(fd, 1);
	efd_expect(fd, 1);
}

static const int all_flags[] = {0, EFD_NONBLOCK, EFD_SEMAPHORE, EFD_NONBLOCK | EFD_SEMAPHORE};

Test(rights_life, closed_by_the_sender_before_it_is_received)
{
	open_pair();
	for (int i = 0; i < 4; i++) {
		send_and_close(efd_open(5, all_flags[i]));
		churn();
		in_child(churn_in_child, NULL);
		int fd = rights_receive_one(sock[1], 0);
		expect_whole(fd, 5, all_flags[i]);
		efd_close(fd);
	}
	close_pair();
}

static void make_and_send(void *flags)
{
	int fd = eventfd(0, *(int *)flags);
	uint64_t value = 7;
	CHECK(fd >= 0 && write(fd, &value, 8) == 8);
	CHECK(rights_try_send(rights_senders[0], sock[0], "x", 1, &fd, 1) == 1);
}

Test(rights_life, the_sender_exits_before_it_is_received)
{
	open_pair();
	for (int i = 0; i < 4; i++) {
		in_child(make_and_send, (void *)&all_flags[i]);
		churn();
		in_child(churn_in_child, NULL);
		int fd = rights_receive_one(sock[1], 0);
		expect_whole(fd, 7, all_flags[i]);
		efd_close(fd);
	}
	close_pair();
}

Test(rights_life, a_hundred_on_their_way_while_others_come_and_go)
{
	open_pair();
	for (unsigned i = 0; i < 100; i++)
		send_and_close(efd_open(i + 1, 0));
	churn();
	in_child(churn_in_child, NULL);
	for (unsigned i = 0; i < 100; i++) {
		int fd = rights_receive_one(sock[1], 0);
		expect_whole(fd, i + 1, 0);
		efd_close(fd);
	}
	close_pair();
}

static int watched_in_flight(uint32_t events)
{
	int fd = eventfd_at(1), set = set_watching(fd, events, 9);
	send_and_close(fd);
	cr_assert_eq(set_event(set), events & BOTH, "not alive on its way");
	return set;
}

Test(rights_life, the_senders_watch_stays_while_it_is_on_its_way)
{
	open_pair();
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int set = watched_in_flight(interests[i]);
		churn();
		int fd = rights_receive_one(sock[1], 0);
		cr_assert_eq(set_event(set), interests[i] & EPOLLET ? 0 : interests[i] & BOTH);
		efd_expect(fd, 1);
		set_event(set);
		efd_add(fd, COUNT_LIMIT);
		cr_assert_eq(set_event(set), interests[i] & IN);
		efd_close(fd);
		cr_assert_eq(set_event(set), 0, "alive after the last close");
		close(set);
	}
	close_pair();
}

Test(rights_life, a_message_dropped_unread_is_its_end)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		open_pair();
		int set = watched_in_flight(interests[i] & BOTH);
		close_pair();
		cr_assert_eq(set_event(set), 0);
		close(set);
	}
}

Test(rights_life, so_is_one_received_without_its_fds)
{
	char c;
	open_pair();
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		int set = watched_in_flight(interests[i] & BOTH);
		cr_assert_eq(recv(sock[1], &c, 1, 0), 1);
		cr_assert_eq(set_event(set), 0);
		close(set);
	}
	close_pair();
}

/* Two sockets on their way inside each other: the kernel finds such garbage in its own time. */
Test(rights_life, so_is_a_ring_of_sockets_that_nobody_holds)
{
	for (size_t i = 0; i < ARRAY_LEN(interests); i++) {
		open_pair();
		int set = watched_in_flight(interests[i] & BOTH);
		int64_t end = tk_now_ms() + 10000;
		rights_send(sock[0], sock, 2);
		rights_send(sock[1], sock, 2);
		close_pair();
		while (set_event(set)) {
			cr_assert(tk_now_ms() < end, "still alive");
			sched_yield();
			open_pair();
			close_pair();
		}
		close(set);
	}
}

Test(rights_life, on_its_way_in_a_socket_that_is_on_its_way)
{
	int outer[2];
	open_pair();
	rights_pair(outer, SOCK_DGRAM);
	send_and_close(efd_open(5, EFD_NONBLOCK));
	rights_send(outer[0], sock, 2);
	close_pair();
	churn();
	struct rights r;
	cr_assert_eq(rights_try_receive(recvmsg, outer[1], 0, &r), 1);
	cr_assert_eq(r.count, 2);
	int fd = rights_receive_one(r.fds[1], 0);
	expect_whole(fd, 5, EFD_NONBLOCK);
	efd_close(fd);
	close(r.fds[0]);
	close(r.fds[1]);
	close(outer[0]);
	close(outer[1]);
}

Test(rights_life, sent_back_and_forth_it_is_the_same)
{
	int fd = efd_open(0, EFD_NONBLOCK), watched = dup(fd);
	int set = set_watching(watched, BOTH, 1);
	open_pair();
	for (int i = 0; i < HOPS; i++) {
		rights_send_one(sock[i % 2], fd);
		efd_close(fd);
		fd = rights_receive_one(sock[1 - i % 2], i % 3 ? 0 : MSG_CMSG_CLOEXEC);
		efd_add(fd, 1);
		cr_assert_eq(set_event(set), BOTH);
	}
	efd_expect(watched, HOPS);
	cr_assert_eq(set_event(set), OUT);
	efd_close(fd);
	efd_close(watched);
	close(set);
	close_pair();
}

enum { RING = 4, ROUNDS = 50 };

static int ring[RING + 1][2];

/* Takes the fd from its predecessor, adds its own power, hands it on, keeps nothing. */
static void pass_on(void *index)
{
	int i = *(int *)index;
	for (int round = 0; round < ROUNDS; round++) {
		struct rights r;
		uint64_t value = 1ull << 8 * i;
		CHECK(rights_try_receive(recvmsg, ring[i][1], 0, &r) == 1 && r.count == 1);
		CHECK(write(r.fds[0], &value, 8) == 8);
		CHECK(rights_try_send(rights_senders[0], ring[i + 1][0], "x", 1, r.fds, 1) == 1);
		CHECK(close(r.fds[0]) == 0);
	}
}

Test(rights_life, round_and_round_through_processes_that_keep_nothing)
{
	pid_t pids[RING];
	uint64_t sum = 0;
	for (int i = 0; i <= RING; i++)
		rights_pair(ring[i], SOCK_SEQPACKET);
	for (int i = 0; i < RING; i++) {
		pids[i] = start_child(pass_on, &i);
		sum += (uint64_t)ROUNDS << 8 * i;
	}
	int fd = efd_open(0, 0);
	for (int round = 0; round < ROUNDS; round++) {
		rights_send_one(ring[0][0], fd);
		efd_close(fd);
		fd = rights_receive_one(ring[RING][1], 0);
	}
	for (int i = 0; i < RING; i++)
		end_child(pids[i]);
	efd_expect(fd, sum);
	efd_close(fd);
	for (int i = 0; i <= RING; i++) {
		close(ring[i][0]);
		close(ring[i][1]);
	}
}
