/* Message sockets between threads: nobody may sleep on a mask that is out of date, and none may
 * stay. */
#include "msgsock_check.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MESSAGES = 20000, ROUNDS = 100000, SPINS = 1000, VISITORS = 4, VISITS = 500, EVERY = 7 };

/* How a thread waits for its end. */
enum way { POLL, LEVEL, EDGE, ONESHOT };

/* One end's thread: sends and receives its share, each as soon as it can. */
struct party {
	int fd, set;
	enum way way;
	int to_send, to_receive;
	uint32_t sent[2], received[2]; /* ordinary and urgent ones: the next number of each */
};

static bool send_one(struct party *party)
{
	int urgent = party->to_send % EVERY == 0;
	ssize_t n = msgsock_send(party->fd, &party->sent[urgent], sizeof(uint32_t), urgent);

	if (n < 0)
		return want(errno == EAGAIN, "EAGAIN from send") && false;
	party->sent[urgent]++;
	party->to_send--;
	return true;
}

static bool receive_one(struct party *party)
{
	uint32_t number = 0;
	int urgent = 0;
	ssize_t n = msgsock_recv(party->fd, &number, sizeof(number), &urgent);

	if (n < 0)
		return want(errno == EAGAIN, "EAGAIN from recv") && false;
	want(n == sizeof(number) && number == party->received[urgent], "each message, in order");
	party->received[urgent]++;
	party->to_receive--;
	return true;
}

static uint32_t interest_of(const struct party *party)
{
	uint32_t interest = 0;

	if (party->to_send)
		interest |= POLLOUT;
	if (party->to_receive)
		interest |= POLLIN | POLLPRI;
	return interest;
}

static void ctl(struct party *party, int op, uint32_t flags)
{
	struct epoll_event event = {.events = flags | interest_of(party)};

	want(epoll_ctl(party->set, op, party->fd, &event) == 0, "epoll_ctl");
}

static void start_watching(struct party *party)
{
	if (party->way == POLL)
		return;
	party->set = epoll_create1(EPOLL_CLOEXEC);
	ctl(party, EPOLL_CTL_ADD, party->way == EDGE ? EPOLLET : 0);
}

static uint32_t await_party(struct party *party)
{
	struct epoll_event event = {0};

	if (party->way == POLL)
		return (uint32_t)await(party->fd, (short)interest_of(party));
	if (party->way != EDGE)
		ctl(party, EPOLL_CTL_MOD, party->way == ONESHOT ? EPOLLONESHOT : 0);
	return epoll_wait(party->set, &event, 1, LIMIT) == 1 ? event.events : 0;
}

/* With EDGE, all that can be done is done before the next wait; else one message of each kind that
 * was reported, which must be possible: this thread alone takes messages and room. */
static void act(struct party *party, uint32_t revents)
{
	if (party->way == EDGE) {
		while (party->to_receive && receive_one(party))
			;
		while (party->to_send && send_one(party))
			;
		return;
	}
	if (revents & POLLOUT)
		want(send_one(party), "OUT tells of room");
	if (revents & POLLIN)
		want(receive_one(party), "IN tells of a message");
}

static void *play(void *arg)
{
	struct party *party = arg;

	start_watching(party);
	while ((party->to_send || party->to_receive) && fine_so_far()) {
		uint32_t revents = await_party(party);

		if (!want(revents, "woken within the limit"))
			break;
		want(!(revents & (POLLERR | POLLHUP | POLLNVAL)), "neither ERR nor HUP");
		act(party, revents);
	}
	if (party->way != POLL)
		close(party->set);
	return NULL;
}

static void play_all(struct party parties[], int count)
{
	pthread_t ids[4];

	for (int i = 0; i < count; i++)
		pthread_create(&ids[i], NULL, play, &parties[i]);
	for (int i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
}

static void close_at_rest(int fds[2])
{
	want(shows(fds[0], ALL) == POLLOUT && shows(fds[1], ALL) == POLLOUT, "OUT at the end");
	msgsock_close(fds[0]);
	want(shows(fds[1], ALL) == POLLHUP, "HUP after it");
	msgsock_close(fds[1]);
}

static void exchange(enum way one, enum way other)
{
	int fds[2];

	if (!want(msgsock_pair(fds) == 0, "a pair"))
		return;
	play_all((struct party[]){{fds[0], -1, one, MESSAGES, MESSAGES, {0}, {0}},
			 {fds[1], -1, other, MESSAGES, MESSAGES, {0}, {0}}},
		2);
	close_at_rest(fds);
}

static void both_poll(void)
{
	exchange(POLL, POLL);
}

static void both_level(void)
{
	exchange(LEVEL, LEVEL);
}

static void both_edge(void)
{
	exchange(EDGE, EDGE);
}

static void both_oneshot(void)
{
	exchange(ONESHOT, ONESHOT);
}

static void poll_against_edge(void)
{
	exchange(POLL, EDGE);
}

/* A sender and a receiver on each end, who wait for different bits of it. */
static void two_threads_on_each_end(void)
{
	int fds[2];

	if (!want(msgsock_pair(fds) == 0, "a pair"))
		return;
	play_all((struct party[]){{fds[0], -1, LEVEL, MESSAGES, 0, {0}, {0}},
			 {fds[0], -1, POLL, 0, MESSAGES, {0}, {0}},
			 {fds[1], -1, EDGE, MESSAGES, 0, {0}, {0}},
			 {fds[1], -1, EDGE, 0, MESSAGES, {0}, {0}}},
		4);
	close_at_rest(fds);
}

/* One of two who change their ends at the same time, round by round, without waiting for what they
 * show. */
struct rival {
	int fd;
	unsigned seed;
	struct rival *peer;
	_Atomic unsigned *arrived;
	int sent[2], received[2];
};

static void do_something(struct rival *rival)
{
	int choice = rand_r(&rival->seed) >> 8 & 3, urgent = choice == 3;
	char byte;

	if (choice < 2)
		rival->received[urgent] += msgsock_recv(rival->fd, &byte, 1, &urgent) == 1;
	else
		rival->sent[urgent] += msgsock_send(rival->fd, "x", 1, urgent) == 1;
}

static short expected(const struct rival *own)
{
	const struct rival *peer = own->peer;
	int urgent = peer->sent[1] - own->received[1];
	int in = peer->sent[0] - own->received[0] + urgent;
	int out = own->sent[0] + own->sent[1] - peer->received[0] - peer->received[1];

	return (short)((in ? POLLIN : 0) | (urgent ? POLLPRI : 0) |
		       (out < MSGSOCK_ROOM ? POLLOUT : 0));
}

/* Not by sleeping: they are to go on in the same instant. */
static void meet(struct rival *rival, unsigned times)
{
	unsigned spins = 0;

	atomic_fetch_add(rival->arrived, 1);
	while (atomic_load(rival->arrived) < 2 * times)
		if (++spins % SPINS == 0)
			sched_yield();
}

/* After each round, while both are quiet, one looks at what is shown. */
static void *contend(void *arg)
{
	struct rival *rival = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		meet(rival, 2 * round + 1);
		do_something(rival);
		meet(rival, 2 * round + 2);
		if (rival->peer < rival)
			continue;
		want(shows(rival->fd, ALL) == expected(rival), "what the one shows at rest");
		want(shows(rival->peer->fd, ALL) == expected(rival->peer), "what the other shows");
	}
	return NULL;
}

/* A mask that was computed before another one and written after it would stay. */
static void no_mask_is_left_behind(void)
{
	_Atomic unsigned arrived = 0;
	pthread_t ids[2];
	int fds[2];

	if (!want(msgsock_pair(fds) == 0, "a pair"))
		return;
	struct rival rivals[2] = {
		{fds[0], 1, &rivals[1], &arrived, {0}, {0}},
		{fds[1], 2, &rivals[0], &arrived, {0}, {0}},
	};
	for (int i = 0; i < 2; i++)
		pthread_create(&ids[i], NULL, contend, &rivals[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(ids[i], NULL);
	msgsock_close(fds[0]);
	msgsock_close(fds[1]);
}

/* Comes, says a number, and leaves: before it is accepted, or after, or with the host. */
static void *visit(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (uint32_t i = 0; i < VISITS && fine_so_far(); i++) {
		int fd = msgsock_connect("inn");

		want(fd >= 0, "a connection");
		want(msgsock_send(fd, &i, sizeof(i), 0) == sizeof(i), "a number");
		if (rand_r(&seed) >> 8 & 1)
			want(await(fd, POLLIN) & POLLIN, "an answer, or HUP with it");
		msgsock_close(fd);
	}
	return NULL;
}

/* Answers, and leaves first or last. Gives the number. */
static uint32_t receive_guest(int fd, bool first)
{
	uint32_t number = 0;
	ssize_t n;

	want(await(fd, POLLIN) & POLLIN, "the guest's number");
	want(msgsock_recv(fd, &number, sizeof(number), NULL) == sizeof(number), "it is there");
	n = msgsock_send(fd, "!", 1, 0);
	want(n == 1 || errno == EPIPE, "an answer, if the guest has not left");
	if (!first)
		want(await(fd, 0) == POLLHUP, "HUP when the guest has left");
	msgsock_close(fd);
	return number;
}

static void coming_and_going(void)
{
	uint64_t sum = 0, all = (uint64_t)VISITORS * VISITS * (VISITS - 1) / 2;
	int inn = msgsock_listen("inn"), fd;
	pthread_t ids[VISITORS];

	for (uintptr_t i = 0; i < VISITORS; i++)
		pthread_create(&ids[i], NULL, visit, (void *)(i + 1));
	for (int i = 0; i < VISITORS * VISITS && fine_so_far(); i++) {
		want(await(inn, POLLIN) == POLLIN, "somebody waits");
		fd = msgsock_accept(inn);
		if (want(fd >= 0, "accept"))
			sum += receive_guest(fd, i & 1);
	}
	for (int i = 0; i < VISITORS; i++)
		pthread_join(ids[i], NULL);
	want(sum == all, "the sum of all numbers");
	want(shows(inn, ALL) == 0, "nobody waits");
	msgsock_close(inn);
}

const struct test threads[] = {
	{"two threads, by poll", both_poll},
	{"two threads, by level-triggered sets", both_level},
	{"two threads, by edge-triggered sets", both_edge},
	{"two threads, by one-shot watches", both_oneshot},
	{"two threads, by poll and edges", poll_against_edge},
	{"two threads on each end", two_threads_on_each_end},
	{"no mask is left behind", no_mask_is_left_behind},
	{"coming and going", coming_and_going},
	{0},
};
