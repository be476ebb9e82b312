/* What kind of mapping an address of this process is in. */
#ifndef EFDSHIM_CORE_MAPPING_H
#define EFDSHIM_CORE_MAPPING_H

#include <stdbool.h>

/* Whether other processes may have the same memory: false also where that cannot be known. */
bool mapping_is_shared(const void *address);

#endif
