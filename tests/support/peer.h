/* Another process that has nothing but one socket to this one, and does with the fds it is sent
 * what it is told. It names them by the order in which they came. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <sys/types.h>

enum peer_op {
	PEER_TAKE,  /* what came with this request; its answer: how many fds */
	PEER_MAKE,  /* eventfd(value, flags): the answer is its number */
	PEER_GIVE,  /* sends fd back with the answer */
	PEER_CLOSE, /* the numbers of the others stay */
	PEER_READ,
	PEER_WRITE,
	PEER_POLL,   /* for `flags`, up to `value` ms: the answer is revents */
	PEER_SELECT, /* sleeps until fd is readable */
	PEER_SET,    /* a new epoll set that watches fd for `flags`, with `value` as data */
	PEER_CTL,    /* adds a watch of fd to the last fd or set, likewise */
	PEER_WAIT,   /* for one event of set fd, without a limit: its mask and data */
	PEER_LOOK,   /* the same without sleeping: 0 where there is none */
	PEER_GETFL,
	PEER_SETFL,
	PEER_GETFD,
	PEER_END,
};

struct peer {
	pid_t pid;
	int sock;
};

struct peer_answer {
	long ret; /* -errno on failure */
	uint64_t value;
};

enum peer_kind {
	PEER_FORKED,
	PEER_EXECED, /* the same program anew */
	PEER_KINDS,
	PEER_UNLOADED = PEER_KINDS, /* the same without LD_PRELOAD, so without the shim */
};

struct peer peer_start(enum peer_kind kind);
void peer_end(struct peer p);
void peer_kill(struct peer p);

/* Hands fds over. */
void peer_send(struct peer p, const int *fds, int count);
void peer_send_one(struct peer p, int fd);

/* Sends the request; returns at once, or once the peer sleeps in it. */
void peer_ask(struct peer p, enum peer_op op, int fd, int flags, uint64_t value);
void peer_ask_asleep(struct peer p, enum peer_op op, int fd, int flags, uint64_t value);
struct peer_answer peer_answer(struct peer p);
struct peer_answer peer_do(struct peer p, enum peer_op op, int fd, int flags, uint64_t value);
/* The fd that PEER_GIVE sends back. */
int peer_give(struct peer p, int fd);

#endif
