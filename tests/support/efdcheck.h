/* Steps on an fd for a child or a role, where nothing may assert. */
#ifndef EFDCHECK_H
#define EFDCHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Results of the calls: -errno on failure; one that succeeds must leave errno alone, else -4095. */
long tell_read(int fd, uint64_t *value);
long tell_write(int fd, uint64_t value);
long tell_close(int fd);

bool adds(int fd, uint64_t value);
/* The next read returns this value. */
bool takes(int fd, uint64_t value);
/* fcntl, read, write and poll say EBADF and POLLNVAL. */
bool is_closed(int fd);
/* revents of poll now, asked for IN, OUT and PRI; 1 and 2 of select's read and write set. */
short polled(int fd);
int selected(int fd);
/* The only event of a set within 10 s (or now), its data; 0 for none. */
uint32_t waited(int set, uint64_t *data);
uint32_t shown(int set);
/* epoll_ctl; 0 or -errno. */
long controls(int set, int op, int fd, uint32_t events, uint64_t data);
/* An eventfd made now counts, blocks not, is polled and reports by an edge. */
bool fresh_one_works(void);
/* Returns once `pid` sleeps in the kernel; false after 10 s. */
bool falls_asleep(pid_t pid);

#endif
