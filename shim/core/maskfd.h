/* read(2) and write(2) on a mask eventfd, in the dialect it was made in. */
#ifndef EFDSHIM_CORE_MASKFD_H
#define EFDSHIM_CORE_MASKFD_H

#include <stddef.h>

#include "core/fdtable.h"
#include "core/outcome.h"

enum { MASKFD_BYTES_MAX = 12 };

struct outcome maskfd_read(const struct fdref *ref, void *buf, size_t n);
struct outcome maskfd_write(const struct fdref *ref, const void *buf, size_t n);

/* What a read stores: at most MASKFD_BYTES_MAX bytes; returns how many. */
size_t maskfd_image(const struct fdref *ref, void *image);

/* How many bytes one read or write of it moves. */
size_t maskfd_size(const struct slot *slot);

#endif
