/* Random walks: writes, epoll_ctl, epoll_wait, poll, select, dup and close in any order, each
 * answer held against the model. Some sets watch other sets. The same seed walks the same way. */
#ifndef MASKWALK_H
#define MASKWALK_H

#include "maskmodel.h"
#include "mate.h"

enum { WALK_OBJECTS = 3, WALK_FDS = 8, WALK_SETS = 5, WALK_MATES = 3 };

enum walk_rules {
	WALK_LIFE = 1,	    /* fds are copied, closed and made anew on the way */
	WALK_EXCLUSIVE = 2, /* some watches are EPOLLEXCLUSIVE */
	WALK_NESTED = 4,    /* sets watch sets, and are polled */
};

enum walk_kind {
	WALK_WRITE,
	WALK_READ,
	WALK_POLL,
	WALK_CTL,
	WALK_CTL_SET, /* of a set in a set */
	WALK_WAIT,
	WALK_POLL_SET,
	WALK_CLOSE,
	WALK_COPY,
	WALK_NEW,
	WALK_CLOSE_ALL,
	WALK_NEST, /* the sets are put into one another */
	WALK_JOIN, /* another one takes part, with what there is by now */
};

/* One step. What makes no sense any more where others were left out is left out too. */
struct walk_op {
	enum walk_kind kind;
	unsigned who; /* who makes the call: 0 is this thread */
	int fd;	      /* a slot, below WALK_FDS */
	int set, ctl; /* a set, below WALK_SETS; what epoll_ctl does */
	int other;    /* the slot that is copied, the set that is watched, the object that is new,
			 the call that polls, the kind of who joins */
	uint32_t events; /* written, or asked for with the flags */
};

struct walk {
	struct model model;
	uint64_t next_data;
	int fd[WALK_FDS];     /* -1: closed */
	int object[WALK_FDS]; /* which object it is */
	/* Sets 0 and 1 watch eventfds, as all do; 2 watches set 1 by level, 3 by edge, and 4
	 * watches 3, 1 and 0 in modes that change. */
	int set[WALK_SETS];
	struct mate mate[WALK_MATES];
	int mates;
};

void walk_start(struct walk *w);
/* NULL, or how the answer differs from the model's. */
const char *walk_apply(struct walk *w, const struct walk_op *op);
void walk_end(struct walk *w);
void walk_describe(const struct walk_op *op, char *text, size_t size);

/* Objects without an fd, and sets with almost more watches than one call can report. */
int walk_fds_of(const struct walk *w, int object);
bool walk_is_full(const struct walk *w);
bool walk_is_watched(const struct walk *w, int set, int slot);

/* A whole walk; the others join in the course of it. At the first difference the walk is tried
 * again with steps left out, and the test fails with the shortest that still differs. */
void walk_check(uint64_t seed, unsigned rules, int steps, const enum mate_kind *others, int count);

#endif
