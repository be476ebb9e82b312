/* An fd by which a thread asleep in epoll is woken: it is in a set for EPOLLIN|EPOLLET, and need
 * not be read. An eventfd of the kernel's, or a pipe where it has none. */
#ifndef EFDSHIM_CORE_BELL_H
#define EFDSHIM_CORE_BELL_H

/* A number taken for a moment, as in sys/passing.h, close-on-exec and non-blocking; or -errno. */
int bell_open(void);

/* Every ring is an edge. */
void bell_ring(int fd);

#endif
