/* settle: mirrors the predicate of a class into its FIFO, so that the kernel shows it to whoever
 * watches. The protocol is modelled and checked exhaustively in Promela; keep model and code the
 * same, line for line. On top of it, an object's own FIFO is full while a counter is at its limit,
 * so that the kernel shows OUT rightly too. */
#ifndef EFDSHIM_CORE_LEVEL_H
#define EFDSHIM_CORE_LEVEL_H

#include "core/slot.h"

enum level_direction {
	LEVEL_UP,   /* the caller made the predicate true, or only wants to look */
	LEVEL_DOWN, /* the caller made it false, or found the FIFO readable while it is false */
};

/* Settles class `class` of `slot` into the FIFO open as `fifo`. With `edge`, watchers get an edge
 * even where the level has landed. Lock-free; async-signal-safe. */
void level_settle(
	struct slot *slot, unsigned class, int fifo, enum level_direction direction, bool edge);

/* A counter left its limit and is still readable: its own FIFO has room again, without an edge of
 * IN. */
void level_leave_limit(struct slot *slot, int fifo);

/* Raises an edge of OUT on an object's own FIFO: it is filled and emptied again, as far as its
 * level lets it. */
void level_raise_out(struct slot *slot, int fifo);

/* Raises an edge of IN there while the level is down: a write of 0 is one. */
void level_raise_in(struct slot *slot, int fifo);

/* True where the FIFO of the class is known to hold a byte. */
bool level_landed(const struct slot *slot, unsigned class);

#endif
