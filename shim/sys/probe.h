/* What the running kernel does where kernels disagree. Each question is put once, when it first
 * comes up. */
#ifndef EFDSHIM_SYS_PROBE_H
#define EFDSHIM_SYS_PROBE_H

#include <stdbool.h>

/* A write of more than 8 bytes to an eventfd is accepted (kernels up to 6.8) rather than EINVAL. */
bool probe_long_write(void);

/* readv on an eventfd scatters the 8 bytes (since 5.7) rather than reading each piece for itself.
 */
bool probe_readv_scatters(void);

/* A byte written to a FIFO that already holds one raises an edge (not between 5.5 and 5.13). */
bool probe_fifo_edges(void);

/* One that failed as there was no room raises an edge all the same. */
bool probe_full_fifo_edges(void);

/* EPOLLEXCLUSIVE is known (since 4.5) and not ignored. */
bool probe_exclusive(void);

/* There are signalfds (since 2.6.22). */
bool probe_signalfd(void);

#endif
