/* read(2) and write(2) on a mask eventfd, in the dialect it was made in. */
#ifndef EFDSHIM_CORE_MASKFD_H
#define EFDSHIM_CORE_MASKFD_H

#include <stddef.h>

#include "core/fdtable.h"
#include "core/outcome.h"

struct outcome maskfd_read(const struct fdref *ref, void *buf, size_t n);
struct outcome maskfd_write(const struct fdref *ref, const void *buf, size_t n);

#endif
