/* References to objects that outlive the fds they were taken by: struct efd_file of the public
 * headers. */
#ifndef EFDSHIM_CORE_EFDFILE_H
#define EFDSHIM_CORE_EFDFILE_H

#include <stdbool.h>

#include "core/fdtable.h"

struct efd_file;

enum efd_hold {
	EFD_STRONG, /* the object lives on, and its fd stays in epoll sets, as a duplicate's does */
	EFD_WEAK,   /* it is only named */
};

/* A reference to ref's object; NULL with an errno value in *err. */
struct efd_file *efdfile_get(const struct fdref *ref, enum efd_hold hold, int *err);

/* Drops it; NULL, and one that was dropped already, are none. */
void efdfile_put(struct efd_file *file);

/* What it refers to: for a weak one, slot_lives_as() says whether that still is. False where it is
 * none. */
bool efdfile_ref(const struct efd_file *file, struct fdref *ref);

/* Each strong one there is. */
void efdfile_each(void (*act)(const struct fdref *ref));

/* internal_move_away: an internal fd has a new number. */
void efdfile_moved(int from, int to);

#endif
