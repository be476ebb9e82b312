/* Demotion: fast watches become the kernel's, where somebody comes whom the front does not serve.
 */
#ifndef EFDSHIM_CORE_DEMOTE_H
#define EFDSHIM_CORE_DEMOTE_H

#include <stdint.h>

#include "core/fdtable.h"
#include "core/front.h"

/* The watch is the kernel's from now on; no event is lost, and no edge told twice. */
void demote_watch(uint32_t index);

/* All watches of the set; for good. Somebody else looks at it: a second thread, another set or a
 * poll, another process. */
void demote_set(struct front *front);
void demote_set_of(int epfd);
void demote_all_sets(void);

/* Those of an object that another process gets. */
void demote_object(const struct fdref *ref);

/* The number is about to be closed or replaced: where the object has others, those that it was
 * registered under stay in the kernel. */
void demote_number(const struct fdref *ref);

/* Around a fork, in the parent; and in the child. */
void demote_forking(void);
void demote_forked(void);

#endif
