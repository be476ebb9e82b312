/* The watches of the model's epoll sets, as its calls on sets share them. */
#ifndef FUZZ_MODEL_LINK_H
#define FUZZ_MODEL_LINK_H

#include "model_file.h"

enum { LINKS = 512 };

/* Of a watch's events: what is no poll bit. */
static const uint32_t private_bits = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

/* A watch. The kernel walks a ready list from its head and drops what has nothing to show; where it
 * stops early, the order tells what was dropped. That order is left open here: such a watch is
 * queued `perhaps`, until its next event. */
struct link {
	const struct mfile *set; /* NULL: unused */
	const struct mfile *target;
	int fd;
	uint32_t events;
	uint64_t data;
	bool queued, perhaps;
};

/* The next watch of the set that is queued; l: the one before, or NULL. */
struct link *link_next_queued(const struct mfile *set, struct link *l);
struct link *link_next_in(const struct mfile *set, struct link *l);
/* Without any effect. */
uint32_t link_shown(const struct link *);
/* Where its file is a set, that was polled. */
void link_asked(const struct link *, bool surely);
/* It had nothing to show. `surely`: the kernel came as far as this. */
void link_drop(struct link *, bool surely);

#endif
