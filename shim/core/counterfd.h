/* read(2) and write(2) on a counter eventfd. */
#ifndef EFDSHIM_CORE_COUNTERFD_H
#define EFDSHIM_CORE_COUNTERFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fdtable.h"
#include "core/outcome.h"

struct outcome counterfd_read(const struct fdref *ref, void *buf, size_t n);
struct outcome counterfd_write(const struct fdref *ref, const void *buf, size_t n);

/* A write that follows others in one writev: any signal handler ends its wait, as the call has
 * something to return. */
struct outcome counterfd_write_more(const struct fdref *ref, const void *buf, size_t n);

/* eventfd_signal: adds up to `n` without blocking; *added is how much. 0 or an errno value. */
int counterfd_signal(const struct fdref *ref, uint64_t n, uint64_t *added);

/* Takes what one read takes, before it is stored anywhere: 0 or an errno value. */
int counterfd_take(const struct fdref *ref, bool nowait, uint64_t *value);

#endif
