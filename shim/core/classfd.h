/* The fds this process has on the FIFOs of classes. That of {IN} is the object's own; only poll
 * asks for it, as a number that stays the object's while the program's changes hands. */
#ifndef EFDSHIM_CORE_CLASSFD_H
#define EFDSHIM_CORE_CLASSFD_H

#include <stdbool.h>
#include <stdint.h>

/* The process's fd on the FIFO of a class, opened on first use: an internal fd, or -errno. */
int classfd_get(uint32_t slot, uint32_t generation, unsigned class);

/* A further number for the same file: for a second watch of one epoll set. It is closed with the
 * object. */
int classfd_extra(uint32_t slot, uint32_t generation, unsigned class);

/* Whether the number still is one of the object's class FIFOs. */
bool classfd_is(uint32_t slot, uint32_t generation, int fd);

/* `fd` came along from the image before: it is the library's own, and the object's. */
void classfd_inherit(uint32_t slot, uint32_t generation, unsigned class, int fd);

/* Closes the one of {IN}, say, which keeps the object alive for others to see. */
void classfd_forget_class(uint32_t slot, uint32_t generation, unsigned class);

/* Closes what the process has open for an object that has died. */
void classfd_forget(uint32_t slot, uint32_t generation);

/* internal_move_away: an internal fd has a new number. */
void classfd_moved(int from, int to);

#endif
