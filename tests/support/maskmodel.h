/* The rules of eventfds with EFD_MASK, and of what watches them, as the documentation states them:
 * written without a look at what serves them, so that the suites can hold the two against each
 * other. Nothing here makes a system call. */
#ifndef MASKMODEL_H
#define MASKMODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The five bits are 1 to 16: a state, or an interest of IN, PRI and OUT, is its own index. */
enum { MASK_STATES = 32, MASK_INTERESTS = 8, MASK_ALWAYS = EPOLLERR | EPOLLHUP };
enum { SELECT_IN = 1, SELECT_OUT = 2, SELECT_EXCEPT = 4 };

/* What poll and epoll report of a state. */
uint32_t model_poll(uint32_t state, uint32_t interest);
/* Which of the sets that are asked for select leaves its bit in. */
unsigned model_select(uint32_t state, unsigned sets);
/* True where a write of these events wakes who waits for the interest. */
bool model_wakes(uint32_t written, uint32_t interest);
/* The same for select. */
bool model_wakes_select(uint32_t written, unsigned sets);

/* Objects, and epoll sets that watch them or one another. */
enum { MODEL_OBJECTS = 8, MODEL_SETS = 6, MODEL_WATCHES = 96 };

enum model_answer { MODEL_NO, MODEL_MAYBE, MODEL_YES };

struct model_watch {
	bool used;
	int set, number; /* where it is, and the fd number that was added */
	int object;	 /* what it watches: an object, */
	int inner;	 /* or a set (the other is -1) */
	uint32_t interest, flags;
	uint64_t data;
	bool fired;  /* a one-shot that is used up */
	bool untold; /* queued, or not reported since */
	enum model_answer queued;
};

struct model {
	/* The kernel's stand-in wakes without saying for what: who waits may get one edge more. */
	bool vague;
	uint32_t state[MODEL_OBJECTS];
	uint64_t data[MODEL_OBJECTS];
	struct model_watch watch[MODEL_WATCHES];
};

/* False where the events are refused. */
bool model_write(struct model *m, int object, uint32_t events, uint64_t data);
/* The object is gone: so are its watches. A new one may take its place. */
void model_forget(struct model *m, int object);

struct model_target {
	int number, object, inner;
};

/* Each answers 0 or -errno. */
int model_ctl(
	struct model *m, int op, int set, struct model_target t, uint32_t events, uint64_t data);

/* Whether a set is readable: something in it would be reported. */
enum model_answer model_readable(const struct model *m, int set);

/* What an epoll_wait that does not sleep, with room for everything, has reported. NULL where the
 * model agrees, else what is wrong. */
const char *model_waited(struct model *m, int set, const struct epoll_event *got, int count);

#endif
