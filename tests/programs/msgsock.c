#include "msgsock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <efdshim/eventfd.h>

enum kind { END = 1, LISTENER = 2 };

/* What each fd has, and the data of its mask points to. */
struct sock {
	enum kind kind;
	int fd; /* -1: closed */
	uint32_t shown;
};

struct message {
	struct message *next;
	size_t size;
	char bytes[];
};

struct queue {
	struct message *first;
	struct message **last;
};

struct end {
	struct sock sock;
	struct pair *pair;
	struct end *next; /* of those that wait to be accepted */
	struct queue urgent, ordinary;
	int waiting; /* messages in both */
};

/* One lock for both ends: what either shows depends on both of them. */
struct pair {
	pthread_mutex_t lock;
	struct end ends[2];
};

struct listener {
	struct sock sock;
	struct listener *next;
	struct end *first;
	struct end **last;
	char name[];
};

static struct listener *listeners;
static pthread_mutex_t listeners_lock = PTHREAD_MUTEX_INITIALIZER; /* theirs, and all in them */

static int fail(int err)
{
	errno = err;
	return -1;
}

/* To be called under the lock that guards what the events were computed from: a mask computed under
 * it but written later might come after a newer one, and stay. The write blocks nobody. */
static bool show(struct sock *sock, uint32_t events)
{
	struct efd_mask mask = {.events = events, .data = (uintptr_t)sock};

	sock->shown = events;
	return write(sock->fd, &mask, sizeof(mask)) == sizeof(mask);
}

/* The way back from an fd to what it stands for: no table, no lock, no system call. */
static void *sock_of(int fd, enum kind kind)
{
	struct efd_mask mask = {0};
	ssize_t n = read(fd, &mask, sizeof(mask));
	struct sock *sock = (void *)(uintptr_t)mask.data;

	if (n == sizeof(mask) && sock && sock->kind & kind)
		return sock;
	if (n >= 0 || errno != EBADF)
		errno = EINVAL;
	return NULL;
}

static bool open_sock(struct sock *sock, enum kind kind)
{
	sock->kind = kind;
	sock->fd = eventfd(0, EFD_MASK | EFD_CLOEXEC | EFD_NONBLOCK);
	return sock->fd >= 0 && show(sock, 0);
}

static struct end *peer_of(struct end *end)
{
	return &end->pair->ends[end == end->pair->ends];
}

static uint32_t events_of(struct end *end)
{
	struct end *peer = peer_of(end);
	uint32_t events = 0;

	if (end->waiting)
		events |= POLLIN;
	if (end->urgent.first)
		events |= POLLPRI;
	if (peer->sock.fd < 0)
		events |= POLLHUP;
	else if (peer->waiting < MSGSOCK_ROOM)
		events |= POLLOUT;
	return events;
}

/* Every write of a mask is an edge, so one that says nothing new is not written. */
static void update(struct end *end, bool news)
{
	uint32_t events = events_of(end);

	if (end->sock.fd >= 0 && (news || events != end->sock.shown))
		show(&end->sock, events);
}

static void append(struct queue *queue, struct message *message)
{
	message->next = NULL;
	*queue->last = message;
	queue->last = &message->next;
}

static struct message *take_first(struct queue *queue)
{
	struct message *message = queue->first;

	queue->first = message->next;
	if (!queue->first)
		queue->last = &queue->first;
	return message;
}

static void drop_all(struct end *end)
{
	while (end->urgent.first)
		free(take_first(&end->urgent));
	while (end->ordinary.first)
		free(take_first(&end->ordinary));
	end->waiting = 0;
}

/* The last of the two to leave clears up. */
static void leave(struct end *end)
{
	struct pair *pair = end->pair;
	struct end *peer = peer_of(end);
	int fd = end->sock.fd;
	bool last;

	pthread_mutex_lock(&pair->lock);
	end->sock.fd = -1;
	drop_all(end);
	update(peer, true);
	last = peer->sock.fd < 0;
	pthread_mutex_unlock(&pair->lock);
	if (fd >= 0)
		close(fd);
	if (!last)
		return;
	pthread_mutex_destroy(&pair->lock);
	free(pair);
}

static void init_end(struct end *end, struct pair *pair)
{
	end->pair = pair;
	end->sock.fd = -1;
	end->urgent.last = &end->urgent.first;
	end->ordinary.last = &end->ordinary.first;
}

/* Closes what there is of it. errno stays. */
static void abandon(struct pair *pair)
{
	int err = errno;

	if (pair->ends[1].sock.fd >= 0)
		leave(&pair->ends[1]);
	leave(&pair->ends[0]);
	errno = err;
}

static struct pair *new_pair(void)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	if (!pair)
		return NULL;
	pthread_mutex_init(&pair->lock, NULL);
	init_end(&pair->ends[0], pair);
	init_end(&pair->ends[1], pair);
	if (open_sock(&pair->ends[0].sock, END) && open_sock(&pair->ends[1].sock, END)) {
		update(&pair->ends[0], false);
		update(&pair->ends[1], false);
		return pair;
	}
	abandon(pair);
	return NULL;
}

int msgsock_pair(int fds[2])
{
	struct pair *pair = new_pair();

	if (!pair)
		return -1;
	fds[0] = pair->ends[0].sock.fd;
	fds[1] = pair->ends[1].sock.fd;
	return 0;
}

static struct listener **find_listener(const char *name)
{
	struct listener **at = &listeners;

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	return at;
}

/* 0, or EADDRINUSE. */
static int enlist(struct listener *listener)
{
	struct listener **at;
	bool taken;

	pthread_mutex_lock(&listeners_lock);
	at = find_listener(listener->name);
	taken = *at;
	if (!taken)
		*at = listener;
	pthread_mutex_unlock(&listeners_lock);
	return taken ? EADDRINUSE : 0;
}

int msgsock_listen(const char *name)
{
	size_t size = strlen(name) + 1;
	struct listener *listener = calloc(1, sizeof(*listener) + size);
	int err;

	if (!listener)
		return -1;
	memcpy(listener->name, name, size);
	listener->last = &listener->first;
	err = open_sock(&listener->sock, LISTENER) ? enlist(listener) : errno;
	if (!err)
		return listener->sock.fd;
	if (listener->sock.fd >= 0)
		close(listener->sock.fd);
	free(listener);
	return fail(err);
}

int msgsock_connect(const char *name)
{
	struct pair *pair = new_pair();
	struct listener *listener;
	int fd;

	if (!pair)
		return -1;
	fd = pair->ends[0].sock.fd;
	pthread_mutex_lock(&listeners_lock);
	listener = *find_listener(name);
	if (listener) {
		*listener->last = &pair->ends[1];
		listener->last = &pair->ends[1].next;
		show(&listener->sock, POLLIN);
	}
	pthread_mutex_unlock(&listeners_lock);
	if (listener)
		return fd;
	abandon(pair);
	return fail(ECONNREFUSED);
}

int msgsock_accept(int fd)
{
	struct listener *listener = sock_of(fd, LISTENER);
	struct end *end;

	if (!listener)
		return -1;
	pthread_mutex_lock(&listeners_lock);
	end = listener->first;
	if (end) {
		listener->first = end->next;
		if (!listener->first) {
			listener->last = &listener->first;
			show(&listener->sock, 0);
		}
	}
	pthread_mutex_unlock(&listeners_lock);
	return end ? end->sock.fd : fail(EAGAIN);
}

/* 0, or the error that the sender gets. */
static int put(struct end *to, struct message *message, int flags)
{
	if (to->sock.fd < 0)
		return EPIPE;
	if (to->waiting == MSGSOCK_ROOM)
		return EAGAIN;
	append(flags & MSGSOCK_URGENT ? &to->urgent : &to->ordinary, message);
	to->waiting++;
	return 0;
}

ssize_t msgsock_send(int fd, const void *bytes, size_t size, int flags)
{
	struct end *end = sock_of(fd, END);
	struct message *message;
	int err;

	if (!end)
		return -1;
	if (!size || flags & ~MSGSOCK_URGENT)
		return fail(EINVAL);
	if (size > MSGSOCK_MOST)
		return fail(EMSGSIZE);
	message = malloc(sizeof(*message) + size);
	if (!message)
		return -1;
	message->size = size;
	memcpy(message->bytes, bytes, size);

	pthread_mutex_lock(&end->pair->lock);
	err = put(peer_of(end), message, flags);
	if (!err) {
		update(peer_of(end), true);
		update(end, false);
	}
	pthread_mutex_unlock(&end->pair->lock);
	if (!err)
		return (ssize_t)size;
	free(message);
	return fail(err);
}

/* The next message, if it has at most that many bytes; else the error, or 0 for the end of all. */
static struct message *get(struct end *end, size_t most, int *err)
{
	struct queue *queue = end->urgent.first ? &end->urgent : &end->ordinary;

	*err = 0;
	if (!queue->first)
		*err = peer_of(end)->sock.fd < 0 ? 0 : EAGAIN;
	else if (queue->first->size > most)
		*err = EMSGSIZE;
	if (!queue->first || *err)
		return NULL;
	end->waiting--;
	return take_first(queue);
}

ssize_t msgsock_recv(int fd, void *buffer, size_t most, int *flags)
{
	struct end *end = sock_of(fd, END);
	struct message *message;
	ssize_t size;
	bool urgent;
	int err;

	if (!end)
		return -1;
	pthread_mutex_lock(&end->pair->lock);
	urgent = end->urgent.first;
	message = get(end, most, &err);
	if (message) {
		update(end, false);
		update(peer_of(end), false);
	}
	pthread_mutex_unlock(&end->pair->lock);
	if (!message)
		return err ? fail(err) : 0;
	if (flags)
		*flags = urgent ? MSGSOCK_URGENT : 0;
	size = (ssize_t)message->size;
	memcpy(buffer, message->bytes, message->size);
	free(message);
	return size;
}

static void close_listener(struct listener *listener)
{
	struct end *end, *next;

	pthread_mutex_lock(&listeners_lock);
	*find_listener(listener->name) = listener->next;
	pthread_mutex_unlock(&listeners_lock);
	for (end = listener->first; end; end = next) {
		next = end->next;
		leave(end);
	}
	close(listener->sock.fd);
	free(listener);
}

int msgsock_close(int fd)
{
	struct sock *sock = sock_of(fd, END | LISTENER);

	if (!sock)
		return -1;
	if (sock->kind == END)
		leave((struct end *)sock);
	else
		close_listener((struct listener *)sock);
	return 0;
}
