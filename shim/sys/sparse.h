/* Large mappings of which little is ever touched. */
#ifndef EFDSHIM_SYS_SPARSE_H
#define EFDSHIM_SYS_SPARSE_H

#include <stddef.h>

/* Maps the file shared, or private zeros where fd is -1; the address, or -errno. No page is made
 * before it is used, not even where the program has locked its memory for the future. */
long sparse_map(size_t bytes, int fd);

#endif
