/* settle: mirrors the predicate of a class into its FIFO, so that the kernel shows it to whoever
 * watches. The protocol is modelled and checked exhaustively in Promela; keep model and code the
 * same, line for line. On top of it, an object's own FIFO is full while a counter is at its limit,
 * so that the kernel shows OUT rightly too.
 *
 * What is written and read there are whole words of 8 bytes, and the level is made of zeros. Any
 * other word is a write of the program's that met the bare FIFO, see late.h. Whoever reads one does
 * that write: where a function here returns true it did such ones, and the caller tells who else
 * waits for the object. */
#ifndef EFDSHIM_CORE_LEVEL_H
#define EFDSHIM_CORE_LEVEL_H

#include "core/slot.h"

enum level_direction {
	LEVEL_UP,   /* the caller made the predicate true, or only wants to look */
	LEVEL_DOWN, /* the caller made it false, or found the FIFO readable while it is false */
};

/* Settles class `class` of `slot` into the FIFO open as `fifo`. With `edge`, watchers get an edge
 * even where the level has landed. Lock-free; async-signal-safe. */
bool level_settle(
	struct slot *slot, unsigned class, int fifo, enum level_direction direction, bool edge);

/* A counter left its limit and is still readable: its own FIFO has room again, without an edge of
 * IN. */
bool level_leave_limit(struct slot *slot, int fifo);

/* Raises an edge of OUT on an object's own FIFO: it is filled and emptied again, as far as its
 * level lets it. */
bool level_raise_out(struct slot *slot, int fifo);

/* Somebody is about to look for OUT there: unread pokes must not use it up. */
bool level_make_room(struct slot *slot, int fifo);

/* Raises an edge of IN there while the level is down: a write of 0 is one. */
bool level_raise_in(struct slot *slot, int fifo);

/* True where the FIFO of the class is known to hold a word. */
bool level_landed(const struct slot *slot, unsigned class);

#endif
