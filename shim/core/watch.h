/* Cookie watches: an epoll watch whose interest the object's own FIFO cannot show is registered
 * with the kernel on a class FIFO, under a cookie instead of the user's data. The records behind
 * the cookies are shared by all processes, as epoll sets are. */
#ifndef EFDSHIM_CORE_WATCH_H
#define EFDSHIM_CORE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/slot.h"

/* What a watch is; fixed while its cookie lives. */
struct watch {
	uint64_t set;  /* number of the epoll set */
	uint64_t data; /* the user's */
	uint32_t slot; /* the object */
	uint32_t generation;
	uint32_t events; /* the user's interest and flags */
	int fd;		 /* the number it was registered under */
	bool own;    /* the kernel watches the object's own FIFO, as fd, where it has no class_fd */
	bool anchor; /* an own one that stands for a fast watch, see fastset.c */
	bool signalled; /* an own one that is to tell of ERR, see signalwatch.h */
	int class_fd;	/* what the kernel watches; -1 where that is no fd of the library's */
	uint32_t maker; /* the mark of the process that added it, see process.h; set by watch_add */
};

/* The object that it watches, under the number it was registered with. */
struct fdref watch_ref(const struct watch *watch);

/* Opens the records; 0 or an errno value. */
int watch_open(void);

/* True where any cookie was ever given: else events need no translation. */
bool watch_any(void);

/* Stores a watch of the object and gives its cookie; 0 or an errno value. */
int watch_add(struct slot *slot, const struct watch *watch, uint64_t *cookie);

/* The watch of fd in an epoll set; its cookie, or 0. */
uint64_t watch_find(struct slot *slot, uint64_t set, int fd, struct watch *watch);

/* The same for a set whose number is not known: the watch of fd for which `is_it` says yes. */
typedef bool watch_test(const struct watch *watch, int epfd);
uint64_t watch_find_where(struct slot *slot, int fd, watch_test *is_it, int epfd);

/* The watch behind an event's data. */
enum watch_lookup {
	WATCH_NONE, /* the data is the user's own */
	WATCH_DEAD, /* a cookie whose watch is gone */
	WATCH_LIVE,
};
enum watch_lookup watch_of(uint64_t cookie, struct watch *watch);

/* A one-shot watch tells its event; whether it has, or had before this call. */
bool watch_fire(uint64_t cookie);
bool watch_fired(uint64_t cookie);

/* An edge-triggered watch tells of the write that made `version`, or edge, of its object; whether
 * it had before. */
bool watch_tell(uint64_t cookie, uint32_t version);

/* Whether an edge-triggered watch has this edge to tell, and has not fired: then it has told it,
 * and fired where it is one-shot. */
bool watch_tell_edge(uint64_t cookie, const struct watch *watch, uint32_t edge);

/* An own watch is on a class FIFO from now on. */
void watch_set_class(uint64_t cookie, int class_fd);

/* Whether that edge was told, or it has fired: only a look. */
bool watch_told_edge(uint64_t cookie, uint32_t edge);

/* The kernel tells edges only of this watch of a mask, whatever the user's mode. */
void watch_set_by_edges(uint64_t cookie);
bool watch_by_edges(uint64_t cookie);

/* The cookie is dead; its record may be used again by the same object. False where it was already.
 */
bool watch_remove(uint64_t cookie);

/* True at each number of records of the object at which those that are of no use any more should be
 * looked for. */
bool watch_crowded(const struct slot *slot);

/* Removes the watches of the object for which `is_it` says yes, and tells of each. */
void watch_remove_all(struct slot *slot, bool (*is_it)(const struct watch *watch),
	void (*gone)(const struct watch *watch));

/* The object has died: frees all its records. Only its reclaimer calls this. */
void watch_forget_all(struct slot *slot);

/* Finds the records that were lost with a process that was killed. */
void watch_mend(void);

#endif
