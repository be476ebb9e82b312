/* Single steps on an eventfd, asserted, by read and write alone: nothing here polls, so an object
 * that nobody watches stays unwatched. */
#ifndef EFD_H
#define EFD_H

#include <stdint.h>

int efd_open(unsigned initval, int flags);
void efd_close(int fd);
void efd_add(int fd, uint64_t value);
/* The next read would not block, and returns `value`. */
void efd_expect(int fd, uint64_t value);
/* The next read finds nothing. */
void efd_expect_empty(int fd);

/* -errno or the result; errno must be untouched on success. */
long efd_try_read(int fd, uint64_t *value);
long efd_try_write(int fd, uint64_t value);

#define EFD_LIMIT (UINT64_MAX - 1)

#endif
