/* The clients of msgsock_echo, some hundred in each thread's epoll loop. A client sends a first
 * message and gets it back; when all clients of all threads have theirs, it sends the others as
 * fast as there is room, one of them urgent, and leaves when all have come back. Some do not wait
 * for that, and some begin to listen late, so that the server has to wait for room. */
#include "msgsock_echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct client {
	const struct transport *via;
	int fd;
	uint32_t id, interest;
	uint32_t sent, may_send;
	uint32_t next; /* the ordinary message that comes back next */
	bool got_urgent, stays, talks;
	size_t unsent, got; /* bytes of out, of in */
	char out[MESSAGE], in[MESSAGE];
};

static bool is_memory(const struct client *client)
{
	return client->via == &memory;
}

static void compose(char bytes[MESSAGE], uint32_t id, uint32_t number)
{
	uint32_t words[MESSAGE / sizeof(uint32_t)] = {id, number};

	for (size_t i = 2; i < sizeof(words) / sizeof(*words); i++)
		words[i] = words[i - 1] * 1664525u + words[i - 2] + 1013904223u;
	memcpy(bytes, words, MESSAGE);
}

static bool is_urgent(const struct client *client, uint32_t number)
{
	return is_memory(client) && number == URGENT;
}

static bool send_next(struct crowd *crowd, struct client *client)
{
	int flags = is_urgent(client, client->sent) ? MSGSOCK_URGENT : 0;
	ssize_t n;

	if (!client->unsent) {
		compose(client->out, client->id, client->sent);
		client->unsent = MESSAGE;
	}
	n = client->via->send(
		client->fd, client->out + MESSAGE - client->unsent, client->unsent, flags);
	require(n > 0 || errno == EAGAIN, "a message of a client");
	crowd->waited += n < 0 && is_memory(client);
	client->unsent -= n > 0 ? (size_t)n : 0;
	if (client->unsent)
		return false;
	client->sent++;
	crowd->sent[is_memory(client)]++;
	return true;
}

/* An echo is complete: is it the one that has to come? */
static void check(struct crowd *crowd, struct client *client, int flags)
{
	uint32_t number = flags ? URGENT : client->next;
	char wanted[MESSAGE];

	compose(wanted, client->id, number);
	require(!memcmp(client->in, wanted, MESSAGE), "the echo of the right message");
	crowd->echoed[is_memory(client)]++;
	crowd->answered += number == 0;
	if (flags) {
		require(is_memory(client) && !client->got_urgent, "one urgent echo");
		client->got_urgent = true;
		crowd->urgent++;
		crowd->overtook += client->next < URGENT;
		return;
	}
	client->next++;
	client->next += is_urgent(client, client->next);
}

/* Whether something was there. */
static bool receive(struct crowd *crowd, struct client *client, bool urgent)
{
	int flags = 0;
	ssize_t n = client->via->recv(
		client->fd, client->in + client->got, MESSAGE - client->got, &flags);

	require(n > 0 || (n < 0 && errno == EAGAIN), "an echo: the server has not left");
	require(!urgent || flags, "PRI: an urgent one next");
	if (n < 0)
		return false;
	client->got += (size_t)n;
	if (client->got < MESSAGE)
		return true;
	client->got = 0;
	check(crowd, client, flags);
	return true;
}

/* Has filled the way back by the time it listens. */
static bool is_deaf(const struct client *client)
{
	return client->talks && client->may_send == MESSAGES && client->sent < TALK;
}

static void watch(struct crowd *crowd, struct client *client, int op)
{
	bool more = client->sent < client->may_send;
	uint32_t interest = (is_deaf(client) ? 0 : EPOLLIN | EPOLLPRI) | (more ? EPOLLOUT : 0);
	struct epoll_event event = {.events = interest, .data.ptr = client};

	if (interest == client->interest)
		return;
	client->interest = interest;
	require(epoll_ctl(crowd->set, op, client->fd, &event) == 0, "epoll_ctl of a client");
}

static bool is_done(const struct client *client)
{
	if (!client->stays)
		return client->sent == FEW;
	return client->next == MESSAGES && (client->got_urgent || !is_memory(client));
}

static void act(struct crowd *crowd, struct client *client, uint32_t revents)
{
	bool in = revents & EPOLLIN, urgent = revents & EPOLLPRI;

	require(!(revents & ~client->interest), "what was asked for, and neither ERR nor HUP");
	require(!in || receive(crowd, client, urgent), "IN: something is there");
	while (in && receive(crowd, client, false))
		;
	require(!(revents & EPOLLOUT) || send_next(crowd, client), "OUT: there is room");
	while (client->sent < client->may_send && send_next(crowd, client))
		;
	if (is_done(client)) {
		require(client->via->close(client->fd) == 0, "close of a client");
		crowd->left++;
		return;
	}
	watch(crowd, client, EPOLL_CTL_MOD);
}

/* Until the count has got there. */
static void run_until(struct crowd *crowd, const int *count, int there)
{
	while (*count < there) {
		struct epoll_event ready[BATCH];
		int n = epoll_wait(crowd->set, ready, BATCH, LIMIT);

		require(n > 0, "an event for the clients");
		for (int i = 0; i < n; i++)
			act(crowd, ready[i].data.ptr, ready[i].events);
	}
}

static void join_crowd(struct crowd *crowd, struct client *client, int i)
{
	bool real = i >= crowd->members;

	client->id = (uint32_t)(real ? crowd->first_tcp + i - crowd->members : crowd->first + i);
	client->via = real ? &tcp : &memory;
	client->fd = real ? tcp_connect(crowd->port) : msgsock_connect("echo");
	client->stays = real || client->id % EACH != 0;
	client->talks = !real && client->id % EACH == 1;
	client->may_send = 1;
	require(client->fd >= 0, "a connection");
	watch(crowd, client, EPOLL_CTL_ADD);
}

void *crowd_run(void *arg)
{
	struct crowd *crowd = arg;
	int all = crowd->members + crowd->tcp_members;
	struct client *clients = calloc((size_t)all, sizeof(*clients));

	crowd->set = epoll_create1(EPOLL_CLOEXEC);
	require(clients && crowd->set >= 0, "memory, and a set");
	for (int i = 0; i < all; i++)
		join_crowd(crowd, &clients[i], i);
	run_until(crowd, &crowd->answered, all);
	pthread_barrier_wait(crowd->greeted);
	for (int i = 0; i < all; i++) {
		clients[i].may_send = clients[i].stays ? MESSAGES : FEW;
		act(crowd, &clients[i], 0);
	}
	run_until(crowd, &crowd->left, all);
	close(crowd->set);
	free(clients);
	return NULL;
}
