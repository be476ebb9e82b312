/* Every state of a mask eventfd, seen by every call with every interest: one side writes, the other
 * watches. */
#ifndef MASKMATRIX_H
#define MASKMATRIX_H

#include "maskmodel.h"
#include "mate.h"

enum matrix_mode { MATRIX_LEVEL, MATRIX_EDGE, MATRIX_ONCE, MATRIX_MODES };

struct matrix {
	struct mate *writer, *watcher;
	int wfd, fd; /* the object's number on either side */
	/* Sets of one watch each, and one set of eight copies for each mode. */
	int set[MATRIX_MODES][MASK_INTERESTS];
	int many[MATRIX_MODES], copy[MASK_INTERESTS];
};

extern const uint32_t matrix_flags[MATRIX_MODES];

/* `fd` is this process's number of a mask eventfd in state 0; it is handed to either side. */
struct matrix matrix_hand(struct mate *writer, struct mate *watcher, int fd);
/* What the watcher gets for itself, and what it watches. Copies and sets can be made here, before
 * it is started (so that it inherits them): then by MATE_SELF, with `watcher` put in after. */
void matrix_open(struct matrix *x);
void matrix_close(struct matrix *x);

/* poll, ppoll, select and pselect in every state. */
void matrix_levels(struct matrix *x);
/* epoll, each state from state 0, one-shots armed again by MOD. */
void matrix_sets(struct matrix *x);
/* From every state to every other. */
void matrix_steps(struct matrix *x);
/* Watches made while the state is there. */
void matrix_fresh(struct matrix *x);

/* All of it, on a mask eventfd that this process makes; sets of the watcher's own. */
void matrix_all(struct mate *writer, struct mate *watcher);

#endif
