/* Random walks: writes, epoll_ctl, epoll_wait, poll, select, dup and close in any order, each
 * answer held against the model. Some sets watch other sets. The same seed walks the same way. */
#ifndef MASKWALK_H
#define MASKWALK_H

#include "maskmodel.h"
#include "mate.h"

enum { WALK_OBJECTS = 3, WALK_FDS = 8, WALK_SETS = 5, WALK_MATES = 3, WALK_LOG = 24 };

enum walk_rules {
	WALK_LIFE = 1,      /* fds are copied, closed and made anew on the way */
	WALK_EXCLUSIVE = 2, /* some watches are EPOLLEXCLUSIVE */
};

struct walk {
	struct model model;
	uint64_t seed, rng, next_data;
	unsigned rules;
	long step;
	int fd[WALK_FDS];     /* -1: closed */
	int object[WALK_FDS]; /* which object it is */
	/* Sets 0 and 1 watch eventfds, as all do; 2 watches set 1 by level, 3 by edge, and 4 watches
	 * 3, 1 and 0 in modes that change. */
	int set[WALK_SETS];
	/* Any of these makes the next call; the first is this thread. */
	struct mate mate[WALK_MATES];
	int mates;
	char log[WALK_LOG][120];
};

void walk_start(struct walk *w, uint64_t seed, unsigned rules);
/* Another one who takes part, from now on. What it inherits it must have by now. */
void walk_join(struct walk *w, enum mate_kind kind);
/* Fails the test at the first difference, and prints the steps that led there. */
void walk_on(struct walk *w, long steps);
void walk_end(struct walk *w);

#endif
