/* The parts of msgsock_echo. */
#ifndef MSGSOCK_ECHO_H
#define MSGSOCK_ECHO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "msgsock.h"

enum {
	LIMIT = 20000, /* milliseconds without any event: something is lost */
	BATCH = 64,    /* events of one epoll_wait */
};

/* What an epoll loop needs of a socket, whatever kind it is. */
struct transport {
	int (*accept)(int listener);
	ssize_t (*send)(int fd, const void *bytes, size_t size, int flags);
	ssize_t (*recv)(int fd, void *bytes, size_t most, int *flags);
	int (*close)(int fd);
};

extern const struct transport memory, tcp;

/* 127.0.0.1; non-blocking once they are connected. */
int tcp_listen(uint16_t *port);
int tcp_connect(uint16_t port);

/* Ends the program where it is not fine. */
void require(bool fine, const char *what);

struct server {
	int set;
	struct conn *listeners[2]; /* of sockets, of message sockets */
	int left;		   /* connections that have ended */
	int open, most;		   /* connections at the moment, and at the busiest one */
	long waits;		   /* calls of epoll_wait */
	long idle;		   /* events that brought nothing */
	long bytes[2];		   /* received from sockets, from message sockets */
	long urgent;		   /* messages */
	long urgent_shown;	   /* events with PRI */
	long held;		   /* echoes that had to wait for room */
};

void server_listen(struct server *server, int fd, const struct transport *via);

/* Until so many connections have ended. */
void server_run(struct server *server, int connections);

/* Closes the listeners and the set. */
void server_end(struct server *server);

/* A thread with a loop of its own. */
struct crowd {
	pthread_t id;
	pthread_barrier_t *greeted; /* where all meet when all of their clients have an answer */
	int first, members;	    /* message-socket clients, numbered from first on */
	int first_tcp, tcp_members;
	uint16_t port;
	int set, answered, left;
	long sent[2], echoed[2]; /* messages, on sockets and on message sockets */
	long urgent, overtook;	 /* urgent echoes, and those that came before older messages */
	long waited;		 /* times that a client had to wait for room */
};

enum {
	FIT = 2 * MSGSOCK_ROOM + 1, /* messages on the way there, in the server's hands, and back */
	MESSAGE = 64,		    /* bytes */
	MESSAGES = FIT + 8,	    /* of a client that stays */
	URGENT = 21,	/* the number of the urgent one: after more than fit on the way back */
	FEW = 6,	/* messages of a client that does not wait for the echoes */
	TALK = 1 + FIT, /* of one that listens late: the first one has come back by then */
	EACH = 20,	/* of so many one does not wait for echoes, another one listens late */
};

void *crowd_run(void *crowd);

#endif
