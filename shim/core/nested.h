/* Epoll sets put into other sets edge-triggered: every event within such a set is an edge of the
 * outer one, so its objects need edges even where their own watches are level-triggered. */
#ifndef EFDSHIM_CORE_NESTED_H
#define EFDSHIM_CORE_NESTED_H

#include <stdbool.h>
#include <stdint.h>

/* Set number `inner` was put into `outer`, edge-triggered where `edge` says so. True where inner's
 * objects need edges from now on. */
bool nested_note(uint64_t outer, uint64_t inner, bool edge);

/* Whether the objects of the set need edges. */
bool nested_needs_edges(uint64_t set);

#endif
