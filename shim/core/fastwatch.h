/* Fast watches: entries of a front, of which the kernel only knows that they are there. Each object
 * has room for two. */
#ifndef EFDSHIM_CORE_FASTWATCH_H
#define EFDSHIM_CORE_FASTWATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/fdtable.h"
#include "core/front.h"
#include "core/mask.h"

enum { FASTWATCH_ROOM = 2 };

/* Of a cell's state, besides the events and flags of the user. */
#define FASTWATCH_LIVE (1u << 20)
#define FASTWATCH_FIRED (1u << 21)   /* a live one-shot watch that has told its event */
#define FASTWATCH_CLAIMED (1u << 22) /* somebody is filling the other fields in */
#define FASTWATCH_LISTED (1u << 23)  /* it is on its front's lists, or about to be */
#define FASTWATCH_MOVING (1u << 24)  /* it is being handed over to the kernel */
#define FASTWATCH_MOVED (1u << 25)   /* it was */
#define FASTWATCH_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLET | EPOLLONESHOT))

struct fastwatch {
	/* Version, events and marks; the user's data, or of an edge-triggered watch the cookie of
	 * watch.h that knows what it has told of. Both are swapped by whoever adds, modifies,
	 * removes or demotes the watch. The marks alone are moved by writers, who set LISTED by
	 * compare-and-swap while the watch lives, and then push it; and by the waiter, which clears
	 * LISTED, and looks at the object after that. */
	struct mask_cell cell;
	/* Which set, number and object it is of. Written by who has claimed it, and constant while
	 * it lives; the set also while it is listed. */
	_Atomic uint64_t set;
	_Atomic int fd;
	_Atomic uint32_t generation;
	/* What the kernel has for its data, see watch.h. Written likewise, and by who modifies it.
	 */
	_Atomic uint64_t cookie;
	/* The next on the list it is on; whose who listed it, then the waiter's. */
	_Atomic uint32_t next;
} __attribute__((aligned(64)));

/* A watch as it was at one moment. */
struct fastwatch_view {
	struct mask_pair pair;
	uint64_t set;
	int fd;
	uint32_t generation;
};

/* There is room for them on return; 0 or an errno value. */
int fastwatch_init(void);

/* By index: 0 is none. */
struct fastwatch *fastwatch_at(uint32_t index);
uint32_t fastwatch_slot(uint32_t index);
/* The index of one of the object's two; and the end of all that there ever were. */
uint32_t fastwatch_index(uint32_t slot, unsigned which);
uint32_t fastwatch_end(void);

static inline uint32_t fastwatch_events(const struct fastwatch_view *view)
{
	return mask_events(view->pair.state);
}

/* Looks at it; false where it does not live. */
bool fastwatch_view(const struct fastwatch *watch, struct fastwatch_view *view);

/* What of the events asked for its object shows now. */
uint32_t fastwatch_shown(uint32_t index, const struct fastwatch_view *view);

/* The object it is of. */
struct fdref fastwatch_ref(uint32_t index, const struct fastwatch_view *view);

/* The one of this set and number, live or moving; 0 where there is none. */
uint32_t fastwatch_find(const struct fdref *ref, uint64_t set);

/* Makes one; 0 where there is no room. The caller looks at the object afterwards. */
uint32_t fastwatch_add(
	const struct fdref *ref, uint64_t set, const struct epoll_event *event, uint64_t cookie);

/* The kernel tells of the cookie, of a watch of this slot: whose part it is to tell the program. */
enum fastwatch_part {
	FASTWATCH_NOBODYS, /* there is none here, or not any more */
	FASTWATCH_FRONTS,  /* a live one's, which is pushed; or it is handed over as something else
			    */
	FASTWATCH_ANCHORS, /* the kernel has nothing but the cookie */
};
enum fastwatch_part fastwatch_told_by_kernel(uint32_t slot, uint64_t cookie);

/* Gives it other events and marks, and data; it stays listed. False where it is no longer what was
 * seen. */
bool fastwatch_change(
	struct fastwatch *watch, struct fastwatch_view *view, uint32_t marks, uint64_t data);

/* The watch may be ready: puts it on its front's list and wakes the waiter. The marks it had: where
 * it is not live it was not told. */
uint32_t fastwatch_push(uint32_t index);

/* The object was written, when slot.watched was `watched`; what it is to be taken for. */
uint32_t fastwatch_written(uint32_t slot, uint32_t watched);

/* Its last fd here was closed. */
void fastwatch_forget(const struct fdref *ref);

/* The front's lists, for the waiter, or who stands in for it. What was pushed is put at the end; */
void fastwatch_gather(struct front *front);
uint32_t fastwatch_take_first(struct front *front);
void fastwatch_put_last(struct front *front, uint32_t index);
/* While the watch is what was seen: it is on no list any more, and gets `marks`; it is listed
 * again; it has told its one event. False where it is not that any more. */
bool fastwatch_take_off(uint32_t index, struct fastwatch_view *view, uint32_t marks);
bool fastwatch_list_again(uint32_t index, struct fastwatch_view *view);
bool fastwatch_mark_fired(uint32_t index, struct fastwatch_view *view);
/* It is off, whatever it is; all are. */
void fastwatch_take_off_for_good(uint32_t index);
void fastwatch_unlist(struct front *front);

#endif
