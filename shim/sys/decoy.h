/* A real eventfd, made for one question: what does this kernel answer to such a call on an eventfd?
 */
#ifndef EFDSHIM_SYS_DECOY_H
#define EFDSHIM_SYS_DECOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A real, non-blocking eventfd of that count, close-on-exec; -errno where the kernel has none to
 * give. */
int decoy_open(uint64_t count);
void decoy_close(int fd);

/* Of no count; an empty epoll set where the kernel has no eventfds. It is of the same kind of file
 * to whatever does not read, write or wait. */
int decoy_alike(void);

/* It was an epoll set. */
bool decoy_stands_in(void);

/* What a read into (address, n) of an empty one gives: EFAULT, EINVAL, or EAGAIN where the
 * arguments are sound. */
int decoy_read_error(const void *address, size_t n);

/* What a system call answers with decoys in the arguments that `fakes` names (bit i: argument i).
 */
long decoy_syscall(long nr, const long args[6], unsigned fakes);

#endif
