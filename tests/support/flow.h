/* Traffic through an eventfd that epoll sets watch, with what each watch has to say at any moment.
 * Something is done in the middle of it, and no event may be lost, invented or told twice. All of
 * it is in memory shared with children; nothing here asserts, but says on stderr what was wrong. */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { FLOW_WATCHES = 4 };

struct flow_watch {
	int set; /* -1: no watch */
	uint32_t interest;
	uint64_t data;
	bool queued; /* an edge is waiting */
	bool fired;  /* a one-shot that is used up */
};

struct flow {
	int fd;
	int memory; /* where this is kept: flow_map() of it in another program */
	int stage;
	uint64_t count;
	struct flow_watch watch[FLOW_WATCHES];
};

/* LT IN, LT IN|OUT and ET IN, each with and without ONESHOT; then others. */
enum { FLOW_FAST_KINDS = 6, FLOW_KINDS = 9 };
extern const uint32_t flow_kinds[FLOW_KINDS];

/* Where the traffic is interrupted. */
enum flow_stage {
	FLOW_QUIET,
	FLOW_WRITTEN,
	FLOW_TOLD,	   /* and the event taken, but not the count */
	FLOW_READ,	   /* and the count taken too */
	FLOW_WRITTEN_MORE, /* while the count was still there */
	FLOW_UNSEEN,	   /* written and read again before anybody looked */
	FLOW_ARMED,	   /* modified while readable */
	FLOW_STAGES
};

/* An eventfd and a set that watches it: watch 0. */
struct flow *flow_open(uint32_t interest);
struct flow *flow_map(int memory);
void flow_close(struct flow *f);
/* Where the fd or a set was closed otherwise, its number here is -1. */

bool flow_bring(struct flow *f, enum flow_stage stage);

/* For each of the first `kinds` kinds, in each stage of traffic that has been going on for a while:
 * run; true where it always was. */
typedef bool (*flow_run)(struct flow *f);
bool flow_each(int kinds, flow_run run);
/* The same for one stage. */
bool flow_each_at(enum flow_stage stage, int kinds, flow_run run);

/* What watch `i` would tell now: events, or 0. */
uint32_t flow_due(const struct flow *f, int i);

/* Steps. */
bool flow_add(struct flow *f, int i, int set, uint32_t interest, uint64_t data);
bool flow_arm(struct flow *f, int i);
bool flow_write(struct flow *f);
bool flow_read(struct flow *f);
/* The same done by somebody else: only what it means. */
void flow_wrote(struct flow *f);
void flow_was_read(struct flow *f);
void flow_armed(struct flow *f, int i);
/* One event of watch i was seen elsewhere: as it should be? */
bool flow_saw(struct flow *f, int i, uint32_t events, uint64_t data);

/* epoll_wait of watch i's set tells what is due and nothing else; it sleeps where something is. */
bool flow_tells(struct flow *f, int i);
bool flow_tells_by(struct flow *f, int i, int set);
/* Both, and then some rounds of traffic; the counter ends at 0, a one-shot armed. */
bool flow_runs(struct flow *f, int i);
/* So that the next write is told: reads what is there, arms what is used up, takes what is due. */
bool flow_ready_for_more(struct flow *f, int i);

/* `ok`, or a word on stderr. */
bool flow_check(bool ok, const char *file, int line, const char *what);
#define HOLDS(cond) flow_check(cond, __FILE__, __LINE__, #cond)

#endif
