/* The server of msgsock_echo: an epoll loop as any server has it. */
#include "msgsock_echo.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct conn {
	const struct transport *via;
	int fd;
	void (*ready)(struct server *server, struct conn *conn, uint32_t revents);
	uint32_t interest;
	size_t from, held; /* what of bytes is still to be sent */
	int flags;
	char bytes[MSGSOCK_MOST];
};

typedef void ready_fn(struct server *server, struct conn *conn, uint32_t revents);

static void watch(struct server *server, struct conn *conn, int op, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = conn};

	conn->interest = interest;
	require(epoll_ctl(server->set, op, conn->fd, &event) == 0, "epoll_ctl of the server");
}

static struct conn *add(struct server *server, int fd, const struct transport *via, ready_fn *ready)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	require(conn, "memory");
	conn->via = via;
	conn->fd = fd;
	conn->ready = ready;
	watch(server, conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLPRI);
	return conn;
}

static void end(struct conn *conn)
{
	require(conn->via->close(conn->fd) == 0, "close by the server");
	free(conn);
}

/* Whether nothing is left to send, be it because nobody is there to receive it. */
static bool send_held(struct conn *conn)
{
	ssize_t n = conn->via->send(conn->fd, conn->bytes + conn->from, conn->held, conn->flags);

	if (n < 0) {
		require(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET, "an echo");
		if (errno == EAGAIN)
			return false;
		n = (ssize_t)conn->held;
	}
	conn->from += (size_t)n;
	conn->held -= (size_t)n;
	return !conn->held;
}

/* 0: nobody will send more. -1: nothing is there. */
static ssize_t receive(struct server *server, struct conn *conn)
{
	ssize_t n = conn->via->recv(conn->fd, conn->bytes, sizeof(conn->bytes), &conn->flags);

	require(n >= 0 || errno == EAGAIN, "recv of the server");
	if (n <= 0)
		return n;
	conn->from = 0;
	conn->held = (size_t)n;
	server->bytes[conn->via == &memory] += n;
	server->urgent += conn->flags != 0;
	return n;
}

static void echo(struct server *server, struct conn *conn, uint32_t revents)
{
	bool room = !conn->held || send_held(conn), first = true;
	uint32_t interest;
	ssize_t n = -1;

	server->urgent_shown += (revents & EPOLLPRI) != 0;
	while (room && (n = receive(server, conn)) > 0) {
		require(!first || !(revents & EPOLLPRI) || conn->flags, "PRI: an urgent one next");
		first = false;
		room = send_held(conn);
		server->held += !room;
	}
	if (room && n == 0) {
		end(conn);
		server->open--;
		server->left++;
		return;
	}
	server->idle += first && (!room || conn->interest != EPOLLOUT);
	interest = room ? EPOLLIN | EPOLLPRI : EPOLLOUT;
	if (interest != conn->interest)
		watch(server, conn, EPOLL_CTL_MOD, interest);
}

static void welcome(struct server *server, struct conn *listener, uint32_t revents)
{
	int fd = listener->via->accept(listener->fd);

	require(revents == EPOLLIN, "IN at a listener");
	require(fd >= 0, "IN at a listener: somebody waits");
	for (; fd >= 0; fd = listener->via->accept(listener->fd)) {
		add(server, fd, listener->via, echo);
		if (++server->open > server->most)
			server->most = server->open;
	}
	require(errno == EAGAIN, "accept");
}

void server_listen(struct server *server, int fd, const struct transport *via)
{
	require(fd >= 0, "a listener");
	server->listeners[via == &memory] = add(server, fd, via, welcome);
}

void server_run(struct server *server, int connections)
{
	while (server->left < connections) {
		struct epoll_event ready[BATCH];
		int n = epoll_wait(server->set, ready, BATCH, LIMIT);

		require(n > 0, "an event for the server");
		server->waits++;
		for (int i = 0; i < n; i++) {
			struct conn *conn = ready[i].data.ptr;
			conn->ready(server, conn, ready[i].events);
		}
	}
}

void server_end(struct server *server)
{
	end(server->listeners[0]);
	end(server->listeners[1]);
	close(server->set);
}
