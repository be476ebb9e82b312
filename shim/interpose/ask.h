/* Calls that an eventfd answers in its own way, whatever its count: the kernel is asked. */
#ifndef EFDSHIM_INTERPOSE_ASK_H
#define EFDSHIM_INTERPOSE_ASK_H

/* A system call, with fds among its arguments `fds` (bit i: argument i) of which some are not
 * ordinary. Sets errno. */
long ask(long nr, const long args[6], unsigned fds);

/* For libc functions that are more than a system call: the fd to call them with, in the place of
 * one that is not ordinary; and afterwards. */
int ask_begin(int fd);
void ask_end(int fd, int asked);

#endif
