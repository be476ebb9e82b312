/* An echo server in one epoll loop: 1,000 clients on message sockets, next to clients on TCP.
 * Every echo is checked. Exits with 77 where there is no EFD_MASK. */
#include "msgsock_echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <efdshim/eventfd.h>

enum {
	CROWDS = 4,
	CLIENTS = 1000,
	TCP_CLIENTS = 16,
	LEAVERS = CLIENTS / EACH,
	TALKERS = LEAVERS,
	STAYERS = CLIENTS - LEAVERS,
	FDS = 2 * (CLIENTS + TCP_CLIENTS) + 100,
};

void require(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "not ok: %s\n", what);
	exit(1);
}

static int tcp_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static ssize_t tcp_send(int fd, const void *bytes, size_t size, int flags)
{
	(void)flags;
	return send(fd, bytes, size, MSG_NOSIGNAL);
}

static ssize_t tcp_recv(int fd, void *bytes, size_t most, int *flags)
{
	*flags = 0;
	return recv(fd, bytes, most, 0);
}

const struct transport tcp = {tcp_accept, tcp_send, tcp_recv, close};
const struct transport memory = {msgsock_accept, msgsock_send, msgsock_recv, msgsock_close};

int tcp_listen(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	require(bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, TCP_CLIENTS) == 0 &&
			getsockname(fd, (struct sockaddr *)&at, &size) == 0,
		"a TCP port");
	*port = ntohs(at.sin_port);
	return fd;
}

int tcp_connect(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "a TCP connection");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void raise_limit(void)
{
	struct rlimit limit;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit of fds");
	if (limit.rlim_cur >= FDS)
		return;
	limit.rlim_cur = FDS;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "a limit of fds that is high enough");
}

static void start(struct crowd crowds[CROWDS], pthread_barrier_t *greeted, uint16_t port)
{
	for (int i = 0; i < CROWDS; i++) {
		crowds[i] = (struct crowd){
			.greeted = greeted,
			.first = i * CLIENTS / CROWDS,
			.members = CLIENTS / CROWDS,
			.first_tcp = CLIENTS + i * TCP_CLIENTS / CROWDS,
			.tcp_members = TCP_CLIENTS / CROWDS,
			.port = port,
		};
		require(pthread_create(&crowds[i].id, NULL, crowd_run, &crowds[i]) == 0, "thread");
	}
}

/* Waits for all, and sums what they counted. */
static struct crowd finish(struct crowd crowds[CROWDS])
{
	struct crowd sum = {0};

	for (int i = 0; i < CROWDS; i++) {
		pthread_join(crowds[i].id, NULL);
		for (int kind = 0; kind < 2; kind++) {
			sum.sent[kind] += crowds[i].sent[kind];
			sum.echoed[kind] += crowds[i].echoed[kind];
		}
		sum.urgent += crowds[i].urgent;
		sum.overtook += crowds[i].overtook;
		sum.waited += crowds[i].waited;
	}
	return sum;
}

static void compare(const struct server *server, const struct crowd *all)
{
	require(server->most == CLIENTS + TCP_CLIENTS && !server->open, "all were there at once");
	require(all->sent[1] == STAYERS * MESSAGES + LEAVERS * FEW, "all messages were sent");
	require(server->bytes[1] == all->sent[1] * MESSAGE, "all were received");
	require(all->echoed[1] >= STAYERS * MESSAGES + LEAVERS, "all came back");
	require(all->urgent == STAYERS && server->urgent == STAYERS, "one of each was urgent");
	require(server->urgent_shown > 0, "PRI told of some");
	require(all->sent[0] == TCP_CLIENTS * MESSAGES, "all messages were sent by TCP");
	require(server->bytes[0] == all->sent[0] * MESSAGE, "all were received by TCP");
	require(all->echoed[0] == all->sent[0], "all came back by TCP");
	require(all->waited >= STAYERS, "each who stays had to wait for room");
	require(server->held > 0, "so had the server, for those who listen late");
	require(all->overtook >= TALKERS, "their urgent messages overtook others");
	require(!server->idle, "no event that brings nothing");
}

static void report(const struct server *server, const struct crowd *all)
{
	printf("one epoll loop echoed %ld messages of %d message-socket clients (%ld urgent, %ld "
	       "overtook others) and %ld of %d TCP clients in %ld waits; clients waited %ld times "
	       "for room, the server %ld times\n",
		all->sent[1], CLIENTS, all->urgent, all->overtook, all->sent[0], TCP_CLIENTS,
		server->waits, all->waited, server->held);
}

static void run(int listener)
{
	struct server server = {.set = epoll_create1(EPOLL_CLOEXEC)};
	struct crowd crowds[CROWDS], all;
	pthread_barrier_t greeted;
	uint16_t port;

	pthread_barrier_init(&greeted, NULL, CROWDS);
	server_listen(&server, listener, &memory);
	server_listen(&server, tcp_listen(&port), &tcp);
	start(crowds, &greeted, port);
	server_run(&server, CLIENTS + TCP_CLIENTS);
	all = finish(crowds);
	server_end(&server);
	pthread_barrier_destroy(&greeted);
	compare(&server, &all);
	report(&server, &all);
}

int main(void)
{
	int listener;

	raise_limit();
	listener = msgsock_listen("echo");
	if (listener < 0 && errno == EINVAL) {
		printf("msgsock_echo: needs EFD_MASK, which %s\n",
			efdshim_version ? "efdshim cannot give here" : "only efdshim has");
		return 77;
	}
	run(listener);
	return 0;
}
