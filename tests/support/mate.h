/* Somebody who makes one call after the other on the fds of a test: this thread, another thread, a
 * forked child, another program that inherited them, or a process that is sent them one by one. */
#ifndef MATE_H
#define MATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

enum mate_kind {
	MATE_SELF,
	MATE_THREAD,
	MATE_FORKED,
	MATE_EXECED,   /* this program anew, with the fds that are not close-on-exec */
	MATE_PEER,     /* a child that has no fd but those it is sent */
	MATE_STRANGER, /* the same as another program */
	MATE_KINDS,
};

enum mate_op {
	MATE_TAKE, /* receives an fd: its number */
	MATE_GIVE, /* sends `fd` */
	MATE_WRITE,
	MATE_READ,
	MATE_POLL,
	MATE_PPOLL,
	MATE_SELECT,
	MATE_PSELECT,
	MATE_WAIT,
	MATE_SET, /* epoll_create1(0) */
	MATE_CTL,
	MATE_DUP,
	MATE_CLOSE,
	MATE_OPEN, /* mask_open(events) */
	MATE_END,
};

enum { MATE_EVENTS = 16 };

struct mate_call {
	enum mate_op op;
	int fd;
	uint32_t events; /* written, asked for; which sets for select */
	int limit;	 /* in ms; 0 does not sleep, -1 has no limit */
	int ctl, set;	 /* epoll_ctl(set, ctl, fd, ...) */
	uint64_t data;
};

struct mate_reply {
	long ret;	 /* -errno on failure */
	uint32_t events; /* read; revents; the sets select left; those of the only event */
	uint64_t data;
	struct epoll_event got[MATE_EVENTS];
	int64_t cpu_ns; /* the thread's own time in the call, */
	long sleeps;	/* and how often it went to sleep */
};

struct mate {
	enum mate_kind kind;
	int sock, other;
	pid_t pid, tid;
	pthread_t thread;
	struct mate_reply said;
};

struct mate mate_start(enum mate_kind kind);
void mate_end(struct mate *m);
void mate_kill(struct mate *m);
const char *mate_name(enum mate_kind kind);

/* One that must be sent fds. */
bool mate_apart(const struct mate *m);
/* The number of an fd over there: it is sent where it has to be. */
int mate_hand(struct mate *m, int fd);
/* The fd that one over there sends back. */
int mate_give(struct mate *m, int fd);

struct mate_reply mate_do(struct mate *m, struct mate_call call);

/* For all but MATE_SELF: asked and answered apart. */
void mate_ask(struct mate *m, struct mate_call call);
bool mate_answered(const struct mate *m);
struct mate_reply mate_answer(struct mate *m);
/* Returns once it sleeps in the call. */
void mate_ask_asleep(struct mate *m, struct mate_call call);
/* Once it sleeps again: false where it answered instead. */
bool mate_sleeps(struct mate *m);

/* Asserted steps; each says what was wrong with `what` in front. */
void mate_write(struct mate *m, int fd, uint32_t events, uint64_t data);
int mate_new_set(struct mate *m);
void mate_ctl(struct mate *m, int ctl, int set, int fd, uint32_t events, uint64_t data);
void mate_close(struct mate *m, int fd);
uint32_t mate_poll(struct mate *m, int fd, uint32_t interest);
/* The only event of a set now, or 0. */
uint32_t mate_event(struct mate *m, int set, uint64_t *data);

#endif
